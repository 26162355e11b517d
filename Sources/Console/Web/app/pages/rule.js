// One rule: its statement, its outputs, its numbers.

import { defineComponent, onBeforeUnmount, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, getResource } from "../api.js";
import { command, errorText, loading, notice, stateBadge } from "../components/basics.js";
import { Code } from "../components/code.js";
import { sparkline } from "../components/sparkline.js";
import { History } from "../device/history.js";
import { html } from "../html.js";
import { number, ownHalf, problemText, t } from "../i18n.js";
import { route } from "../router.js";
import { toYAML } from "../yaml.js";

const REFRESH_MILLISECONDS = 2000;
const HISTORY_MAX = 150;

export default defineComponent({
  setup() {
    const name = route.rest[0];
    const rule = shallowRef(null);
    const metrics = shallowRef(null);
    const rates = shallowRef([]);
    const problem = ref(null);
    let timer = 0;
    let gone = false;

    const load = async () => {
      try {
        if (!document.hidden) {
          rule.value = await getResource("rules", name);
          metrics.value = await get(`/rules/${encodeURIComponent(name)}/metrics`).catch(() => null);
          if (metrics.value) rates.value = [...rates.value.slice(-HISTORY_MAX + 1), [Date.now(), metrics.value.perSecond]];
        }
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); });

    return () => {
      if (!rule.value) return problem.value ? html`<div class="page">${notice("bad", problemText(problem.value), html`<a class="button small" href="#/rules">${t("nav.rules")}</a>`)}</div>` : loading();
      const { status, spec } = rule.value;
      const { lastError } = metrics.value ?? {};
      return html`<div class="page">
        <div class="device-head">${stateBadge(status.state)}${spec.dialect ? html`<span class="muted">${spec.dialect}</span>` : null}<span class="grow"></span><span class="small faint">${t("history.revision", { revision: number(rule.value.revision) })}</span></div>
        ${spec.description ? html`<p class="muted">${ownHalf(spec.description)}</p>` : null}
        ${status.state !== "running" && status.message ? notice(status.state === "failed" ? "bad" : "warn", problemText(status)) : null}
        ${problem.value ? errorText(problemText(problem.value)) : null}
        <div class="rule-columns">
          <div class="stack">
            <section class="card"><div class="card-head"><h2>SQL</h2></div><div class="card-body"><${Code} text=${spec.sql.trimEnd()} language="SQL" test="rule-sql" /></div></section>
            <section class="card"><div class="card-head"><h2>${t("rules.outputs")}</h2></div><div class="card-body"><${Code} text=${toYAML(spec.outputs ?? []).trimEnd()} language="YAML" test="rule-outputs" label=${t("rules.outputs")} /></div></section>
          </div>
          <div class="stack">
            <section class="card"><div class="card-head"><h2>${t("rules.metrics")}</h2></div><div class="card-body stack">
              <div class="big-figures"><div><b class="num">${number(metrics.value?.perSecond, 1)}</b><span>${t("rules.perSecond")}</span></div></div>
              ${sparkline(rates.value, { width: 300, height: 54 })}
              <dl class="facts">${["matched", "passed", "failed", "emitted"].map((key) => html`<><dt>${t("rules." + key)}</dt><dd>${number(metrics.value?.[key])}</dd></>`)}</dl>
              ${lastError ? notice("warn", typeof lastError === "string" ? lastError : problemText(lastError)) : null}
              ${command(`tundish get rule ${name} -o yaml`)}</div></section>
            <${History} plural="rules" kind="rule" name=${name} @changed=${load} />
          </div>
        </div></div>`;
    };
  },
});
