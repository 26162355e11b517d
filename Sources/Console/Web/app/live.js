// The page's one WebSocket. Subscriptions outlive it: after a broken network they are made again by themselves.

import { ref } from "/vendor/vue/vue.esm-browser.prod.js";
import { loadSession, parseJSON } from "./api.js";
import { session } from "./state.js";

const RETRY_FIRST_MILLISECONDS = 500;
const RETRY_MAX_MILLISECONDS = 8000;
const PING_MILLISECONDS = 10000;
const SILENCE_MAX_MILLISECONDS = 25000;

/** "off" | "connecting" | "open" | "lost" */
export const liveState = ref("off");
/** When the connection was lost, Unix milliseconds. */
export const lostAt = ref(0);

const subscriptions = new Map();
let socket = null;
let nextId = 1;
let retryMilliseconds = RETRY_FIRST_MILLISECONDS;
let retryTimer = 0;
let pingTimer = 0;
let heardAt = 0;
let wanted = false;

/**
 * `request`: `{tags, intervalMilliseconds?}`, `{status: true}`, `{device}` or `{topics}`.
 * `onMessage(message)` gets every server message with this id. Returns the function that ends it.
 */
export function subscribe(request, onMessage) {
  const id = nextId++;
  subscriptions.set(id, { request, onMessage });
  send({ op: "subscribe", id, ...request });
  return () => {
    if (subscriptions.delete(id)) send({ op: "unsubscribe", id });
  };
}

/** Tag values: `onValue(index, timestamp, value, quality)`; quality is undefined when good, else a code. */
export function subscribeTags(tags, onValue, onBatch = () => {}, intervalMilliseconds = 500) {
  if (tags.length === 0) return () => {};
  return subscribe({ tags, intervalMilliseconds }, (message) => {
    if (!message.t) return;
    for (const [index, timestamp, value, quality] of message.t) onValue(index, timestamp, value, quality);
    onBatch(message.t);
  });
}

export function startLive() {
  wanted = true;
  if (!socket) connect();
}

export function stopLive() {
  wanted = false;
  clearTimeout(retryTimer);
  clearInterval(pingTimer);
  liveState.value = "off";
  socket?.close();
  socket = null;
}

function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  clearTimeout(retryTimer);
  if (liveState.value !== "lost") liveState.value = "connecting";
  const mine = (socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/v1/live`));
  mine.onopen = () => {
    heardAt = Date.now();
    retryMilliseconds = RETRY_FIRST_MILLISECONDS;
    liveState.value = "open";
    for (const [id, { request }] of subscriptions) send({ op: "subscribe", id, ...request });
    clearInterval(pingTimer);
    pingTimer = setInterval(checkSilence, PING_MILLISECONDS);
  };
  mine.onmessage = (event) => {
    heardAt = Date.now();
    const message = parseJSON(event.data);
    if (message.id !== undefined) subscriptions.get(message.id)?.onMessage(message);
  };
  mine.onclose = () => { if (mine === socket) lost(); };
}

function checkSilence() {
  if (Date.now() - heardAt > SILENCE_MAX_MILLISECONDS) {
    const silent = socket;
    lost();
    silent.close();
  } else {
    send({ op: "ping" });
  }
}

function lost() {
  clearInterval(pingTimer);
  socket = null;
  if (!wanted) return;
  if (liveState.value !== "lost") { liveState.value = "lost"; lostAt.value = Date.now(); }
  retryTimer = setTimeout(retry, retryMilliseconds * (0.8 + 0.4 * Math.random()));
  retryMilliseconds = Math.min(retryMilliseconds * 2, RETRY_MAX_MILLISECONDS);
}

// The session is asked first: a server that restarted may want a new login, which a refused WebSocket cannot say.
async function retry() {
  try {
    await loadSession();
    if (!session.authenticated) return stopLive();
    if (wanted && !socket) connect();
  } catch {
    lost();
  }
}

/** Tries again at once, for the impatient. */
export function retryNow() {
  if (liveState.value !== "lost" || socket) return;
  clearTimeout(retryTimer);
  retryMilliseconds = RETRY_FIRST_MILLISECONDS;
  retry();
}
addEventListener("online", retryNow);
document.addEventListener("visibilitychange", () => { if (!document.hidden) retryNow(); });
