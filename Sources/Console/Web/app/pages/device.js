// One device: its tags live, how its connection does, its history, its document.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, getResource } from "../api.js";
import { command, errorText, loading, notice, stateBadge, tabs } from "../components/basics.js";
import { Code } from "../components/code.js";
import { diagnosticsView } from "../device/diagnostics.js";
import { History } from "../device/history.js";
import { IntervalDialog, readDuration } from "../device/interval.js";
import { TagPanel } from "../device/panel.js";
import { Tags } from "../device/tags.js";
import { WriteDialog } from "../device/write.js";
import { html } from "../html.js";
import { duration, number, ownHalf, problemText, t } from "../i18n.js";
import { icon } from "../icons.js";
import { subscribe } from "../live.js";
import { replace, route } from "../router.js";
import { may } from "../state.js";
import { resourceYAML } from "../yaml.js";

const HISTORY_MAX = 120;
const REFRESH_MILLISECONDS = 5000;
const TABS = ["tags", "diagnostics", "history", "yaml"];

export default defineComponent({
  setup() {
    const name = route.rest[0];
    const resource = shallowRef(null);
    const problem = ref(null);
    const diagnostics = shallowRef(null);
    const trips = shallowRef([]);
    const tab = ref(TABS.includes(route.query.tab) ? route.query.tab : "tags");
    const group = ref(null);
    const selected = shallowRef(null);
    const writing = shallowRef(null);
    const editing = ref(null);
    let gone = false;
    let timer = 0;

    const load = async () => {
      clearTimeout(timer);
      try {
        if (!document.hidden && !editing.value) resource.value = await getResource("devices", name);
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    const take = (fresh) => {
      diagnostics.value = fresh;
      trips.value = [...trips.value.slice(-HISTORY_MAX + 1), [Date.now(), fresh.state === "connected" ? fresh.roundTripMilliseconds?.last ?? null : null]];
    };
    get(`/devices/${encodeURIComponent(name)}/diagnostics`).then(take, () => { /* the live one follows */ });
    const stop = subscribe({ device: name }, (message) => message.diagnostics && take(message.diagnostics));
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); stop(); });

    watch(() => route.query.tab, (wanted) => { if (route.section === "devices" && route.rest[0] === name) tab.value = TABS.includes(wanted) ? wanted : "tags"; });
    watch(tab, () => replace("devices", name, tab.value === "tags" ? {} : { tab: tab.value }));
    // A tag named in the address is chosen as soon as the list has it.
    const onLoaded = (tags) => {
      if (!route.query.tag || selected.value) return;
      const path = `${name}/${route.query.tag}`;
      selected.value = tags.find((tag) => tag.path === path) ?? null;
    };

    const groups = computed(() => {
      const measured = Object.fromEntries((diagnostics.value?.groups ?? []).map((one) => [one.name, one]));
      return (resource.value?.spec.groups ?? []).map((one) => ({
        name: one.name, tags: one.tags?.length ?? measured[one.name]?.tags ?? 0,
        interval: readDuration(one.interval) ?? measured[one.name]?.intervalMilliseconds ?? null, bad: measured[one.name]?.bad ?? 0,
      }));
    });

    const groupChip = (one) => html`<div class=${["group", { on: group.value === one.name }]} key=${one.name} data-test=${"group-" + one.name} data-interval=${one.interval}>
      <button type="button" aria-pressed=${String(group.value === one.name)} @click=${() => { group.value = group.value === one.name ? null : one.name; }}>
        <b>${one.name}</b><span class="small">${t("device.tagCount", { n: one.tags })}${one.bad ? html`<span class="quality bad"> · ${t("overview.badTags", { n: one.bad })}</span>` : null}</span></button>
      <button class="edit" type="button" disabled=${!may("configure")} data-test=${"edit-interval-" + one.name} title=${t("interval.title", { group: one.name })} @click=${() => { editing.value = one.name; }}>
        ${icon("clock", 15)}<span class="num">${duration(one.interval)}</span>${may("configure") ? icon("edit", 14) : null}</button></div>`;

    const tagsTab = () => html`<>
      <div class="groups" role="group" aria-label=${t("devices.groups")}>
        <div class=${["group", { on: group.value === null }]}><button type="button" aria-pressed=${String(group.value === null)} @click=${() => { group.value = null; }}>
          <b>${t("device.allGroups")}</b><span class="small">${t("device.tagCount", { n: groups.value.reduce((sum, one) => sum + one.tags, 0) })}</span></button></div>
        ${groups.value.map(groupChip)}</div>
      <div class=${["device-columns", { "with-panel": selected.value }]}>
        <${Tags} device=${name} group=${group.value} selected=${selected.value?.path} @select=${(tag) => { selected.value = tag; }} @write=${(tag) => { writing.value = tag; }} @loaded=${onLoaded} />
        ${selected.value ? html`<${TagPanel} tag=${selected.value} @close=${() => { selected.value = null; }} @write=${(tag) => { writing.value = tag; }} />` : null}
      </div></>`;

    const body = () => {
      if (tab.value === "diagnostics") return diagnostics.value ? diagnosticsView(diagnostics.value, trips.value) : loading();
      if (tab.value === "history") return html`<${History} plural="devices" kind="device" name=${name} @changed=${load} />`;
      if (tab.value === "yaml") return html`<div class="stack"><${Code} text=${resourceYAML(resource.value).trimEnd()} test="yaml" label=${t("device.yaml")} />${command(`tundish get device ${name} -o yaml`)}</div>`;
      return tagsTab();
    };

    return () => {
      if (!resource.value) return problem.value ? html`<div class="page">${notice("bad", problemText(problem.value), html`<a class="button small" href="#/devices">${t("nav.devices")}</a>`)}</div>` : loading();
      const { status, spec } = resource.value;
      const state = diagnostics.value?.state ?? status.state;
      return html`<div class=${["page", { fill: tab.value === "tags" }]}>
        <div class="device-head"><span data-test="device-state" data-state=${state}>${stateBadge(state)}</span>
          <span class="muted">${spec.driver}</span><span class="mono small muted">${diagnostics.value?.endpoint ?? ""}</span>
          ${diagnostics.value ? html`<span class="small muted nowrap hide-narrow">${t("device.roundTrip", { time: duration(diagnostics.value.roundTripMilliseconds?.mean) })}</span>` : null}
          <span class="grow small muted truncate hide-narrow" title=${ownHalf(spec.description)}>${ownHalf(spec.description)}</span><span class="small faint hide-narrow">${t("history.revision", { revision: number(resource.value.revision) })}</span></div>
        ${status.state !== "running" && status.message ? notice(status.state === "failed" ? "bad" : "warn", problemText(status)) : null}
        ${problem.value ? errorText(problemText(problem.value)) : null}
        ${tabs(TABS.map((value) => ({ value, label: t("device.tab." + value) })), tab.value, (value) => { tab.value = value; })}
        ${body()}
        ${writing.value ? html`<${WriteDialog} tag=${writing.value} @close=${() => { writing.value = null; }} />` : null}
        ${editing.value ? html`<${IntervalDialog} resource=${resource.value} group=${editing.value} @close=${() => { editing.value = null; load(); }} @saved=${(saved) => { if (saved?.spec) resource.value = saved; }} />` : null}
      </div>`;
    };
  },
});
