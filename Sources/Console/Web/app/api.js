// Requests to the server. Everything that goes wrong becomes an ApiProblem with a stable code.

import { session } from "./state.js";

/** An RFC 9457 problem: `code` is stable, `arguments` are what its sentence names, `issues` are places in a document. */
export class ApiProblem extends Error {
  constructor({ code, detail, title, status = 0, arguments: values = {}, issues = [] }) {
    super(detail || title || code);
    this.code = code;
    this.status = status;
    this.arguments = values;
    this.issues = issues;
  }
}

const TIMEOUT_MILLISECONDS = 20000;

// Integers that a double cannot hold come as BigInt, where the browser gives the source text of a number.
const BIG_INTEGER = /[:[,]\s*-?\d{16,}\s*[,\]}]/;
export function parseJSON(text) {
  if (!BIG_INTEGER.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "") ? BigInt(context.source) : value);
}

/** JSON with BigInt written as the exact number. */
export function writeJSON(value) {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return "[" + value.map((item) => writeJSON(item ?? null)).join(",") + "]";
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).filter(([, item]) => item !== undefined);
    return "{" + members.map(([key, item]) => JSON.stringify(key) + ":" + writeJSON(item)).join(",") + "}";
  }
  return JSON.stringify(value);
}

/** Resolves to `{ body, etag }`. */
export async function request(method, path, { body, headers = {}, raw, signal } = {}) {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MILLISECONDS);
  signal?.addEventListener("abort", () => timeout.abort());
  const all = { Accept: "application/json", ...headers };
  if (method !== "GET") all["X-Tundish-Request"] = "1";
  if (body !== undefined) all["Content-Type"] ??= "application/json";
  let response, text;
  try {
    response = await fetch("/api/v1" + path, {
      method, headers: all, credentials: "same-origin", cache: "no-store", signal: timeout.signal,
      body: body === undefined ? undefined : raw ? body : writeJSON(body),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiProblem({ code: timeout.signal.aborted ? "console.timeout" : "console.unreachable", detail: String(error.message ?? error) });
  } finally {
    clearTimeout(timer);
  }
  let parsed = null;
  try { parsed = text ? parseJSON(text) : null; } catch { /* not JSON: the status tells */ }
  if (!response.ok) {
    if (response.status === 401 && path !== "/login") session.authenticated = false;
    throw new ApiProblem({
      code: "console.http_status", title: `HTTP ${response.status}`, status: response.status,
      arguments: { status: String(response.status) }, ...(parsed ?? {}),
    });
  }
  return { body: parsed, etag: response.headers.get("ETag") };
}

export const get = async (path, options) => (await request("GET", path, options)).body;
export const post = async (path, body, options) => (await request("POST", path, { ...options, body })).body;
export const remove = async (path) => (await request("DELETE", path)).body;

const name = encodeURIComponent;

/** One resource with the revision that an edit of it must name. */
export async function getResource(plural, resource) {
  const { body, etag } = await request("GET", `/${plural}/${name(resource)}`);
  return { ...body, revision: body.revision ?? Number(etag?.replace(/\D/g, "")) };
}

/** Writes a spec made from `revision`; a 412 says that someone else was faster. */
export async function putResource(plural, resource, spec, revision) {
  return (await request("PUT", `/${plural}/${name(resource)}`, {
    body: { spec }, headers: { "If-Match": `"${revision}"` },
  })).body;
}

export async function loadSession() {
  const body = await get("/session");
  Object.assign(session, { checked: true, username: null, roles: [], rights: [], needsSetup: false, version: "", ...body });
  return session;
}

/** All items of a listing that comes in pages; `onPage(items, total)` after each. */
export async function eachPage(path, parameters, onPage, { pageSize = 1000, signal } = {}) {
  for (let offset = 0; ;) {
    const query = new URLSearchParams({ ...parameters, limit: pageSize, offset });
    const { items, total } = await get(`${path}?${query}`, { signal });
    offset += items.length;
    onPage(items, total);
    if (items.length === 0 || offset >= total) return;
  }
}
