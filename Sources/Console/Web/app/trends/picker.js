// Choosing pens: device, group, tag as a tree that can be searched. Only the rows on screen are drawn.

import { computed, defineComponent, onMounted, reactive, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { errorText, filterInput, loading } from "../components/basics.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { number, problemText, t } from "../i18n.js";
import { icon } from "../icons.js";
import { PENS_MAX } from "./pens.js";

const ROW = 32;
const MATCHES_MAX = 2000;
const drawable = (tag) => tag.type !== "string" && tag.type !== "bytes" && !/\[/.test(tag.type ?? "");

export const PenPicker = defineComponent({
  props: { chosen: Array },
  emits: ["close", "toggle"],
  setup(properties, { emit }) {
    const devices = shallowRef(null);
    const problem = ref(null);
    const text = ref("");
    const open = reactive(new Set());
    const top = ref(0);

    onMounted(async () => {
      try {
        devices.value = (await get("/devices")).items;
        if (devices.value.length && properties.chosen.length === 0) open.add(devices.value[0].name);
        for (const path of properties.chosen) {
          const [device, group] = path.split("/");
          open.add(device).add(`${device}/${group}`);
        }
      } catch (error) { problem.value = error; }
    });

    const rows = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      const result = [];
      for (const device of devices.value ?? []) {
        if (!wanted) result.push({ level: 0, key: device.name, label: device.name });
        if (!wanted && !open.has(device.name)) continue;
        for (const group of device.spec.groups ?? []) {
          const key = `${device.name}/${group.name}`;
          const tags = (group.tags ?? []).filter(drawable);
          if (!wanted) result.push({ level: 1, key, label: group.name, detail: number(tags.length) });
          // With one group a click on the device is enough.
          if (!wanted && !open.has(key) && device.spec.groups.length > 1) continue;
          for (const tag of tags) {
            const path = `${key}/${tag.name}`;
            if (wanted && !path.toLowerCase().includes(wanted)) continue;
            if (result.length >= MATCHES_MAX && wanted) return result;
            result.push({ level: 2, key: path, label: wanted ? path : tag.name, detail: tag.unit ?? "", leaf: true });
          }
        }
      }
      return result;
    });

    const from = computed(() => Math.max(0, Math.min(Math.floor(top.value / ROW) - 6, Math.max(0, rows.value.length - 30))));
    const pick = (row) => {
      if (row.leaf) emit("toggle", row.key);
      else if (!open.delete(row.key)) open.add(row.key);
    };
    const isOpen = (row) => open.has(row.key) || (row.level === 1 && rows.value.some((other) => other.leaf && other.key.startsWith(row.key + "/")));

    const line = (row) => {
      const chosen = properties.chosen.includes(row.key);
      return html`<button type="button" key=${row.key} class=${["tree-row", "level-" + (text.value.trim() ? 0 : row.level)]} role=${row.leaf ? "checkbox" : null} aria-checked=${row.leaf ? String(chosen) : null}
        aria-expanded=${row.leaf ? null : String(isOpen(row))} disabled=${row.leaf && !chosen && properties.chosen.length >= PENS_MAX} data-test=${row.leaf ? "pick-" + row.key : "branch-" + row.key} @click=${() => pick(row)}>
        ${row.leaf ? html`<span class="box">${chosen ? icon("check", 13) : null}</span>` : html`<span class=${["turn", { open: isOpen(row) }]}>${icon("right", 14)}</span>`}
        <span class=${["grow truncate", { strong: !row.leaf }]}>${row.label}</span><span class="small faint">${row.detail}</span></button>`;
    };

    return () => html`<${Dialog} title=${t("trends.pick")} test="pen-picker" @close=${() => emit("close")}>${{
      default: () => html`<div class="picker">
        ${filterInput(text.value, (value) => { text.value = value; top.value = 0; }, t("trends.search"), "pen-filter")}
        ${errorText(problem.value && problemText(problem.value))}
        ${devices.value === null && !problem.value ? loading() : html`<div class="picker-list" @scroll=${(event) => { top.value = event.target.scrollTop; }}>
          <div style=${{ height: from.value * ROW + "px" }}></div>
          ${rows.value.slice(from.value, from.value + 40).map(line)}
          <div style=${{ height: Math.max(0, rows.value.length - from.value - 40) * ROW + "px" }}></div>
          ${rows.value.length === 0 ? html`<p class="loading">${t("search.nothing")}</p>` : null}</div>`}
        <p class="hint">${t("trends.pickHint", { n: properties.chosen.length, most: PENS_MAX })}</p></div>`,
      foot: () => html`<button class="button primary" type="button" data-test="picker-done" @click=${() => emit("close")}>${t("common.done")}</button>`,
    }}</>`;
  },
});
