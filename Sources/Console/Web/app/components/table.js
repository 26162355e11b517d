// A table that draws only the rows on screen: 10,000 of them scroll like 20. Sorts, selects, and tells what is visible.

import { computed, defineComponent, onBeforeUnmount, onMounted, ref, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { html } from "../html.js";
import { icon } from "../icons.js";
import { isNarrow } from "../state.js";

const OVERSCAN_ROWS = 8;

/**
 * `columns`: `{key, label, width?, narrowWidth?, right?, narrow?: false, sort?: (row) => any, cell: (row) => node}`; `narrow: false` hides it on telephones.
 * `rows`: array; `rowKey(row)`; `rowProperties(row)`: attributes of its <tr>; `onPick(row)` makes rows clickable.
 * Emits `visible` with the rows on screen whenever they change.
 */
export const DataTable = defineComponent({
  props: { columns: Array, rows: Array, rowKey: Function, rowProperties: Function, onPick: Function, selected: [String, Number], label: String, rowHeight: { type: Number, default: 36 }, sort: String, test: String },
  emits: ["visible"],
  setup(properties, { emit }) {
    const box = ref(null);
    const top = ref(0);
    const height = ref(600);
    const sortKey = ref(properties.sort ?? null);
    const descending = ref(false);

    const columns = computed(() => properties.columns.filter((column) => !(isNarrow.value && column.narrow === false)));
    const sorted = computed(() => {
      const column = properties.columns.find((candidate) => candidate.key === sortKey.value);
      if (!column?.sort) return properties.rows;
      const sign = descending.value ? -1 : 1;
      const keyed = properties.rows.map((row) => [column.sort(row), row]);
      keyed.sort(([a], [b]) => sign * compare(a, b));
      return keyed.map(([, row]) => row);
    });
    const range = computed(() => {
      const first = Math.max(0, Math.floor(top.value / properties.rowHeight) - OVERSCAN_ROWS);
      const count = Math.ceil(height.value / properties.rowHeight) + 2 * OVERSCAN_ROWS;
      const from = Math.min(first - (first % 2), Math.max(0, sorted.value.length - 1));
      return [from, Math.min(sorted.value.length, from + count)];
    });
    const visible = computed(() => sorted.value.slice(...range.value));
    watch(visible, (rows) => emit("visible", rows), { immediate: true });

    const measure = () => { if (box.value) { top.value = box.value.scrollTop; height.value = box.value.clientHeight; } };
    const observer = new ResizeObserver(measure);
    let frame = 0;
    const scroll = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(measure); };
    onMounted(() => { measure(); observer.observe(box.value); });
    onBeforeUnmount(() => { observer.disconnect(); cancelAnimationFrame(frame); });

    const sortBy = (column) => {
      if (sortKey.value === column.key) descending.value = !descending.value;
      else { sortKey.value = column.key; descending.value = false; }
    };
    const rowKeydown = (event, row) => {
      if (event.target !== event.currentTarget) return;
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); properties.onPick(row); }
      if (event.key === "ArrowDown") { event.preventDefault(); event.currentTarget.nextElementSibling?.focus(); }
      if (event.key === "ArrowUp") { event.preventDefault(); event.currentTarget.previousElementSibling?.focus(); }
    };

    const head = (column) => {
      const direction = sortKey.value === column.key ? (descending.value ? "descending" : "ascending") : null;
      return html`<th key=${column.key} scope="col" class=${{ right: column.right }} aria-sort=${direction}>${column.sort
        ? html`<button type="button" @click=${() => sortBy(column)} data-test=${"sort-" + column.key}>${column.label}${direction ? icon(descending.value ? "down" : "up", 12) : null}</button>`
        : column.label}</th>`;
    };
    const body = (row, index) => {
      const key = properties.rowKey(row);
      const pick = properties.onPick && {
        class: "clickable", tabindex: 0, onClick: (event) => { if (!event.target.closest("button, a, input")) properties.onPick(row); }, onKeydown: (event) => rowKeydown(event, row),
      };
      return html`<tr key=${key} aria-rowindex=${range.value[0] + index + 2} aria-selected=${properties.selected === undefined ? null : String(properties.selected === key)}
        ...${{ ...pick, ...properties.rowProperties?.(row) }}>${columns.value.map((column) =>
          html`<td key=${column.key} class=${[column.class, { right: column.right, num: column.right }]}>${column.cell(row)}</td>`)}</tr>`;
    };
    const spacer = (rows) => (rows > 0 ? html`<tr class="spacer" aria-hidden="true"><td colspan=${columns.value.length} style=${{ height: rows * properties.rowHeight + "px" }}></td></tr>` : null);

    return () => html`<div class="table-scroll" ref=${box} @scroll=${scroll} data-test=${properties.test}>
      <table class="table" style=${{ "--row": properties.rowHeight + "px" }} aria-label=${properties.label} aria-rowcount=${sorted.value.length + 1}>
        <colgroup>${columns.value.map((column) => html`<col key=${column.key} style=${widthOf(column)} />`)}</colgroup>
        <thead><tr aria-rowindex="1">${columns.value.map(head)}</tr></thead>
        <tbody>${spacer(range.value[0])}${visible.value.map(body)}${spacer(sorted.value.length - range.value[1])}</tbody>
      </table></div>`;
  },
});

// On a telephone shares of the width make no sense: the first column takes what the others leave.
function widthOf(column) {
  const width = isNarrow.value ? column.narrowWidth ?? (column.width?.endsWith("%") ? undefined : column.width) : column.width;
  return width ? { width } : {};
}

const collator = new Intl.Collator(undefined, { numeric: true });
function compare(a, b) {
  if (a === b) return 0;
  if (a === null || a === undefined) return 1;
  if (b === null || b === undefined) return -1;
  if (typeof a === "string" && typeof b === "string") return collator.compare(a, b);
  return a < b ? -1 : 1;
}
