// The console's start: session, shell, page.
//
// For tests, the important elements carry stable attributes:
//   data-test="nav-SECTION" (overview devices trends rules alarms mqtt settings); on telephones "bar-SECTION", "bar-more", "more-SECTION"
//   "language-switch" (data-language = the present one), "theme-switch" (data-theme-choice), "sign-out"
//   "connection" (data-state: off connecting open lost), "connection-lost" banner, "toast" (data-kind: ok info error), "error", "empty"
//   "search" opens "search-dialog": "search-input", "search-result"
//   setup: "setup-username" "setup-password" "setup-repeat" "setup-submit"; login: "login-username" "login-password" "login-submit"
//   overview: "flow", "flow-NODE" (devices bus rules historian mqtt; data-state, data-rate), "kpi-NAME", "problems", "problem"
//   devices: "devices-table", rows data-device="NAME" data-state; "filter", "state-filter-STATE"
//   device: "device-state", "tab-tags" "tab-diagnostics" "tab-history" "tab-yaml", "group-NAME" (data-interval in ms), "edit-interval-NAME",
//     "tags-table", rows data-row="device/group/tag", value cells data-tag="device/group/tag" data-quality,
//     "write-GROUP/TAG" opens "write-dialog": "write-current" "write-input" "write-true" "write-false" "write-review" "write-confirm"
//       "write-result" (data-result: ok error) "write-done"
//     "interval-dialog": "interval-input" "interval-save" "interval-conflict" "interval-reload"
//     "tag-panel", "open-trend"; history: "revision" (data-revision), "rollback-REV"; "question-yes" "question-no"
//   trends: "range-RANGE" (5m 15m 1h 8h 24h 7d), "live", "chart" (data-points), "add-pens", "pen-picker", "pen-filter", "pick-TAG", "pen" (data-tag), "remove-pen"
//   rules: "rules-table" rows data-rule; alarms: "alarms-table" rows data-alarm data-state; mqtt: "clients-table" "subscriptions-table" "retained-table"
//   settings: "language-en" "language-zh" "theme-auto" "theme-light" "theme-dark" "token-name" "token-create" "token-secret"

import { createApp, defineComponent, ref, shallowRef, watch, watchEffect } from "/vendor/vue/vue.esm-browser.prod.js";
import { loadSession } from "./api.js";
import { empty, loading } from "./components/basics.js";
import { Shell } from "./components/shell.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { startLive, stopLive } from "./live.js";
import { loadPage } from "./pages.js";
import { go, route } from "./router.js";
import { session } from "./state.js";

const RETRY_MILLISECONDS = 2000;

const App = defineComponent({
  setup() {
    const page = shallowRef(null);
    const failed = ref(false);
    const unreachable = ref(false);

    async function start() {
      try {
        await loadSession();
        unreachable.value = false;
      } catch {
        unreachable.value = true;
        setTimeout(start, RETRY_MILLISECONDS);
      }
    }
    start();

    // Where one may be: the setup link before there is an administrator, the login page before a session.
    watchEffect(() => {
      if (!session.checked) return;
      const outside = route.section === "setup" || route.section === "login";
      if (session.authenticated) {
        startLive();
        if (outside) go(...(route.query.to ? route.query.to.split("/").filter(Boolean).map(decodeURIComponent) : [""]));
      } else {
        stopLive();
        if (session.needsSetup && route.section !== "setup") go("setup");
        else if (!session.needsSetup && route.section !== "login") go("login", route.section ? { to: route.path } : {});
      }
    });

    let wanted = 0;
    watch(() => [route.section, route.rest[0], session.checked], async () => {
      if (!session.checked) return;
      const mine = ++wanted;
      failed.value = false;
      try {
        // The key goes with the page: the old one stays as it is until the new one is there.
        const key = route.section + "/" + (route.rest[0] ?? "");
        const component = await loadPage();
        if (mine === wanted) page.value = { component, key };
      } catch (error) {
        console.error(error);
        if (mine === wanted) failed.value = true;
      }
    }, { immediate: true });

    watchEffect(() => {
      const section = route.section || "overview";
      document.title = [route.rest[0], t("nav." + section), "Tundish"].filter((part) => part && part !== "nav." + section).join(" · ");
    });

    const content = () => {
      if (failed.value) {
        return empty("warn", t("common.pageFailed"), t("common.pageFailedText"),
          html`<button class="button primary" type="button" @click=${() => location.reload()}>${t("common.reload")}</button>`);
      }
      return page.value ? html`<${page.value.component} key=${page.value.key} />` : loading();
    };
    return () => {
      if (!session.checked) return unreachable.value ? html`<div class="outside">${empty("warn", t("connection.unreachable"), t("connection.unreachableText"))}</div>` : null;
      if (!session.authenticated || route.section === "setup" || route.section === "login") return content();
      return html`<${Shell}>${{ default: content }}</>`;
    };
  },
});

const app = createApp(App);
app.config.errorHandler = (error) => console.error(error);
app.mount("#app");
