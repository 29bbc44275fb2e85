// The page: what is chosen, when it is drawn, and keys.

const { mode, window: lookBack } = document.documentElement.dataset;
const STATES = {
  live: mode === "saved" ? "reading" : "live",
  ended: mode === "whole" ? "saved copy" : "all read",
  lost: "not connected, trying again",
  refused: "not let in: run kubectl learnflow ui again",
};
const LISTED = 200;

const chosen = { topic: "", search: "", failed: false, paused: false, open: null };
let page;
let heard = performance.now();
let changed = true;

function say(state) {
  mark(byId("state"), "data-state", state);
  write(byId("state"), STATES[state]);
}

function take(bytes) {
  page.read(bytes);
  heard = performance.now();
  changed = true;
}

function choose(topic) {
  chosen.topic = chosen.topic === topic ? "" : topic;
  close();
  list();
}

function open(number) {
  const timeline = JSON.parse(page.timeline(number));
  if (!timeline) return;
  chosen.open = number;
  showDetail(timeline);
  byId("list").hidden = true;
  byId("detail").hidden = false;
  byId("back").focus();
}

function close() {
  const number = chosen.open;
  chosen.open = null;
  byId("detail").hidden = true;
  byId("list").hidden = false;
  if (number !== null) document.querySelector(`#list-rows button[data-number="${number}"]`)?.focus();
  show();
}

// Whoever reads the list must not have it move under the eyes.
function isHeld() {
  const rows = byId("list-rows");
  return chosen.paused || chosen.open !== null || rows.contains(document.activeElement) || rows.scrollTop > 0;
}

function figures() {
  const view = JSON.parse(page.view(mode === "live" ? performance.now() - heard : 0, chosen.search));
  write(byId("events"), count(view.events));
  write(byId("rate"), view.rate.toFixed(1));
  write(byId("failed"), count(view.failed));
  mark(byId("failed"), "class", alarm(view));
  const notes = [];
  if (view.missed) notes.push(`${count(view.missed)} events were missed`);
  if (view.broken) notes.push(`${count(view.broken)} broken lines`);
  if (view.graph.more) notes.push(`${count(view.graph.more)} more topics are not drawn`);
  write(byId("notes"), notes.join(", "));
  graph.show(view.graph, chosen.topic);
  showRows(view.rows, view.more, chosen.topic, choose);
  byId("held").hidden = !isHeld();
}

function show() {
  figures();
  if (!isHeld()) list();
}

function list() {
  showEvents(JSON.parse(page.events(chosen.topic, chosen.search, chosen.failed, LISTED)), open);
  write(byId("list-title"), chosen.topic || "Events");
  byId("all").hidden = chosen.topic === "";
}

// At most a tenth of the time is for figures: with many topics they come more seldom. The list comes in the frame behind them, so that
// neither frame is late.
let next = 0;
let listed = true;
function frame(now) {
  graph.send(page.pulses(), now);
  graph.draw(now);
  const moves = changed || mode === "live";
  if ((now >= next && moves && !document.hidden) || graph.resized) {
    const began = performance.now();
    changed = false;
    figures();
    listed = isHeld();
    next = now + Math.max(400, (performance.now() - began) * 10);
  } else if (!listed) {
    listed = true;
    list();
  }
  requestAnimationFrame(frame);
}

function toggle(button, name) {
  chosen[name] = !chosen[name];
  mark(button, "aria-pressed", String(chosen[name]));
  show();
  if (!chosen.paused) list();
}

// Up and down go through the rows of where the focus is; into the list, if it is nowhere.
function move(by) {
  const here = document.activeElement?.closest("#rows, #list-rows, #stage");
  const all = [...(here ?? byId("list-rows")).querySelectorAll("tr, button, [tabindex]")];
  const at = all.indexOf(document.activeElement);
  all[at < 0 ? 0 : Math.min(all.length - 1, Math.max(0, at + by))]?.focus();
}

function back() {
  if (chosen.open !== null) return close();
  document.activeElement?.blur();
  if (chosen.topic) choose(chosen.topic);
}

const KEYS = {
  "/": () => byId("search").focus(),
  f: () => toggle(byId("only-failed"), "failed"),
  p: () => toggle(byId("pause"), "paused"),
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape") return back();
  if (event.target === byId("search")) return;
  if (event.key === "Enter" && event.target.closest("#rows")) return choose(event.target.dataset.topic);
  if (!KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});
byId("search").addEventListener("input", (event) => {
  chosen.search = event.target.value;
  show();
  list();
});
byId("only-failed").addEventListener("click", (event) => toggle(event.currentTarget, "failed"));
byId("pause").addEventListener("click", (event) => toggle(event.currentTarget, "paused"));
byId("all").addEventListener("click", () => choose(chosen.topic));
byId("back").addEventListener("click", close);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (graph.resized = true));

write(byId("looks-back"), Number(lookBack) ? `Figures of the last ${seconds(Number(lookBack))}. Times are UTC.` : "Figures of all events. Times are UTC.");
const graph = new Graph(choose);
await wasm_bindgen({ module_or_path: mode === "whole" ? bytesOf("wasm") : "page.wasm" });
page = new wasm_bindgen.Page(Number(lookBack));
requestAnimationFrame(frame);
await (mode === "whole" ? replay(take, say) : follow(page, mode, take, say));
