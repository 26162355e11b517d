// All rules: statement, state, how much they see and let through.

import { computed, defineComponent, onBeforeUnmount, reactive, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { command, empty, errorText, filterInput, loading, stateBadge } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { compact, number, problemText, t } from "../i18n.js";
import { go, link } from "../router.js";

const REFRESH_MILLISECONDS = 3000;
const METRICS_MAX = 60;

export default defineComponent({
  setup() {
    const rules = shallowRef(null);
    const metrics = reactive({});
    const problem = ref(null);
    const text = ref("");
    let visible = [];
    let timer = 0;
    let gone = false;

    const load = async () => {
      try {
        if (!document.hidden) {
          rules.value = (await get("/rules")).items;
          // Only of the rules on screen.
          const wanted = (visible.length ? visible : rules.value).slice(0, METRICS_MAX);
          await Promise.all(wanted.map(({ name }) => get(`/rules/${encodeURIComponent(name)}/metrics`).then((fresh) => { metrics[name] = fresh; }, () => {})));
        }
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); });

    const shown = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      return rules.value.filter((rule) => !wanted || `${rule.name} ${rule.spec.sql}`.toLowerCase().includes(wanted));
    });
    const count = (key, label) => ({ key, label, width: "110px", right: true, narrow: false, sort: (rule) => metrics[rule.name]?.[key] ?? -1, cell: (rule) => compact(metrics[rule.name]?.[key]) });
    const columns = computed(() => [
      { key: "name", label: t("rules.name"), width: "20%", sort: (rule) => rule.name, cell: (rule) => html`<a class="strong" href=${link("rules", rule.name)}>${rule.name}</a>` },
      { key: "state", label: t("devices.state"), width: "140px", narrowWidth: "116px", sort: (rule) => rule.status.state, cell: (rule) => stateBadge(rule.status.state, { quiet: rule.status.state === "running" }) },
      { key: "sql", label: "SQL", narrow: false, cell: (rule) => html`<span class="sql-line" title=${rule.spec.sql}>${rule.spec.sql.replace(/\s+/g, " ")}</span>` },
      { key: "perSecond", label: t("rules.perSecond"), width: "110px", narrowWidth: "104px", right: true, sort: (rule) => metrics[rule.name]?.perSecond ?? -1, cell: (rule) => number(metrics[rule.name]?.perSecond, 1) },
      count("matched", t("rules.matched")), count("passed", t("rules.passed")), count("failed", t("rules.failed")), count("emitted", t("rules.emitted")),
    ]);

    return () => {
      if (!rules.value) return problem.value ? html`<div class="page">${errorText(problemText(problem.value))}</div>` : loading();
      if (rules.value.length === 0) return html`<div class="page">${empty("rules", t("rules.emptyTitle"), t("rules.emptyText"), html`<div class="empty-command">${command("tundish apply -f rules.yaml")}</div>`)}</div>`;
      return html`<div class="page fill"><div class="page-head">${filterInput(text.value, (value) => { text.value = value; }, t("rules.filter"))}${errorText(problem.value && problemText(problem.value))}</div>
        <section class="card table-card">${shown.value.length
          ? html`<${DataTable} columns=${columns.value} rows=${shown.value} rowKey=${(rule) => rule.name} label=${t("nav.rules")} sort="name" test="rules-table"
              rowProperties=${(rule) => ({ "data-rule": rule.name, "data-state": rule.status.state })} onPick=${(rule) => go("rules", rule.name)} @visible=${(rows) => { visible = rows; }} />`
          : empty("search", t("common.nothingMatches"), t("common.nothingMatchesText"))}</section></div>`;
    };
  },
});
