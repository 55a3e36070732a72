/* ---- The page: forest, tabs, tables ---- */

const panels = $$(".panel");
const rows = $$("#forest tbody tr");

function update(changes = {}) {
  Object.assign(state, changes);
  writeHash();
  render();
}

function choose(index) {
  if (index === state.problem) return;
  update({ problem: index, zoom: null });
}

function render() {
  const problem = data.problems[state.problem];
  for (const row of rows) {
    const index = Number(row.dataset.p);
    row.hidden = !Object.entries(state.filters).every(([name, value]) => !value || row.dataset[name].split(" ").includes(value));
    row.classList.toggle("chosen", index === state.problem);
    $(".pick", row).setAttribute("aria-pressed", String(index === state.problem));
  }
  for (const part of $$(".of-all")) part.hidden = rows.every((row) => !row.hidden);
  for (const part of $$("[data-of]")) part.hidden = Boolean(state.challenger) && part.dataset.of !== state.challenger;
  for (const button of $$("[data-challenger]")) {
    const isOn = button.dataset.challenger === state.challenger;
    button.setAttribute("aria-pressed", String(isOn));
    button.closest("tr")?.classList.toggle("chosen", isOn);
  }
  const heats = $$("[data-heat]");
  const heat = heats.find((frame) => frame.dataset.heat === state.reference) ?? heats[0];
  for (const frame of heats) frame.hidden = frame !== heat;
  for (const button of $$("[data-reference]")) button.setAttribute("aria-pressed", String(button.dataset.reference === heat?.dataset.heat));
  for (const select of $$("[data-filter]")) select.value = state.filters[select.dataset.filter] ?? "";
  $("#problem-name").textContent = problem.name;
  renderChips(problem);
  for (const tab of $$('[role="tab"]')) {
    const isOn = tab.id === `tab-${state.tab}`;
    tab.setAttribute("aria-selected", String(isOn));
    tab.tabIndex = isOn ? 0 : -1;
  }
  for (const panel of panels) panel.hidden = panel.id !== state.tab;
  const panel = document.getElementById(state.tab);
  filterTables(panel, state.problem);
  ({ curves: renderCurves, sensitivity: renderOne(sensitivitySpec, "Only one learning rate was tried per optimizer."), tuning: renderOne(tuningSpec, "Only one setting was tried per optimizer."), runs: renderRuns })[state.tab]?.(panel, problem);
}

function renderChips(problem) {
  const place = $(".chips");
  const focused = document.activeElement?.closest?.(".chips button")?.dataset.o;
  const there = new Set(problem.settings.map((setting) => setting.o));
  place.replaceChildren(...data.optimizers.flatMap((optimizer, o) => (there.has(o) ? [element("button", {
    type: "button", "data-o": o, "aria-pressed": String(isShown(o)),
    title: `${optimizer.source}; click to show or hide, double-click to show it alone`,
    onclick: () => { state.off.has(o) ? state.off.delete(o) : state.off.add(o); update(); },
    ondblclick: () => update({ off: new Set(data.optimizers.keys().filter((other) => other !== o)) }),
  }, sample(o), nameOf(o, [...there]))] : [])));
  if (focused !== undefined) $(`[data-o="${focused}"]`, place)?.focus();
}

/* Tables hold the rows of all problems, which is what is read without a script and in print. */
function filterTables(panel, problem) {
  for (const figure of $$("figure[data-p]", panel)) figure.hidden = Number(figure.dataset.p) !== problem;
  const names = data.optimizers.map((optimizer) => optimizer.name);
  for (const table of $$("details.table table", panel)) {
    const column = [...table.tHead.rows[0].cells].findIndex((cell) => plainText(cell) === "Optimizer");
    let visible = 0;
    for (const row of table.tBodies[0].rows) {
      const of = column >= 0 ? names.indexOf(plainText(row.cells[column])) : -1;
      row.hidden = (row.dataset.p !== undefined && Number(row.dataset.p) !== problem) || (of >= 0 && !isShown(of));
      visible += !row.hidden;
    }
    table.closest("details").hidden = visible === 0;
    table.classList.toggle("one-problem", table.tHead.rows[0].cells[0].dataset.problem !== undefined);
  }
}

function select(title, choices, value, onChange) {
  const made = element("select", { onchange: () => onChange(made.value) },
    ...Object.entries(choices).map(([key, text]) => element("option", { value: key, selected: key === String(value) }, text)));
  return element("label", {}, title, made);
}

function toggle(text, isOn, onClick, more = {}) {
  return element("button", { type: "button", class: isOn ? "on" : null, "aria-pressed": String(isOn), onclick: onClick, ...more }, text);
}

/* Controls are made anew with every change; the one that was used keeps the focus. */
function setControls(panel, ...controls) {
  const place = $(".controls", panel);
  const before = [...place.querySelectorAll("button, select")].indexOf(document.activeElement);
  place.replaceChildren(...controls.filter(Boolean));
  if (before >= 0) place.querySelectorAll("button, select")[before]?.focus();
}

function renderCurves(panel, problem) {
  const units = Object.fromEntries(Object.entries(UNITS).filter(([unit]) => problem.settings.every((s) => s.x[unit] !== undefined)));
  const hasSeeds = problem.settings.some((setting) => setting.runs);
  const untuned = problem.settings.filter((setting) => !setting.tuned).length;
  setControls(panel,
    select("x axis", units, state.x in units ? state.x : "epochs", (x) => update({ x, zoom: null })),
    select("y axis", SCALES, state.scale, (scale) => update({ scale })),
    hasSeeds && toggle("single seeds", state.seeds, () => update({ seeds: !state.seeds })),
    untuned > 0 && toggle(`${untuned} other settings`, state.untuned, () => update({ untuned: !state.untuned })),
    state.zoom && element("button", { type: "button", onclick: () => update({ zoom: null }) }, "reset zoom"),
    element("span", { class: "key" }, bandText(problem)));
  const names = problem.metrics.map((metric) => metric.name);
  if (!names.length) return void $(".charts", panel).replaceChildren(element("p", { class: "empty" }, "No run has a metric to draw."));
  const judged = problem.judged ?? 0;
  const fallback = [names.find((name, i) => i !== judged) ?? null, names[judged]];
  const chosen = names.length === 1 ? [names[0]] : [0, 1].map((side) => (names.includes(state.metrics[side]) ? state.metrics[side] : fallback[side]));
  drawCharts($(".charts", panel), chosen.map((name, side) => ({
    spec: curveSpec(problem, names.indexOf(name)),
    head: names.length < 2 ? element("h3", {}, name) : select("", Object.fromEntries(names.map((n) => [n, n])), name, (value) => {
      const metrics = [...state.metrics];
      metrics[side] = value;
      update({ metrics });
    }),
    label: `Metric of the ${side ? "right" : "left"} figure`,
    title: `${problem.name} ${name}`,
  })), (zoom) => update({ zoom }));
}

function bandText(problem) {
  const several = problem.settings.some((setting) => setting.seeds.length > 1 && (setting.tuned || state.untuned));
  return several ? "Line: median of the seeds. Band: lowest to highest." : "One seed: no band.";
}

function renderOne(makeSpec, nothing) {
  return (panel, problem) => { // charts are as wide as the panel lets two of them be
    const spec = makeSpec(state.problem);
    const place = $(".charts", panel);
    setControls(panel, spec && select("y axis", SCALES, state.scale, (scale) => update({ scale })),
      spec?.kind === "sensitivity" ? element("span", { class: "key" }, "Bars: learning rates around the best that reach the target. Crosses: every run diverged.") : null);
    if (!spec) return void place.replaceChildren(element("p", { class: "empty" }, nothing));
    return drawCharts(place, [{ spec, head: element("h3", {}, spec.title), title: `${problem.name} ${spec.title}` }], null);
  };
}

/* ---- Charts in their frames: heading, buttons, tooltip, keys, values ---- */

let charts = [];

function drawCharts(place, wanted, onZoom, size = null) {
  if (!size) {
    charts.forEach((chart) => chart.u.destroy());
    charts = [];
  }
  const focused = document.activeElement?.closest?.(".chart")?.dataset.side;
  const isSelect = document.activeElement?.tagName === "SELECT";
  const opened = $$(".values", place).map((values) => values.open);
  // All frames first: the width of one depends on how many there are.
  const frames = wanted.map(({ spec, head, label, title }, side) => {
    if (label) $("select", head)?.setAttribute("aria-label", label);
    const hint = `${title} by ${spec.xLabel}. Arrow keys read values${onZoom ? ", plus and minus zoom, 0 shows all" : ""}.`;
    return element("section", { class: "chart", "data-side": side, "aria-label": title },
      element("div", { class: "chart-head" }, head, element("span", { class: "spring" })),
      element("div", { class: "plot", tabindex: 0, role: "group", "aria-label": hint }));
  });
  place.replaceChildren(...frames);
  wanted.forEach(({ spec, title }, side) => {
    const frame = frames[side];
    const plot = $(".plot", frame);
    if (!spec.series.length) {
      plot.replaceChildren(element("p", { class: "empty" }, "Nothing to draw: every optimizer is switched off, or no run has a finite value."));
      return;
    }
    const u = makeChart(spec, plot, size?.width ?? Math.max(frame.clientWidth, 240), size?.height ?? 250, onZoom);
    if (size) return;
    charts.push({ u, frame });
    const tool = (text, action) => element("button", { type: "button", class: "small", "aria-label": `${text} of ${title}`, onclick: action }, text);
    $(".chart-head", frame).append(
      tool("PNG", () => savePng(spec, u, title)), tool("SVG", () => saveSvg(spec, u, title)),
      tool("CSV", () => (spec.kind === "curves" ? save(`${fileName("curves", data.problems[state.problem].name)}.csv`, curvesCsv(data.problems[state.problem]), "text/csv") : save(`${fileName(title)}.csv`, specCsv(spec), "text/csv"))));
    frame.append(element("details", { class: "values", open: opened[side] ?? false }, element("summary", {}, "Values as a table"),
      element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Values of ${title}` }, valuesOf(spec))));
    addReading(spec, u, plot, frame, onZoom);
    if (focused === String(side)) (isSelect ? $("select", frame) : plot)?.focus({ preventScroll: true });
  });
}

function addReading(spec, u, plot, frame, onZoom) {
  const tip = element("div", { class: "tooltip", role: "status", hidden: true });
  frame.append(tip);
  const xs = [...new Set(spec.series.flatMap((s) => s.x))].sort((a, b) => a - b).filter((x) => !spec.zoom || (x >= spec.zoom[0] && x <= spec.zoom[1]));
  let at = -1;
  const show = (x) => {
    tip.replaceChildren(tooltipOf(spec, x));
    tip.hidden = false;
    const left = u.valToPos(x, "x") + u.bbox.left / devicePixelRatio;
    const beside = left + 14 + tip.offsetWidth < frame.clientWidth ? left + 14 : Math.max(left - tip.offsetWidth - 14, 0);
    Object.assign(tip.style, { left: `${beside}px`, top: `${plot.offsetTop + 12}px` });
  };
  const hide = () => { tip.hidden = true; };
  u.over.addEventListener("mousemove", () => { if (u.cursor.left >= 0) show(u.posToVal(u.cursor.left, "x")); });
  u.over.addEventListener("mouseleave", hide);
  u.over.addEventListener("dblclick", () => { if (state.zoom) update({ zoom: null }); });
  plot.addEventListener("blur", hide);
  plot.addEventListener("keydown", (event) => {
    const step = Math.max(1, Math.round(xs.length / 40));
    const moves = { ArrowRight: step, ArrowLeft: -step, Home: -Infinity, End: Infinity };
    if (event.key in moves) at = Math.min(Math.max((at < 0 ? 0 : at) + moves[event.key], 0), xs.length - 1);
    else if (event.key === "Escape") return hide();
    else if (onZoom && "+-0".includes(event.key)) {
      const [low, high] = [u.scales.x.min, u.scales.x.max];
      const center = at < 0 ? (low + high) / 2 : xs[at];
      const half = ((high - low) / 2) * (event.key === "+" ? 0.5 : 2);
      const all = spec.series.flatMap((s) => s.x);
      const ends = [Math.max(center - half, Math.min(...all)), Math.min(center + half, Math.max(...all))];
      update({ zoom: event.key === "0" || half * 2 >= Math.max(...all) - Math.min(...all) ? null : ends });
    } else return;
    event.preventDefault();
    if (at >= 0 && event.key in moves) {
      u.setCursor({ left: u.valToPos(xs[at], "x"), top: 10 });
      show(xs[at]);
    }
  });
}

/* ---- Runs: many, so they are stored as numbers and made into rows here ---- */

const runs = { sort: null, down: false, all: false, search: "" };

function runRows(problem) {
  const { settings, statuses, errors, rows: every } = data.runs;
  return every.filter((run) => settings[run[0]][0] === problem).map(([s, seed, status, epochs, seconds, ...rest]) => {
    const finals = rest.slice(0, -2);
    const [error, id] = rest.slice(-2);
    return [settings[s][1], settings[s][2], seed, statuses[status], epochs, seconds, ...finals, errors[error], id];
  });
}

const runHeads = () => ["Setting", "Source", "Seed", "Status", "Epochs", "Training in s", ...data.runs.metrics.map((m) => `Final ${m}`), "Message", "File ends with"];

function renderRuns(panel) {
  const heads = runHeads();
  let found = runRows(state.problem);
  const kept = heads.map((_, i) => found.some((row) => row[i] !== null && row[i] !== ""));
  const total = found.length;
  if (runs.search) found = found.filter((row) => row.join(" ").toLowerCase().includes(runs.search.toLowerCase()));
  if (runs.sort !== null) {
    const sign = runs.down ? -1 : 1;
    found.sort((a, b) => compare(a[runs.sort], b[runs.sort], sign));
  }
  const most = runs.all ? Infinity : 50;
  const search = element("input", { type: "search", autocomplete: "off", oninput: () => { runs.search = search.value; renderRuns(panel); } });
  search.value = runs.search;
  const isTyping = document.activeElement?.type === "search";
  setControls(panel, element("label", {}, "Rows with", search), element("span", { class: "key" }, `${found.length} of ${total} runs`), element("span", { class: "spring" }),
    element("button", { type: "button", onclick: () => save(`${fileName("runs", data.problems[state.problem].name)}.csv`, csvOf([heads, ...found]), "text/csv") }, "CSV"));
  if (isTyping) { search.focus(); search.setSelectionRange(search.value.length, search.value.length); }
  const head = element("tr", {}, ...heads.map((title, i) => (kept[i] ? element("th", { scope: "col", class: i > 1 && i < heads.length - 2 && i !== 3 ? "number" : null, "aria-sort": runs.sort === i ? (runs.down ? "descending" : "ascending") : null },
    element("button", { type: "button", onclick: () => { runs.down = runs.sort === i && !runs.down; runs.sort = i; renderRuns(panel); $$("thead button", panel)[[...kept].slice(0, i).filter(Boolean).length]?.focus(); } }, title)) : null)));
  const body = found.slice(0, most).map((row) => element("tr", {}, ...row.map((value, i) => {
    if (!kept[i]) return null;
    if (i === 0) return element("th", { scope: "row" }, value);
    if (i === 3) return element("td", {}, value === "done" ? value : element("span", { class: "status bad" }, value));
    const isNumber = i > 1 && i < heads.length - 2;
    return element("td", { class: isNumber ? "number" : null }, isNumber ? (i === 2 ? String(value) : shown(value)) : value);
  })));
  const table = element("div", { class: "scroll", role: "region", tabindex: 0, "aria-label": "Runs" }, element("table", {}, element("caption", {}, "Every run of the problem, also those that failed, diverged or are not finished; of baselines, the runs of the setting that is compared."), element("thead", {}, head), element("tbody", {}, ...body)));
  const more = found.length > most ? element("button", { type: "button", onclick: () => { runs.all = true; renderRuns(panel); } }, `Show all ${found.length} rows`) : null;
  $(".charts", panel).replaceChildren(element("div", { class: "runs", style: "grid-column:1/-1;min-width:0" }, table, more ?? ""));
}

function compare(a, b, sign) {
  const [left, right] = [a, b].map((v) => (typeof v === "string" ? Number.parseFloat(v.replace("\u2212", "-").replace(/^[[≥≤ ]+/, "").replace("∞", "Infinity")) : v ?? NaN));
  if (Number.isNaN(left) && Number.isNaN(right)) return sign * String(a ?? "").localeCompare(String(b ?? ""));
  if (Number.isNaN(left) || Number.isNaN(right)) return Number.isNaN(left) - Number.isNaN(right);
  return sign * (left - right);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, i) => {
    const button = element("button", { type: "button", onclick: () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = [...table.tBodies[0].rows].sort((a, b) => compare(plainText(a.cells[i]), plainText(b.cells[i]), down ? -1 : 1));
      table.tBodies[0].append(...sorted);
    } }, ...head.childNodes);
    head.replaceChildren(button);
  });
}

/* ---- Print: one problem a page, with its figures and the rows of its tables ---- */

const PRINTED = ["final", "times", "speedup", "difference", "sensitivity"].map((kind) => `table-${kind}`);

function buildPrint() {
  const place = document.getElementById("print");
  const theme = root.dataset.theme;
  root.dataset.theme = "light";
  place.style.display = "block";
  data.problems.forEach((problem, index) => {
    if (rows[index]?.hidden) return;
    const figures = element("div", { class: "charts" });
    const section = element("section", {}, element("h2", {}, problem.name), figures);
    place.append(section);
    const wanted = problem.metrics.map((metric, i) => ({ spec: curveSpec(problem, i), head: element("h3", {}, metric.name), title: metric.name }));
    for (const make of [sensitivitySpec, tuningSpec]) {
      const spec = make(index);
      if (spec) wanted.push({ spec, head: element("h3", {}, spec.title), title: spec.title });
    }
    drawCharts(figures, wanted, null, { width: 336, height: 165 });
    for (const original of $$("details.table table").filter((table) => PRINTED.includes(table.id))) {
      const table = original.cloneNode(true);
      table.removeAttribute("id");
      table.classList.toggle("one-problem", table.tHead.rows[0].cells[0].dataset.problem !== undefined);
      for (const row of [...table.tBodies[0].rows]) Number(row.dataset.p) === index ? (row.hidden = false) : row.remove();
      if (table.tBodies[0].rows.length) section.append(element("h3", {}, $("summary", original.closest("details")).textContent.trim()), table);
    }
  });
  const methods = document.getElementById("methods").cloneNode(true);
  methods.removeAttribute("id");
  methods.hidden = false;
  for (const inner of $$("[id]", methods)) inner.removeAttribute("id");
  for (const details of $$("details", methods)) details.open = true;
  place.append(element("section", {}, element("h2", {}, "Methods"), methods));
  if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
  place.style.display = "";
}

/* ---- Start ---- */

function setTheme(theme) {
  root.dataset.theme = theme;
  try { localStorage.setItem("deepobs-theme", theme); } catch { /* not in every frame */ }
}

try {
  const kept = localStorage.getItem("deepobs-theme");
  if (kept === "light" || kept === "dark") root.dataset.theme = kept;
} catch { /* not in every frame */ }

readHash();
const challengers = $$(".challengers [data-challenger]").map((button) => button.dataset.challenger);
if (challengers.length && !challengers.includes(state.challenger)) state.challenger = challengers[0];
if (!challengers.length) state.challenger = null;

for (const row of rows) row.addEventListener("click", () => choose(Number(row.dataset.p)));
for (const cell of $$(".heat td[data-p]")) cell.addEventListener("click", () => choose(Number(cell.dataset.p)));
for (const table of $$("details.table table")) makeSortable(table);
for (const select of $$("[data-filter]")) select.addEventListener("change", () => {
  state.filters[select.dataset.filter] = select.value;
  update();
  const first = rows.find((row) => !row.hidden);
  if (first && rows[state.problem].hidden) choose(Number(first.dataset.p));
});
document.getElementById("theme").addEventListener("click", () => { setTheme(isDark() ? "light" : "dark"); render(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);

document.addEventListener("click", (event) => {
  const button = event.target.closest("button, a");
  if (!button) return;
  const { csv, latex, challenger, reference, tabLink } = button.dataset;
  if (challenger) update({ challenger });
  if (reference) update({ reference });
  if (tabLink) { event.preventDefault(); update({ tab: tabLink }); document.getElementById(`tab-${tabLink}`).focus(); }
  if (button.getAttribute("role") === "tab") update({ tab: button.id.replace("tab-", "") });
  if (latex) copy(data.latex[latex], latex === "bibtex" ? "BibTeX" : "LaTeX");
  if (csv === "forest") save("verdicts.csv", forestCsv(), "text/csv");
  else if (csv) save(`${fileName(csv)}.csv`, tableCsv(document.getElementById(`table-${csv}`)), "text/csv");
});

$('[role="tablist"]').addEventListener("keydown", (event) => {
  const tabs = $$('[role="tab"]');
  const at = tabs.indexOf(document.activeElement);
  const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (to === undefined || at < 0) return;
  event.preventDefault();
  const tab = tabs[(to + tabs.length) % tabs.length];
  update({ tab: tab.id.replace("tab-", "") });
  tab.focus();
});

addEventListener("hashchange", () => { readHash(); render(); });
addEventListener("beforeprint", buildPrint);
addEventListener("afterprint", () => { document.getElementById("print").replaceChildren(); });
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; render(); } });
render();
