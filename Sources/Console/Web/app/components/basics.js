// Small pieces without state of their own: functions from properties to nodes.

import { html } from "../html.js";
import { icon } from "../icons.js";
import { t } from "../i18n.js";
import { toast } from "../state.js";

const stateKinds = {
  running: "good", connected: "good", ok: "good", normal: "good",
  pending: "", connecting: "", stopped: "",
  degraded: "warn", warn: "warn", warning: "warn",
  failed: "bad", disconnected: "bad", error: "bad",
};
const kindIcons = { good: "good", warn: "warn", bad: "error", "": "pause" };

/** The colour of a state: "good", "warn", "bad" or "" for neither. */
export const stateKind = (state) => stateKinds[state] ?? "";

/** A state in words, with a shape beside its colour. `quiet` leaves the background out. */
export function stateBadge(state, { quiet = false, label } = {}) {
  const kind = stateKind(state);
  return html`<span class=${["badge", kind, { quiet }]} data-state=${state}>${icon(kindIcons[kind], 14)}${label ?? t("state." + state)}</span>`;
}

export function badge(kind, text) {
  return html`<span class=${["badge text", kind]}>${text}</span>`;
}

export function notice(kind, content, action) {
  const name = { bad: "error", warn: "warn", good: "good" }[kind] ?? "info";
  return html`<div class=${["notice", kind]} role=${kind === "bad" ? "alert" : "status"}>${icon(name)}<div class="grow">${content}</div>${action}</div>`;
}

/** What to say where nothing is, and what to do next. */
export function empty(name, title, text, action) {
  return html`<div class="empty" data-test="empty">${icon(name)}<b>${title}</b>${text ? html`<p>${text}</p>` : null}${action}</div>`;
}

export function loading() {
  return html`<div class="loading" role="status"><span class="spinner"></span>${t("common.loading")}</div>`;
}

export function errorText(text) {
  return text ? html`<div class="error-text" role="alert" data-test="error">${icon("error", 16)}<span>${text}</span></div>` : null;
}

/** One of few choices: `items` are `{value, label, test?}`. */
export function segmented(label, items, value, onPick) {
  return html`<div class="segmented" role="group" aria-label=${label}>${items.map((item) => html`
    <button type="button" key=${item.value} aria-pressed=${String(item.value === value)} data-test=${item.test} title=${item.title}
      @click=${() => onPick(item.value)}>${item.label}</button>`)}</div>`;
}

export function tabs(items, value, onPick) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = items[(items.findIndex((item) => item.value === value) + step + items.length) % items.length];
    onPick(next.value);
    event.currentTarget.querySelector(`[data-value="${next.value}"]`)?.focus();
  };
  return html`<div class="tabs" role="tablist" @keydown=${move}>${items.map((item) => html`
    <button type="button" role="tab" key=${item.value} data-value=${item.value} data-test=${"tab-" + item.value}
      aria-selected=${String(item.value === value)} tabindex=${item.value === value ? 0 : -1}
      @click=${() => onPick(item.value)}>${item.label}${item.count === undefined ? null : html`<span class="faint"> ${item.count}</span>`}</button>`)}</div>`;
}

export function filterInput(value, onInput, label, test = "filter") {
  return html`<div class="filter">${icon("search", 16)}<input class="input" type="search" value=${value} placeholder=${label} aria-label=${label}
    data-test=${test} autocomplete="off" spellcheck="false" @input=${(event) => onInput(event.target.value)} /></div>`;
}

/** The command line that does the same as the page. */
export function command(text) {
  return html`<div class="command"><code>${text}</code><button class="icon-button small" type="button" title=${t("common.copy")}
    aria-label=${t("common.copy")} @click=${() => copyText(text)}>${icon("copy", 16)}</button></div>`;
}

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("ok", t("common.copied"), 2000);
  } catch {
    toast("error", t("common.copyFailed"), 4000);
  }
}
