// A modal dialog: keeps the focus inside, gives it back, closes on Escape. And the question that `ask` opens.

import { defineComponent, nextTick, onBeforeUnmount, onMounted, ref, Teleport, h } from "/vendor/vue/vue.esm-browser.prod.js";
import { html } from "../html.js";
import { icon } from "../icons.js";
import { t } from "../i18n.js";
import { question } from "../state.js";

const FOCUSABLE = "a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), [tabindex='0']";
let count = 0;
// The dialogs on screen, the one on top last.
const open = [];

export const Dialog = defineComponent({
  props: { title: String, wide: Boolean, test: String, palette: Boolean },
  emits: ["close"],
  setup(properties, { emit, slots }) {
    const box = ref(null);
    const titleId = `dialog-title-${++count}`;
    const before = document.activeElement;

    onMounted(async () => {
      await nextTick();
      const first = box.value?.querySelector("[data-autofocus]") ?? box.value?.querySelector(".dialog-body " + FOCUSABLE) ?? box.value;
      first?.focus();
    });
    onBeforeUnmount(() => before?.isConnected && before.focus?.());

    // On the document, because the focus may have been lost to the page; only the dialog on top answers.
    const escape = (event) => {
      if (event.key === "Escape" && open[open.length - 1] === escape) { event.preventDefault(); emit("close"); }
    };
    open.push(escape);
    document.addEventListener("keydown", escape);
    onBeforeUnmount(() => {
      open.splice(open.indexOf(escape), 1);
      document.removeEventListener("keydown", escape);
    });

    const key = (event) => {
      if (event.key !== "Tab") return;
      const all = [...box.value.querySelectorAll(FOCUSABLE)].filter((element) => element.offsetParent !== null);
      const edge = event.shiftKey ? all[0] : all[all.length - 1];
      if (document.activeElement === edge || document.activeElement === box.value) {
        event.preventDefault();
        (event.shiftKey ? all[all.length - 1] : all[0])?.focus();
      }
    };
    const outside = (event) => { if (event.target === event.currentTarget) emit("close"); };

    return () => h(Teleport, { to: "body" }, html`
      <div class=${["scrim", { palette: properties.palette }]} @mousedown=${outside}>
        <div class=${["dialog", { wide: properties.wide }]} ref=${box} role="dialog" aria-modal="true" tabindex="-1" data-test=${properties.test}
          aria-labelledby=${properties.palette ? null : titleId} aria-label=${properties.palette ? properties.title : null} @keydown=${key}>
          ${properties.palette ? slots.default?.() : html`<>
            <div class="dialog-head"><h2 id=${titleId}>${properties.title}</h2>
              <button class="icon-button" type="button" aria-label=${t("common.close")} data-test="dialog-close" @click=${() => emit("close")}>${icon("close")}</button></div>
            <div class="dialog-body">${slots.default?.()}</div>
            ${slots.foot ? html`<div class="dialog-foot">${slots.foot()}</div>` : null}
          </>`}
        </div>
      </div>`);
  },
});

/** Shows the question that `ask` poses. */
export const Question = defineComponent({
  setup: () => () => {
    const asked = question.value;
    if (!asked) return null;
    return html`<${Dialog} title=${asked.title} test="question" @close=${() => asked.answer(false)}>${{
      default: () => html`<p>${asked.text}</p>`,
      foot: () => html`<div class="row">
        <button class="button" type="button" data-test="question-no" @click=${() => asked.answer(false)}>${t("common.cancel")}</button>
        <button class=${["button", asked.danger ? "danger" : "primary"]} type="button" data-test="question-yes" data-autofocus
          @click=${() => asked.answer(true)}>${asked.confirm}</button></div>`,
    }}</>`;
  },
});
