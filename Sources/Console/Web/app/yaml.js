// A resource as YAML, the way `tundish get -o yaml` writes it: to be read and copied, so no anchors, no tags.

const FLOW_WIDTH_MAX = 150;
const PLAIN = /^[A-Za-z_/°%µ][\w ./°%µ-]*$/;
const RESERVED = /^(true|false|null|yes|no|on|off|y|n|~)$/i;

/** The document of a resource from its REST form. */
export function resourceYAML(resource) {
  const { kind, name, space, spec } = resource;
  return toYAML({ kind, name, ...(space && space !== "default" ? { space } : {}), spec });
}

export function toYAML(value) {
  return block(value, 0).replace(/^\n/, "") + "\n";
}

function block(value, depth) {
  const pad = "  ".repeat(depth);
  if (Array.isArray(value)) {
    if (value.length === 0) return " []";
    return value.map((item) => {
      const line = isPlainMap(item) ? flow(item) : null;
      if (line && line.length < FLOW_WIDTH_MAX) return `\n${pad}- ${line}`;
      const inner = block(item, depth + 1);
      return `\n${pad}-` + (inner.startsWith("\n") ? " " + inner.slice(1 + 2 * (depth + 1)) : inner);
    }).join("");
  }
  if (value !== null && typeof value === "object") {
    const members = Object.entries(value).filter(([, item]) => item !== undefined);
    if (members.length === 0) return " {}";
    return members.map(([key, item]) => {
      const line = depth > 0 && isPlainMap(item) ? flow(item) : null;
      return `\n${pad}${scalar(key)}:` + (line && line.length < FLOW_WIDTH_MAX ? " " + line : block(item, depth + 1));
    }).join("");
  }
  if (typeof value === "string" && value.includes("\n")) {
    const lines = value.replace(/\n$/, "").split("\n");
    return ` |${value.endsWith("\n") ? "" : "-"}` + lines.map((line) => "\n" + (line ? pad + line : "")).join("");
  }
  return " " + scalar(value);
}

function isPlainMap(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    && Object.values(value).every((item) => (item === null || typeof item !== "object") && !(typeof item === "string" && item.includes("\n")));
}

function flow(value) {
  return "{ " + Object.entries(value).filter(([, item]) => item !== undefined).map(([key, item]) => `${scalar(key)}: ${scalar(item)}`).join(", ") + " }";
}

function scalar(value) {
  if (value === null || value === undefined) return "null";
  if (typeof value !== "string") return String(value);
  if (PLAIN.test(value) && !RESERVED.test(value) && !/\s$/.test(value)) return value;
  if (/^\d+(\.\d+)?(ms|s|m|h|d|[KMGT]iB)$/.test(value)) return value;
  return JSON.stringify(value);
}

/** What differs between two specs: `[{path, before, after}]`, by path; lists of named items are matched by name. */
export function differences(before, after, path = "") {
  if (Object.is(before, after)) return [];
  const isObject = (value) => value !== null && typeof value === "object";
  if (!isObject(before) || !isObject(after)) return [{ path, before, after }];
  const members = (value) => new Map(Array.isArray(value) ? value.map((item, index) => [item?.name ?? String(index), item]) : Object.entries(value));
  const [old, fresh] = [members(before), members(after)];
  return [...new Set([...old.keys(), ...fresh.keys()])].flatMap((key) => differences(old.get(key), fresh.get(key), path ? `${path}.${key}` : key));
}
