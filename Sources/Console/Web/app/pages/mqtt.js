// The broker: who is connected, who wants what, what is retained, how listeners do, what topics carry, who was refused.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { badge, command, empty, errorText, filterInput, loading, segmented, tabs } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { number, problemText, t } from "../i18n.js";
import { ClientDialog } from "../mqtt/client.js";
import { columns, keys } from "../mqtt/columns.js";
import { listenersView } from "../mqtt/listeners.js";
import { RetainedDialog } from "../mqtt/retained.js";
import { TopicMetrics } from "../mqtt/topics.js";
import { replace, route } from "../router.js";

const REFRESH_MILLISECONDS = 3000;
const REFRESH_MANY_MILLISECONDS = 10000;
const MANY = 2000;
const ITEMS_MAX = 10000;
const TYPING_MILLISECONDS = 250;
const TABS = ["clients", "subscriptions", "retained", "listeners", "topics", "refusals"];
const paths = { clients: "/clients", subscriptions: "/subscriptions", retained: "/retained", listeners: "/broker/listeners", topics: "/topic-metrics", refusals: "/broker/refusals" };
const STATES = ["all", "connected", "disconnected", "slow"];

export default defineComponent({
  setup() {
    const tab = ref(TABS.includes(route.query.tab) ? route.query.tab : "clients");
    const answer = shallowRef(null);
    const listeners = shallowRef([]);
    const problem = ref(null);
    const text = ref("");
    const state = ref("all");
    const chosen = shallowRef(null);
    let timer = 0;
    let serial = 0;
    let gone = false;

    /** The search is the server's: it sees everything, also beyond what fits on a page. */
    const query = () => {
      const values = {};
      const wanted = text.value.trim();
      if (["clients", "subscriptions", "retained", "refusals"].includes(tab.value)) values.limit = ITEMS_MAX;
      if (wanted && tab.value === "retained") values[/[#+]/.test(wanted) ? "filter" : "text"] = wanted;
      else if (wanted) values.filter = wanted;
      if (tab.value === "clients" && state.value === "slow") values.slow = "true";
      else if (tab.value === "clients" && state.value !== "all") values.state = state.value;
      const search = new URLSearchParams(values);
      return search.size ? "?" + search : "";
    };
    const load = async () => {
      clearTimeout(timer);
      const mine = ++serial;
      try {
        if (!document.hidden) {
          const fresh = await get(paths[tab.value] + query());
          if (mine !== serial) return;
          if (tab.value === "refusals") fresh.items.forEach((item, index) => { item.key = fresh.total - index; });
          if (tab.value === "listeners") listeners.value = fresh.items;
          answer.value = fresh;
        }
        problem.value = null;
      } catch (error) { if (mine === serial) problem.value = error; }
      if (!gone && mine === serial) timer = setTimeout(load, (answer.value?.items.length ?? 0) > MANY ? REFRESH_MANY_MILLISECONDS : REFRESH_MILLISECONDS);
    };
    const later = () => { serial++; clearTimeout(timer); timer = setTimeout(load, TYPING_MILLISECONDS); };
    load();
    get("/broker/listeners").then(({ items }) => { listeners.value = items; }, () => { /* the head shows none */ });
    watch(() => route.query.tab, (wanted) => { if (route.section === "mqtt") tab.value = TABS.includes(wanted) ? wanted : "clients"; });
    watch(tab, () => { answer.value = null; problem.value = null; text.value = ""; state.value = "all"; chosen.value = null; replace("mqtt", { tab: tab.value }); load(); });
    watch([text, state], later);
    onBeforeUnmount(() => { gone = true; serial++; clearTimeout(timer); });

    const shown = computed(() => columns[tab.value]?.());
    const isFiltered = () => text.value.trim() !== "" || state.value !== "all";
    const pick = () => (["clients", "retained"].includes(tab.value) ? (item) => { chosen.value = item; } : undefined);
    const total = () => {
      const { total: all, more, items } = answer.value;
      return all > items.length || more ? t("mqtt.someOf", { n: number(items.length), total: more ? number(items.length) + "+" : number(all) }) : number(items.length);
    };
    const placeholder = () => t(tab.value === "retained" ? "mqtt.searchRetained" : "mqtt.search");

    const table = () => html`<section class="card table-card">
      <div class="card-head wrap">${tab.value === "refusals" ? null : filterInput(text.value, (value) => { text.value = value; }, placeholder())}
        ${tab.value === "clients" ? segmented(t("devices.state"), STATES.map((value) => ({ value, label: t("mqtt.state." + value), test: "state-" + value })), state.value, (value) => { state.value = value; }) : null}
        <span class="grow"></span><span class="small faint" data-test="total">${total()}</span></div>
      ${answer.value.items.length ? html`<${DataTable} key=${tab.value} columns=${shown.value} rows=${answer.value.items} rowKey=${keys[tab.value]} label=${t("mqtt.tab." + tab.value)} sort=${shown.value[0].key}
          test=${tab.value + "-table"} rowProperties=${(item) => ({ "data-key": keys[tab.value](item) })} onPick=${pick()} />`
        : isFiltered() ? empty("search", t("common.nothingMatches"), t("common.nothingMatchesText"))
        : tab.value === "refusals" ? empty("good", t("mqtt.empty.refusals"), t("mqtt.refusalsText"))
        : empty("mqtt", t("mqtt.empty." + tab.value), t("mqtt.emptyText"), html`<div class="empty-command">${command(`mosquitto_sub -h 127.0.0.1 -p ${listeners.value[0]?.address.split(":").pop() ?? 1883} -t '#' -v`)}</div>`)}
    </section>`;
    const body = () => {
      if (answer.value === null) return problem.value ? null : loading();
      if (tab.value === "listeners") return answer.value.items.length ? listenersView(answer.value.items) : empty("mqtt", t("mqtt.empty.listeners"));
      if (tab.value === "topics") return html`<${TopicMetrics} items=${answer.value.items} @changed=${load} />`;
      return table();
    };
    const isTable = () => !["listeners", "topics"].includes(tab.value);

    return () => html`<div class=${["page", { fill: isTable() }]}>
      <div class="page-head">${listeners.value.map((listener) => html`<span class="badge" key=${listener.name}>${listener.name} · <span class="mono">${listener.protocol}://${listener.address}</span></span>`)}</div>
      ${tabs(TABS.map((value) => ({ value, label: t("mqtt.tab." + value) })), tab.value, (value) => { tab.value = value; })}
      ${errorText(problem.value && problemText(problem.value))}
      ${body()}
      ${chosen.value && tab.value === "clients" ? html`<${ClientDialog} id=${chosen.value.clientId} @close=${() => { chosen.value = null; }} @changed=${load} />` : null}
      ${chosen.value && tab.value === "retained" ? html`<${RetainedDialog} message=${chosen.value} @close=${() => { chosen.value = null; }} @changed=${load} />` : null}
    </div>`;
  },
});
