// All devices with their state.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get } from "../api.js";
import { command, empty, errorText, filterInput, loading, segmented, stateBadge } from "../components/basics.js";
import { DataTable } from "../components/table.js";
import { html } from "../html.js";
import { number, problemText, relative, t } from "../i18n.js";
import { go, link } from "../router.js";

const REFRESH_MILLISECONDS = 3000;
const order = { failed: 0, degraded: 1, pending: 2, stopped: 3, running: 4 };

const endpoint = ({ connection = {} }) =>
  connection.url ?? connection.endpoint ?? (connection.host ? `${connection.host}${connection.port ? ":" + connection.port : ""}` : connection.port ?? connection.device ?? "");
const tagCount = (spec) => (spec.groups ?? []).reduce((sum, group) => sum + (group.tags?.length ?? 0), 0);

export default defineComponent({
  setup() {
    const devices = shallowRef(null);
    const problem = ref(null);
    const text = ref("");
    const state = ref("all");
    let timer = 0;
    let gone = false;

    const load = async () => {
      try {
        if (!document.hidden) devices.value = (await get("/devices")).items.map((item) => ({ ...item, endpoint: String(endpoint(item.spec)), tags: tagCount(item.spec), state: item.status?.state ?? "pending" }));
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); });

    const shown = computed(() => {
      const wanted = text.value.trim().toLowerCase();
      return devices.value.filter((device) =>
        (state.value === "all" || (state.value === "running") === (device.state === "running"))
        && (!wanted || `${device.name} ${device.spec.driver} ${device.endpoint}`.toLowerCase().includes(wanted)));
    });
    const abnormal = computed(() => devices.value.filter((device) => device.state !== "running").length);

    const columns = computed(() => [
      { key: "name", label: t("devices.name"), width: "22%", sort: (d) => d.name, cell: (d) => html`<a class="strong" href=${link("devices", d.name)}>${d.name}</a>` },
      { key: "state", label: t("devices.state"), width: "160px", narrowWidth: "124px", sort: (d) => order[d.state] ?? 9, cell: (d) => stateBadge(d.state, { quiet: d.state === "running" }) },
      { key: "driver", label: t("devices.driver"), width: "140px", narrow: false, sort: (d) => d.spec.driver, cell: (d) => d.spec.driver },
      { key: "endpoint", label: t("devices.endpoint"), width: "190px", narrow: false, sort: (d) => d.endpoint, cell: (d) => html`<span class="mono small">${d.endpoint}</span>` },
      { key: "groups", label: t("devices.groups"), width: "90px", right: true, narrow: false, sort: (d) => d.spec.groups?.length ?? 0, cell: (d) => number(d.spec.groups?.length ?? 0) },
      { key: "tags", label: t("devices.tags"), width: "90px", narrowWidth: "84px", right: true, sort: (d) => d.tags, cell: (d) => number(d.tags) },
      { key: "message", label: t("devices.message"), narrow: false, cell: (d) => html`<span class="small muted" title=${problemText(d.status)}>${d.state === "running" ? relative(d.status?.since) : problemText(d.status)}</span>` },
    ]);

    return () => {
      if (!devices.value) return problem.value ? html`<div class="page">${errorText(problemText(problem.value))}</div>` : loading();
      if (devices.value.length === 0) {
        return html`<div class="page">${empty("devices", t("devices.emptyTitle"), t("devices.emptyText"), html`<div class="empty-command">${command("tundish apply -f plant.yaml")}</div>`)}</div>`;
      }
      return html`<div class="page fill">
        <div class="page-head">
          ${filterInput(text.value, (value) => { text.value = value; }, t("devices.filter"))}
          ${segmented(t("devices.state"), [
            { value: "all", label: `${t("devices.all")} ${number(devices.value.length)}`, test: "state-filter-all" },
            { value: "running", label: `${t("state.running")} ${number(devices.value.length - abnormal.value)}`, test: "state-filter-running" },
            { value: "abnormal", label: `${t("devices.abnormal")} ${number(abnormal.value)}`, test: "state-filter-abnormal" },
          ], state.value, (value) => { state.value = value; })}
          ${errorText(problem.value && problemText(problem.value))}
        </div>
        <section class="card table-card">${shown.value.length
          ? html`<${DataTable} columns=${columns.value} rows=${shown.value} rowKey=${(d) => d.name} label=${t("nav.devices")} sort="name" test="devices-table"
              rowProperties=${(d) => ({ "data-device": d.name, "data-state": d.state })} onPick=${(d) => go("devices", d.name)} />`
          : empty("search", t("common.nothingMatches"), t("common.nothingMatchesText"), html`<button class="button" type="button" @click=${() => { text.value = ""; state.value = "all"; }}>${t("common.clearFilter")}</button>`)}</section>
      </div>`;
    };
  },
});
