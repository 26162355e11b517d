// The broker: who is connected, who wants what, what is retained.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { badge, command, empty, errorText, filterInput, loading, tabs } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { bytes, compact, duration, number, problemText, relative, t } from "../i18n.js";
import { replace, route } from "../router.js";

const REFRESH_MILLISECONDS = 3000;
const TABS = ["clients", "subscriptions", "retained"];

export default defineComponent({
  setup() {
    const tab = ref(TABS.includes(route.query.tab) ? route.query.tab : "clients");
    const items = shallowRef(null);
    const listeners = shallowRef([]);
    const problem = ref(null);
    const text = ref("");
    let timer = 0;
    let gone = false;

    const load = async () => {
      clearTimeout(timer);
      const wanted = tab.value;
      try {
        if (!document.hidden) {
          const answer = await get("/" + wanted);
          if (wanted !== tab.value) return;
          items.value = answer.items;
        }
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    get("/listeners").then(({ items: all }) => { listeners.value = all; }, () => {});
    watch(() => route.query.tab, (wanted) => { if (route.section === "mqtt") tab.value = TABS.includes(wanted) ? wanted : "clients"; });
    watch(tab, () => { items.value = null; text.value = ""; replace("mqtt", { tab: tab.value }); load(); });
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); });

    const shown = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      return wanted ? items.value.filter((item) => [item.clientId, item.username, item.peer, item.filter, item.topic].some((field) => field?.toLowerCase().includes(wanted))) : items.value;
    });

    const plain = (key, label, options = {}) => ({ key, label, sort: (item) => item[key], cell: (item) => item[key] ?? "–", ...options });
    const count = (key, label, options = {}) => plain(key, label, { right: true, width: "88px", narrowWidth: "74px", cell: (item) => compact(item[key]), ...options });
    const columns = computed(() => ({
      clients: [
        plain("clientId", t("mqtt.client"), { width: "20%", cell: (item) => html`<span class="strong" title=${item.clientId}>${item.clientId}</span>` }),
        plain("username", t("mqtt.user"), { width: "90px", narrow: false }), plain("protocol", t("mqtt.protocol"), { width: "120px", narrow: false, cell: (item) => `MQTT ${String(item.protocol).replace(/^MQTT\s*/i, "")}` }),
        plain("peer", t("mqtt.peer"), { narrow: false, cell: (item) => html`<span class="mono small">${item.peer}</span>` }),
        plain("connectedAt", t("mqtt.since"), { width: "116px", narrow: false, cell: (item) => html`<span class="small">${relative(item.connectedAt)}</span>` }),
        plain("keepAlive", t("mqtt.keepAlive"), { width: "96px", right: true, narrow: false, cell: (item) => (item.keepAlive ? duration(item.keepAlive * 1000) : "–") }),
        count("subscriptions", t("mqtt.subscriptions"), { narrow: false, width: "90px" }), count("received", t("mqtt.received")), count("sent", t("mqtt.sent")),
        count("queued", t("mqtt.queued"), { narrow: false, cell: (item) => (item.queued > 0 ? badge("warn", number(item.queued)) : "0") }),
      ],
      subscriptions: [
        plain("filter", t("mqtt.filter"), { cell: (item) => html`<span class="mono" title=${item.filter}>${item.filter}</span>` }),
        plain("clientId", t("mqtt.client"), { width: "34%", narrowWidth: "116px" }), plain("qos", "QoS", { width: "70px", narrowWidth: "48px", right: true }),
      ],
      retained: [
        plain("topic", t("mqtt.topic"), { width: "34%", cell: (item) => html`<span class="mono" title=${item.topic}>${item.topic}</span>` }),
        plain("payload", t("mqtt.payload"), { sort: undefined, cell: (item) => html`<span class="mono small" title=${item.payload}>${item.payload}</span>` }),
        plain("bytes", t("mqtt.size"), { width: "96px", right: true, narrow: false, cell: (item) => bytes(item.bytes ?? item.payload?.length) }),
        plain("qos", "QoS", { width: "70px", right: true, narrow: false }),
      ],
    })[tab.value]);
    const keys = { clients: (item) => item.clientId, subscriptions: (item) => item.clientId + "\n" + item.filter, retained: (item) => item.topic };

    return () => html`<div class="page fill">
      <div class="page-head">${listeners.value.map((listener) => html`<span class="badge" key=${listener.name}>${listener.name} · <span class="mono">${listener.spec.protocol ?? "mqtt"}://${listener.spec.bind}</span></span>`)}</div>
      ${tabs(TABS.map((value) => ({ value, label: t("mqtt.tab." + value) })), tab.value, (value) => { tab.value = value; })}
      ${errorText(problem.value && problemText(problem.value))}
      ${items.value === null ? (problem.value ? null : loading()) : html`<section class="card table-card">
        <div class="card-head">${filterInput(text.value, (value) => { text.value = value; }, t("mqtt.search"))}<span class="grow"></span><span class="small faint">${number(shown.value.length)}</span></div>
        ${shown.value.length ? html`<${DataTable} key=${tab.value} columns=${columns.value} rows=${shown.value} rowKey=${keys[tab.value]} label=${t("mqtt.tab." + tab.value)} sort=${columns.value[0].key}
            test=${tab.value + "-table"} rowProperties=${(item) => ({ "data-key": keys[tab.value](item) })} />`
          : text.value ? empty("search", t("common.nothingMatches"), t("common.nothingMatchesText"))
          : empty("mqtt", t("mqtt.empty." + tab.value), t("mqtt.emptyText"), html`<div class="empty-command">${command("mosquitto_sub -h 127.0.0.1 -t '#' -v")}</div>`)}
      </section>`}
    </div>`;
  },
});
