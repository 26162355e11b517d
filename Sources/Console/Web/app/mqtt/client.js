// One client: its session, what waits, its limits, its subscriptions; and disconnecting it.

import { computed, defineComponent, onBeforeUnmount, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, request } from "../api.js";
import { badge, command, errorText, loading, notice } from "../components/basics.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { bytes, dateTime, duration, number, problemText, relative, t } from "../i18n.js";
import { ask, may, toast } from "../state.js";
import { subscriptionOptions } from "./columns.js";

const REFRESH_MILLISECONDS = 2000;
const FILTERS_SHOWN = 200;

export const ClientDialog = defineComponent({
  props: { id: String },
  emits: ["close", "changed"],
  setup(properties, { emit }) {
    const client = shallowRef(null);
    const before = shallowRef(null);
    const problem = ref(null);
    const path = "/clients/" + encodeURIComponent(properties.id);
    let timer = 0;
    let gone = false;

    const load = async () => {
      clearTimeout(timer);
      try {
        const fresh = { ...(await get(path)), at: performance.now() };
        before.value = client.value;
        client.value = fresh;
        problem.value = null;
      } catch (error) { problem.value = error; }
      if (!gone) timer = setTimeout(load, REFRESH_MILLISECONDS);
    };
    load();
    onBeforeUnmount(() => { gone = true; clearTimeout(timer); });

    const rate = (key) => {
      if (!before.value || before.value.connectedAt !== client.value.connectedAt) return null;
      return Math.max(0, (client.value[key] - before.value[key]) * 1000 / (client.value.at - before.value.at));
    };
    const withRate = (key) => {
      const perSecond = rate(key);
      return html`<>${number(client.value[key])}${perSecond === null ? null : html`<span class="faint"> · ${t("mqtt.perSecond", { n: number(perSecond, perSecond < 10 ? 1 : 0) })}</span>`}</>`;
    };
    const isLate = computed(() => client.value.slow || client.value.waiting > 0 || client.value.dropped > 0);

    const disconnect = async (forgets) => {
      const text = forgets ? t("mqtt.forgetText") : t("mqtt.disconnectText");
      if (!(await ask({ title: t(forgets ? "mqtt.forgetTitle" : "mqtt.disconnectTitle", { id: properties.id }), text, confirm: t(forgets ? "mqtt.forget" : "mqtt.disconnect"), danger: true }))) return;
      try {
        await request("DELETE", path + (forgets ? "?session=true" : ""));
        toast("ok", t(forgets ? "mqtt.forgotten" : "mqtt.disconnected", { id: properties.id }));
        emit("changed");
        if (forgets) emit("close"); else load();
      } catch (error) { toast("error", problemText(error)); }
    };

    const fact = (label, value) => (value === undefined || value === null ? null : html`<dt>${label}</dt><dd>${value}</dd>`);
    const body = () => {
      const one = client.value;
      const isConnected = one.state === "connected";
      return html`<>
        <div class="row wrap">${badge(isConnected ? "good" : "", t("state." + one.state))}<span class="muted">${one.protocol}</span>${one.listener ? html`<span class="muted">${t("mqtt.listener")} ${one.listener}</span>` : null}
          ${one.peer ? html`<span class="mono small muted">${one.peer}</span>` : null}</div>
        ${isLate.value ? notice(one.dropped > 0 ? "bad" : "warn", t(one.slow ? "mqtt.isSlow" : one.dropped > 0 ? "mqtt.hasDropped" : "mqtt.hasWaiting", { n: one.slow ? bytes(one.unsentBytes) : number(one.dropped || one.waiting) })) : null}
        <div class="fact-columns">
          <section><h3>${t("mqtt.session")}</h3><dl class="facts">
            ${fact(t("mqtt.user"), one.username ?? "–")}${fact(t("mqtt.certificate"), one.certificateSubject)}
            ${isConnected ? fact(t("mqtt.since"), html`<span title=${dateTime(one.connectedAt)}>${relative(one.connectedAt)}</span>`) : null}
            ${fact(t("mqtt.keepAlive"), one.keepAlive ? duration(one.keepAlive * 1000) : t("mqtt.never"))}
            ${isConnected ? fact(t("mqtt.silent"), duration(one.silentMilliseconds)) : null}
            ${fact(t("mqtt.expiry"), one.sessionExpirySeconds === undefined ? t("mqtt.never") : one.sessionExpirySeconds === 0 ? t("mqtt.withConnection") : duration(one.sessionExpirySeconds * 1000))}
            ${fact(t("mqtt.will"), one.willTopic && html`<span class="mono small">${one.willTopic}</span>`)}</dl></section>
          <section><h3>${t("mqtt.messages")}</h3><dl class="facts">
            ${fact(t("mqtt.received"), withRate("received"))}${fact(t("mqtt.sent"), withRate("sent"))}${fact(t("mqtt.dropped"), withRate("dropped"))}
            ${fact(t("mqtt.inflight"), `${number(one.inflight)} / ${number(one.inflightMax)}`)}${fact(t("mqtt.waiting"), `${number(one.waiting)} / ${number(one.waitingMax)}`)}
            ${fact(t("mqtt.awaitingRelease"), number(one.awaitingRelease))}${fact(t("mqtt.unsent"), bytes(one.unsentBytes))}
            ${isConnected && one.packetBytesMax < 268435455 ? fact(t("mqtt.packetMax"), bytes(one.packetBytesMax)) : null}</dl></section>
        </div>
        <section><h3>${t("mqtt.tab.subscriptions")} <span class="faint">${number(one.filters.length)}</span></h3>
          ${one.filters.length ? html`<ul class="filter-list">${one.filters.slice(0, FILTERS_SHOWN).map((item) => html`<li key=${item.filter}><span class="mono grow">${item.filter}</span><span class="small muted">${subscriptionOptions(item)}</span><span class="small nowrap">QoS ${item.qos}</span></li>`)}
            ${one.filters.length > FILTERS_SHOWN ? html`<li class="faint">${t("history.more", { n: one.filters.length - FILTERS_SHOWN })}</li>` : null}</ul>` : html`<p class="small muted">${t("mqtt.empty.subscriptions")}</p>`}</section>
        ${command(`tundish clients show ${properties.id}`)}</>`;
    };

    return () => html`<${Dialog} wide=${true} title=${properties.id} test="client-dialog" @close=${() => emit("close")}>${{
      default: () => html`<>${problem.value ? errorText(problem.value.status === 404 ? t("mqtt.gone") : problemText(problem.value)) : null}${client.value ? body() : problem.value ? null : loading()}</>`,
      foot: () => (may("operate") && client.value && !problem.value ? html`<>
        <button class="button" type="button" data-test="client-forget" @click=${() => disconnect(true)}>${t("mqtt.forget")}</button>
        ${client.value.state === "connected" ? html`<button class="button danger" type="button" data-test="client-disconnect" @click=${() => disconnect(false)}>${t("mqtt.disconnect")}</button>` : null}</>`
        : html`<button class="button" type="button" @click=${() => emit("close")}>${t("common.close")}</button>`),
    }}</>`;
  },
});
