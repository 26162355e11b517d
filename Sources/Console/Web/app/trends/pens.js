// The pens of a trend: recorded buckets, the live tail, and what is between them.

import { reactive, shallowReactive } from "/vendor/vue/vue.esm-browser.prod.js";
import { post } from "../api.js";
import { serverNow } from "../state.js";

export const PENS_MAX = 8;
const LIVE_POINTS_MAX = 4000;
const GAP_FACTOR = 3;
const HOLD_MILLISECONDS = 1500;

export const asNumber = (value) => (typeof value === "boolean" || typeof value === "bigint" ? Number(value) : typeof value === "number" ? value : null);

/** The pens on the page, in order. `rows`: [[time, min, max, avg], ...], plain and replaced as a whole. */
export function makePens() {
  const pens = reactive([]);

  const add = (path) => {
    if (pens.length >= PENS_MAX || pens.some((pen) => pen.path === path)) return;
    const used = new Set(pens.map((pen) => pen.colour));
    const colour = Array.from({ length: PENS_MAX }, (_, index) => index + 1).find((index) => !used.has(index));
    pens.push(shallowReactive({ path, colour, type: "", unit: "", hidden: false, rows: [], bucketMilliseconds: 0, usualMilliseconds: 0, value: null, timestamp: null, quality: null, fault: null }));
  };
  const remove = (path) => {
    const index = pens.findIndex((pen) => pen.path === path);
    if (index >= 0) pens.splice(index, 1);
  };
  return { pens, add, remove };
}

/** Fills the pens with what was recorded between two times. One wrong tag does not spoil the others. */
export async function loadRows(pens, from, to, buckets, signal) {
  const ask = (tags) => post("/query", { tags, from: Math.round(from), to: Math.round(to), buckets, aggregates: ["min", "max", "avg"] }, { signal });
  const bucketMilliseconds = (to - from) / buckets;
  let answers;
  try {
    answers = [await ask(pens.map((pen) => pen.path))];
    for (const pen of pens) pen.fault = null;
  } catch (error) {
    if (signal?.aborted || pens.length === 1 || !(error.status >= 400 && error.status < 500)) throw error;
    answers = await Promise.all(pens.map((pen) => ask([pen.path]).then((answer) => { pen.fault = null; return answer; }, (problem) => { pen.fault = problem; return { series: [] }; })));
  }
  for (const series of answers.flatMap((answer) => answer.series)) {
    const pen = pens.find((candidate) => candidate.path === series.tag);
    if (!pen) continue;
    const [time, low, high, mean] = ["time", "min", "max", "avg"].map((name) => series.columns.indexOf(name));
    pen.type = series.type ?? pen.type;
    pen.unit = series.unit ?? pen.unit;
    const rows = [];
    for (const row of series.rows) {
      const average = asNumber(row[mean]);
      if (average !== null) rows.push([row[time], asNumber(row[low]) ?? average, asNumber(row[high]) ?? average, average]);
    }
    // What came live after the newest bucket stays.
    const newest = rows.length ? rows[rows.length - 1][0] + bucketMilliseconds : from;
    pen.bucketMilliseconds = bucketMilliseconds;
    pen.rows = [...rows, ...pen.rows.filter((row) => row[4] && row[0] > newest && row[0] <= serverNow() + 1000)];
  }
}

/** Adds a live value behind the recorded ones; a fifth element marks it, a sixth what is held. */
export function appendLive(pen, timestamp, value, quality) {
  pen.value = value;
  pen.timestamp = timestamp;
  pen.quality = quality ?? null;
  const y = asNumber(value);
  if (y === null || !timestamp) return;
  const last = pen.rows[pen.rows.length - 1];
  if (last && timestamp <= last[0]) return;
  pen.rows.push([timestamp, y, y, y, true]);
  if (pen.rows.length > LIVE_POINTS_MAX) pen.rows.splice(0, pen.rows.length - LIVE_POINTS_MAX);
}

/** The server sends changes only: a value that stays good still is what it was. */
export function holdLive(pen, at) {
  const y = asNumber(pen.value);
  const last = pen.rows[pen.rows.length - 1];
  if (y === null || (pen.quality && !pen.quality.startsWith("uncertain")) || (last && at - last[0] < HOLD_MILLISECONDS)) return;
  // Behind the real ones, so that the next change is never older than what was held.
  const time = at - HOLD_MILLISECONDS / 2;
  // One held point moves along; two keep a flat line.
  const before = pen.rows[pen.rows.length - 2];
  if (last?.[5] && before?.[3] === y && last[3] === y) pen.rows.pop();
  pen.rows.push([time, y, y, y, true, true]);
}

/** The pieces without a hole, and the holes: times between points that are farther apart than points usually are. */
export function segmentsOf(pen) {
  const { rows } = pen;
  if (rows.length === 0) return { segments: [], gaps: [] };
  const steps = [];
  for (let index = 1; index < rows.length; index += Math.max(1, Math.floor(rows.length / 200))) steps.push(rows[index][0] - rows[index - 1][0]);
  steps.sort((a, b) => a - b);
  const usual = Math.max(steps[Math.floor(steps.length / 2)] ?? 0, pen.bucketMilliseconds, 500);
  const limit = Math.max(usual * GAP_FACTOR, 3000);
  pen.usualMilliseconds = usual;
  const segments = [];
  const gaps = [];
  let start = 0;
  for (let index = 1; index <= rows.length; index++) {
    // A held value reaches as far back as it was seen.
    if (index < rows.length && (rows[index][5] || rows[index][0] - rows[index - 1][0] <= limit)) continue;
    segments.push(rows.slice(start, index));
    if (index < rows.length) gaps.push([rows[index - 1][0] + usual, rows[index][0]]);
    start = index;
  }
  return { segments, gaps };
}

/** The row at or before a time, if there is one that still speaks for it. */
export function rowAt(pen, time) {
  const { rows } = pen;
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][0] <= time) low = middle + 1;
    else high = middle;
  }
  const row = rows[low - 1];
  if (!row || time - row[0] > Math.max(pen.bucketMilliseconds * GAP_FACTOR, pen.usualMilliseconds * GAP_FACTOR, 5000)) return null;
  return row;
}

/** Least, mean and greatest of what is between two times. */
export function statistics(pen, from, to) {
  let [low, high, sum, count] = [Infinity, -Infinity, 0, 0];
  for (const row of pen.rows) {
    if (row[0] < from || row[0] > to) continue;
    low = Math.min(low, row[1]);
    high = Math.max(high, row[2]);
    sum += row[3];
    count++;
  }
  return count ? { low, high, mean: sum / count } : null;
}
