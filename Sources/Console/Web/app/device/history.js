// The revisions of a resource: who changed what, when, from where; and the way back.

import { defineComponent, ref, shallowRef } from "/vendor/vue/vue.esm-browser.prod.js";
import { get, post } from "../api.js";
import { badge, command, errorText, loading } from "../components/basics.js";
import { html } from "../html.js";
import { dateTime, hasText, number, problemText, relative, t } from "../i18n.js";
import { icon } from "../icons.js";
import { ask, may, toast } from "../state.js";
import { differences } from "../yaml.js";

const CHANGES_MAX = 12;
const brief = (value) => {
  if (value === undefined) return "–";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 80 ? text.slice(0, 79) + "…" : text;
};

export const History = defineComponent({
  props: { plural: String, kind: String, name: String },
  emits: ["changed"],
  setup(properties, { emit }) {
    const items = shallowRef(null);
    const problem = ref(null);
    const path = `/${properties.plural}/${encodeURIComponent(properties.name)}`;
    const load = async () => {
      try { items.value = (await get(path + "/history")).items.sort((a, b) => b.revision - a.revision); } catch (error) { problem.value = error; }
    };
    load();

    const rollback = async (item) => {
      const yes = await ask({ title: t("history.question", { revision: item.revision }), text: t("history.questionText", { name: properties.name, at: dateTime(item.at) }), confirm: t("history.rollback") });
      if (!yes) return;
      try {
        await post(path + "/rollback", { to: item.revision });
        toast("ok", t("history.done", { revision: item.revision }));
        emit("changed");
        await load();
      } catch (error) { toast("error", problemText(error)); }
    };

    const changes = (item, older) => {
      if (!item.spec || !older?.spec) return null;
      const list = differences(older.spec, item.spec);
      if (list.length === 0) return null;
      return html`<div class="changes">${list.slice(0, CHANGES_MAX).map((change) => html`<div key=${change.path}>${change.path}: <del>${brief(change.before)}</del> → <ins>${brief(change.after)}</ins></div>`)}
        ${list.length > CHANGES_MAX ? html`<div class="faint">${t("history.more", { n: list.length - CHANGES_MAX })}</div>` : null}</div>`;
    };

    return () => {
      if (problem.value) return html`<section class="card card-body">${errorText(problemText(problem.value))}</section>`;
      if (!items.value) return loading();
      return html`<section class="card"><div class="card-head"><h2 class="grow">${t("history.title")}</h2></div>
        <div>${items.value.map((item, index) => html`<div class="revision" key=${item.revision} data-test="revision" data-revision=${item.revision}>
          <div class="grow"><div class="row wrap"><b>${t("history.revision", { revision: number(item.revision) })}</b>${badge("", hasText("history.action." + item.action) ? t("history.action." + item.action) : item.action)}
            ${index === 0 ? badge("good", t("history.present")) : null}</div>
            <div class="small muted" title=${dateTime(item.at)}>${t("history.by", { author: item.author || "–", source: item.source || "–" })} · ${relative(item.at)}</div>
            ${changes(item, items.value[index + 1])}</div>
          ${index === 0 || item.action === "delete" || !may("configure") ? null : html`<button class="button small" type="button" data-test=${"rollback-" + item.revision} @click=${() => rollback(item)}>${icon("history", 16)}${t("history.rollback")}</button>`}
        </div>`)}</div>
        <div class="card-body">${command(`tundish history ${properties.kind} ${properties.name}`)}</div></section>`;
    };
  },
});
