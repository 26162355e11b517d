// A tagged template over Vue's `h`: markup that reads like HTML without a compiler that needs `eval`.
//
//   html`<button class="x" @click=${save} disabled=${busy}>${label}</button>`
//   html`<${Dialog} title=${title} @close=${close}>...</>`          component, its children are the default slot
//   html`<${Tabs} items=${items}>${{ item: (x) => ... }}</>`        a plain object as only child: named slots
//   html`<div ...${properties} />`                                  spread
//   html`<>...</>`                                                  a fragment
//
// Every element is closed, by `/>` or by its end tag (`</>` closes whatever is open). A template is parsed once.

import { Fragment, h } from "/vendor/vue/vue.esm-browser.prod.js";

const HOLE = "\u0001";
const parsed = new WeakMap();

export function html(strings, ...values) {
  let nodes = parsed.get(strings);
  if (!nodes) parsed.set(strings, (nodes = parse(strings)));
  return nodes.length === 1 ? make(nodes[0], values) : nodes.map((node) => make(node, values));
}

function make(node, values) {
  if (node.hole !== undefined) return values[node.hole];
  if (node.text !== undefined) return node.text;
  if (node.tag.fragment) return h(Fragment, node.children.map((child) => make(child, values)));
  const properties = {};
  for (const { name, value, hole, parts } of node.properties) {
    if (name === "...") Object.assign(properties, values[hole]);
    else if (hole !== undefined) properties[name] = values[hole];
    else if (parts) properties[name] = parts.map((part) => (part.hole === undefined ? part.text : values[part.hole] ?? "")).join("");
    else properties[name] = value;
  }
  const type = node.tag.hole === undefined ? node.tag.name : values[node.tag.hole];
  if (typeof type === "string") return h(type, properties, node.children.map((child) => make(child, values)));
  if (node.children.length === 0) return h(type, properties);
  if (node.children.length === 1) {
    const only = make(node.children[0], values);
    if (isSlots(only)) return h(type, properties, only);
  }
  return h(type, properties, { default: () => node.children.map((child) => make(child, values)) });
}

function isSlots(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !value.__v_isVNode;
}

function parse(strings) {
  const source = strings.join(HOLE);
  let at = 0;
  let hole = 0;
  const root = { children: [] };
  const open = [root];
  const fail = (what) => { throw new Error(`${what} in template near: ${source.slice(Math.max(0, at - 30), at + 30)}`); };

  while (at < source.length) {
    const next = source.indexOf("<", at);
    pushText(source.slice(at, next < 0 ? source.length : next));
    if (next < 0) break;
    at = next + 1;
    if (source[at] === "/") {
      const end = source.indexOf(">", at);
      if (source.slice(at, end).includes(HOLE)) hole++;
      if (open.length === 1) fail("an end tag too many");
      open.pop();
      at = end + 1;
    } else {
      readTag();
    }
  }
  if (open.length > 1) fail("an element is not closed");
  return root.children;

  function pushText(text) {
    const children = open[open.length - 1].children;
    text.split(HOLE).forEach((piece, index) => {
      if (index > 0) children.push({ hole: hole++ });
      const clean = piece.replace(/^\s*\n\s*|\s*\n\s*$/g, "").replace(/\s+/g, " ");
      if (clean) children.push({ text: clean });
    });
  }

  function readTag() {
    const node = { tag: null, properties: [], children: [] };
    if (source[at] === HOLE) {
      node.tag = { hole: hole++ };
      at++;
    } else if (source[at] === ">") {
      node.tag = { fragment: true };
    } else {
      const name = /^[\w-]+/.exec(source.slice(at))?.[0] ?? fail("a tag without a name");
      node.tag = { name };
      at += name.length;
    }
    open[open.length - 1].children.push(node);
    for (;;) {
      while (/\s/.test(source[at])) at++;
      if (at >= source.length) fail("a tag is not closed");
      if (source[at] === ">") { at++; open.push(node); return; }
      if (source.startsWith("/>", at)) { at += 2; return; }
      if (source.startsWith("..." + HOLE, at)) { node.properties.push({ name: "...", hole: hole++ }); at += 4; continue; }
      readProperty(node);
    }
  }

  function readProperty(node) {
    const raw = /^[^\s=>/\u0001]+/.exec(source.slice(at))?.[0] ?? fail("a property without a name");
    at += raw.length;
    const name = raw[0] === "@" ? "on" + raw[1].toUpperCase() + raw.slice(2) : raw;
    if (source[at] !== "=") { node.properties.push({ name, value: true }); return; }
    at++;
    if (source[at] === HOLE) { at++; node.properties.push({ name, hole: hole++ }); return; }
    if (source[at] !== '"') fail("a value without quotes");
    const end = source.indexOf('"', at + 1);
    const pieces = source.slice(at + 1, end).split(HOLE);
    at = end + 1;
    if (pieces.length === 1) { node.properties.push({ name, value: pieces[0] }); return; }
    const parts = [];
    pieces.forEach((text, index) => {
      if (index > 0) parts.push({ hole: hole++ });
      if (text) parts.push({ text });
    });
    node.properties.push({ name, parts });
  }
}
