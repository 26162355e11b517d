// Alarms: their present states, and the messages on their topics as they come.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, parseJSON, post } from "../api.js";
import { badge, command, empty, errorText, filterInput, loading } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { clock, dateTime, hasText, number, problemText, relative, t } from "../i18n.js";
import { icon } from "../icons.js";
import { subscribe } from "../live.js";
import { link } from "../router.js";
import { isNarrow, may, toast } from "../state.js";

const REFRESH_MILLISECONDS = 3000;
const MESSAGES_MAX = 200;
const severities = { critical: 0, high: 1, urgent: 1, error: 1, medium: 2, warning: 2, low: 3, info: 4 };
const isActive = (alarm) => !/^(normal|event|cleared|inactive|returned$)/i.test(alarm.state ?? "");
// ISA-18.2: what nobody has acknowledged, whether it is still there or gone. Only a rule's alarms can be acknowledged here.
const needsAcknowledging = (alarm) => Boolean(alarm.rule) && (alarm.state === "unack_active" || alarm.state === "rtn_unack");
const stateBadgeKind = (state) => (/^(active|raised|unack|alarm)/i.test(state) ? "bad" : /^(ack|returned|rtn|latched)/i.test(state) ? "warn" : "");
const severityText = (severity) => (!severity ? "–" : hasText("alarms.severities." + severity) ? t("alarms.severities." + severity) : severity);
const stateText = (state) => (hasText("alarms.states." + state) ? t("alarms.states." + state) : state);

/** The message's text: the JSON's members on one line, or the text as it came. */
function brief(payload) {
  let value = payload;
  try { value = typeof payload === "string" ? parseJSON(payload) : payload; } catch { return String(payload); }
  if (value === null || typeof value !== "object") return String(value);
  if (value.message && value.state) return `${stateText(value.state)} · ${value.message}`;
  return Object.entries(value).map(([key, item]) => `${key}: ${item !== null && typeof item === "object" ? JSON.stringify(item) : item}`).join(" · ");
}

export default defineComponent({
  setup() {
    const alarms = shallowRef(null);
    const messages = shallowRef([]);
    const problem = ref(null);
    const text = ref("");
    let timer = 0;
    let gone = false;
    let number0 = 0;

    const load = async () => {
      clearTimeout(timer);
      try {
        if (!document.hidden) alarms.value = (await get("/alarms")).items;
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    const stop = subscribe({ topics: ["alarms/#"] }, ({ m }) => {
      if (!m?.length) return;
      messages.value = [...m.map((message) => ({ ...message, key: ++number0, text: brief(message.payload) })).reverse(), ...messages.value].slice(0, MESSAGES_MAX);
      if (m.some((message) => !message.retain)) load();
    });
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); stop(); });

    const busy = ref(new Set());
    const acknowledge = async (alarm) => {
      busy.value = new Set(busy.value).add(alarm.id);
      try {
        await post(`/alarms/${encodeURIComponent(alarm.id)}/acknowledge`, {});
        await load();
      } catch (error) { toast("error", problemText(error)); } finally {
        busy.value = new Set([...busy.value].filter((id) => id !== alarm.id));
      }
    };
    const waiting = computed(() => (alarms.value ?? []).filter(needsAcknowledging));
    const acknowledgeAll = async () => { for (const alarm of waiting.value) await acknowledge(alarm); };
    const who = (alarm) => (alarm.acknowledged_at ? t("alarms.acknowledgedBy", { user: alarm.acknowledged_by ?? "–", at: relative(alarm.acknowledged_at) }) : "");
    const acknowledgeButton = (alarm) => (needsAcknowledging(alarm) && may("operate") ? html`<button class="button small" type="button" data-test="acknowledge" disabled=${busy.value.has(alarm.id)}
      title=${t("alarms.acknowledgeTitle")} aria-label=${t("alarms.acknowledge") + " " + alarm.name} @click=${() => acknowledge(alarm)}>${isNarrow.value ? icon("check", 16) : html`<>${icon("check", 15)}${t("alarms.acknowledge")}</>`}</button>` : null);

    const shown = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      return alarms.value.filter((alarm) => !wanted || `${alarm.name} ${alarm.device ?? ""} ${alarm.message ?? ""}`.toLowerCase().includes(wanted));
    });
    const columns = computed(() => [
      { key: "severity", label: isNarrow.value ? "" : t("alarms.severity"), width: "104px", narrowWidth: "38px", sort: (alarm) => severities[alarm.severity] ?? 5,
        cell: (alarm) => html`<span class=${["severity", alarm.severity]} title=${severityText(alarm.severity)}><i></i><span class=${{ "visually-hidden": isNarrow.value }}>${severityText(alarm.severity)}</span></span>` },
      { key: "name", label: t("alarms.name"), width: "16%", sort: (alarm) => alarm.name, cell: (alarm) => html`<><span class="strong" title=${alarm.name}>${alarm.name}</span>${isNarrow.value && alarm.message ? html`<div class="small muted truncate">${alarm.message}</div>` : null}</>` },
      { key: "state", label: t("devices.state"), width: "196px", narrowWidth: "112px", sort: (alarm) => alarm.state, cell: (alarm) => html`<span title=${alarm.isa182 ? `ISA-18.2: ${alarm.isa182}` : null}>${badge(stateBadgeKind(alarm.state ?? ""), stateText(alarm.state ?? ""))}</span>` },
      { key: "message", label: t("alarms.message"), narrow: false, cell: (alarm) => html`<span title=${alarm.message}>${alarm.message}</span>` },
      { key: "device", label: t("alarms.device"), width: "130px", narrow: false, sort: (alarm) => alarm.device, cell: (alarm) => (alarm.device ? html`<a href=${link("devices", alarm.device)}>${alarm.device}</a>` : "") },
      { key: "raisedAt", label: t("alarms.raised"), width: "116px", right: true, narrow: false, sort: (alarm) => -(alarm.raisedAt ?? 0), cell: (alarm) => html`<span class="small" title=${dateTime(alarm.raisedAt)}>${relative(alarm.raisedAt)}</span>` },
      { key: "acknowledged", label: isNarrow.value ? "" : t("alarms.acknowledged"), width: "180px", narrowWidth: "72px", sort: (alarm) => (needsAcknowledging(alarm) ? 0 : 1), cell: (alarm) => acknowledgeButton(alarm)
        ?? (isNarrow.value ? "" : html`<span class="small muted" title=${alarm.acknowledged_at ? dateTime(alarm.acknowledged_at) : null}>${who(alarm)}</span>`) },
    ]);

    return () => {
      if (!alarms.value) return problem.value ? html`<div class="page">${errorText(problemText(problem.value))}</div>` : loading();
      const active = alarms.value.filter(isActive).length;
      return html`<div class="page fill">
        <div class="page-head">${filterInput(text.value, (value) => { text.value = value; }, t("alarms.filter"))}
          ${active ? badge("bad", t("alarms.active", { n: active })) : badge("good", t("alarms.none"))}
          ${waiting.value.length > 1 && may("operate") ? html`<button class="button small" type="button" data-test="acknowledge-all" disabled=${busy.value.size > 0} @click=${acknowledgeAll}>${icon("check", 15)}${t("alarms.acknowledgeAll", { n: waiting.value.length })}</button>` : null}${errorText(problem.value && problemText(problem.value))}</div>
        <section class="card table-card alarms-card">${alarms.value.length === 0
          ? empty("alarms", t("alarms.emptyTitle"), t("alarms.emptyText"))
          : html`<${DataTable} columns=${columns.value} rows=${shown.value} rowKey=${(alarm) => alarm.id} label=${t("nav.alarms")} sort="severity" rowHeight=${isNarrow.value ? 54 : 36} test="alarms-table"
              rowProperties=${(alarm) => ({ "data-alarm": alarm.id, "data-state": alarm.state })} />`}</section>
        <section class="card table-card messages-card"><div class="card-head"><h2 class="grow">${t("alarms.messages")}</h2><span class="small faint">${number(messages.value.length)}</span></div>
          ${messages.value.length ? html`<ol class="messages" aria-live="off">${messages.value.map((message) => html`<li key=${message.key}><span class="num small faint nowrap">${clock(message.at)}</span><span class="mono small nowrap">${message.topic}</span><span class="small grow">${message.text}</span></li>`)}</ol>`
            : html`<div class="card-body stack"><p class="muted small">${t("alarms.waiting")}</p>${command("mosquitto_sub -t 'alarms/#' -v")}</div>`}</section>
      </div>`;
    };
  },
});
