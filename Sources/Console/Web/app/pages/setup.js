import { computed, defineComponent, ref } from "/vendor/vue/vue.esm-browser.prod.js";
import { loadSession, post } from "../api.js";
import { errorText, notice } from "../components/basics.js";
import { outside } from "../components/outside.js";
import { html } from "../html.js";
import { problemText, t } from "../i18n.js";
import { go, route } from "../router.js";
import { session } from "../state.js";

const PASSWORD_LENGTH_MIN = 8;

export default defineComponent({
  setup() {
    const username = ref("admin");
    const password = ref("");
    const repeat = ref("");
    const problem = ref(null);
    const busy = ref(false);
    const tried = ref(false);
    const fault = computed(() => {
      if (!username.value.trim()) return t("setup.nameMissing");
      if (password.value.length < PASSWORD_LENGTH_MIN) return t("setup.tooShort", { n: PASSWORD_LENGTH_MIN });
      if (password.value !== repeat.value) return t("setup.different");
      return null;
    });

    const submit = async (event) => {
      event.preventDefault();
      tried.value = true;
      problem.value = null;
      if (fault.value) return;
      busy.value = true;
      try {
        await post("/setup", { token: route.query.token, username: username.value.trim(), password: password.value });
        await loadSession();
        go(session.authenticated ? "" : "login");
      } catch (error) {
        problem.value = error;
      } finally {
        busy.value = false;
      }
    };

    const input = (id, model, type, autocomplete) => html`<div class="field"><label for=${id}>${t("setup." + id)}</label>
      <input class="input" id=${id} type=${type} autocomplete=${autocomplete} autocapitalize="none" spellcheck="false" required data-test=${"setup-" + id}
        value=${model.value} @input=${(event) => { model.value = event.target.value; }} /></div>`;

    return () => {
      if (!session.needsSetup) {
        return outside(t("setup.doneTitle"), t("setup.doneText"), html`<a class="button primary" href="#/login">${t("login.submit")}</a>`);
      }
      if (!route.query.token) return outside(t("setup.linkTitle"), t("setup.linkText"), notice("", t("setup.linkHint")));
      return outside(t("setup.title"), t("setup.text"), html`<form class="stack" novalidate @submit=${submit}>
        ${input("username", username, "text", "username")}
        ${input("password", password, "password", "new-password")}
        ${input("repeat", repeat, "password", "new-password")}
        ${errorText(problem.value ? problemText(problem.value) : tried.value ? fault.value : null)}
        <button class="button primary" type="submit" disabled=${busy.value} data-test="setup-submit">${t("setup.submit")}</button>
      </form>`);
    };
  },
});
