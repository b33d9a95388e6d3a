// Clocks that tick and moments in the reader's own zone.

const ahead = Number(document.body.dataset.now) * 1000 - Date.now(); // the desk's clock counts, not this machine's
export const now = () => (Date.now() + ahead) / 1000;

// As `duration` in words.py.
function duration(seconds) {
  const whole = Math.floor(Math.abs(seconds));
  const sign = seconds < 0 && whole ? "−" : "";
  if (whole < 3600) return `${sign}${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
  const hours = Math.floor(whole / 3600).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
  return `${sign}${hours} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}`;
}

// Seconds left now, of a clock that stood at data-left at the instant data-at. It counts while its calendar is open; when
// that changes is data-changes.
function left(clock) {
  const { left, at, changes } = clock.dataset;
  const counting = "counting" in clock.dataset;
  const present = now();
  const turn = changes === undefined ? Infinity : Number(changes);
  const counted = counting ? Math.min(present, turn) - Number(at) : Math.max(0, present - turn);
  return Number(left) - Math.max(0, counted);
}

function show(clock) {
  const seconds = left(clock);
  const text = duration(seconds);
  if (clock.textContent !== text) clock.textContent = text;
  const goal = Number(clock.dataset.goal);
  const level = seconds <= 0 ? "over" : goal - seconds >= 0.75 * goal ? "soon" : "ok";
  if (clock.classList.contains(level)) return;
  for (const each of [clock, clock.closest(".row, .clocks > li")]) {
    each?.classList.remove("ok", "soon", "over");
    each?.classList.add(level);
  }
}

const clockTime = { hour: "2-digit", minute: "2-digit" };
const day = { weekday: "short", day: "numeric", month: "short" };
const format = (options) => new Intl.DateTimeFormat(undefined, options);
const forms = {
  today: format(clockTime),
  near: format({ weekday: "short", ...clockTime }),
  short: format({ ...day, ...clockTime }),
  full: format({ ...day, year: "numeric", ...clockTime, second: "2-digit" }),
};

// As near as it is, so short it is said.
function said(at, form) {
  if (form !== "short") return forms[form].format(at);
  const present = new Date(now() * 1000);
  if (at.toDateString() === present.toDateString()) return forms.today.format(at);
  return forms[Math.abs(at - present) < 5 * 86_400_000 ? "near" : "short"].format(at);
}

// Moments come in UTC and are shown in the reader's zone; the pointer finds the UTC again.
export function localize(root) {
  for (const time of root.querySelectorAll("time[data-form]")) {
    time.title = time.textContent;
    time.textContent = said(new Date(time.dateTime), time.dataset.form);
    delete time.dataset.form;
  }
  for (const option of root.querySelectorAll("option[data-at]")) { // it holds text alone, no time element
    option.title = option.textContent;
    option.textContent = said(new Date(option.dataset.at), "short") + option.dataset.rest;
    delete option.dataset.at;
  }
}

export function tick() {
  localize(document);
  const all = () => {
    for (const clock of document.querySelectorAll(".clock[data-left]")) show(clock);
  };
  all();
  setInterval(() => { if (!document.hidden) all(); }, 1000);
  document.addEventListener("visibilitychange", all);
}
