// The hash router: `#/devices/press-1?tab=tags`. Which page belongs to an address stands in pages.js.

import { reactive } from "/vendor/vue/vue.esm-browser.prod.js";

/** `section` is the first part of the path; `rest` the decoded others; `query` a plain object. */
export const route = reactive({ path: "/", section: "", rest: [], query: {} });

function read() {
  const [path, search = ""] = (location.hash.slice(1) || "/").split("?");
  const parts = path.split("/").filter(Boolean).map(safeDecode);
  route.path = path;
  route.section = parts[0] ?? "";
  route.rest = parts.slice(1);
  route.query = Object.fromEntries(new URLSearchParams(search));
}

function safeDecode(text) {
  try { return decodeURIComponent(text); } catch { return text; }
}

addEventListener("hashchange", read);
read();

export function link(...parts) {
  const last = parts[parts.length - 1];
  const query = last !== null && typeof last === "object" ? parts.pop() : null;
  const path = "#/" + parts.map(encodeURIComponent).join("/");
  if (!query) return path;
  const search = new URLSearchParams(Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== ""));
  return search.size ? path + "?" + search : path;
}

export function go(...parts) {
  location.hash = link(...parts);
}

/** Changes the address without an entry in the browser's history. */
export function replace(...parts) {
  history.replaceState(null, "", link(...parts));
  read();
}
