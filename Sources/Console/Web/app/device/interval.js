// Changing how often a group is read: an edit of the device's resource, bound to the revision that was looked at.

import { computed, defineComponent, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { getResource, putResource } from "../api.js";
import { errorText, notice } from "../components/basics.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { duration, problemText, t } from "../i18n.js";
import { toast } from "../state.js";

const UNITS = { ms: 1, s: 1000, m: 60000, min: 60000, h: 3600000 };
const presets = ["100ms", "250ms", "500ms", "1s", "2s", "5s", "10s", "1m"];

/** Milliseconds of "250ms", "1.5 s"; null when it is not a duration. */
export function readDuration(text) {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|min|m|h)$/.exec(String(text ?? "").trim());
  return match ? Number(match[1]) * UNITS[match[2]] : null;
}

export const IntervalDialog = defineComponent({
  props: { resource: Object, group: String },
  emits: ["close", "saved"],
  setup(properties, { emit }) {
    const base = shallowRef(properties.resource);
    const present = computed(() => base.value.spec.groups.find((group) => group.name === properties.group)?.interval);
    const text = ref(present.value ?? "");
    const problem = ref(null);
    const conflict = ref(false);
    const busy = ref(false);
    const milliseconds = computed(() => readDuration(text.value));

    const save = async (event) => {
      event?.preventDefault();
      if (milliseconds.value === null || milliseconds.value <= 0) { problem.value = t("interval.invalid"); return; }
      busy.value = true;
      problem.value = null;
      try {
        const groups = base.value.spec.groups.map((group) => (group.name === properties.group ? { ...group, interval: text.value.replace(/\s/g, "").replace("min", "m") } : group));
        const saved = await putResource("devices", base.value.name, { ...base.value.spec, groups }, base.value.revision);
        toast("ok", t("interval.saved", { group: properties.group, interval: duration(milliseconds.value) }));
        emit("saved", saved);
        emit("close");
      } catch (error) {
        if (error.status === 412) conflict.value = true;
        else problem.value = [problemText(error), ...(error.issues ?? []).map(problemText)].join(" ");
      } finally {
        busy.value = false;
      }
    };
    const reload = async () => {
      try {
        base.value = await getResource("devices", base.value.name);
        conflict.value = false;
        emit("saved", base.value);
      } catch (error) { problem.value = problemText(error); }
    };

    return () => html`<${Dialog} title=${t("interval.title", { group: properties.group })} test="interval-dialog" @close=${() => emit("close")}>${{
      default: () => html`<form class="stack" id="interval-form" novalidate @submit=${save}>
        <p class="muted">${t("interval.text", { interval: present.value ?? "–" })}</p>
        <div class="field"><label for="interval-input">${t("interval.label")}</label>
          <input class="input" id="interval-input" data-test="interval-input" data-autofocus value=${text.value} autocomplete="off" spellcheck="false" aria-invalid=${String(Boolean(problem.value))}
            @input=${(event) => { text.value = event.target.value; problem.value = null; }} @focus=${(event) => event.target.select()} />
          <span class="hint">${t("interval.hint")}</span></div>
        <div class="presets">${presets.map((preset) => html`<button key=${preset} class=${["button small", { on: readDuration(preset) === milliseconds.value }]} type="button"
          @click=${() => { text.value = preset; problem.value = null; }}>${duration(readDuration(preset))}</button>`)}</div>
        ${errorText(problem.value)}
        ${conflict.value ? html`<div data-test="interval-conflict">${notice("warn", html`<b>${t("interval.conflict")}</b><div>${t("interval.conflictText")}</div>`,
          html`<button class="button small" type="button" data-test="interval-reload" @click=${reload}>${t("interval.reload")}</button>`)}</div>` : null}
      </form>`,
      foot: () => html`<><button class="button" type="button" @click=${() => emit("close")}>${t("common.cancel")}</button>
        <button class="button primary" type="submit" form="interval-form" data-test="interval-save" disabled=${busy.value || conflict.value}>${t("common.save")}</button></>`,
    }}</>`;
  },
});
