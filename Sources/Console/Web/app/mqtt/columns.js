// The columns of the broker's tables.

import { badge } from "../components/basics.js";
import { html } from "../html.js";
import { bytes, compact, dateTime, hasText, number, relative, t } from "../i18n.js";

const plain = (key, label, options = {}) => ({ key, label, sort: (item) => item[key], cell: (item) => item[key] ?? "–", ...options });
const count = (key, label, options = {}) => plain(key, label, { right: true, width: "80px", narrowWidth: "70px", cell: (item) => compact(item[key]), ...options });
const mono = (key) => (item) => html`<span class="mono" title=${item[key]}>${item[key]}</span>`;
export const actionText = (action) => t("mqtt.action." + action);

export const keys = {
  clients: (item) => item.clientId, subscriptions: (item) => item.clientId + "\n" + item.filter, retained: (item) => item.topic,
  refusals: (item) => item.key,
};

export const columns = {
  clients: () => [
    plain("clientId", t("mqtt.client"), { width: "15%", cell: (item) => html`<span class=${["strong", { muted: item.state !== "connected" }]} title=${item.clientId}>${item.clientId}</span>` }),
    plain("state", t("devices.state"), { width: "118px", narrow: false, cell: (item) => badge(item.state === "connected" ? "good" : "", t("state." + item.state)) }),
    plain("username", t("mqtt.user"), { width: "80px", narrow: false }),
    plain("protocol", t("mqtt.protocol"), { width: "66px", narrow: false, cell: (item) => String(item.protocol).replace(/^MQTT\s*/i, "") }),
    plain("peer", t("mqtt.peer"), { narrow: false, cell: (item) => html`<span class="mono small" title=${item.peer}>${item.peer ?? "–"}</span>` }),
    plain("listener", t("mqtt.listener"), { width: "80px", narrow: false }),
    plain("connectedAt", t("mqtt.since"), { width: "108px", narrow: false, sort: (item) => -(item.connectedAt ?? 0), cell: (item) => html`<span class="small" title=${item.connectedAt ? dateTime(item.connectedAt) : null}>${relative(item.connectedAt)}</span>` }),
    count("subscriptions", t("mqtt.subscriptions"), { narrow: false, width: "72px" }), count("received", t("mqtt.received")), count("sent", t("mqtt.sent")),
    count("queued", t("mqtt.queued"), { narrow: false, cell: (item) => (item.queued > 0 ? badge("warn", number(item.queued)) : "0") }),
    count("dropped", t("mqtt.dropped"), { narrow: false, cell: (item) => (item.dropped > 0 ? badge("bad", number(item.dropped)) : "0") }),
  ],
  subscriptions: () => [
    plain("filter", t("mqtt.filter"), { cell: mono("filter") }),
    plain("clientId", t("mqtt.client"), { width: "26%", narrowWidth: "116px" }),
    plain("qos", "QoS", { width: "64px", narrowWidth: "48px", right: true }),
    plain("share", t("mqtt.share"), { width: "120px", narrow: false }),
    plain("options", t("mqtt.options"), { width: "230px", narrow: false, sort: undefined, cell: (item) => html`<span class="small muted">${subscriptionOptions(item) || "–"}</span>` }),
  ],
  retained: () => [
    plain("topic", t("mqtt.topic"), { width: "34%", cell: mono("topic") }),
    plain("payload", t("mqtt.payload"), { sort: undefined, cell: (item) => html`<span class="mono small">${item.payload.slice(0, 300)}</span>` }),
    plain("bytes", t("mqtt.size"), { width: "96px", right: true, narrow: false, sort: payloadBytes, cell: (item) => bytes(payloadBytes(item)) }),
    plain("qos", "QoS", { width: "64px", right: true, narrow: false }),
    plain("at", t("device.time"), { width: "120px", right: true, narrow: false, sort: (item) => -item.at, cell: (item) => html`<span class="small" title=${dateTime(item.at)}>${relative(item.at)}</span>` }),
  ],
  refusals: () => [
    plain("at", t("mqtt.when"), { width: "122px", narrowWidth: "84px", sort: (item) => -item.at, cell: (item) => html`<span class="small" title=${dateTime(item.at)}>${relative(item.at)}</span>` }),
    plain("action", t("mqtt.what"), { width: "110px", narrow: false, cell: (item) => badge("warn", actionText(item.action)) }),
    plain("clientId", t("mqtt.client"), { width: "15%", cell: (item) => html`<span class="strong" title=${item.clientId}>${item.clientId || "–"}</span>` }),
    plain("username", t("mqtt.user"), { width: "100px", narrow: false }),
    plain("peer", t("mqtt.peer"), { width: "150px", narrow: false, cell: (item) => html`<span class="mono small">${item.peer}</span>` }),
    plain("cause", t("mqtt.reason"), { width: "190px", narrowWidth: "130px", cell: (item) => html`<span title=${item.cause}>${causeText(item.cause)}</span>` }),
    plain("detail", t("mqtt.detail"), { narrow: false, cell: (item) => html`<span class="small" title=${item.detail}>${item.detail || "–"}</span>` }),
    plain("by", t("mqtt.by"), { width: "110px", narrow: false, cell: (item) => html`<span class="small muted" title=${item.by}>${item.by || "–"}</span>` }),
  ],
};

export const payloadBytes = (item) => item.bytes ?? (item.encoding === "base64" ? Math.floor(item.payload.length * 3 / 4) - (/=*$/.exec(item.payload)[0].length) : new TextEncoder().encode(item.payload).length);

/** What a subscription asked for beside its QoS. */
export function subscriptionOptions(item) {
  return [item.noLocal && t("mqtt.noLocal"), item.retainAsPublished && t("mqtt.retainAsPublished"), item.retainHandling ? t("mqtt.retainHandling." + item.retainHandling) : null,
    item.subscriptionId && t("mqtt.subscriptionId", { id: String(item.subscriptionId) })].filter(Boolean).join(" · ");
}

/** A cause of the broker's own words, in the reader's. */
export const causeText = (cause) => (hasText("mqtt.cause." + cause) ? t("mqtt.cause." + cause) : cause.replaceAll("_", " "));
