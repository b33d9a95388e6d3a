// What the page does beyond links and forms. Everything works without it, only less lively.

import { tick } from "./clocks.js";
import { follow } from "./live.js";

// A link that `make run` prints carries the token behind the #, which no server sees and no history needs to keep.
const byKey = document.getElementById("by-key");
if (byKey) {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token) {
    history.replaceState(null, "", location.pathname);
    byKey.elements.token.value = token;
    byKey.requestSubmit();
  }
}

tick();
if (document.body.dataset.me !== undefined) follow();

// One answer for one question: a second click waits for the first.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  for (const button of event.target.querySelectorAll("button")) button.disabled = true;
});
addEventListener("pageshow", () => {
  for (const button of document.querySelectorAll("button[disabled]")) button.disabled = false;
});

// A choice of queue shows it at once; the button is for who has no script.
document.documentElement.classList.add("scripted");
document.addEventListener("change", (event) => event.target.closest(".filters")?.requestSubmit());
document.addEventListener("click", (event) => event.target.closest("[data-print]") && print());

// In the queue the arrows (and j, k) go from ticket to ticket; they do nothing elsewhere.
document.addEventListener("keydown", (event) => {
  const here = event.target.closest?.("#rows .title");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = [...document.querySelectorAll("#rows .title")];
  const at = all.indexOf(here);
  const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to === undefined || !all[to]) return;
  event.preventDefault();
  all[to].focus();
  all[to].closest("tr").scrollIntoView({ block: "nearest" });
});

// An open menu closes with Escape and gives the focus back.
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && event.target.closest?.(".who[open]");
  if (menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
