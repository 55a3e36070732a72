"use strict";
// The script of a report: common.js, charts.js, export.js and page.js in one function.
// It reads the one block of data on the page and asks the network for nothing.

const root = document.documentElement;
root.classList.add("js");
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

/* Makes an element; text is always a text node, so no name of a result can become markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/* A number with four digits, or more where it takes them to tell a value from the best. */
function shown(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)) + 1e-12);
  if (size < -3 || size > 5) {
    const [mantissa, power] = value.toExponential(Math.max(digits - 2, 1)).split("e");
    const raised = String(Number(power)).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
    return Number(mantissa) === 1 ? `10${raised}` : `${Number(mantissa)}×10${raised}`;
  }
  return String(Number(value.toFixed(Math.max(digits - 1 - size, 0))));
}

const UNITS = {
  epochs: "epochs", steps: "steps", gradient_evaluations: "gradient evaluations",
  examples: "examples", seconds: "seconds of training",
};
const SCALES = { linear: "linear", log: "log", gap: "gap to best (log)" };

const state = {
  problem: 0, tab: "curves", off: new Set(), challenger: null, reference: null, filters: {},
  x: "epochs", scale: "linear", seeds: false, untuned: false, zoom: null, metrics: [null, null],
};

/* Baselines that no verdict is about, such as official runs beside your own of one optimizer. */
const byDefaultOff = data.optimizers.filter((o) => !o.compared).map((o) => o.name);

/* ---- State in the address, so that a view can be sent to somebody ---- */

function readHash() {
  const words = new URLSearchParams(location.hash.slice(1));
  const problem = data.problems.findIndex((p) => p.name === words.get("problem"));
  if (problem >= 0) state.problem = problem;
  if (document.getElementById(`tab-${words.get("tab")}`)) state.tab = words.get("tab");
  const off = words.has("off") ? words.getAll("off") : byDefaultOff;
  state.off = new Set(data.optimizers.flatMap((o, i) => (off.includes(o.name) ? [i] : [])));
  state.challenger = words.get("challenger");
  state.reference = words.get("reference");
  if (words.get("x") in UNITS) state.x = words.get("x");
  if (words.get("y") in SCALES) state.scale = words.get("y");
  state.seeds = words.has("seeds");
  state.untuned = words.has("untuned");
  state.metrics = [words.get("left"), words.get("right")];
  const zoom = (words.get("zoom") ?? "").split(",").map(Number);
  state.zoom = zoom.length === 2 && zoom.every(Number.isFinite) ? zoom : null;
  for (const select of $$("[data-filter]")) state.filters[select.dataset.filter] = words.get(select.dataset.filter) ?? "";
}

function writeHash() {
  const words = new URLSearchParams();
  if (data.problems.length > 1) words.set("problem", data.problems[state.problem].name);
  if (state.tab !== "curves") words.set("tab", state.tab);
  const off = data.optimizers.filter((_, i) => state.off.has(i)).map((o) => o.name);
  if (String(off) !== String(byDefaultOff)) for (const name of off.length ? off : [""]) words.append("off", name);
  if (state.challenger) words.set("challenger", state.challenger);
  if (state.reference) words.set("reference", state.reference);
  if (state.x !== "epochs") words.set("x", state.x);
  if (state.scale !== "linear") words.set("y", state.scale);
  if (state.seeds) words.set("seeds", "1");
  if (state.untuned) words.set("untuned", "1");
  if (state.metrics[0]) words.set("left", state.metrics[0]);
  if (state.metrics[1]) words.set("right", state.metrics[1]);
  if (state.zoom) words.set("zoom", state.zoom.map((end) => Number(end.toPrecision(6))).join(","));
  for (const [name, value] of Object.entries(state.filters)) if (value) words.set(name, value);
  try {
    history.replaceState(null, "", `#${words}`);
  } catch { /* a page inside another one may not change its address */ }
}

/* ---- Looks ---- */

/* A name without what tells runs of one optimizer apart, where nothing has to be told apart. */
function nameOf(o, among) {
  const short = (index) => data.optimizers[index].name.split(" (")[0];
  return among.filter((other) => short(other) === short(o)).length > 1 ? data.optimizers[o].name : short(o);
}

const isDark = () => getComputedStyle(root).colorScheme === "dark";
const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

function mixed(color, other, share) {
  const parts = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
  const [a, b] = [parts(color), parts(other)];
  return `#${a.map((v, i) => Math.round(v + (b[i] - v) * share).toString(16).padStart(2, "0")).join("")}`;
}

/* References are thin, dashed and nearer to the colour of text, so that they neither hide what
   is compared with them nor merge with each other. */
function lookOf(index) {
  const { color, dash, leading } = data.optimizers[index];
  let stroke = color;
  if (!leading) stroke = mixed(stroke, isDark() ? "#e9ebef" : "#171a20", 0.35);
  else if (isDark()) stroke = mixed(stroke, "#ffffff", 0.35);
  return { stroke, dash, width: leading ? 2.2 : 1.4 };
}

function sample(index) {
  const { stroke, dash, width } = lookOf(index);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of [["width", 26], ["height", 8], ["aria-hidden", "true"]]) svg.setAttribute(name, value);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  const set = { x1: 0, x2: 26, y1: 4, y2: 4, stroke, "stroke-width": width + 0.6, "stroke-dasharray": dash.join(" ") };
  for (const [name, value] of Object.entries(set)) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}

function toast(text) {
  const place = document.getElementById("toast");
  place.textContent = text;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { place.textContent = ""; }, 2500);
}
