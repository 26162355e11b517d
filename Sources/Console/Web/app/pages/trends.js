// Pens over time: recorded buckets below, live values on top, the address keeps what was chosen.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { empty, errorText, segmented } from "../components/basics.js";
import { quality } from "../device/tags.js";
import { html } from "../html.js";
import { dateTime, problemText, relative, t, valueText } from "../i18n.js";
import { icon } from "../icons.js";
import { liveState, subscribeTags } from "../live.js";
import { link, replace, route } from "../router.js";
import { learnTime, serverNow } from "../state.js";
import { TrendChart } from "../trends/chart.js";
import { appendLive, holdLive, loadRows, makePens, rowAt, statistics } from "../trends/pens.js";
import { PenPicker } from "../trends/picker.js";

const RANGES = { "5m": 300000, "15m": 900000, "1h": 3600000, "8h": 28800000, "24h": 86400000, "7d": 604800000 };
const LIVE_STEP_MILLISECONDS = 500;
const LIVE_RELOAD_MILLISECONDS = 30000;
const SETTLE_MILLISECONDS = 160;
const BUCKETS_MAX = 1600;
// What was drawn when the page was left.
let remembered = [];

export default defineComponent({
  setup() {
    const { pens, add, remove } = makePens();
    const range = ref(route.query.range in RANGES ? route.query.range : "15m");
    const fixed = Number(route.query.from) > 0 && Number(route.query.to) > Number(route.query.from);
    const live = ref(!fixed);
    const to = ref(fixed ? Number(route.query.to) : serverNow());
    const from = ref(fixed ? Number(route.query.from) : to.value - RANGES[range.value]);
    const version = ref(0);
    const width = ref(900);
    const cursor = ref(null);
    const picking = ref(false);
    const busy = ref(false);
    const problem = shallowRef(null);
    const namedTags = () => (route.query.tags ?? "").split(",").filter(Boolean);
    (route.query.tags === undefined ? remembered : namedTags()).forEach(add);
    // A link followed on this page names other pens; one without any keeps what is drawn.
    watch(() => route.query.tags, () => {
      if (route.section !== "trends" || route.query.tags === undefined) return;
      const wanted = namedTags();
      pens.map((pen) => pen.path).filter((path) => !wanted.includes(path)).forEach(remove);
      wanted.forEach(add);
    });

    get("/status").then(learnTime, () => { /* the two clocks are taken as one */ });

    let abort = null;
    const load = async () => {
      abort?.abort();
      if (pens.length === 0) return;
      const mine = (abort = new AbortController());
      const span = to.value - from.value;
      // Some more on both sides, so that there is something to see while panning.
      const margin = live.value ? span * 0.02 : span * 0.4;
      const buckets = Math.min(BUCKETS_MAX, Math.max(60, Math.round((width.value / 1.5) * ((span + 2 * margin) / span))));
      busy.value = true;
      try {
        await loadRows([...pens], from.value - margin, Math.min(to.value + margin, serverNow() + 1000), buckets, mine.signal);
        problem.value = null;
        version.value++;
      } catch (error) {
        if (!mine.signal.aborted) problem.value = error;
      } finally {
        if (abort === mine) busy.value = false;
      }
    };

    let settleTimer = 0;
    const settle = () => {
      clearTimeout(settleTimer);
      settleTimer = setTimeout(() => {
        remembered = pens.map((pen) => pen.path);
        const tags = remembered.join(",");
        if (route.section !== "trends") return;
        replace("trends", live.value ? { tags, range: range.value } : { tags, from: Math.round(from.value), to: Math.round(to.value) });
        load();
      }, SETTLE_MILLISECONDS);
    };

    const pickRange = (name) => {
      range.value = name;
      const end = live.value ? serverNow() : Math.min(serverNow(), (from.value + to.value + RANGES[name]) / 2);
      to.value = end;
      from.value = end - RANGES[name];
      settle();
    };
    const setLive = (on) => {
      live.value = on;
      if (on) { to.value = serverNow(); from.value = to.value - RANGES[range.value]; }
      settle();
    };
    const setView = (start, end) => {
      live.value = false;
      from.value = start;
      to.value = end;
      settle();
    };

    const tick = setInterval(() => {
      if (document.hidden) return;
      if (live.value) {
        to.value = serverNow();
        from.value = to.value - RANGES[range.value];
        if (liveState.value === "open") pens.forEach((pen) => holdLive(pen, to.value));
      }
      version.value++;
    }, LIVE_STEP_MILLISECONDS);
    const reload = setInterval(() => { if (live.value && !document.hidden) load(); }, LIVE_RELOAD_MILLISECONDS);

    let unsubscribe = () => {};
    watch(() => pens.map((pen) => pen.path).join(","), () => {
      unsubscribe();
      const wanted = [...pens];
      unsubscribe = subscribeTags(wanted.map((pen) => pen.path), (index, timestamp, value, code) => {
        const pen = wanted[index];
        // Values of now belong to the drawing only if it reaches now without a hole.
        if (pen && (live.value || to.value >= serverNow() - 2000)) appendLive(pen, timestamp, value, code);
        else if (pen) Object.assign(pen, { value, timestamp, quality: code ?? null });
      });
      settle();
    }, { immediate: true });
    onBeforeUnmount(() => { clearInterval(tick); clearInterval(reload); clearTimeout(settleTimer); abort?.abort(); unsubscribe(); });

    const toggle = (path) => (pens.some((pen) => pen.path === path) ? remove(path) : add(path));
    const chosen = computed(() => pens.map((pen) => pen.path));

    const bar = () => html`<div class="trend-bar">
      ${segmented(t("trends.range"), Object.keys(RANGES).map((name) => ({ value: name, label: t("trends.ranges." + name), test: "range-" + name })), live.value || to.value - from.value === RANGES[range.value] ? range.value : null, pickRange)}
      <button class=${["button live-button", { on: live.value }]} type="button" aria-pressed=${String(live.value)} data-test="live" @click=${() => setLive(!live.value)}><i></i>${t("trends.live")}</button>
      <button class="icon-button" type="button" title=${t("trends.zoomOut")} aria-label=${t("trends.zoomOut")} data-test="zoom-out"
        @click=${() => { const span = to.value - from.value; setView(from.value - span / 2, Math.min(to.value + span / 2, serverNow())); }}>${icon("zoomOut")}</button>
      <span class="small muted num hide-narrow" data-test="window">${live.value ? null : `${dateTime(from.value)} – ${dateTime(to.value)}`}</span>
      <span class="grow"></span>
      ${busy.value ? html`<span class="spinner" role="status" aria-label=${t("common.loading")}></span>` : null}
      <button class="button primary" type="button" data-test="add-pens" @click=${() => { picking.value = true; }}>${icon("plus", 16)}${t("trends.add")}</button></div>`;

    const penRow = (pen) => {
      void version.value;
      const row = cursor.value === null ? null : rowAt(pen, cursor.value);
      const stats = statistics(pen, from.value, to.value);
      const show = (value) => valueText(value === undefined ? null : value, pen.type === "bool" ? "float32" : pen.type.startsWith("float") ? pen.type : "float32");
      return html`<tr key=${pen.path} class=${{ off: pen.hidden }} data-test="pen" data-tag=${pen.path}>
        <td><button class="link-button pen-name" type="button" title=${t(pen.hidden ? "trends.show" : "trends.hide")} aria-pressed=${String(!pen.hidden)} @click=${() => { pen.hidden = !pen.hidden; }}>
          <span class="swatch" style=${{ background: `var(--pen-${pen.colour})` }}></span><span>${pen.path.split("/").slice(2).join("/")}</span></button>
          <a class="small faint" href=${link("devices", pen.path.split("/")[0], { tag: pen.path.split("/").slice(1).join("/") })}>${pen.path.split("/").slice(0, 2).join("/")}</a></td>
        <td class="right num" data-test="pen-cursor">${row ? show(row[3]) : "–"}</td>
        <td class="right num"><span class="value" data-test="pen-latest">${valueText(pen.value, pen.type)}</span>${pen.unit ? html`<span class="unit">${pen.unit}</span>` : null}</td>
        <td class="right num hide-narrow">${show(stats?.low)}</td><td class="right num hide-narrow">${show(stats?.mean)}</td><td class="right num hide-narrow">${show(stats?.high)}</td>
        <td class="hide-narrow">${pen.fault ? html`<span class="small error-text">${problemText(pen.fault)}</span>` : pen.timestamp ? quality(pen) : null}</td>
        <td class="right"><button class="icon-button small" type="button" data-test="remove-pen" title=${t("trends.remove")} aria-label=${t("trends.remove") + " " + pen.path} @click=${() => remove(pen.path)}>${icon("close", 15)}</button></td></tr>`;
    };

    const pensTable = () => html`<section class="card pens"><table class="table free" aria-label=${t("trends.pens")}><thead><tr>
      <th scope="col">${t("trends.pen")}</th><th scope="col" class="right">${t("trends.atCursor")}</th><th scope="col" class="right">${t("trends.latest")}</th>
      <th scope="col" class="right hide-narrow">${t("trends.low")}</th><th scope="col" class="right hide-narrow">${t("trends.mean")}</th><th scope="col" class="right hide-narrow">${t("trends.high")}</th>
      <th scope="col" class="hide-narrow">${t("device.quality")}</th><th scope="col"><span class="visually-hidden">${t("trends.remove")}</span></th></tr></thead>
      <tbody>${pens.map(penRow)}</tbody></table></section>`;

    const note = () => {
      if (problem.value || busy.value || version.value === 0 || pens.some((pen) => statistics(pen, from.value, to.value))) return null;
      const latest = Math.max(0, ...pens.map((pen) => pen.timestamp ?? 0));
      return html`<div class="chart-note badge">${t("trends.noData")}${latest ? ` · ${t("trends.latestAt", { at: relative(latest) })}` : ""}</div>`;
    };

    return () => html`<div class="page fill tall">
      ${bar()}
      ${errorText(problem.value && problemText(problem.value))}
      <section class="card trend-card">${pens.length === 0
        ? empty("trends", t("trends.emptyTitle"), t("trends.emptyText"), html`<button class="button primary" type="button" @click=${() => { picking.value = true; }}>${icon("plus", 16)}${t("trends.add")}</button>`)
        : html`<>${note()}<${TrendChart} pens=${pens} from=${from.value} to=${to.value} version=${version.value} @view=${setView} @cursor=${(at) => { cursor.value = at; }} @size=${(fresh) => { width.value = fresh; }} /></>`}</section>
      ${pens.length ? pensTable() : null}
      ${picking.value ? html`<${PenPicker} chosen=${chosen.value} @toggle=${toggle} @close=${() => { picking.value = false; }} />` : null}
    </div>`;
  },
});
