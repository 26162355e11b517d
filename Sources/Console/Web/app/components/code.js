// Text with highlighting, to be read. The editor lives in a shadow tree, because there it styles itself through
// style sheet objects; in the document it would add <style> elements, which the content security policy refuses.

import { defineComponent, onBeforeUnmount, onMounted, ref, watch } from "/vendor/vue/vue.esm-browser.prod.js";
import { html } from "../html.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { isDark } from "../state.js";
import { copyText } from "./basics.js";

/** `language`: a name that CodeMirror knows ("YAML", "SQL", "JSON"). */
export const Code = defineComponent({
  props: { text: String, language: { type: String, default: "YAML" }, label: String, test: String },
  setup(properties) {
    const host = ref(null);
    const ready = ref(false);
    let editor = null;
    let library = null;
    let gone = false;

    const theme = () => library.EditorView.theme({
      "&": { fontSize: "13px", backgroundColor: "transparent", color: "var(--text)" },
      ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.55" },
      ".cm-gutters": { backgroundColor: "transparent", color: "var(--text-3)", border: "none", paddingLeft: "6px" },
      ".cm-content": { padding: "10px 8px 10px 0" },
      "&.cm-focused": { outline: "none" },
    }, { dark: isDark.value });

    const make = async () => {
      library ??= await import("/vendor/codemirror/index.js");
      if (gone) return;
      const { EditorView, EditorState, lineNumbers, languages, syntaxHighlighting, defaultHighlightStyle, oneDarkHighlightStyle, foldGutter } = library;
      const description = languages.find((one) => one.name.toLowerCase() === properties.language.toLowerCase());
      const support = description ? await description.load().catch(() => null) : null;
      if (gone) return;
      const extensions = [
        lineNumbers(), foldGutter(), EditorState.readOnly.of(true), EditorView.editable.of(false), EditorView.lineWrapping, theme(),
        syntaxHighlighting(isDark.value ? oneDarkHighlightStyle : defaultHighlightStyle),
        EditorView.contentAttributes.of({ "aria-label": properties.label ?? properties.language, tabindex: "0" }),
        ...(support ? [support] : []),
      ];
      const root = host.value.shadowRoot ?? host.value.attachShadow({ mode: "open" });
      editor?.destroy();
      editor = new EditorView({ state: EditorState.create({ doc: properties.text ?? "", extensions }), parent: root, root });
      ready.value = true;
    };

    onMounted(make);
    watch(isDark, make);
    watch(() => properties.text, (text) => {
      editor?.dispatch({ changes: { from: 0, to: editor.state.doc.length, insert: text ?? "" } });
    });
    onBeforeUnmount(() => { gone = true; editor?.destroy(); });

    return () => html`<div class="code" data-test=${properties.test}>
      <button class="icon-button small code-copy" type="button" title=${t("common.copy")} aria-label=${t("common.copy")} @click=${() => copyText(properties.text)}>${icon("copy", 16)}</button>
      <div ref=${host}></div>
      ${ready.value ? null : html`<pre class="code-plain">${properties.text}</pre>`}
    </div>`;
  },
});
