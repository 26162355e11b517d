// What every page shares: who is signed in, what the person prefers, the clock, toasts and questions.

import { reactive, ref, shallowReactive, watchEffect } from "/vendor/vue/vue.esm-browser.prod.js";

/** `checked` is false until the server has been asked once. */
export const session = reactive({ checked: false, authenticated: false, username: null, roles: [], rights: [], needsSetup: false, version: "" });

/** Whether the person may do what needs that right: "read", "operate", "configure" or "administer". The server decides; this hides what it would refuse. */
export const may = (right) => session.rights.includes(right);

const stored = (key) => { try { return localStorage.getItem("tundish." + key); } catch { return null; } };
const store = (key, value) => { try { localStorage.setItem("tundish." + key, value); } catch { /* private mode: this visit only */ } };

const preferredLanguage = () => (navigator.languages ?? [navigator.language]).some((tag) => /^zh/i.test(tag)) ? "zh" : "en";

/** `language`: "en" | "zh"; `theme`: "auto" | "light" | "dark"; `nav`: "wide" | "rail". */
export const preferences = reactive({
  language: stored("language") ?? preferredLanguage(),
  theme: stored("theme") ?? "auto",
  nav: stored("nav") ?? "wide",
});

const systemDark = matchMedia("(prefers-color-scheme: dark)");
/** Whether the dark palette is on screen now; charts draw with it. */
export const isDark = ref(false);
const applyTheme = () => {
  isDark.value = preferences.theme === "dark" || (preferences.theme === "auto" && systemDark.matches);
  if (preferences.theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = preferences.theme;
};
systemDark.addEventListener("change", applyTheme);

watchEffect(() => {
  store("language", preferences.language);
  document.documentElement.lang = preferences.language === "zh" ? "zh-CN" : "en";
});
watchEffect(() => { store("theme", preferences.theme); applyTheme(); });
watchEffect(() => store("nav", preferences.nav));

export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

const narrowQuery = matchMedia("(max-width: 760px)");
/** Whether the window is as narrow as a telephone's. */
export const isNarrow = ref(narrowQuery.matches);
narrowQuery.addEventListener("change", () => { isNarrow.value = narrowQuery.matches; });

// How far this machine's clock is ahead of the server's.
let skewMilliseconds = 0;
/** Unix milliseconds by the server's clock. */
export const serverNow = () => Date.now() - skewMilliseconds;
/** Takes the time from a status. */
export function learnTime({ startedAt, uptimeSeconds }) {
  if (startedAt > 0 && uptimeSeconds >= 0) skewMilliseconds = Date.now() - (startedAt + uptimeSeconds * 1000);
}

/** The server's time, moving once a second while the page is visible: relative times follow it. */
export const now = ref(serverNow());
setInterval(() => { if (!document.hidden) now.value = serverNow(); }, 1000);

const TOASTS_MAX = 4;
export const toasts = shallowReactive([]);
let toastId = 0;

/** `kind`: "ok" | "info" | "error". Errors stay until closed. */
export function toast(kind, text, milliseconds = kind === "error" ? 0 : 5000) {
  const entry = { id: ++toastId, kind, text };
  toasts.push(entry);
  if (toasts.length > TOASTS_MAX) toasts.shift();
  if (milliseconds > 0) setTimeout(() => closeToast(entry.id), milliseconds);
}

export function closeToast(id) {
  const index = toasts.findIndex((entry) => entry.id === id);
  if (index >= 0) toasts.splice(index, 1);
}

/** The question on screen, or null. `ask` opens it; its promise resolves to true or false. */
export const question = ref(null);
export function ask({ title, text, confirm, danger = false }) {
  return new Promise((resolve) => {
    question.value = { title, text, confirm, danger, answer: (yes) => { question.value = null; resolve(yes); } };
  });
}
