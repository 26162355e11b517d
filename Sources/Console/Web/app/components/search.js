// Search over everything (`/`): pages, devices, rules, tags.

import { computed, defineComponent, onMounted, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { go } from "../router.js";
import { Dialog } from "./dialog.js";

const PER_KIND_MAX = 6;
const TAGS_MAX = 12;

export const Search = defineComponent({
  emits: ["close"],
  setup(_, { emit }) {
    const text = ref("");
    const selected = ref(0);
    const devices = shallowRef([]);
    const rules = shallowRef([]);
    const tags = shallowRef([]);
    let timer = 0;
    let abort = null;

    onMounted(async () => {
      const names = (path) => get(path).then(({ items }) => items.map((item) => item.name)).catch(() => []);
      [devices.value, rules.value] = await Promise.all([names("/devices"), names("/rules")]);
    });

    watch(text, () => {
      selected.value = 0;
      clearTimeout(timer);
      abort?.abort();
      if (text.value.trim().length < 2) { tags.value = []; return; }
      timer = setTimeout(findTags, 120);
    });

    async function findTags() {
      abort = new AbortController();
      try {
        const query = new URLSearchParams({ filter: text.value.trim(), limit: TAGS_MAX });
        tags.value = (await get("/tags?" + query, { signal: abort.signal })).items;
      } catch { /* overtaken by the next letter, or the network: the banner tells */ }
    }

    const results = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      const matches = (name) => name.toLowerCase().includes(wanted);
      const pages = ["overview", "devices", "trends", "rules", "alarms", "mqtt", "settings"].filter((page) => matches(t("nav." + page)) || matches(page));
      return [
        ...pages.slice(0, wanted ? PER_KIND_MAX : 7).map((page) => ({ kind: "page", icon: page, label: t("nav." + page), open: () => go(page === "overview" ? "" : page) })),
        ...(wanted ? devices.value.filter(matches).slice(0, PER_KIND_MAX) : devices.value.slice(0, 4)).map((name) => ({ kind: "device", icon: "devices", label: name, open: () => go("devices", name) })),
        ...(wanted ? rules.value.filter(matches).slice(0, PER_KIND_MAX) : []).map((name) => ({ kind: "rule", icon: "rules", label: name, open: () => go("rules", name) })),
        ...tags.value.map((tag) => ({
          kind: "tag", icon: "trends", label: `${tag.device}/${tag.group}/${tag.tag}`,
          open: () => go("devices", tag.device, { tag: `${tag.group}/${tag.tag}` }),
        })),
      ];
    });

    const open = (result) => { emit("close"); result.open(); };
    const key = (event) => {
      const count = results.value.length;
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        selected.value = (selected.value + (event.key === "ArrowDown" ? 1 : -1) + count) % Math.max(count, 1);
        document.getElementById("result-" + selected.value)?.scrollIntoView({ block: "nearest" });
      } else if (event.key === "Enter" && results.value[selected.value]) {
        event.preventDefault();
        open(results.value[selected.value]);
      }
    };

    const marked = (label) => {
      const wanted = text.value.trim();
      const at = wanted ? label.toLowerCase().indexOf(wanted.toLowerCase()) : -1;
      return at < 0 ? label : [label.slice(0, at), html`<mark>${label.slice(at, at + wanted.length)}</mark>`, label.slice(at + wanted.length)];
    };

    return () => html`<${Dialog} palette title=${t("search.label")} test="search-dialog" @close=${() => emit("close")}>
      <div class="search-field">${icon("search", 19)}<input data-autofocus data-test="search-input" value=${text.value} placeholder=${t("search.placeholder")}
        role="combobox" aria-expanded="true" aria-controls="results" aria-activedescendant=${"result-" + selected.value} autocomplete="off" spellcheck="false"
        @input=${(event) => { text.value = event.target.value; }} @keydown=${key} /></div>
      ${results.value.length ? html`<ul role="listbox" id="results">${results.value.map((result, index) => html`
        <li role="option" id=${"result-" + index} key=${result.kind + result.label} aria-selected=${String(index === selected.value)} data-test="search-result"
          @click=${() => open(result)} @mousemove=${() => { selected.value = index; }}>
          ${icon(result.icon)}<span class="truncate">${marked(result.label)}</span><span class="faint small">${t("search.kind." + result.kind)}</span></li>`)}</ul>`
        : html`<p class="loading">${t("search.nothing")}</p>`}
    </>`;
  },
});
