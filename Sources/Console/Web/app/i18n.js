// Words, numbers and times in the reader's language.

import en from "../i18n/en.js";
import zh from "../i18n/zh.js";
import { now, preferences } from "./state.js";

const dictionaries = { en, zh };
export const languages = { en: "English", zh: "中文" };

const find = (dictionary, key) => key.split(".").reduce((node, part) => node?.[part], dictionary);
const locale = () => (preferences.language === "zh" ? "zh-CN" : "en-GB");

/** The text of a key; `{name}` in it becomes an argument. `{one, other}` are chosen by the argument `n`. */
export function t(key, values) {
  let text = find(dictionaries[preferences.language], key) ?? find(en, key);
  if (text === undefined) return key;
  if (typeof text === "object") text = text[new Intl.PluralRules(locale()).select(Number(values?.n ?? 0))] ?? text.other;
  return fill(text, values);
}

export const hasText = (key) => find(en, key) !== undefined;

function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values?.[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : String(value);
  });
}

/** The sentence of a problem or status: by its code in the reader's language, else the server's English one. */
export function problemText(problem) {
  if (!problem) return "";
  const values = { ...problem.arguments };
  if (hasText("kind." + values.kind)) values.kind = t("kind." + values.kind);
  if (values.right && hasText("rights." + values.right)) values.right = t("rights." + values.right);
  if (values.state && hasText("alarms.states." + values.state)) values.state = t("alarms.states." + values.state);
  // Several texts for a code: the first whose arguments are all there.
  const texts = [dictionaries[preferences.language].problems[problem.code] ?? []].flat();
  const text = texts.find((candidate) => [...candidate.matchAll(/\{(\w+)\}/g)].every(([, name]) => values[name] !== undefined));
  if (text) return fill(text, values);
  return problem.message || problem.detail || problem.title || (problem.code ? qualityText(problem.code) : t("common.unknownError"));
}

/** A quality or error code as a short phrase. */
export function qualityText(code) {
  if (!code) return t("quality.good");
  return dictionaries[preferences.language].qualities[code] ?? en.qualities[code] ?? code;
}

/** Descriptions are often written as "English / 中文": the reader's half, or all of it. */
export function ownHalf(text) {
  const halves = (text ?? "").split(" / ");
  const isChinese = halves.map((half) => /[\u3400-\u9fff]/.test(half));
  if (halves.length !== 2 || isChinese[0] === isChinese[1]) return text ?? "";
  return halves[isChinese[0] === (preferences.language === "zh") ? 0 : 1];
}

// Formatters are costly to make: one per language and kind.
const formatters = new Map();
function formatter(Kind, options) {
  const key = locale() + Kind.name + JSON.stringify(options);
  let made = formatters.get(key);
  if (!made) formatters.set(key, (made = new Kind(locale(), options)));
  return made;
}

export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return formatter(Intl.NumberFormat, { maximumFractionDigits: digits }).format(value);
}

/** 12,345 -> "12.3k": for headlines. */
export function compact(value) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) < 10000) return number(value, Math.abs(value) < 10 ? 1 : 0);
  return formatter(Intl.NumberFormat, { notation: "compact", maximumSignificantDigits: 3 }).format(value).replace("m", "M");
}

export function percent(fraction) {
  return formatter(Intl.NumberFormat, { style: "percent", maximumFractionDigits: 1 }).format(fraction);
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (value >= 1024 && step < units.length - 1) { value /= 1024; step++; }
  return `${number(value, value < 10 && step > 0 ? 1 : 0)} ${units[step]}`;
}

/** A length of time: 250 ms, 5 s, 2 h 5 min. */
export function duration(milliseconds) {
  if (milliseconds === null || milliseconds === undefined) return "–";
  if (milliseconds < 1000) return `${number(milliseconds, milliseconds < 10 ? 1 : 0)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${number(seconds, seconds < 10 ? 1 : 0)} ${t("units.s")}`;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const words = [];
  let rest = Math.round(seconds);
  for (const [size, unit] of parts) {
    if (rest >= size && words.length < 2) { words.push(`${number(Math.floor(rest / size))} ${t("units." + unit)}`); rest %= size; }
    else if (words.length) break;
  }
  return words.join(" ");
}

/** "3 minutes ago", following the clock. */
export function relative(at) {
  if (!at) return "–";
  const seconds = Math.round((at - now.value) / 1000);
  if (Math.abs(seconds) < 2) return t("time.now");
  const format = formatter(Intl.RelativeTimeFormat, { numeric: "auto", style: "short" });
  for (const [size, unit] of [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]]) {
    if (Math.abs(seconds) >= size) return format.format(Math.trunc(seconds / size), unit);
  }
}

export function clock(at, withMilliseconds = false) {
  if (!at) return "–";
  return formatter(Intl.DateTimeFormat, {
    hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
    ...(withMilliseconds ? { fractionalSecondDigits: 3 } : {}),
  }).format(at);
}

export function dateTime(at) {
  if (!at) return "–";
  return formatter(Intl.DateTimeFormat, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  }).format(at);
}

/** A tag's value as its type is read: floats to the digits that they carry. */
export function valueText(value, type = "") {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return t(value ? "value.true" : "value.false");
  if (typeof value === "bigint") return formatter(Intl.NumberFormat, {}).format(value);
  if (typeof value === "number") {
    if (type === "timestamp") return dateTime(value);
    if (Number.isInteger(value)) return number(value);
    const size = Math.abs(value);
    if (size >= 1e9 || size < 1e-4) return value.toExponential(4);
    const digits = Math.max(0, (type.startsWith("float64") ? 8 : 6) - Math.max(1, Math.ceil(Math.log10(size))));
    return number(value, Math.min(digits, size >= 100 ? 2 : size >= 1 ? 3 : 5));
  }
  if (Array.isArray(value)) return value.map((item) => valueText(item, type)).join(", ");
  return String(value);
}
