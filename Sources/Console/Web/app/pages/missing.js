import { empty } from "../components/basics.js";
import { html } from "../html.js";
import { t } from "../i18n.js";

export default {
  setup: () => () => empty("search", t("missing.title"), t("missing.text"), html`<a class="button primary" href="#/">${t("nav.overview")}</a>`),
};
