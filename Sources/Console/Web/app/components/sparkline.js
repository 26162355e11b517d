// A small line without axes: where a value comes from and where it goes.

import { html } from "../html.js";

/** `points`: [[x, y], ...] in order; null y breaks the line. `fromZero` keeps small changes small. */
export function sparkline(points, { width = 120, height = 32, colour = "var(--accent)", fill = true, fromZero = false, label } = {}) {
  const known = points.filter(([, y]) => Number.isFinite(y));
  if (known.length < 2) return html`<svg class="sparkline" viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true"></svg>`;
  const [x0, x1] = [points[0][0], points[points.length - 1][0]];
  let [low, high] = fromZero ? [0, 0] : [Infinity, -Infinity];
  for (const [, y] of known) { low = Math.min(low, y); high = Math.max(high, y); }
  const span = high - low || Math.abs(high) * 0.1 || 1;
  const middle = high === low ? 0.5 : 0;
  const place = ([x, y]) => `${(((x - x0) / (x1 - x0 || 1)) * width).toFixed(1)} ${(height - 2 - ((y - low) / span + middle) * (height - 4)).toFixed(1)}`;
  let line = "";
  let pen = "M";
  for (const point of points) {
    if (!Number.isFinite(point[1])) { pen = "M"; continue; }
    line += pen + place(point);
    pen = "L";
  }
  const area = fill && known.length === points.length ? `${line}L${width} ${height}L0 ${height}Z` : null;
  return html`<svg class="sparkline" viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" role=${label ? "img" : null} aria-label=${label} aria-hidden=${label ? null : "true"}>
    ${area ? html`<path d=${area} fill=${colour} fill-opacity="0.12" />` : null}
    <path d=${line} fill="none" stroke=${colour} stroke-width="1.6" stroke-linejoin="round" vector-effect="non-scaling-stroke" /></svg>`;
}
