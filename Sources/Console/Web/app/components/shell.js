// What surrounds every page: navigation, header, the state of the connection, toasts, search.

import { defineComponent, onBeforeUnmount, onMounted, ref, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { post } from "../api.js";
import { html } from "../html.js";
import { languages, relative, t } from "../i18n.js";
import { icon, logo } from "../icons.js";
import { liveState, lostAt, retryNow, stopLive } from "../live.js";
import { go, link, route } from "../router.js";
import { closeToast, preferences, session, toasts } from "../state.js";
import { Dialog, Question } from "./dialog.js";
import { Search } from "./search.js";

const sections = ["overview", "devices", "trends", "rules", "alarms", "mqtt", "settings"];
const inBar = ["overview", "devices", "trends", "alarms"];
const pathOf = (section) => (section === "overview" ? "#/" : link(section));
const isCurrent = (section) => (route.section || "overview") === section;
const current = (section) => (isCurrent(section) ? "page" : null);

const themes = ["auto", "light", "dark"];
const themeIcons = { auto: "auto", light: "sun", dark: "moon" };

function nextTheme() {
  preferences.theme = themes[(themes.indexOf(preferences.theme) + 1) % themes.length];
}

export function languageButton() {
  const other = preferences.language === "zh" ? "en" : "zh";
  return html`<button class="icon-button text" type="button" data-test="language-switch" data-language=${preferences.language} lang=${other === "zh" ? "zh-CN" : "en"}
    title=${languages[other]} aria-label=${languages[other]} @click=${() => { preferences.language = other; }}>${other === "zh" ? "中文" : "EN"}</button>`;
}

export function themeButton() {
  const label = t("theme.label") + ": " + t("theme." + preferences.theme);
  return html`<button class="icon-button" type="button" data-test="theme-switch" data-theme-choice=${preferences.theme} title=${label} aria-label=${label}
    @click=${nextTheme}>${icon(themeIcons[preferences.theme])}</button>`;
}

export async function signOut() {
  try { await post("/logout", {}); } finally {
    session.authenticated = false;
    stopLive();
    go("login");
  }
}

function navigation() {
  return html`<nav class="nav" aria-label=${t("nav.label")}>
    <a class="nav-brand" href="#/" aria-label="Tundish">${logo(30)}<span>Tundish</span></a>
    ${sections.slice(0, -1).map((section) => html`<a class="nav-link" key=${section} href=${pathOf(section)} aria-current=${current(section)}
      data-test=${"nav-" + section} title=${t("nav." + section)}>${icon(section)}<span>${t("nav." + section)}</span></a>`)}
    <div class="nav-spacer"></div>
    <a class="nav-link" href=${link("settings")} aria-current=${current("settings")} data-test="nav-settings" title=${t("nav.settings")}>${icon("settings")}<span>${t("nav.settings")}</span></a>
    <div class="nav-foot"><button class="nav-link" type="button" aria-label=${t(preferences.nav === "rail" ? "nav.expand" : "nav.collapse")}
      @click=${() => { preferences.nav = preferences.nav === "rail" ? "wide" : "rail"; }}>${icon(preferences.nav === "rail" ? "wide" : "narrow")}<span>${t("nav.collapse")}</span></button></div>
  </nav>`;
}

function title() {
  const section = route.section || "overview";
  const name = route.rest[0];
  const label = sections.includes(section) ? t("nav." + section) : t("nav.unknown");
  if (!name) return html`<h1 class="header-title">${label}</h1>`;
  return html`<h1 class="header-title"><a href=${pathOf(section)}>${label}</a><span class="sep">/</span>${name}</h1>`;
}

function connection() {
  const state = liveState.value;
  return html`<div class=${["connection", state]} role="status" data-test="connection" data-state=${state} title=${t("connection." + state)}>
    <i></i><span>${t("connection." + state)}</span></div>`;
}

function lostBanner() {
  if (liveState.value !== "lost") return null;
  return html`<div class="lost-banner" role="alert" data-test="connection-lost">${icon("warn")}
    <span class="grow">${t("connection.lostText", { since: relative(lostAt.value) })}</span>
    <button class="button small" type="button" @click=${retryNow}>${t("connection.retry")}</button></div>`;
}

export function toastList() {
  return html`<div class="toasts" aria-live="polite">${toasts.map((entry) => html`
    <div class=${["toast", entry.kind]} key=${entry.id} data-test="toast" data-kind=${entry.kind} role=${entry.kind === "error" ? "alert" : "status"}>
      ${icon({ ok: "good", error: "error" }[entry.kind] ?? "info")}<span>${entry.text}</span>
      <button class="icon-button small" type="button" aria-label=${t("common.close")} @click=${() => closeToast(entry.id)}>${icon("close", 15)}</button>
    </div>`)}</div>`;
}

export const Shell = defineComponent({
  setup(_, { slots }) {
    const searching = ref(false);
    const more = ref(false);
    const main = ref(null);

    const key = (event) => {
      const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable;
      const wanted = (event.key === "/" && !inField) || (event.key === "k" && (event.ctrlKey || event.metaKey));
      if (!wanted || document.querySelector(".scrim")) return;
      event.preventDefault();
      searching.value = true;
    };
    onMounted(() => addEventListener("keydown", key));
    onBeforeUnmount(() => removeEventListener("keydown", key));
    watch(() => route.path, () => { more.value = false; main.value?.scrollTo(0, 0); });

    const bottomBar = () => html`<nav class="bottom-bar" aria-label=${t("nav.label")}>
      ${inBar.map((section) => html`<a key=${section} href=${pathOf(section)} aria-current=${current(section)} data-test=${"bar-" + section}>${icon(section, 21)}${t("nav." + section)}</a>`)}
      <button type="button" aria-current=${inBar.some(isCurrent) ? null : "page"} data-test="bar-more" @click=${() => { more.value = true; }}>${icon("more", 21)}${t("nav.more")}</button>
    </nav>`;

    const moreSheet = () => html`<${Dialog} title=${t("nav.more")} test="more" @close=${() => { more.value = false; }}>
      <div class="sheet-links">${sections.filter((section) => !inBar.includes(section)).map((section) => html`
        <a key=${section} href=${pathOf(section)} data-test=${"more-" + section}>${icon(section)}${t("nav." + section)}</a>`)}</div>
      <button class="button" type="button" @click=${signOut}>${icon("logout")}${t("login.signOut")}</button></>`;

    return () => html`<div class=${["shell", { rail: preferences.nav === "rail" }]}>
      <a class="skip" href="#main" @click=${(event) => { event.preventDefault(); main.value?.focus(); }}>${t("nav.skip")}</a>
      ${navigation()}
      <header class="header">
        ${title()}
        <button class="search-button" type="button" data-test="search" aria-label=${t("search.label")} @click=${() => { searching.value = true; }}>
          ${icon("search", 17)}<span>${t("search.label")}</span><kbd>/</kbd></button>
        ${connection()}
        <div class="row" style="gap: 2px">${languageButton()}${themeButton()}
          <button class="icon-button hide-narrow" type="button" data-test="sign-out" title=${t("login.signOutUser", { user: session.username ?? "" })}
            aria-label=${t("login.signOut")} @click=${signOut}>${icon("logout")}</button></div>
      </header>
      <main class="main" id="main" tabindex="-1" ref=${main}>${lostBanner()}${slots.default()}</main>
      ${bottomBar()}
      ${searching.value ? html`<${Search} @close=${() => { searching.value = false; }} />` : null}
      ${more.value ? moreSheet() : null}
      <${Question} />
      ${toastList()}
    </div>`;
  },
});
