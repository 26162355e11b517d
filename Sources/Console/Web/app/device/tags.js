// A device's tags: their descriptions from the server once, their values live for the rows on screen.

import { computed, defineComponent, onBeforeUnmount, onMounted, ref, shallowReactive, shallowRef, triggerRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { eachPage } from "../api.js";
import { empty, errorText, filterInput, loading } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { clock, ownHalf, problemText, qualityText, t, valueText } from "../i18n.js";
import { icon } from "../icons.js";
import { subscribeTags } from "../live.js";
import { isNarrow, may } from "../state.js";

const SCROLL_REST_MILLISECONDS = 120;

/** What a live cell holds; the rows of the table draw from it. */
export function makeCell(item) {
  const good = !item.quality || item.quality === "good";
  return shallowReactive({ value: item.value, timestamp: item.timestamp, quality: good ? null : item.quality, fault: item.error?.message ?? null });
}

/** Uncertain keeps its value; everything else that is not good is bad. */
export const qualityKind = (quality) => (!quality ? "good" : quality.startsWith("uncertain") ? "warn" : "bad");

export function quality(cell) {
  const kind = qualityKind(cell.quality);
  const text = qualityText(cell.quality);
  return html`<span class=${["quality", kind]} title=${cell.fault ?? text}>${icon({ good: "good", warn: "warn", bad: "error" }[kind], 14)}<span class="truncate">${text}</span></span>`;
}

export const canWrite = (tag) => /write/.test(tag.access ?? "");

// Each draws one cell on its own, so that a change draws just that.
const Value = (properties) => {
  const { tag, cell } = properties;
  const text = valueText(cell.value, tag.type);
  return html`<span data-tag=${tag.path} data-quality=${cell.quality ?? "good"} data-value=${String(cell.value)} title=${String(cell.value)}>
    <span class=${["value", { stale: cell.quality && cell.value === null }]}>${text}</span>${tag.unit ? html`<span class="unit">${tag.unit}</span>` : null}</span>`;
};
Value.props = ["tag", "cell"];
const Quality = (properties) => quality(properties.cell);
Quality.props = ["cell"];
const Time = (properties) => html`<span class="num faint small">${clock(properties.cell.timestamp, true)}</span>`;
Time.props = ["cell"];

export const Tags = defineComponent({
  props: { device: String, group: String, selected: String },
  emits: ["select", "write", "loaded"],
  setup(properties, { emit }) {
    const tags = shallowRef([]);
    const total = ref(null);
    const problem = ref(null);
    const text = ref("");
    const onlyBad = ref(false);
    const badVersion = ref(0);
    const abort = new AbortController();

    const load = async () => {
      try {
        await eachPage("/tags", { device: properties.device }, (items, count) => {
          tags.value.push(...items.map((item) => ({ ...item, path: `${item.device}/${item.group}/${item.tag}`, cell: makeCell(item) })));
          total.value = count;
          triggerRef(tags);
          emit("loaded", tags.value);
        }, { signal: abort.signal });
      } catch (error) {
        if (!abort.signal.aborted) problem.value = error;
      }
    };
    onMounted(load);

    const shown = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      void badVersion.value;
      return tags.value.filter((tag) => (!properties.group || tag.group === properties.group) && (!onlyBad.value || tag.cell.quality)
        && (!wanted || `${tag.group}/${tag.tag} ${tag.description ?? ""} ${tag.address ?? ""}`.toLowerCase().includes(wanted)));
    });

    let unsubscribe = () => {};
    let subscribed = "";
    let timer = 0;
    const follow = (rows) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const wanted = [...rows];
        const chosen = tags.value.find((tag) => tag.path === properties.selected);
        if (chosen && !wanted.includes(chosen)) wanted.push(chosen);
        const key = wanted.map((tag) => tag.path).join("\n");
        if (key === subscribed) return;
        subscribed = key;
        unsubscribe();
        unsubscribe = subscribeTags(wanted.map((tag) => tag.path), (index, timestamp, value, code) => {
          const { cell } = wanted[index] ?? {};
          if (!cell) return;
          cell.value = value;
          cell.timestamp = timestamp;
          if (cell.quality !== (code ?? null)) { cell.quality = code ?? null; cell.fault = null; badVersion.value++; }
        });
      }, SCROLL_REST_MILLISECONDS);
    };
    let visible = [];
    const onVisible = (rows) => { visible = rows; follow(rows); };
    watch(() => properties.selected, () => follow(visible));
    onBeforeUnmount(() => { abort.abort(); clearTimeout(timer); unsubscribe(); });

    const columns = computed(() => [
      { key: "tag", label: t("device.tag"), width: isNarrow.value ? "36%" : properties.selected ? undefined : "26%", sort: (tag) => tag.tag, cell: (tag) => html`<span title=${tag.description ? ownHalf(tag.description) : tag.tag}><span class="strong">${tag.tag}</span>${properties.group ? null : html`<span class="faint small"> ${tag.group}</span>`}</span>` },
      { key: "value", label: t("device.value"), width: isNarrow.value ? "auto" : "190px", right: true, sort: (tag) => tag.cell.value, cell: (tag) => html`<${Value} tag=${tag} cell=${tag.cell} />` },
      { key: "quality", label: t("device.quality"), width: "170px", narrow: false, sort: (tag) => tag.cell.quality ?? "", cell: (tag) => html`<${Quality} cell=${tag.cell} />` },
      { key: "time", label: t("device.time"), width: "124px", narrow: false, cell: (tag) => html`<${Time} cell=${tag.cell} />` },
      { key: "type", label: t("device.type"), width: "92px", narrow: false, wide: true, sort: (tag) => tag.type, cell: (tag) => html`<span class="faint small">${tag.type}</span>` },
      { key: "address", label: t("device.address"), narrow: false, wide: true, sort: (tag) => tag.address, cell: (tag) => html`<span class="mono small faint">${tag.address}</span>` },
      { key: "actions", label: "", width: isNarrow.value ? "92px" : "104px", right: true, cell: (tag) => (canWrite(tag) && may("operate")
        ? html`<button class="button small" type="button" data-test=${`write-${tag.group}/${tag.tag}`} @click=${() => emit("write", tag)}>${t("device.write")}</button>` : null) },
    ].filter((column) => !(column.wide && properties.selected)));

    return () => {
      if (total.value === null) return problem.value ? html`<section class="card table-card"><div class="card-body">${errorText(problemText(problem.value))}</div></section>` : loading();
      return html`<section class="card table-card">
        <div class="card-head">
          ${filterInput(text.value, (value) => { text.value = value; }, t("device.filter"))}
          <button class=${["button small", { on: onlyBad.value }]} type="button" aria-pressed=${String(onlyBad.value)} data-test="only-bad"
            @click=${() => { onlyBad.value = !onlyBad.value; }}>${t("device.onlyAbnormal")}</button>
          <span class="grow"></span>
          <span class="small faint nowrap hide-narrow" data-test="tag-count">${tags.value.length < total.value ? t("device.loadingTags", { n: tags.value.length, total: total.value }) : t("device.tagCount", { n: shown.value.length })}</span>
        </div>
        ${errorText(problem.value && problemText(problem.value))}
        ${shown.value.length ? html`<${DataTable} columns=${columns.value} rows=${shown.value} rowKey=${(tag) => tag.path} selected=${properties.selected ?? ""} label=${t("device.tags")}
            test="tags-table" rowProperties=${(tag) => ({ "data-row": tag.path })} onPick=${(tag) => emit("select", tag.path === properties.selected ? null : tag)} @visible=${onVisible} />`
          : total.value === 0 ? empty("devices", t("device.noTags"), t("device.noTagsText"))
          : onlyBad.value && !text.value ? empty("good", t("device.allGood"), t("device.allGoodText"))
          : empty("search", t("common.nothingMatches"), t("common.nothingMatchesText"))}
      </section>`;
    };
  },
});
