// One retained message: its payload, and removing it.

import { computed, defineComponent } from "/vendor/vue/vue.esm-browser.prod.js";
import { remove } from "../api.js";
import { command, notice } from "../components/basics.js";
import { Code } from "../components/code.js";
import { Dialog } from "../components/dialog.js";
import { html } from "../html.js";
import { bytes, dateTime, problemText, t } from "../i18n.js";
import { ask, may, toast } from "../state.js";
import { payloadBytes } from "./columns.js";

/** JSON on several lines; anything else as it is. */
function readable(text) {
  if (!/^\s*[[{]/.test(text)) return text;
  // Numbers that a double cannot hold would change: then the text stays as it came.
  if (/\d{16,}/.test(text)) return text;
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

export const RetainedDialog = defineComponent({
  props: { message: Object },
  emits: ["close", "changed"],
  setup(properties, { emit }) {
    const text = computed(() => readable(properties.message.payload));
    const erase = async () => {
      const { topic } = properties.message;
      if (!(await ask({ title: t("mqtt.eraseTitle"), text: t("mqtt.eraseText", { topic }), confirm: t("mqtt.erase"), danger: true }))) return;
      try {
        await remove("/retained/" + encodeURIComponent(topic));
        toast("ok", t("mqtt.erased", { topic }));
        emit("changed");
        emit("close");
      } catch (error) { toast("error", problemText(error)); }
    };
    return () => {
      const { message } = properties;
      return html`<${Dialog} wide=${true} title=${message.topic} test="retained-dialog" @close=${() => emit("close")}>${{
        default: () => html`<><div class="row wrap small muted"><span>${bytes(payloadBytes(message))}</span><span>QoS ${message.qos}</span><span>${dateTime(message.at)}</span>${message.encoding ? html`<span>Base64</span>` : null}</div>
          ${message.bytes ? notice("info", t("mqtt.cut", { n: bytes(message.payload.length), total: bytes(message.bytes) })) : null}
          <${Code} text=${text.value} language="JSON" test="retained-payload" label=${t("mqtt.payload")} />${command(`tundish retained get '${message.topic}'`)}</>`,
        foot: () => (may("operate") ? html`<button class="button danger" type="button" data-test="retained-delete" @click=${erase}>${t("mqtt.erase")}</button>`
          : html`<button class="button" type="button" @click=${() => emit("close")}>${t("common.close")}</button>`),
      }}</>`;
    };
  },
});
