// People who may sign in: adding, roles, passwords, disabling, deleting. For administrators.

import { defineComponent, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, remove, request } from "../api.js";
import { badge, errorText } from "../components/basics.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { problemText, relative, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, session, toast } from "../state.js";

const ROLES = ["viewer", "operator", "engineer", "administrator"];
const PASSWORD_MIN = 8;
const path = (user) => "/users/" + encodeURIComponent(user);
const roleText = (user) => ((user.spec.roles ?? ["viewer"]).map((role) => t("roles." + role)).join(", ") || t("users.noRole"));

/** Adds a user or changes one. `user` null: a new one. */
const UserDialog = defineComponent({
  props: { user: Object },
  emits: ["close", "saved"],
  setup(properties, { emit }) {
    const isNew = !properties.user;
    const name = ref(properties.user?.name ?? "");
    const password = ref("");
    const role = ref(ROLES.findLast((one) => properties.user?.spec.roles?.includes(one)) ?? "viewer");
    const problem = ref(null);
    const busy = ref(false);

    const save = async (event) => {
      event.preventDefault();
      const user = name.value.trim();
      const spec = { ...properties.user?.spec, roles: [role.value] };
      if (password.value) {
        delete spec.passwordHash;
        spec.password = password.value;
      }
      busy.value = true;
      try {
        await request("PUT", path(user), { body: { spec }, headers: isNew ? {} : { "If-Match": `"${properties.user.revision}"` } });
        toast("ok", t(isNew ? "users.created" : "users.saved", { name: user }));
        emit("saved");
      } catch (error) {
        problem.value = error.code === "request.precondition_required" ? t("users.exists", { name: user }) : error.issues?.[0]?.message ?? problemText(error);
      } finally { busy.value = false; }
    };

    const choice = (one) => html`<label class="radio" key=${one}><input type="radio" name="role" value=${one} checked=${role.value === one} data-test=${"role-" + one} @change=${() => { role.value = one; }} />
      <span><b>${t("roles." + one)}</b><span class="small muted">${t("users.may." + one)}</span></span></label>`;

    return () => html`<${Dialog} title=${isNew ? t("users.add") : t("users.edit", { name: name.value })} test="user-dialog" @close=${() => emit("close")}>${{
      default: () => html`<form class="stack" id="user-form" novalidate @submit=${save}>
        ${isNew ? html`<div class="field"><label for="user-name">${t("login.username")}</label><input class="input" id="user-name" data-test="user-name" data-autofocus autocomplete="off" autocapitalize="none" spellcheck="false"
          value=${name.value} @input=${(event) => { name.value = event.target.value; }} /></div>` : null}
        <div class="field"><label for="user-password">${isNew ? t("login.password") : t("users.newPassword")}</label><input class="input" id="user-password" data-test="user-password" type="password" autocomplete="new-password"
          placeholder=${isNew ? "" : t("users.keepPassword")} value=${password.value} @input=${(event) => { password.value = event.target.value; }} /></div>
        <fieldset class="radios"><legend class="label">${t("users.role")}</legend>${ROLES.map(choice)}</fieldset>
        ${errorText(problem.value)}</form>`,
      foot: () => html`<button class="button" type="button" @click=${() => emit("close")}>${t("common.cancel")}</button>
        <button class="button primary" type="submit" form="user-form" data-test="user-save" disabled=${busy.value || !name.value.trim() || (isNew && password.value.length < PASSWORD_MIN)}>${t("common.save")}</button>`,
    }}</>`;
  },
});

export const Users = defineComponent({
  setup() {
    const users = shallowRef(null);
    const problem = ref(null);
    const editing = ref(undefined);

    const load = async () => {
      try {
        users.value = (await get("/users")).items;
        problem.value = null;
      } catch (error) { problem.value = error; }
    };
    load();
    const change = async (action) => {
      try { await action(); await load(); } catch (error) { toast("error", error.issues?.[0]?.message ?? problemText(error)); }
    };
    const toggle = (user) => change(async () => {
      const disabled = !user.spec.disabled;
      await request("PUT", path(user.name), { body: { spec: { ...user.spec, disabled } }, headers: { "If-Match": `"${user.revision}"` } });
      toast("ok", t(disabled ? "users.disabled" : "users.enabled", { name: user.name }));
    });
    const erase = async (user) => {
      if (!(await ask({ title: t("users.deleteTitle", { name: user.name }), text: t("users.deleteText"), confirm: t("users.delete"), danger: true }))) return;
      await change(async () => { await remove(path(user.name)); toast("ok", t("users.deleted", { name: user.name })); });
    };

    const row = (user) => html`<div class="token" key=${user.name} data-test="user" data-user=${user.name}><div class="grow"><div class="row wrap"><span class="strong truncate">${user.name}</span>
        ${user.name === session.username ? badge("", t("users.you")) : null}${user.spec.disabled ? badge("warn", t("users.isDisabled")) : null}</div>
        <div class="small faint">${roleText(user)} · ${t("users.changed", { at: relative(user.updatedAt) })}</div></div>
      <span class="actions"><button class="icon-button" type="button" title=${t("users.change")} aria-label=${t("users.change") + " " + user.name} data-test=${"user-edit-" + user.name} @click=${() => { editing.value = user; }}>${icon("edit")}</button>
      <button class="icon-button" type="button" title=${t(user.spec.disabled ? "users.enable" : "users.disable")} aria-label=${t(user.spec.disabled ? "users.enable" : "users.disable") + " " + user.name} data-test=${"user-toggle-" + user.name} @click=${() => toggle(user)}>${icon(user.spec.disabled ? "check" : "pause")}</button>
      <button class="icon-button" type="button" title=${t("users.delete")} aria-label=${t("users.delete") + " " + user.name} data-test=${"user-delete-" + user.name} @click=${() => erase(user)}>${icon("trash")}</button></span></div>`;

    return () => html`<section class="card" data-test="users"><div class="card-head"><h2 class="grow">${t("users.title")}</h2>
      <button class="button small" type="button" data-test="user-add" @click=${() => { editing.value = null; }}>${icon("plus", 16)}${t("users.add")}</button></div>
      <div class="card-body stack"><p class="muted small">${t("users.text")}</p>${errorText(problem.value && problemText(problem.value))}<div>${(users.value ?? []).map(row)}</div></div>
      ${editing.value === undefined ? null : html`<${UserDialog} user=${editing.value} @close=${() => { editing.value = undefined; }} @saved=${() => { editing.value = undefined; load(); }} />`}
    </section>`;
  },
});
