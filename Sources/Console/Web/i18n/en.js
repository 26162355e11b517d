// English, and what every other language falls back to.

export default {
  common: {
    loading: "Loading…", cancel: "Cancel", close: "Close", save: "Save", done: "Done", back: "Back", copy: "Copy", copied: "Copied",
    copyFailed: "The browser does not allow copying here", reload: "Reload", clearFilter: "Clear filter",
    nothingMatches: "Nothing matches", nothingMatchesText: "Change or clear the filter to see more.",
    pageFailed: "This page could not be loaded", pageFailedText: "The server may have been updated or the network broken. Reload to try again.",
    unknownError: "Something went wrong, and the server did not say what.",
  },
  nav: {
    label: "Sections", overview: "Overview", devices: "Devices", trends: "Trends", rules: "Rules", alarms: "Alarms", mqtt: "MQTT", settings: "Settings",
    setup: "Setup", login: "Sign in", more: "More", unknown: "Not found", collapse: "Collapse", expand: "Expand", skip: "Skip to content",
  },
  missing: { title: "There is no such page", text: "The link may be old, or mistyped." },
  theme: { label: "Theme", auto: "Auto", light: "Light", dark: "Dark" },
  connection: {
    off: "Off", connecting: "Connecting…", open: "Live", lost: "Reconnecting…",
    lostText: "The connection was lost {since}. What you see is frozen; it comes back by itself.", retry: "Try now",
    unreachable: "The server cannot be reached", unreachableText: "Is Tundish running? This page tries again every two seconds.",
  },
  search: {
    label: "Search", placeholder: "Search devices, tags, rules, pages…", nothing: "Nothing found",
    kind: { page: "Page", device: "Device", rule: "Rule", tag: "Tag" },
  },
  login: {
    title: "Sign in", text: "to see and steer what this gateway does.", username: "User name", password: "Password", submit: "Sign in",
    signOut: "Sign out", signOutUser: "Sign out {user}",
  },
  setup: {
    title: "Create the administrator", text: "This link works once. Choose the first user of this console.", username: "User name", password: "Password",
    repeat: "Password again", submit: "Create and sign in", nameMissing: "Type a user name.", tooShort: "The password needs at least {n} characters.",
    different: "The two passwords are not the same.", doneTitle: "Already set up", doneText: "The administrator exists. Sign in with that account.",
    linkTitle: "Open the one-time link", linkText: "Tundish has no default password. Its first start printed a link that creates the administrator.",
    linkHint: "Look for it where the server was started: http://…/#/setup?token=…",
  },
  state: {
    running: "Running", connected: "Connected", ok: "OK", pending: "Starting", connecting: "Connecting", stopped: "Stopped", degraded: "Degraded", failed: "Failed",
    disconnected: "Disconnected", warn: "Needs a look", error: "Failed",
  },
  kind: { Device: "Device", Rule: "Rule", Sink: "Sink", Listener: "Listener", Secret: "Secret", User: "User" },
  quality: { good: "Good" },
  value: { true: "true", false: "false" },
  units: { s: "s", min: "min", h: "h", d: "d" },
  time: { now: "just now" },
  flow: {
    label: "The data's way: devices, bus, rules, historian, MQTT clients", devices: "Devices", bus: "Bus", rules: "Rules", historian: "Historian", mqtt: "MQTT clients",
    unit: { tags: "tags/s", messages: "msg/s", points: "points/s" }, dropped: "{n} dropped", state: { ok: "OK", warn: "Needs a look", error: "Something failed" },
  },
  overview: {
    figures: "Headline numbers", devices: "Devices connected", allConnected: "all connected", away: { one: "{n} not connected", other: "{n} not connected" },
    tags: "Tags", allGood: "all good", badTags: { one: "{n} bad", other: "{n} bad" }, points: "Points stored", bytesPerPoint: "{n} bytes per point",
    memory: "Memory", cpu: "{n} % of one core", uptime: "Uptime", since: "since {at}",
    fact: { devices: "{connected} of {total} connected", bus: "{n} retained", rules: "{running} of {total} running", historian: "{size} on disk", mqtt: { one: "{n} client, {subscriptions} filters", other: "{n} clients, {subscriptions} filters" } },
    problems: "Needs attention", well: "All is well", wellText: "Every device answers, every rule runs, nothing was dropped.",
    next: "Go on", nextDevices: "See live values, write a setpoint", nextTrends: "Draw a trend", nextListen: "Listen to the alarms from a shell", nextStatus: "The same from the command line",
  },
  hints: {
    device: "Check that it is switched on and reachable from here; Tundish keeps trying by itself.",
    rule: "Open the rule to see the statement and where it is wrong.",
    modbus: "Compare the address and the type with the device's manual.",
    historian: "Check free space and permissions of the data directory.",
    listener: "Another program may use the port; change `bind` or stop it.",
    journal: "Check free space and permissions of the data directory.",
  },
  devices: {
    name: "Device", state: "State", driver: "Driver", endpoint: "Endpoint", groups: "Groups", tags: "Tags", message: "Since / reason", filter: "Filter devices", all: "All", abnormal: "Abnormal",
    emptyTitle: "No devices yet", emptyText: "A device is a few lines of YAML: its driver, where it is, and the tags to read. Apply a file, and it appears here.",
  },
  device: {
    tab: { tags: "Tags", diagnostics: "Diagnostics", history: "History", yaml: "YAML" }, tags: "Tags", tag: "Tag", value: "Value", quality: "Quality", time: "Updated", type: "Type", address: "Address",
    group: "Group", access: "Access", accessOf: { read: "read", write: "read and write" }, write: "Write", filter: "Filter tags", onlyAbnormal: "Only abnormal", allGroups: "All groups",
    tagCount: { one: "{n} tag", other: "{n} tags" }, loadingTags: "{n} of {total} tags…", noTags: "This device has no tags", noTagsText: "Add tags to a group of its resource.",
    allGood: "Every tag is good", allGoodText: "There is nothing abnormal to show.", lastMinutes: "Last 10 minutes", openTrend: "Trend", samples: "Points shown", yaml: "The device's resource", roundTrip: "round trip {time}",
  },
  write: {
    title: "Write {tag}", current: "Current value", fresh: "New value", value: "New value", limits: "Limits of the type", review: "Review…", confirm: "Write now", busy: "Writing…", again: "Try another value",
    question: "Write this value to {tag} of {device}?", caution: "This changes the running plant. The device confirms the write before it counts as done.",
    confirmed: "The device has confirmed", confirmedText: "after {time}", written: "Written", refused: "The value was not written", unchanged: "Nothing was changed.",
    chooseOne: "Choose one of the two.", empty: "Type a value.", notNumber: "This is not a number.", notWhole: "Only whole numbers fit this type.", outOfRange: "This type holds {low} to {high}.", tooLarge: "This is too large for the type.",
  },
  interval: {
    title: "Interval of {group}", text: "The group is read every {interval}. The change takes effect at once, without a restart.", label: "Read every", hint: "A number with a unit: 100ms, 5s, 1m.",
    invalid: "This is not a duration. Write a number with a unit: 100ms, 5s, 1m.", saved: "{group} is now read every {interval}", conflict: "Someone else has changed this device meanwhile",
    conflictText: "Nothing was saved. Load the newest version, look at it, and save again.", reload: "Load newest",
  },
  diagnostics: {
    connection: "Connection", since: "In this state since", lastErrorAt: "Last error", roundTrip: "Round trip", last: "last", mean: "mean", max: "greatest", counters: "Counters", groups: "Groups",
    interval: "Interval", bad: "Bad", cycles: "Cycles", skipped: "Skipped", skippedTotal: { one: "{n} cycle skipped", other: "{n} cycles skipped" }, requestsPerCycle: "Requests/cycle", cycleTime: "Cycle time", lastCycle: "Last cycle", topic: "Topic",
  },
  counter: {
    requests: "Requests", responses: "Responses", timeouts: "Timeouts", errors: "Errors", bytesSent: "Sent", bytesReceived: "Received", reconnects: "Reconnects", writes: "Writes", dropped: "Dropped", refused: "Refused",
    mismatches: "Mismatches", exceptions: "Exceptions", cycles: "Cycles", skipped: "Cycles skipped", connects: "Connects", writesRefused: "Writes refused", lateAnswers: "Late answers", retries: "Retries", skippedSilent: "Skipped while silent",
  },
  history: {
    title: "Revisions", revision: "Revision {revision}", present: "present", by: "{author}, from {source}", rollback: "Roll back", question: "Roll back to revision {revision}?",
    questionText: "{name} becomes again what it was on {at}. This makes a new revision; nothing is lost.", done: "Rolled back to revision {revision}", more: { one: "and {n} more change", other: "and {n} more changes" },
    action: { create: "created", update: "changed", delete: "deleted", rollback: "rolled back" },
  },
  trends: {
    range: "Range", ranges: { "5m": "5 min", "15m": "15 min", "1h": "1 h", "8h": "8 h", "24h": "24 h", "7d": "7 d" }, live: "Live", add: "Add tags", pick: "Pick tags", search: "Search tags", pickHint: "{n} of at most {most} pens. Texts cannot be drawn.",
    emptyTitle: "Nothing drawn yet", emptyText: "Pick tags to see how they went: minutes or months, with the lowest and highest value of every moment.", pens: "Pens", pen: "Tag", atCursor: "At cursor", latest: "Latest", low: "Lowest", mean: "Mean", high: "Highest",
    remove: "Remove", hide: "Hide this line", show: "Show this line", zoomOut: "Zoom out", noData: "Nothing recorded in this time", latestAt: "latest value {at}", chartLabel: "Trend. Arrow keys move in time, plus and minus zoom.",
  },
  rules: {
    name: "Rule", filter: "Filter rules", perSecond: "per second", matched: "Matched", passed: "Passed", failed: "Failed", emitted: "Emitted", outputs: "Outputs", metrics: "Metrics",
    emptyTitle: "No rules yet", emptyText: "A rule is one SQL statement over topics. It filters, computes, raises alarms, and publishes or records the result.",
  },
  rights: { read: "see", operate: "operate", configure: "configure", administer: "administer" },
  roles: { viewer: "Viewer", operator: "Operator", engineer: "Engineer", administrator: "Administrator" },
  users: {
    title: "Users", text: "Who may sign in to this console and the REST API, and what each may do. Their rights follow at once.", add: "Add a user", edit: "Change {name}", change: "Change role or password", role: "Role", noRole: "no role", newPassword: "New password", keepPassword: "leave empty to keep it",
    you: "you", isDisabled: "disabled", changed: "changed {at}", enable: "Let sign in again", disable: "Do not let sign in", delete: "Delete", deleteTitle: "Delete {name}?", deleteText: "The user is signed out, and the user's tokens are refused at once.",
    created: "{name} may sign in now", saved: "{name} is changed and has to sign in again", exists: "There is a user {name} already.", disabled: "{name} cannot sign in any more", enabled: "{name} may sign in again", deleted: "{name} is deleted",
    may: { viewer: "Sees everything but users, tokens and secrets.", operator: "Also writes to devices, publishes, acknowledges alarms and disconnects clients.", engineer: "Also changes devices, rules, listeners and other resources.", administrator: "Everything, with users, tokens and secrets." },
  },
  alarms: {
    acknowledge: "Acknowledge", acknowledgeTitle: "Say that you have seen it", acknowledgeAll: { one: "Acknowledge {n}", other: "Acknowledge all {n}" }, acknowledged: "Acknowledged", acknowledgedBy: "{user}, {at}",
    name: "Alarm", severity: "Severity", message: "Message", device: "Device", raised: "Raised", filter: "Filter alarms", active: { one: "{n} active", other: "{n} active" }, none: "none active",
    emptyTitle: "No alarms", emptyText: "Rules with an alarm output, and messages on alarms/#, show up here the moment they come.", messages: "Messages on alarms/#", waiting: "Waiting for the next message. The same from a shell:",
    severities: { critical: "Critical", high: "High", medium: "Medium", low: "Low", info: "Info", urgent: "Urgent", warning: "Warning", error: "Error" },
    states: {
      unack_active: "Unacknowledged", ack_active: "Acknowledged", rtn_unack: "Returned, unacknowledged", event: "Event",
      unacknowledged: "Unacknowledged", acknowledged: "Acknowledged", returnedUnacknowledged: "Returned, unacknowledged", normal: "Normal", active: "Active", cleared: "Cleared", raised: "Raised", returned: "Returned to normal",
      latched: "Latched", shelved: "Shelved", suppressed: "Suppressed", outOfService: "Out of service", returnToNormalUnacknowledged: "Returned, unacknowledged", unack: "Unacknowledged", acked: "Acknowledged", rtnun: "Returned, unacknowledged", norm: "Normal",
    },
  },
  mqtt: {
    tab: { clients: "Clients", subscriptions: "Subscriptions", retained: "Retained" }, client: "Client", user: "User", protocol: "Protocol", peer: "Address", since: "Connected", keepAlive: "Keep alive", subscriptions: "Filters", received: "Received", sent: "Sent",
    queued: "Queued", filter: "Topic filter", topic: "Topic", payload: "Payload", size: "Size", search: "Filter", emptyText: "Connect one to see it here:",
    empty: { clients: "No clients connected", subscriptions: "No subscriptions", retained: "No retained messages" },
  },
  settings: {
    appearance: "Appearance", language: "Language", tokens: "API tokens", tokensText: "A token lets a program use the REST API as you. It is shown once.", tokenName: "What is it for?", create: "Create", tokenOnce: "Token “{name}” – copy it now, it is not shown again",
    noTokens: "No tokens yet.", createdAt: "created {at}", usedAt: "used {at}", revoke: "Revoke", revokeTitle: "Revoke “{name}”?", revokeText: "Programs that use it are refused at once.", revoked: "Token “{name}” is revoked",
    about: "About", node: "Node", started: "Started", user: "Signed in as", metrics: "Prometheus metrics", licences: "Tundish is Apache-2.0. This console uses Vue (MIT), ECharts (Apache-2.0) and CodeMirror (MIT).",
  },
  // Codes of qualities and errors as short phrases.
  qualities: {
    good: "Good", uncertain: "Uncertain", "uncertain.last_usable": "Last usable value", "uncertain.sensor_not_accurate": "Sensor not accurate", "uncertain.limits_exceeded": "Limits exceeded", "uncertain.sub_normal": "Too few good sources",
    bad: "Bad", internal_error: "Internal error", "device.communication": "Communication failed", "device.encoding": "Cannot be encoded", "device.decoding": "Cannot be decoded", "device.timeout": "No answer in time", "device.unreachable": "Unreachable",
    "device.waiting": "Waiting for a value", "tag.address_invalid": "Invalid address", "tag.address_unknown": "Unknown address", "tag.not_readable": "Not readable", "tag.not_writable": "Not writable", "value.out_of_range": "Out of range",
    "device.not_supported": "Not supported", "value.type_mismatch": "Wrong type", "value.not_a_number": "Not a number", "device.configuration": "Wrong configuration", "device.not_connected": "Not connected", "device.failure": "Device failure",
    "device.sensor_failure": "Sensor failure", "device.out_of_service": "Out of service", "device.busy": "Device busy", "modbus.illegal_function": "Illegal function", "modbus.illegal_data_address": "Illegal data address", "modbus.illegal_data_value": "Illegal data value",
    "modbus.device_failure": "Device failure", "modbus.acknowledge": "Still working", "modbus.device_busy": "Device busy", "modbus.memory_parity": "Memory parity error", "modbus.gateway_path": "No gateway path", "modbus.gateway_target": "Gateway target silent",
  },
  // Sentences of problems; used only when all their arguments are there. Others come as the server says them.
  problems: {
    "console.timeout": "The server did not answer in time.", "console.unreachable": "The server cannot be reached. Trying again when the network is back.", "console.http_status": "The server answered with HTTP status {status}.", "console.no_answer": "The device's answer does not mention this tag.",
    "login.failed": "User name or password is wrong.", "login.throttled": "Too many failed attempts. Try again in {seconds} s.", "setup.token": "The link is not valid any more. The server printed a new one when it started.", "setup.done": "The administrator exists already. Sign in.",
    "request.unauthenticated": "Please sign in.", "access.denied": "You may not do that: it needs the right to {right}.", "accounts.unavailable": "Users cannot be read now; the server's log says why.", "account.last_administrator": "“{name}” is the last administrator who can sign in. Make another one first.",
    "alarm.nothing_to_acknowledge": "There is nothing to acknowledge: the alarm is “{state}”.", "alarm.foreign": "Only its publisher can acknowledge this one.", "alarm.unknown": "This alarm is gone.", "resource.conflict": "Someone else has changed this meanwhile. Load the newest version and try again.",
  },
};
