// Line icons on a 20 x 20 grid, drawn with the text's colour.

import { h } from "/vendor/vue/vue.esm-browser.prod.js";

const paths = {
  overview: "M3 10.5 10 4l7 6.5M5 9v7h10V9",
  devices: "M4 4h12v5H4zM4 11h12v5H4zM7 6.5h.01M7 13.5h.01M10 6.5h3M10 13.5h3",
  trends: "M3 3v14h14M6 12l3-4 3 2.5L17 5",
  rules: "M4 5h4M4 10h3M4 15h4M12 5h4M13 10h3M12 15h4M8 5c3 0 1 5 5 5M8 15c3 0 1-5 5-5",
  alarms: "M10 3a4.5 4.5 0 0 0-4.5 4.5C5.5 12 4 13 4 13h12s-1.5-1-1.5-5.5A4.5 4.5 0 0 0 10 3zM8.5 16a1.7 1.7 0 0 0 3 0",
  mqtt: "M4 16h.01M4 11a5 5 0 0 1 5 5M4 6.5A9.5 9.5 0 0 1 13.5 16M13 4a9 9 0 0 1 3 3",
  settings: "M4 6h7M15 6h1M4 14h1M9 14h7M13 4.2v3.6M7 12.2v3.6",
  more: "M4 10h.01M10 10h.01M16 10h.01",
  search: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM12.8 12.8 16.5 16.5",
  close: "M5 5l10 10M15 5 5 15",
  check: "M4.5 10.5 8.5 14.5 15.5 6",
  warn: "M10 3.5 17.5 16.5h-15zM10 8.5v3.5M10 14.2v.1",
  error: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6.5v4M10 13.3v.1",
  info: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 9.5v4M10 6.7v.1",
  good: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM6.8 10.3l2.2 2.2 4.2-4.7",
  pause: "M7 5v10M13 5v10",
  clock: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM10 6v4l2.5 2",
  edit: "M4 16l.8-3.2L13 4.6l2.4 2.4-8.2 8.2zM11.5 6.1l2.4 2.4",
  copy: "M7 7h9v9H7zM4 13V4h9",
  up: "M10 15V5M6 9l4-4 4 4",
  down: "M10 5v10M6 11l4 4 4-4",
  right: "M7 4l6 6-6 6",
  chevron: "M5 8l5 5 5-5",
  plus: "M10 4v12M4 10h12",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM10 2v1.8M10 16.2V18M2 10h1.8M16.2 10H18M4.3 4.3l1.3 1.3M14.4 14.4l1.3 1.3M4.3 15.7l1.3-1.3M14.4 5.6l1.3-1.3",
  moon: "M16 12.2A6.5 6.5 0 0 1 7.8 4 6.5 6.5 0 1 0 16 12.2z",
  auto: "M10 3a7 7 0 1 0 0 14zM10 3a7 7 0 0 1 0 14",
  historian: "M4 6c0-1.6 2.7-2.5 6-2.5s6 .9 6 2.5-2.7 2.5-6 2.5S4 7.6 4 6zM4 6v8c0 1.6 2.7 2.5 6 2.5s6-.9 6-2.5V6M4 10c0 1.6 2.7 2.5 6 2.5s6-.9 6-2.5",
  bus: "M3 10h14M6 10V5M10 10V5M14 10V5M8 10v5M12 10v5",
  live: "M10 8.5a1.5 1.5 0 1 0 0 3 1.5 1.5 0 0 0 0-3zM6.5 13.5a5 5 0 0 1 0-7M13.5 6.5a5 5 0 0 1 0 7M4 16a8.5 8.5 0 0 1 0-12M16 4a8.5 8.5 0 0 1 0 12",
  write: "M4 10h9M9.5 6.5 13 10l-3.5 3.5M16 4v12",
  history: "M4 10a6 6 0 1 1 1.8 4.3M4 15v-3h3M10 7v3.3l2 1.5",
  logout: "M9 4H4v12h5M8 10h9M14 7l3 3-3 3",
  narrow: "M12 5l-5 5 5 5M16 4v12",
  wide: "M8 5l5 5-5 5M4 4v12",
  home: "M4 15.5V8.5L10 4l6 4.5v7z",
  pan: "M3 10h14M6 7l-3 3 3 3M14 7l3 3-3 3",
  zoomOut: "M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4zM12.8 12.8 16.5 16.5M7 9h4",
};

/** An inline icon; without a label it is hidden from screen readers. */
export function icon(name, size = 18) {
  return h("svg", {
    viewBox: "0 0 20 20", width: size, height: size, fill: "none", stroke: "currentColor", "stroke-width": 1.7,
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  }, [h("path", { d: paths[name] ?? paths.info })]);
}

/** The vessel with what flows in and out. */
export function logo(size = 28) {
  return h("svg", { viewBox: "0 0 32 32", width: size, height: size, "aria-hidden": "true" }, [
    h("rect", { width: 32, height: 32, rx: 8, fill: "#1d4f8f" }),
    h("path", { d: "M6 9h20l-3.2 9.2a2 2 0 0 1-1.9 1.3H11.1a2 2 0 0 1-1.9-1.3z", fill: "#fff" }),
    h("path", { d: "M12 19.5v5M20 19.5v5M16 4v3", stroke: "#ffb454", "stroke-width": 2.6, "stroke-linecap": "round" }),
  ]);
}
