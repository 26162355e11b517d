// The chosen tag beside the table: its value large, where it has been, what can be done with it.

import { defineComponent, onBeforeUnmount, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { post } from "../api.js";
import { command } from "../components/basics.js";
import { sparkline } from "../components/sparkline.js";
import { html } from "../html.js";
import { clock, number, ownHalf, t, valueText } from "../i18n.js";
import { icon } from "../icons.js";
import { link } from "../router.js";
import { may, serverNow } from "../state.js";
import { canWrite, quality } from "./tags.js";

const WINDOW_MILLISECONDS = 10 * 60 * 1000;
const BUCKETS = 150;
const POINTS_MAX = 1500;

const asNumber = (value) => (typeof value === "boolean" ? Number(value) : typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : null);

export const TagPanel = defineComponent({
  props: { tag: Object },
  emits: ["close", "write"],
  setup(properties, { emit }) {
    const points = shallowRef([]);
    const seen = ref(null);
    let gone = false;

    const load = async () => {
      const { tag } = properties;
      points.value = [];
      seen.value = null;
      const to = serverNow();
      try {
        const { series } = await post("/query", { tags: [tag.path], from: to - WINDOW_MILLISECONDS, to, buckets: BUCKETS, aggregates: ["avg"] });
        if (gone || tag !== properties.tag) return;
        const recorded = (series[0]?.rows ?? []).map(([time, value]) => [time, asNumber(value)]);
        points.value = [...recorded.filter(([time]) => time < (points.value[0]?.[0] ?? Infinity)), ...points.value];
      } catch { /* the line starts with what comes live; the trend page says what is wrong with history */ }
    };
    watch(() => properties.tag, load, { immediate: true });
    watch(() => [properties.tag.cell.timestamp, properties.tag.cell.value], ([timestamp, value]) => {
      const start = serverNow() - WINDOW_MILLISECONDS;
      points.value = [...points.value.filter(([time]) => time >= start).slice(-POINTS_MAX), [timestamp ?? serverNow(), asNumber(value)]];
    });
    onBeforeUnmount(() => { gone = true; });

    return () => {
      const { tag } = properties;
      const values = points.value.map(([, value]) => value).filter((value) => value !== null);
      const fact = (label, value) => (value === null || value === undefined || value === "" ? null : html`<><dt>${label}</dt><dd>${value}</dd></>`);
      return html`<aside class="card tag-panel" data-test="tag-panel" aria-label=${tag.tag}>
        <div class="card-head"><h2 class="grow truncate" title=${tag.path}>${tag.tag}</h2>
          <button class="icon-button" type="button" aria-label=${t("common.close")} @click=${() => emit("close")}>${icon("close")}</button></div>
        <div class="card-body stack">
          ${tag.description ? html`<p class="muted small">${ownHalf(tag.description)}</p>` : null}
          <div class=${["panel-value num", { stale: tag.cell.value === null }]}>${valueText(tag.cell.value, tag.type)}${tag.unit ? html`<small>${tag.unit}</small>` : null}</div>
          <div class="row">${quality(tag.cell)}<span class="grow"></span><span class="faint small num">${clock(tag.cell.timestamp, true)}</span></div>
          ${tag.type === "string" ? null : html`<div>${sparkline(points.value, { width: 300, height: 90, label: t("device.lastMinutes") })}
            <div class="row small faint num"><span class="grow">${t("device.lastMinutes")}</span>${values.length ? `${valueText(Math.min(...values), tag.type)} … ${valueText(Math.max(...values), tag.type)}` : null}</div></div>`}
          <div class="row">
            ${canWrite(tag) && may("operate") ? html`<button class="button primary grow" type="button" @click=${() => emit("write", tag)}>${icon("write")}${t("device.write")}</button>` : null}
            ${tag.type === "string" ? null : html`<a class="button grow" data-test="open-trend" href=${link("trends", { tags: tag.path, range: "15m" })}>${icon("trends")}${t("device.openTrend")}</a>`}
          </div>
          <dl class="facts">
            ${fact(t("device.group"), tag.group)}${fact(t("device.type"), tag.type)}${fact(t("device.access"), t("device.accessOf." + (canWrite(tag) ? "write" : "read")))}
            ${fact(t("device.address"), tag.address ? html`<span class="mono">${tag.address}</span>` : null)}
            ${fact(t("device.samples"), number(points.value.length))}
          </dl>
          ${command(`tundish read ${tag.path}`)}
        </div></aside>`;
    };
  },
});
