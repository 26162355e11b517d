import { defineComponent, ref } from "/vendor/vue/vue.esm-browser.prod.js";
import { loadSession, post } from "../api.js";
import { errorText } from "../components/basics.js";
import { outside } from "../components/outside.js";
import { html } from "../html.js";
import { problemText, t } from "../i18n.js";

export default defineComponent({
  setup() {
    const username = ref("");
    const password = ref("");
    const problem = ref(null);
    const busy = ref(false);

    const submit = async (event) => {
      event.preventDefault();
      busy.value = true;
      problem.value = null;
      try {
        await post("/login", { username: username.value.trim(), password: password.value });
        await loadSession();
      } catch (error) {
        problem.value = error;
        password.value = "";
      } finally {
        busy.value = false;
      }
    };

    return () => outside(t("login.title"), t("login.text"), html`<form class="stack" @submit=${submit}>
      <div class="field"><label for="username">${t("login.username")}</label>
        <input class="input" id="username" name="username" autocomplete="username" autocapitalize="none" spellcheck="false" required autofocus data-test="login-username"
          value=${username.value} @input=${(event) => { username.value = event.target.value; }} /></div>
      <div class="field"><label for="password">${t("login.password")}</label>
        <input class="input" id="password" name="password" type="password" autocomplete="current-password" required data-test="login-password"
          value=${password.value} @input=${(event) => { password.value = event.target.value; }} /></div>
      ${errorText(problem.value && problemText(problem.value))}
      <button class="button primary" type="submit" disabled=${busy.value} data-test="login-submit">${t("login.submit")}</button>
    </form>`);
  },
});
