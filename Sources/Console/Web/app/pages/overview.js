// The data's way, headline numbers, and what needs a person.

import { computed, defineComponent, onBeforeUnmount, reactive, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { badge, command, loading } from "../components/basics.js";
import { Flow } from "../components/flow.js";
import { html } from "../html.js";
import { bytes, compact, dateTime, duration, number, problemText, t } from "../i18n.js";
import { icon } from "../icons.js";
import { subscribe } from "../live.js";
import { link } from "../router.js";
import { learnTime } from "../state.js";

const HISTORY_MAX = 120;
const plurals = { Device: "devices", Rule: "rules" };

export default defineComponent({
  setup() {
    const status = shallowRef(null);
    const history = reactive({});
    const cpu = ref(null);
    let before = null;

    onBeforeUnmount(subscribe({ status: true }, ({ status: fresh }) => {
      if (!fresh) return;
      learnTime(fresh);
      const at = Date.now();
      if (before) {
        const seconds = fresh.uptimeSeconds - before.uptimeSeconds;
        if (seconds > 0) cpu.value = Math.max(0, (fresh.cpuSeconds - before.cpuSeconds) / seconds);
      }
      before = fresh;
      for (const node of fresh.flow ?? []) {
        const points = history[node.id] ?? [];
        history[node.id] = [...points.slice(-HISTORY_MAX + 1), [at, node.ratePerSecond]];
      }
      status.value = fresh;
    }));

    const facts = computed(() => {
      const { devices, historian, rules, clients, subscriptions, retained } = status.value;
      return {
        devices: t("overview.fact.devices", { connected: devices.connected, total: devices.total }),
        bus: t("overview.fact.bus", { n: retained }),
        rules: t("overview.fact.rules", { running: rules.running, total: rules.total }),
        historian: t("overview.fact.historian", { size: bytes(historian.bytes) }),
        mqtt: t("overview.fact.mqtt", { n: clients, subscriptions }),
      };
    });

    const figure = (name, label, value, detail, kind) => html`<div class="kpi" key=${name} data-test=${"kpi-" + name}>
      <span class="kpi-label">${label}</span><span class="kpi-value num">${value}</span><span class=${["kpi-detail", kind]}>${detail}</span></div>`;

    const figures = () => {
      const { devices, tags, historian, memoryBytes, uptimeSeconds, startedAt } = status.value;
      const away = devices.total - devices.connected;
      return html`<section class="kpis card" aria-label=${t("overview.figures")}>
        ${figure("devices", t("overview.devices"), html`<>${number(devices.connected)}<small> / ${number(devices.total)}</small></>`, away > 0 ? t("overview.away", { n: away }) : t("overview.allConnected"), away > 0 ? "warn" : "")}
        ${figure("tags", t("overview.tags"), compact(tags.total), tags.bad > 0 ? t("overview.badTags", { n: tags.bad }) : t("overview.allGood"), tags.bad > 0 ? "warn" : "")}
        ${figure("points", t("overview.points"), compact(historian.points), t("overview.bytesPerPoint", { n: number(historian.bytesPerPoint, 2) }))}
        ${figure("memory", t("overview.memory"), bytes(memoryBytes), cpu.value === null ? "–" : t("overview.cpu", { n: number(cpu.value * 100, 1) }))}
        ${figure("uptime", t("overview.uptime"), duration(uptimeSeconds * 1000), t("overview.since", { at: dateTime(startedAt) }))}
      </section>`;
    };

    const problem = (item, index) => {
      const { kind, name } = item.resource ?? {};
      const target = plurals[kind] ? link(plurals[kind], name) : null;
      const hint = t("hints." + (item.code ?? "").split(".")[0]);
      const content = html`<>${icon(item.severity === "error" ? "error" : "warn")}<div class="grow"><div class="problem-text">${problemText(item)}</div>
        ${hint.startsWith("hints.") ? null : html`<div class="small muted">${hint}</div>`}</div>
        ${kind ? badge("", t("kind." + kind)) : null}${target ? icon("right", 16) : null}</>`;
      const properties = { class: ["problem", item.severity === "error" ? "bad" : "warn"], key: item.code + name + index, "data-test": "problem", "data-code": item.code };
      return target ? html`<li><a href=${target} ...${properties}>${content}</a></li>` : html`<li><div ...${properties}>${content}</div></li>`;
    };

    const problems = () => {
      const list = status.value.problems ?? [];
      return html`<section class="card" data-test="problems">
        <div class="card-head"><h2 class="grow">${t("overview.problems")}</h2>${list.length ? badge(list.some((item) => item.severity === "error") ? "bad" : "warn", number(list.length)) : null}</div>
        ${list.length ? html`<ul class="problem-list">${list.map(problem)}</ul>`
          : html`<div class="all-well">${icon("good", 22)}<div><b>${t("overview.well")}</b><p class="muted small">${t("overview.wellText")}</p></div></div>`}</section>`;
    };

    const next = () => html`<section class="card">
      <div class="card-head"><h2>${t("overview.next")}</h2></div>
      <div class="card-body stack">
        <a class="next-link" href="#/devices">${icon("devices")}<span>${t("overview.nextDevices")}</span>${icon("right", 15)}</a>
        <a class="next-link" href="#/trends">${icon("trends")}<span>${t("overview.nextTrends")}</span>${icon("right", 15)}</a>
        <div><p class="small muted command-label">${t("overview.nextListen")}</p>${command("mosquitto_sub -t 'alarms/#' -v")}</div>
        <div><p class="small muted command-label">${t("overview.nextStatus")}</p>${command("tundish get devices")}</div>
      </div></section>`;

    return () => {
      if (!status.value) return loading();
      return html`<div class="page overview">
        <section class="card flow-card"><${Flow} flow=${status.value.flow} history=${history} facts=${facts.value} /></section>
        ${figures()}
        <div class="overview-columns">${problems()}${next()}</div>
      </div>`;
    };
  },
});
