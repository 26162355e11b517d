// How the conversation with the device goes: round trips, counters, cycles of each group.

import { html } from "../html.js";
import { badge, errorText, stateBadge } from "../components/basics.js";
import { sparkline } from "../components/sparkline.js";
import { bytes, clock, duration, hasText, number, problemText, relative, t } from "../i18n.js";

const countersWithBytes = new Set(["bytesSent", "bytesReceived"]);
const alarming = new Set(["timeouts", "errors", "dropped", "refused"]);

/** `diagnostics`: the server's; `history`: [[time, round trip in ms]]. */
export function diagnosticsView(diagnostics, history) {
  const { roundTripMilliseconds: trip = {}, counters = {}, groups = [], lastError } = diagnostics;
  const counter = ([name, value]) => html`<><dt>${hasText("counter." + name) ? t("counter." + name) : name}</dt>
    <dd class=${alarming.has(name) && value > 0 ? "strong" : null}>${countersWithBytes.has(name) ? bytes(value) : number(value)}</dd></>`;
  const skippedTotal = groups.reduce((sum, group) => sum + (group.skipped ?? 0), 0);
  return html`<div class="stack" data-test="diagnostics">
    <div class="diagnostics">
      <section class="card"><div class="card-head"><h2 class="grow">${t("diagnostics.connection")}</h2>${stateBadge(diagnostics.state)}</div><div class="card-body">
        <dl class="facts"><dt>${t("devices.driver")}</dt><dd>${diagnostics.driver}</dd><dt>${t("devices.endpoint")}</dt><dd class="mono">${diagnostics.endpoint}</dd>
          <dt>${t("diagnostics.since")}</dt><dd>${relative(diagnostics.since)}</dd>
          ${lastError ? html`<><dt>${t("diagnostics.lastErrorAt")}</dt><dd>${relative(lastError.at)}</dd></>` : null}</dl>
        ${lastError ? html`<div class="diagnostics-error">${errorText(problemText(lastError))}</div>` : null}</div></section>
      <section class="card"><div class="card-head"><h2>${t("diagnostics.roundTrip")}</h2></div><div class="card-body">
        <div class="big-figures"><div><b class="num">${duration(trip.last)}</b><span>${t("diagnostics.last")}</span></div><div><b class="num">${duration(trip.mean)}</b><span>${t("diagnostics.mean")}</span></div>
          <div><b class="num">${duration(trip.max)}</b><span>${t("diagnostics.max")}</span></div></div>
        ${sparkline(history, { width: 300, height: 54, label: t("diagnostics.roundTrip") })}</div></section>
      <section class="card"><div class="card-head"><h2>${t("diagnostics.counters")}</h2></div><div class="card-body"><dl class="facts">${Object.entries(counters).map(counter)}</dl></div></section>
    </div>
    <section class="card"><div class="card-head"><h2 class="grow">${t("diagnostics.groups")}</h2>${skippedTotal > 0 ? badge("warn", t("diagnostics.skippedTotal", { n: skippedTotal })) : null}</div>
      <div class="table-scroll flat"><table class="table free"><thead><tr>
        <th scope="col">${t("device.group")}</th><th scope="col" class="right">${t("diagnostics.interval")}</th><th scope="col" class="right">${t("devices.tags")}</th>
        <th scope="col" class="right">${t("diagnostics.bad")}</th><th scope="col" class="right">${t("diagnostics.cycles")}</th><th scope="col" class="right">${t("diagnostics.skipped")}</th>
        <th scope="col" class="right">${t("diagnostics.requestsPerCycle")}</th><th scope="col" class="right">${t("diagnostics.cycleTime")}</th><th scope="col" class="right">${t("diagnostics.lastCycle")}</th>
        <th scope="col">${t("diagnostics.topic")}</th></tr></thead>
        <tbody>${groups.map((group) => html`<tr key=${group.name}><td class="strong">${group.name}</td><td class="right num">${duration(group.intervalMilliseconds)}</td><td class="right num">${number(group.tags)}</td>
          <td class="right num">${group.bad > 0 ? badge("bad", number(group.bad)) : "0"}</td><td class="right num">${number(group.cycles)}</td><td class="right num">${group.skipped > 0 ? badge("warn", number(group.skipped)) : "0"}</td>
          <td class="right num">${number(group.requestsPerCycle, 1)}</td><td class="right num">${duration(group.lastCycleMilliseconds)}</td><td class="right num">${clock(group.lastCycleAt)}</td>
          <td class="mono small faint">${group.topic}</td></tr>`)}</tbody></table></div></section>
  </div>`;
}
