// The frame of the pages before one is signed in.

import { html } from "../html.js";
import { logo } from "../icons.js";
import { languageButton, themeButton, toastList } from "./shell.js";

export function outside(title, text, content) {
  return html`<main class="outside">
    <div class="outside-tools">${languageButton()}${themeButton()}</div>
    <div class="outside-card card"><div class="outside-brand">${logo(44)}<span>Tundish</span></div>
      <h1>${title}</h1><p class="muted">${text}</p>${content}</div>
    ${toastList()}
  </main>`;
}
