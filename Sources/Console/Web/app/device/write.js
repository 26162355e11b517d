// Writing a tag: type the value, look at what will happen, confirm, see what the device answered.

import { computed, defineComponent, ref } from "/vendor/vue/vue.esm-browser.prod.js";
import { post } from "../api.js";
import { command, errorText, notice } from "../components/basics.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { duration, problemText, qualityText, t, valueText } from "../i18n.js";
import { icon } from "../icons.js";

const INTEGER_BITS = { int8: -8, uint8: 8, int16: -16, uint16: 16, int32: -32, uint32: 32, int64: -64, uint64: 64 };
const FLOAT32_MAX = 3.4028234663852886e38;

/** The whole numbers that an integer type can hold, as BigInt; null for other types. */
export function limitsOf(type) {
  const bits = INTEGER_BITS[type];
  if (!bits) return null;
  return bits < 0 ? [-(2n ** BigInt(-bits - 1)), 2n ** BigInt(-bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
}

/** The value that a text means for a type: `{value}` or `{fault}`. */
export function readValue(text, type) {
  const trimmed = text.trim();
  if (type === "string") return { value: text };
  if (type === "bool") return trimmed === "true" ? { value: true } : trimmed === "false" ? { value: false } : { fault: t("write.chooseOne") };
  if (!trimmed) return { fault: t("write.empty") };
  const limits = limitsOf(type);
  const plain = trimmed.replace(",", ".");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(plain)) return { fault: t("write.notNumber") };
  if (limits && /^[+-]?\d+$/.test(plain)) {
    const whole = BigInt(plain.replace("+", ""));
    if (whole < limits[0] || whole > limits[1]) return { fault: t("write.outOfRange", { low: limits[0].toString(), high: limits[1].toString() }) };
    return { value: whole };
  }
  if (limits) return { fault: t("write.notWhole") };
  const value = Number(plain);
  if (!Number.isFinite(value) || (type === "float32" && Math.abs(value) > FLOAT32_MAX)) return { fault: t("write.tooLarge") };
  return { value };
}

export const WriteDialog = defineComponent({
  props: { tag: Object },
  emits: ["close"],
  setup(properties, { emit }) {
    const { tag } = properties;
    const text = ref(tag.type === "bool" || tag.cell.value === null || tag.cell.value === undefined ? "" : String(tag.cell.value));
    const step = ref("edit"); // edit, review, busy, done
    const tried = ref(false);
    const result = ref(null);
    const problem = ref(null);
    const took = ref(0);
    const reading = computed(() => readValue(text.value, tag.type));

    const review = (event) => {
      event?.preventDefault();
      tried.value = true;
      if (!reading.value.fault) step.value = "review";
    };
    const write = async () => {
      step.value = "busy";
      const start = performance.now();
      try {
        const answer = await post("/write", { device: tag.device, group: tag.group, values: { [tag.tag]: reading.value.value } });
        result.value = answer.results?.[tag.tag] ?? { error: { code: "console.no_answer" } };
      } catch (error) {
        problem.value = error;
      }
      took.value = performance.now() - start;
      step.value = "done";
    };

    const withUnit = (value) => html`<>${valueText(value, tag.type)}${tag.unit ? html`<span class="faint small"> ${tag.unit}</span>` : null}</>`;
    const limits = limitsOf(tag.type);
    const facts = () => html`<dl class="facts">
      <dt>${t("device.tag")}</dt><dd class="mono">${tag.path}</dd>
      <dt>${t("write.current")}</dt><dd data-test="write-current">${withUnit(tag.cell.value)}${tag.cell.quality ? html`<span class="faint"> (${qualityText(tag.cell.quality)})</span>` : null}</dd>
      <dt>${t("device.type")}</dt><dd>${tag.type}</dd>
      ${limits ? html`<><dt>${t("write.limits")}</dt><dd>${valueText(limits[0])} … ${valueText(limits[1])}</dd></>` : null}</dl>`;

    const edit = () => html`<form class="stack" novalidate id="write-form" @submit=${review}>
      ${facts()}
      ${tag.type === "bool" ? html`<div class="field"><span class="label">${t("write.value")}</span><div class="choice">
          ${["false", "true"].map((choice) => html`<button key=${choice} class=${["button", { on: text.value === choice }]} type="button" aria-pressed=${String(text.value === choice)} data-test=${"write-" + choice}
            @click=${() => { text.value = choice; }}>${t("value." + choice)}</button>`)}</div></div>`
        : html`<div class="field"><label for="write-input">${t("write.value")}${tag.unit ? ` (${tag.unit})` : ""}</label>
          <input class="input" id="write-input" data-test="write-input" data-autofocus value=${text.value} autocomplete="off" spellcheck="false"
            inputmode=${tag.type === "string" ? "text" : "decimal"} aria-invalid=${String(tried.value && Boolean(reading.value.fault))}
            @input=${(event) => { text.value = event.target.value; }} @focus=${(event) => event.target.select()} /></div>`}
      ${errorText(tried.value ? reading.value.fault : null)}
    </form>`;

    const comparison = (left, right, rightLabel) => html`<div class="write-values">
      <div><span class="small muted">${t("write.current")}</span><b>${left}</b></div>${icon("right")}
      <div><span class="small muted">${rightLabel}</span><b>${right}</b></div></div>`;

    const checking = () => html`<>
      <p>${t("write.question", { tag: tag.tag, device: tag.device })}</p>
      ${comparison(withUnit(tag.cell.value), withUnit(reading.value.value), t("write.fresh"))}
      ${notice("warn", t("write.caution"))}
      ${command(`tundish write ${tag.path} ${typeof reading.value.value === "string" ? JSON.stringify(reading.value.value) : reading.value.value}`)}</>`;

    const outcome = () => {
      const fault = problem.value ?? result.value?.error;
      if (fault) {
        return html`<div class="stack" data-test="write-result" data-result="error">${notice("bad", html`<b>${t("write.refused")}</b><div>${problemText(fault)}</div><div class="faint mono small">${fault.code}</div>`)}
          <p class="muted small">${t("write.unchanged")}</p></div>`;
      }
      return html`<div class="stack" data-test="write-result" data-result="ok">
        ${notice("good", html`<b>${t("write.confirmed")}</b><div>${t("write.confirmedText", { time: duration(took.value) })}</div>`)}
        <dl class="facts"><dt>${t("write.written")}</dt><dd class="strong">${withUnit(result.value.value)}</dd><dt>${t("write.current")}</dt><dd>${withUnit(tag.cell.value)}</dd></dl></div>`;
    };

    const buttons = () => {
      if (step.value === "edit") return html`<><button class="button" type="button" @click=${() => emit("close")}>${t("common.cancel")}</button>
        <button class="button primary" type="submit" form="write-form" data-test="write-review">${t("write.review")}</button></>`;
      if (step.value === "done") return html`<>${problem.value || result.value?.error ? html`<button class="button" type="button" @click=${() => { step.value = "edit"; problem.value = null; result.value = null; }}>${t("write.again")}</button>` : null}
        <button class="button primary" type="button" data-test="write-done" @click=${() => emit("close")}>${t("common.done")}</button></>`;
      return html`<><button class="button" type="button" disabled=${step.value === "busy"} @click=${() => { step.value = "edit"; }}>${t("common.back")}</button>
        <button class="button primary" type="button" disabled=${step.value === "busy"} data-test="write-confirm" ref=${(element) => element && step.value === "review" && element.focus()}
          @click=${write}>${step.value === "busy" ? t("write.busy") : t("write.confirm")}</button></>`;
    };

    return () => html`<${Dialog} title=${t("write.title", { tag: tag.tag })} test="write-dialog" @close=${() => step.value !== "busy" && emit("close")}>${{
      default: () => (step.value === "edit" ? edit() : step.value === "done" ? outcome() : checking()),
      foot: buttons,
    }}</>`;
  },
});
