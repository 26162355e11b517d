// Listeners as they run: who is connected, who was refused and why connections ended.

import { badge, notice } from "../components/basics.js";
import { html } from "../html.js";
import { compact, dateTime, number, problemText, relative, t } from "../i18n.js";
import { causeText } from "./columns.js";

const figure = (label, value, kind) => html`<div class="kpi"><span class="kpi-label">${label}</span><span class=${["kpi-value num", kind]}>${value}</span></div>`;
const normal = new Set(["client", "taken_over", "server_stopping", "kicked"]);

function card(listener) {
  const causes = Object.entries(listener.closed).sort(([, a], [, b]) => b - a);
  return html`<section class="card" key=${listener.name} data-test="listener" data-listener=${listener.name}>
    <div class="card-head"><h2>${listener.name}</h2><span class="mono small muted grow truncate">${listener.protocol}://${listener.address}</span></div>
    <div class="kpis listener-kpis">${figure(t("mqtt.connections"), number(listener.connections))}${figure(t("mqtt.halfOpen"), number(listener.halfOpen))}
      ${figure(t("mqtt.accepted"), compact(listener.accepted))}${figure(t("mqtt.refused"), compact(listener.refused), listener.refused > 0 ? "warn" : "")}</div>
    <div class="card-body stack">
      ${listener.problems.map((problem) => notice("warn", problemText(problem)))}
      ${listener.certificateExpires ? html`<p class="small muted">${t("mqtt.certificateExpires")} <span title=${dateTime(listener.certificateExpires)}>${relative(listener.certificateExpires)}</span></p>` : null}
      <div><h3 class="small muted">${t("mqtt.endings")}</h3>${causes.length ? html`<ul class="cause-list">${causes.map(([cause, count]) => html`<li key=${cause}>${badge(normal.has(cause) ? "" : "warn", number(count))}<span>${causeText(cause)}</span></li>`)}</ul>`
        : html`<p class="small faint">${t("mqtt.noEndings")}</p>`}</div>
    </div></section>`;
}

export const listenersView = (listeners) => html`<div class="listener-grid">${listeners.map(card)}</div>`;
