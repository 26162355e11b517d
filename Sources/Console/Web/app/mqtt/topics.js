// What topics carry: filters that are counted, with their rates; starting and stopping.

import { defineComponent, ref } from "/vendor/vue/vue.esm-browser.prod.js";
import { post, remove } from "../api.js";
import { badge, command, empty, errorText } from "../components/basics.js";
import { html } from "../html.js";
import { bytes, compact, dateTime, number, problemText, relative, t } from "../i18n.js";
import { icon } from "../icons.js";
import { may, toast } from "../state.js";

export const TopicMetrics = defineComponent({
  props: { items: Array },
  emits: ["changed"],
  setup(properties, { emit }) {
    const filter = ref("");
    const problem = ref(null);
    const start = async (event) => {
      event.preventDefault();
      try {
        await post("/topic-metrics", { filter: filter.value.trim() });
        filter.value = "";
        problem.value = null;
        emit("changed");
      } catch (error) { problem.value = error; }
    };
    const stop = async (item) => {
      try { await remove("/topic-metrics/" + encodeURIComponent(item.filter)); emit("changed"); } catch (error) { toast("error", problemText(error)); }
    };
    const figure = (label, total, perSecond, extra) => html`<div class="kpi"><span class="kpi-label">${label}</span><span class="kpi-value num">${number(perSecond, perSecond < 10 ? 1 : 0)}<small>/s</small></span><span class="kpi-detail">${compact(total)}${extra ? " · " + extra : ""}</span></div>`;
    const card = (item) => html`<section class="card" key=${item.filter} data-test="topic-metric" data-filter=${item.filter}>
      <div class="card-head"><h2 class="mono grow truncate" title=${item.filter}>${item.filter}</h2><span class="small faint nowrap" title=${dateTime(item.startedAt)}>${relative(item.startedAt)}</span>
        ${may("operate") ? html`<button class="icon-button small" type="button" title=${t("mqtt.stopCounting")} aria-label=${t("mqtt.stopCounting") + " " + item.filter} @click=${() => stop(item)}>${icon("close", 16)}</button>` : null}</div>
      <div class="kpis listener-kpis">${figure(t("mqtt.in"), item.received, item.receivedPerSecond, bytes(item.receivedBytes))}${figure(t("mqtt.out"), item.sent, item.sentPerSecond)}${figure(t("mqtt.dropped"), item.dropped, item.droppedPerSecond)}</div>
      <div class="card-body row wrap small">${item.receivedByQos.map((count, qos) => html`<span key=${qos} class="muted">QoS ${qos}: <b class="num">${number(count)}</b></span>`)}${item.dropped > 0 ? badge("bad", t("flow.dropped", { n: number(item.dropped) })) : null}</div></section>`;

    return () => html`<div class="stack">
      ${may("operate") ? html`<section class="card card-body stack"><form class="row" @submit=${start}><input class="input mono grow" data-test="topic-filter" placeholder=${t("mqtt.countPlaceholder")} aria-label=${t("mqtt.filter")} spellcheck="false" autocapitalize="none"
          value=${filter.value} @input=${(event) => { filter.value = event.target.value; }} /><button class="button primary" type="submit" data-test="topic-start" disabled=${!filter.value.trim()}>${t("mqtt.count")}</button></form>
        ${errorText(problem.value && problemText(problem.value))}</section>` : null}
      ${properties.items.length ? html`<div class="listener-grid">${properties.items.map(card)}</div>`
        : html`<section class="card">${empty("mqtt", t("mqtt.empty.topics"), t("mqtt.topicsText"), html`<div class="empty-command">${command("tundish topics metrics start 'tundish/#'")}</div>`)}</section>`}
    </div>`;
  },
});
