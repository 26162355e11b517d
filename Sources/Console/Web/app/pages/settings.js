// Language, theme, users, API tokens, about.

import { defineComponent, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, post, remove } from "../api.js";
import { copyText, errorText, notice, segmented } from "../components/basics.js";
import { signOut } from "../components/shell.js";
import { html } from "../html.js";
import { dateTime, duration, languages, problemText, relative, t } from "../i18n.js";
import { icon } from "../icons.js";
import { Users } from "../settings/users.js";
import { ask, may, preferences, session, toast } from "../state.js";

export default defineComponent({
  setup() {
    const tokens = shallowRef(null);
    const status = shallowRef(null);
    const name = ref("");
    const fresh = shallowRef(null);
    const problem = ref(null);

    const load = async () => {
      try { tokens.value = (await get("/tokens")).items; } catch (error) { problem.value = error; }
    };
    if (may("administer")) load();
    get("/status").then((body) => { status.value = body; }, () => {});

    const create = async (event) => {
      event.preventDefault();
      problem.value = null;
      if (!name.value.trim()) return;
      try {
        fresh.value = await post("/tokens", { name: name.value.trim() });
        name.value = "";
        await load();
      } catch (error) { problem.value = error; }
    };
    const revoke = async (token) => {
      if (!(await ask({ title: t("settings.revokeTitle", { name: token.name }), text: t("settings.revokeText"), confirm: t("settings.revoke"), danger: true }))) return;
      try {
        await remove("/tokens/" + encodeURIComponent(token.id));
        toast("ok", t("settings.revoked", { name: token.name }));
        await load();
      } catch (error) { toast("error", problemText(error)); }
    };

    const appearance = () => html`<section class="card"><div class="card-head"><h2>${t("settings.appearance")}</h2></div><div class="card-body stack">
      <div class="field"><span class="label">${t("settings.language")}</span>${segmented(t("settings.language"), Object.entries(languages).map(([value, label]) => ({ value, label, test: "language-" + value })), preferences.language, (value) => { preferences.language = value; })}</div>
      <div class="field"><span class="label">${t("theme.label")}</span>${segmented(t("theme.label"), ["auto", "light", "dark"].map((value) => ({ value, label: t("theme." + value), test: "theme-" + value })), preferences.theme, (value) => { preferences.theme = value; })}</div>
    </div></section>`;

    const tokenList = () => html`<section class="card"><div class="card-head"><h2>${t("settings.tokens")}</h2></div><div class="card-body stack">
      <p class="muted small">${t("settings.tokensText")}</p>
      <form class="row" @submit=${create}><input class="input grow" data-test="token-name" placeholder=${t("settings.tokenName")} aria-label=${t("settings.tokenName")} value=${name.value} @input=${(event) => { name.value = event.target.value; }} />
        <button class="button" type="submit" data-test="token-create" disabled=${!name.value.trim()}>${icon("plus", 16)}${t("settings.create")}</button></form>
      ${errorText(problem.value && problemText(problem.value))}
      ${fresh.value ? notice("good", html`<div class="stack"><b>${t("settings.tokenOnce", { name: fresh.value.name })}</b><div class="row"><span class="secret" data-test="token-secret">${fresh.value.token}</span>
        <button class="icon-button small" type="button" aria-label=${t("common.copy")} title=${t("common.copy")} @click=${() => copyText(fresh.value.token)}>${icon("copy", 16)}</button></div></div>`) : null}
      ${tokens.value?.length ? html`<div>${tokens.value.map((token) => html`<div class="token" key=${token.id}><div class="grow"><div class="strong truncate">${token.name}</div>
        <div class="small faint">${token.createdAt ? t("settings.createdAt", { at: relative(token.createdAt) }) : ""}${token.lastUsedAt ? " · " + t("settings.usedAt", { at: relative(token.lastUsedAt) }) : ""}</div></div>
        <button class="icon-button" type="button" title=${t("settings.revoke")} aria-label=${t("settings.revoke") + " " + token.name} @click=${() => revoke(token)}>${icon("trash")}</button></div>`)}</div>`
        : tokens.value ? html`<p class="small faint">${t("settings.noTokens")}</p>` : null}
    </div></section>`;

    const about = () => html`<section class="card"><div class="card-head"><h2>${t("settings.about")}</h2></div><div class="card-body stack">
      <dl class="facts"><dt>Tundish</dt><dd>${status.value?.version ?? session.version}</dd><dt>${t("settings.node")}</dt><dd>${status.value?.name ?? "–"}</dd>
        <dt>${t("overview.uptime")}</dt><dd>${status.value ? duration(status.value.uptimeSeconds * 1000) : "–"}</dd><dt>${t("settings.started")}</dt><dd>${dateTime(status.value?.startedAt)}</dd>
        <dt>${t("settings.user")}</dt><dd>${session.username}</dd><dt>${t("users.role")}</dt><dd>${session.roles.map((role) => t("roles." + role)).join(", ") || t("users.noRole")}</dd></dl>
      <div class="row wrap"><a class="button small" href="/api/openapi.json" target="_blank" rel="noopener">OpenAPI</a><a class="button small" href="/metrics" target="_blank" rel="noopener">${t("settings.metrics")}</a>
        <span class="grow"></span><button class="button small" type="button" @click=${signOut}>${icon("logout", 16)}${t("login.signOut")}</button></div>
      <p class="small faint">${t("settings.licences")}</p>
    </div></section>`;

    return () => html`<div class="page"><div class="settings"><div class="stack">${appearance()}${about()}</div>${may("administer") ? html`<div class="stack"><${Users} />${tokenList()}</div>` : null}</div></div>`;
  },
});
