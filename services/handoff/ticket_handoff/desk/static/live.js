// Live updates by server-sent events. A page that nobody looks at lets go of its line, for a browser has few of them.

import { localize } from "./clocks.js";

const line = document.getElementById("line");
const said = document.getElementById("said");
const WORDS = { live: "Live", lost: "Not live: trying again", over: "Your session is over: load the page to sign in" };

let source;
let missed = false;

export function follow() {
  line.hidden = false;
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : start()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", start);
  start();
}

function start() {
  if (source || document.hidden) return;
  source = new EventSource("/desk/live");
  source.addEventListener("hello", () => {
    state("live");
    if (missed) anew(0);
    missed = false;
  });
  source.addEventListener("tickets", (event) => tickets(JSON.parse(event.data)));
  source.addEventListener("counts", (event) => counts(JSON.parse(event.data)));
  source.addEventListener("anew", () => anew(1500));
  source.addEventListener("error", () => {
    missed = true;
    state("lost");
    if (source?.readyState === EventSource.CLOSED) again();
  });
}

// The browser has given up: the service is away for longer, or does not know us any more.
async function again() {
  stop();
  const answer = await fetch("/desk/waiting").catch(() => undefined);
  if (answer?.status === 401) state("over");
  else setTimeout(start, 5000 + 5000 * Math.random());
}

function stop() {
  source?.close();
  source = undefined;
  missed = true;
}

function state(name) {
  line.dataset.state = name;
  line.querySelector(".words").textContent = WORDS[name];
}

function tell(words) {
  said.textContent = words;
}

function tickets(changed) {
  const rows = document.getElementById("rows");
  const ticket = document.querySelector(".ticket")?.dataset.ticket;
  if (rows) {
    const before = document.activeElement?.closest("#rows tr")?.dataset.ticket;
    let count = 0;
    for (const each of changed) count += put(rows, each);
    if (rows.children.length > rows.dataset.window) {
      if (rows.dataset.more === undefined) anew(1500);
      else while (rows.children.length > rows.dataset.window) rows.lastElementChild.remove();
    }
    document.getElementById("empty").hidden = rows.children.length > 0;
    if (before && !document.activeElement?.closest("#rows")) row(rows, before)?.querySelector(".title").focus();
    if (count) tell(count === 1 ? "One ticket changed" : `${count} tickets changed`);
  } else if (ticket) {
    if (changed.some((each) => each.ticket === ticket)) anew(0);
  } else if (document.querySelector("[data-anew]")) {
    anew(2000);
  }
}

const row = (rows, name) => rows.querySelector(`tr[data-ticket="${CSS.escape(name)}"]`);

// Puts the row of a ticket where it belongs in this window of the queue; tells whether anything was to be seen.
function put(rows, { ticket, row: html }) {
  const old = row(rows, ticket);
  const made = document.createElement("template");
  made.innerHTML = html ?? "";
  const fresh = made.content.querySelector("tr");
  if (!fresh || !belongs(rows.dataset, fresh.dataset)) {
    old?.remove();
    return old ? 1 : 0;
  }
  const next = [...rows.children].find((each) => each !== old && follows(each.dataset, fresh.dataset));
  const beyond = !next && rows.dataset.more !== undefined;
  const before = rows.dataset.after !== undefined && next === rows.firstElementChild && !old;
  if (beyond || before) {
    old?.remove();
    return old ? 1 : 0;
  }
  localize(fresh);
  fresh.classList.add("fresh");
  old?.remove();
  rows.insertBefore(fresh, next ?? null);
  return 1;
}

function belongs(wanted, { queue, offered, owner, receiver }) {
  const me = document.body.dataset.me;
  if (wanted.queue && wanted.queue !== queue && wanted.queue !== offered) return false;
  return wanted.mine === undefined || owner === me || receiver === me;
}

function follows(one, other) {
  const apart = Number(one.due) - Number(other.due);
  return apart > 0 || (apart === 0 && one.ticket > other.ticket);
}

let asked;
let rested = 0;
const REST = 4000; // however much happens, a page is not read more often than this

// Reads again what the page shows, and puts it in the old one's place: forms that somebody has begun to fill in stay.
function anew(within) {
  if (asked) return;
  asked = setTimeout(async () => {
    asked = undefined;
    rested = Date.now() + REST;
    if (document.hidden) return (missed = true);
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => undefined);
    if (!answer || answer.status === 429 || answer.status >= 500) return later();
    if (!answer.ok) return writing(document) || location.reload();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    swap(page.querySelector("main"));
    if (source?.readyState === EventSource.OPEN) state("live");
  }, Math.max(within * Math.random(), rested - Date.now()));
}

// The line may live on while the page cannot be read: what is shown is not what is.
function later() {
  state("lost");
  anew(REST);
}

function swap(fresh) {
  const old = document.querySelector("main");
  if (writing(old)) {
    if (!old.querySelector(".flash.stale")) old.prepend(stale());
    return;
  }
  const open = new Set([...old.querySelectorAll("details[open] > summary")].map((each) => each.textContent));
  const focused = name(document.activeElement);
  localize(fresh);
  for (const each of fresh.querySelectorAll("details > summary")) if (open.has(each.textContent)) each.parentElement.open = true;
  const told = old.querySelectorAll(":scope > .flash"); // what somebody has just been told stays to be read
  old.replaceChildren(...told, ...fresh.childNodes);
  if (focused) [...old.querySelectorAll("a, button, summary, select, input, textarea")].find((each) => name(each) === focused)?.focus();
  tell("This page was brought up to date");
}

const name = (element) => element?.closest("main") && (element.id || element.getAttribute("href") || element.textContent.trim());

const writing = (root) => [...root.querySelectorAll("textarea")].some((each) => each.value !== each.defaultValue || each === document.activeElement);

function stale() {
  const note = document.createElement("p");
  note.className = "flash note stale";
  note.setAttribute("role", "status");
  note.append("This ticket has changed meanwhile. ");
  const again = document.createElement("a");
  again.href = location.href;
  again.textContent = "Load it again";
  note.append(again, "; what you have written would be lost.");
  return note;
}

// The figures above the queue.
function counts(figures) {
  const queue = document.getElementById("rows")?.dataset.queue ?? "";
  for (const each of document.querySelectorAll("#counts [data-count]")) {
    each.textContent = (figures[queue]?.[each.dataset.count] ?? 0).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
  }
}
