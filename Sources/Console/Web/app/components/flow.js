// The data's way as a living picture: cards for the parts, lines between them, dots that move as data does.

import { computed, defineComponent, onBeforeUnmount, onMounted, ref, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { html } from "../html.js";
import { compact, number, t } from "../i18n.js";
import { icon } from "../icons.js";
import { isNarrow, reducedMotion } from "../state.js";
import { stateKind } from "./basics.js";
import { sparkline } from "./sparkline.js";

const nodes = ["devices", "bus", "rules", "historian", "mqtt"];
const icons = { devices: "devices", bus: "bus", rules: "rules", historian: "historian", mqtt: "mqtt" };
const pages = { devices: "#/devices", bus: "#/mqtt", rules: "#/rules", historian: "#/trends", mqtt: "#/mqtt" };
// From, to, and whose rate the dots show. Rules give back what they make: the bus is where it goes.
const edges = [["devices", "bus", "devices"], ["bus", "rules", "rules"], ["bus", "historian", "historian"], ["bus", "mqtt", "mqtt"]];

const DOTS_MAX = 9;
const PIXELS_PER_DOT = 14;
const PIXELS_PER_SECOND = 70;

/** Dots on a line: none without data, then two more for each power of ten, as far as there is room. */
const dotCount = (rate, length) => (rate > 0 ? Math.max(1, Math.min(DOTS_MAX, Math.floor(length / PIXELS_PER_DOT), 1 + Math.round(Math.log10(1 + rate) * 2))) : 0);

export const Flow = defineComponent({
  props: { flow: Array, history: Object, facts: Object },
  setup(properties) {
    const box = ref(null);
    const size = ref([0, 0]);
    const lines = ref([]);
    const byId = computed(() => Object.fromEntries((properties.flow ?? []).map((node) => [node.id, node])));

    const measure = () => {
      if (!box.value) return;
      const frame = box.value.getBoundingClientRect();
      size.value = [frame.width, frame.height];
      const place = Object.fromEntries(nodes.map((id) => {
        const r = box.value.querySelector(`[data-node="${id}"]`).getBoundingClientRect();
        return [id, { left: r.left - frame.left, right: r.right - frame.left, top: r.top - frame.top, bottom: r.bottom - frame.top }];
      }));
      lines.value = edges.map(([from, to]) => curve(place[from], place[to], isNarrow.value));
    };
    const observer = new ResizeObserver(measure);
    onMounted(() => { measure(); observer.observe(box.value); });
    watch(isNarrow, measure, { flush: "post" });

    let frame = 0;
    let before = 0;
    const travelled = edges.map(() => 0);
    const move = (at) => {
      frame = requestAnimationFrame(move);
      const seconds = Math.min(0.1, (at - before) / 1000);
      before = at;
      if (document.hidden || reducedMotion.matches || !box.value) return;
      edges.forEach((_, index) => {
        const group = box.value.querySelector(`[data-edge="${index}"]`);
        const path = group?.querySelector("path");
        if (!path) return;
        const length = path.getTotalLength();
        travelled[index] = (travelled[index] + seconds * PIXELS_PER_SECOND) % (length || 1);
        const dots = group.querySelectorAll("circle");
        dots.forEach((dot, position) => {
          const point = path.getPointAtLength((travelled[index] + (position * length) / dots.length) % (length || 1));
          dot.setAttribute("cx", point.x);
          dot.setAttribute("cy", point.y);
        });
      });
    };
    onMounted(() => { frame = requestAnimationFrame(move); });
    onBeforeUnmount(() => { cancelAnimationFrame(frame); observer.disconnect(); });

    const card = (id) => {
      const node = byId.value[id] ?? { ratePerSecond: null, state: "ok", unit: "messages" };
      const kind = stateKind(node.state);
      return html`<a class=${["flow-node", kind, "at-" + id]} key=${id} href=${pages[id]} data-node=${id} data-test=${"flow-" + id} data-state=${node.state} data-rate=${node.ratePerSecond}>
        <span class="flow-title">${icon(icons[id], 17)}${t("flow." + id)}${kind === "good" ? null : html`<span class=${["flow-mark", kind]} title=${t("flow.state." + node.state)}>${icon(kind === "bad" ? "error" : "warn", 16)}</span>`}</span>
        <span class="flow-rate num">${compact(node.ratePerSecond)}<small>${t("flow.unit." + node.unit)}</small></span>
        ${sparkline(properties.history?.[id] ?? [], { width: 160, height: 26, colour: "var(--flow)", fromZero: true })}
        <span class="flow-fact">${properties.facts?.[id]}${node.dropped > 0 ? html`<span class="flow-dropped">${t("flow.dropped", { n: number(node.dropped) })}</span>` : null}</span>
      </a>`;
    };

    return () => html`<div class="flow" ref=${box} data-test="flow" role="group" aria-label=${t("flow.label")}>
      <svg class="flow-lines" width=${size.value[0]} height=${size.value[1]} aria-hidden="true">${edges.map(([, , id], index) => {
        const node = byId.value[id];
        return html`<g key=${index} data-edge=${index} class=${stateKind(node?.state ?? "ok")}><path d=${lines.value[index]?.path ?? ""} />
          ${Array.from({ length: dotCount(node?.ratePerSecond ?? 0, lines.value[index]?.length ?? 0) }, (_, dot) => html`<circle key=${dot} r="3.2" cx="-9" cy="-9" />`)}</g>`;
      })}</svg>
      ${nodes.map(card)}
    </div>`;
  },
});

function curve(a, b, vertical) {
  if (vertical) {
    const [x0, y0, x1, y1] = [(a.left + a.right) / 2, a.bottom, (b.left + b.right) / 2, b.top];
    const bend = (y1 - y0) / 2;
    return { path: `M${x0} ${y0}C${x0} ${y0 + bend} ${x1} ${y1 - bend} ${x1} ${y1}`, length: Math.hypot(x1 - x0, y1 - y0) };
  }
  const y1 = (b.top + b.bottom) / 2;
  const [x0, x1] = [a.right, b.left];
  // Leaves a tall card at the height of where it goes, so that the lines do not bunch up.
  const y0 = Math.max(a.top + 24, Math.min(a.bottom - 24, y1));
  const bend = (x1 - x0) / 2;
  return { path: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`, length: Math.hypot(x1 - x0, y1 - y0) };
}
