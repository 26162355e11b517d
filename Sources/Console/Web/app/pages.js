// Which page belongs to which address. Pages are loaded when first visited; none of them knows of this table.

import { route } from "./router.js";

const pages = {
  "": () => import("./pages/overview.js"),
  setup: () => import("./pages/setup.js"),
  login: () => import("./pages/login.js"),
  devices: () => (route.rest.length ? import("./pages/device.js") : import("./pages/devices.js")),
  trends: () => import("./pages/trends.js"),
  rules: () => (route.rest.length ? import("./pages/rule.js") : import("./pages/rules.js")),
  alarms: () => import("./pages/alarms.js"),
  mqtt: () => import("./pages/mqtt.js"),
  settings: () => import("./pages/settings.js"),
};

/** Loads the page of the present route; resolves to its component. */
export async function loadPage() {
  const load = pages[route.section] ?? (() => import("./pages/missing.js"));
  return (await load()).default;
}
