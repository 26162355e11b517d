// The drawing: bands from least to greatest, mean lines, holes, one value axis per unit. Wheel zooms, dragging pans.

import { defineComponent, onBeforeUnmount, onMounted, ref, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { html } from "../html.js";
import { clock, number, t } from "../i18n.js";
import { isDark, isNarrow, preferences } from "../state.js";
import { segmentsOf } from "./pens.js";

const SPAN_MIN_MILLISECONDS = 2000;
const SPAN_MAX_MILLISECONDS = 400 * 86400 * 1000;
const AXIS_WIDTH = 52;
const AXES_MAX = 4;
// How many times a switch's height fits into the drawing.
const SWITCH_STRIP = 11;
const DAY = 86400000;

export const TrendChart = defineComponent({
  props: { pens: Array, from: Number, to: Number, version: Number },
  emits: ["view", "cursor", "size"],
  setup(properties, { emit }) {
    const box = ref(null);
    const canvas = ref(null);
    const cursorX = ref(null);
    const cursorTime = ref(null);
    const panning = ref(false);
    let chart = null;
    let grid = { left: AXIS_WIDTH, right: 16 };
    let gone = false;

    const colours = () => {
      const style = getComputedStyle(document.documentElement);
      const read = (name) => style.getPropertyValue(name).trim();
      return { text: read("--text-2"), faint: read("--text-3"), line: read("--line"), strong: read("--line-strong"), bad: read("--bad-mark"), pen: (index) => read(`--pen-${index}`), font: read("--font") };
    };

    const timeLabel = (at) => {
      const date = new Date(at);
      const locale = preferences.language === "zh" ? "zh-CN" : "en-GB";
      const span = properties.to - properties.from;
      if (span > 2 * DAY || (date.getHours() === 0 && date.getMinutes() === 0 && span > DAY / 4)) return date.toLocaleDateString(locale, { day: "numeric", month: "short" });
      return date.toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit", ...(span < 600000 ? { second: "2-digit" } : {}), hourCycle: "h23" });
    };

    const draw = () => {
      if (!chart) return;
      const palette = colours();
      const shown = properties.pens.filter((pen) => !pen.hidden);
      const units = [...new Set(shown.filter((pen) => pen.type !== "bool").map((pen) => pen.unit || ""))].slice(0, isNarrow.value ? 2 : AXES_MAX);
      if (units.length === 0) units.push("");
      // Switches share a hidden axis that keeps them in a strip at the bottom.
      const axisOf = (pen) => (pen.type === "bool" ? units.length : Math.max(0, units.indexOf(pen.unit || "")));
      const lefts = Math.ceil(units.length / 2);
      grid = { left: 12 + AXIS_WIDTH * lefts, right: 18 + AXIS_WIDTH * Math.floor(units.length / 2), top: 34, bottom: 30 };
      const series = [];
      for (const pen of shown) {
        const colour = palette.pen(pen.colour);
        const { segments, gaps } = segmentsOf(pen);
        const yAxisIndex = axisOf(pen);
        series.push(band(pen, segments, gaps, yAxisIndex, colour, palette.bad));
        const data = segments.flatMap((segment, index) => (index ? [[segment[0][0] - 1, null], ...segment.map(([x, , , y]) => [x, y])] : segment.map(([x, , , y]) => [x, y])));
        series.push({
          id: "line " + pen.path, type: "line", data, yAxisIndex, showSymbol: false, symbol: "none", silent: true, step: pen.type === "bool" ? "end" : false,
          lineStyle: { color: colour, width: 1.7 }, itemStyle: { color: colour }, animation: false, z: 3, connectNulls: false,
        });
      }
      chart.setOption({
        animation: false, backgroundColor: "transparent", textStyle: { fontFamily: palette.font }, grid,
        xAxis: {
          type: "time", min: properties.from, max: properties.to, axisLine: { lineStyle: { color: palette.strong } }, axisTick: { show: false },
          splitLine: { show: true, lineStyle: { color: palette.line } }, splitNumber: isNarrow.value ? 4 : 9, axisLabel: { color: palette.faint, formatter: timeLabel, hideOverlap: true },
        },
        yAxis: [...units.map((unit, index) => ({
          type: "value", scale: true, name: unit, position: index % 2 ? "right" : "left", offset: Math.floor(index / 2) * AXIS_WIDTH, splitNumber: 5,
          nameTextStyle: { color: palette.text, fontWeight: 600, align: index % 2 ? "left" : "right" }, axisLabel: { color: palette.faint, formatter: (value) => number(value, 3) },
          axisLine: { show: index > 0, lineStyle: { color: palette.line } }, splitLine: { show: index === 0, lineStyle: { color: palette.line } },
        })), { type: "value", show: false, min: -0.2, max: SWITCH_STRIP }],
        series,
      }, { replaceMerge: ["series", "yAxis"] });
    };

    const band = (pen, segments, gaps, yAxisIndex, colour, bad) => ({
      id: "band " + pen.path, type: "custom", yAxisIndex, data: [[properties.from, 0]], encode: { x: 0, y: -1 }, silent: true, clip: true, z: 2, animation: false,
      renderItem: (parameters, api) => {
        const children = [];
        if (pen.type !== "bool") {
          for (const segment of segments) {
            if (segment.length < 2) continue;
            const upper = segment.map((row) => api.coord([row[0], row[2]]));
            const lower = segment.map((row) => api.coord([row[0], row[1]])).reverse();
            children.push({ type: "polygon", shape: { points: [...upper, ...lower] }, style: { fill: colour, opacity: 0.17 } });
          }
        }
        const { y, height } = parameters.coordSys;
        for (const [from, to] of gaps) {
          const [x0, x1] = [api.coord([from, 0])[0], api.coord([to, 0])[0]];
          if (x1 > x0) children.push({ type: "rect", shape: { x: x0, y, width: x1 - x0, height }, style: { fill: bad, opacity: 0.08 } }, { type: "rect", shape: { x: x0, y: y + height - 3, width: x1 - x0, height: 3 }, style: { fill: bad, opacity: 0.6 } });
        }
        return { type: "group", children };
      },
    });

    const plot = () => {
      const width = (box.value?.clientWidth ?? 300) - grid.left - grid.right;
      return { left: grid.left, width: Math.max(1, width) };
    };
    const timeAt = (x) => properties.from + ((x - plot().left) / plot().width) * (properties.to - properties.from);
    const setView = (from, to, kind) => {
      const span = Math.min(SPAN_MAX_MILLISECONDS, Math.max(SPAN_MIN_MILLISECONDS, to - from));
      const middle = (from + to) / 2;
      emit("view", span === to - from ? from : middle - span / 2, span === to - from ? to : middle + span / 2, kind);
    };
    const zoom = (factor, x = plot().left + plot().width / 2) => {
      const at = timeAt(x);
      setView(at - (at - properties.from) * factor, at + (properties.to - at) * factor, "zoom");
    };

    const setCursor = (x) => {
      const { left, width } = plot();
      const inside = x !== null && x >= left && x <= left + width;
      cursorX.value = inside ? x : null;
      cursorTime.value = inside ? timeAt(x) : null;
      emit("cursor", cursorTime.value);
    };

    const pointers = new Map();
    const place = (event) => event.clientX - box.value.getBoundingClientRect().left;
    const down = (event) => {
      if (event.button !== 0) return;
      pointers.set(event.pointerId, place(event));
      try { box.value.setPointerCapture(event.pointerId); } catch { /* a synthetic pointer */ }
    };
    const move = (event) => {
      const x = place(event);
      if (!pointers.has(event.pointerId)) { if (event.pointerType === "mouse") setCursor(x); return; }
      const before = pointers.get(event.pointerId);
      const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, other]) => other);
      pointers.set(event.pointerId, x);
      if (others.length) {
        const [old, fresh] = [Math.abs(before - others[0]), Math.abs(x - others[0])];
        if (old > 10 && fresh > 10) zoom(old / fresh, (x + others[0]) / 2);
      } else if (x !== before) {
        panning.value = true;
        const shift = ((before - x) / plot().width) * (properties.to - properties.from);
        setView(properties.from + shift, properties.to + shift, "pan");
      }
    };
    const up = (event) => {
      if (pointers.delete(event.pointerId) && !panning.value) setCursor(place(event));
      if (pointers.size === 0) panning.value = false;
    };
    const wheel = (event) => {
      if (event.ctrlKey) return;
      event.preventDefault();
      const span = properties.to - properties.from;
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) setView(properties.from + (event.deltaX / plot().width) * span, properties.to + (event.deltaX / plot().width) * span, "pan");
      else zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), place(event));
    };
    const key = (event) => {
      const step = (properties.to - properties.from) / 10;
      const actions = { ArrowLeft: () => setView(properties.from - step, properties.to - step, "pan"), ArrowRight: () => setView(properties.from + step, properties.to + step, "pan"), "+": () => zoom(0.7), "=": () => zoom(0.7), "-": () => zoom(1 / 0.7) };
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    };

    const resize = () => {
      if (!box.value?.clientWidth) return;
      chart?.resize();
      emit("size", box.value.clientWidth);
      draw();
    };
    const observer = new ResizeObserver(resize);
    onMounted(async () => {
      box.value.addEventListener("wheel", wheel, { passive: false });
      const { echarts } = await import("/vendor/echarts/index.js");
      if (gone) return;
      chart = echarts.init(canvas.value, null, { renderer: "canvas" });
      observer.observe(box.value);
      resize();
    });
    onBeforeUnmount(() => { gone = true; observer.disconnect(); chart?.dispose(); });

    let frame = 0;
    watch(() => [properties.from, properties.to, properties.version, isDark.value, preferences.language, isNarrow.value, properties.pens.map((pen) => pen.path + pen.hidden + pen.unit).join()], () => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => { draw(); if (cursorX.value !== null) setCursor(cursorX.value); });
    });

    return () => html`<div class=${["chart", { panning: panning.value }]} ref=${box} tabindex="0" role="application" aria-label=${t("trends.chartLabel")} data-test="chart"
      data-points=${properties.version >= 0 ? properties.pens.reduce((sum, pen) => sum + pen.rows.length, 0) : 0}
      @pointerdown=${down} @pointermove=${move} @pointerup=${up} @pointercancel=${up} @pointerleave=${() => !pointers.size && setCursor(null)} @keydown=${key}>
      <div class="chart-canvas" ref=${canvas}></div>
      ${cursorX.value === null ? null : html`<div class="chart-cursor" style=${{ left: cursorX.value + "px" }}><span class="num">${clock(cursorTime.value, properties.to - properties.from < 120000)}</span></div>`}
    </div>`;
  },
});
