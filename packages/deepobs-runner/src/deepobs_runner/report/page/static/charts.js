/* ---- Charts: a specification of series becomes a uPlot, a text equivalent, SVG or CSV ----

   A specification has `title`, `xLabel`, `yLabel`, `series`, and optionally `target`, `marks`.
   A series has `o` (optimizer), `name`, `x`, `y`, and optionally `low` and `high` (a band), `seeds`
   (how many runs), `lines` (single runs with their seed), `points`. */

const FONT = '11px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const BOLD = FONT.replace("11px", "600 11.5px");

function axisOf(setting, unit) {
  const at = setting.x[unit];
  return typeof at === "number" ? setting.x.epochs.map((epoch) => epoch * at) : at;
}

function isShown(o) { return !state.off.has(o); }

/* Values as the scale shows them: as they are, or as their distance to the best of all runs. */
function scaled(values, metric) {
  if (state.scale !== "gap") return values;
  const sign = metric.higher ? -1 : 1;
  return values.map((v) => (v === null ? null : sign * (v - metric.best)));
}

function curveSpec(problem, metricIndex) {
  const metric = problem.metrics[metricIndex];
  const unit = problem.settings.every((s) => s.x[state.x] !== undefined) ? state.x : "epochs";
  const lower = state.scale === "gap" && metric.higher ? 2 : 1; // the best value has the smallest gap
  const series = [];
  const among = [...new Set(problem.settings.filter((s) => isShown(s.o)).map((s) => s.o))];
  for (const setting of problem.settings) {
    const band = setting.bands[metricIndex];
    if (!band || !isShown(setting.o) || (!setting.tuned && !state.untuned)) continue;
    const single = state.seeds && setting.runs && metricIndex === problem.judged;
    series.push({
      o: setting.o, name: setting.tuned ? nameOf(setting.o, among) : setting.label,
      label: setting.label, faint: !setting.tuned, seeds: setting.seeds.length,
      x: axisOf(setting, unit), y: scaled(band[0], metric),
      low: band[lower] && scaled(band[lower], metric), high: band[3 - lower] && scaled(band[3 - lower], metric),
      lines: single ? setting.runs.map((run, i) => ({ seed: setting.seeds[i], y: scaled(run, metric) })) : null,
    });
  }
  const isTarget = metricIndex === problem.judged && problem.target !== null;
  return {
    kind: "curves", title: metric.name, xLabel: UNITS[unit], metric,
    yLabel: state.scale === "gap" ? `${metric.name} − best` : metric.name,
    series, target: isTarget ? scaled([problem.target], metric)[0] : null,
    log: state.scale !== "linear", zoom: state.zoom, robust: true,
  };
}

function sensitivitySpec(index) {
  const found = data.sensitivity.filter((entry) => entry.p === index && isShown(entry.o));
  if (!found.length) return null;
  const values = found.flatMap((entry) => entry.values).filter((v) => v !== null);
  const metric = { name: found[0].metric, higher: /accuracy/.test(found[0].metric) };
  metric.best = metric.higher ? Math.max(...values) : Math.min(...values);
  const wide = Math.min(...values) > 0 && Math.max(...values) / Math.min(...values) > 100;
  return {
    kind: "sensitivity", title: `final ${metric.name}`, xLabel: "learning rate", xLog: true, metric,
    yLabel: state.scale === "gap" ? `final ${metric.name} − best` : `final ${metric.name}`,
    log: state.scale !== "linear" || wide, robust: false, zoom: null, target: null,
    series: found.map((entry) => ({
      o: entry.o, name: nameOf(entry.o, found.map((other) => other.o)), x: entry.rates, points: true,
      y: scaled(entry.values, metric), lost: entry.lost, window: entry.window,
    })),
  };
}

function tuningSpec(index) {
  const found = data.tuning.filter((entry) => entry.p === index && isShown(entry.o));
  if (!found.length) return null;
  const values = found.flatMap((entry) => entry.expected).filter((v) => v !== null);
  const metric = { name: found[0].metric, higher: /accuracy/.test(found[0].metric) };
  metric.best = metric.higher ? Math.max(...values) : Math.min(...values);
  return {
    kind: "tuning", title: `expected best ${metric.name}`, xLabel: "settings tried", metric,
    yLabel: `expected best ${metric.name}`, log: state.scale !== "linear", robust: false,
    zoom: null, target: null,
    series: found.map((entry) => ({
      o: entry.o, name: nameOf(entry.o, found.map((other) => other.o)), points: entry.expected.length < 50,
      x: entry.expected.map((_, i) => i + 1), y: scaled(entry.expected, metric),
    })),
  };
}

/* Range of the values in sight. On a linear axis the first steps of training, which are far from
   everything that is compared, may lie outside, unless somebody zooms. */
function rangeOf(spec, from, to) {
  let [low, high] = [Infinity, -Infinity];
  const zoomed = spec.zoom !== null;
  for (const series of spec.series) {
    const start = spec.robust && !spec.log && !zoomed && series.x.length > 5 ? Math.min(Math.ceil(series.x.length * 0.15), series.x.length - 1) : 0;
    for (let i = start; i < series.x.length; i++) {
      if (series.x[i] < from || series.x[i] > to) continue;
      for (const values of [series.y, series.low, series.high]) {
        const value = values?.[i];
        if (value === null || value === undefined || (spec.log && value <= 0)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
    }
  }
  if (low > high) return spec.log ? [0.1, 1] : [0, 1];
  if (spec.log) return [low / (high / low > 1.5 ? 1.15 : 1.02), high * (high / low > 1.5 ? 1.15 : 1.02)];
  const pad = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - pad, high + pad];
}

/* Hands uPlot one column of x and, per line, its values there; undefined where it has none. */
function columnsOf(spec) {
  const tables = [];
  const options = [{}];
  const bands = [];
  const positive = (values) => (spec.log ? values.map((v) => (v > 0 ? v : null)) : values);
  for (const series of spec.series) {
    const look = lookOf(series.o);
    const columns = [series.x, positive(series.y)];
    const width = series.faint ? 1 : look.width;
    options.push({
      stroke: look.stroke, width, dash: look.dash, spanGaps: false,
      alpha: series.faint ? 0.6 : 1, points: { show: Boolean(series.points), size: 6, fill: look.stroke },
    });
    if (series.low && !series.lines) {
      // Ends of a band that are worse than any number lie beyond the plot, not nowhere.
      columns.push(positive(series.high), positive(series.low));
      const none = { stroke: "transparent", width: 0, points: { show: false } };
      bands.push({ series: [options.length, options.length + 1], fill: `${look.stroke}${isDark() ? "38" : "28"}` });
      options.push({ ...none }, { ...none });
    }
    for (const line of series.lines ?? []) {
      columns.push(positive(line.y));
      options.push({ stroke: look.stroke, width: 0.8, alpha: 0.55, points: { show: false } });
    }
    tables.push(columns);
  }
  return { table: tables.length > 1 ? uPlot.join(tables) : tables[0] ?? [[]], options, bands };
}

/* Names at the ends of lines, moved apart; a legend would need a look back and forth. */
function endLabels(spec, u, scale) {
  const right = u.bbox.left + u.bbox.width;
  const found = [];
  for (const series of spec.series) {
    if (series.faint) continue;
    let i = series.y.length - 1;
    while (i > 0 && (series.y[i] === null || (spec.log && series.y[i] <= 0) || series.x[i] > u.scales.x.max)) i--;
    if (series.y[i] === null || (spec.log && series.y[i] <= 0)) continue;
    const y = u.valToPos(series.y[i], "y", true);
    found.push({ o: series.o, name: series.name, y: Math.min(Math.max(y, u.bbox.top), u.bbox.top + u.bbox.height) });
  }
  found.sort((a, b) => a.y - b.y);
  const step = 13 * scale;
  for (let i = 1; i < found.length; i++) found[i].y = Math.max(found[i].y, found[i - 1].y + step);
  const over = found.length ? found.at(-1).y - (u.bbox.top + u.bbox.height) : 0;
  if (over > 0) for (let i = found.length - 1; i >= 0; i--) {
    found[i].y = Math.min(found[i].y, u.bbox.top + u.bbox.height - (found.length - 1 - i) * step);
  }
  return found.map((label) => ({ ...label, x: right + 6 * scale }));
}

const measure = document.createElement("canvas").getContext("2d");
function labelWidth(spec) {
  measure.font = BOLD;
  return Math.min(Math.max(0, ...spec.series.filter((s) => !s.faint).map((s) => measure.measureText(s.name).width)), 150);
}

function drawOver(spec, u) {
  const { ctx } = u;
  const scale = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = scale;
  if (spec.target !== null && (!spec.log || spec.target > 0)) {
    const y = u.valToPos(spec.target, "y", true);
    if (y > u.bbox.top && y < u.bbox.top + u.bbox.height) {
      ctx.strokeStyle = variable("--fg");
      ctx.setLineDash([5 * scale, 4 * scale]);
      ctx.beginPath();
      ctx.moveTo(u.bbox.left, y);
      ctx.lineTo(u.bbox.left + u.bbox.width, y);
      ctx.stroke();
      ctx.setLineDash([]);
      ctx.font = FONT.replace("11px", `${11 * scale}px`);
      ctx.fillStyle = variable("--fg");
      ctx.textAlign = "left";
      ctx.textBaseline = "bottom";
      ctx.fillText("target", u.bbox.left + 5 * scale, y - 2 * scale);
    }
  }
  spec.series.forEach((series, row) => drawFailures(u, series, row, scale));
  ctx.font = BOLD.replace("11.5px", `${11.5 * scale}px`);
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  for (const label of endLabels(spec, u, scale)) {
    ctx.fillStyle = lookOf(label.o).stroke;
    ctx.fillText(label.name, label.x, label.y, 150 * scale);
  }
  ctx.restore();
}

/* Of learning rates: a cross at the edge where every run diverged, a bar for the window. */
function drawFailures(u, series, row, scale) {
  const { ctx } = u;
  ctx.strokeStyle = lookOf(series.o).stroke;
  for (const i of series.lost ?? []) {
    const x = u.valToPos(series.x[i], "x", true);
    const y = u.bbox.top + (7 + 9 * row) * scale;
    const r = 3 * scale;
    ctx.lineWidth = 1.4 * scale;
    ctx.beginPath();
    ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r);
    ctx.moveTo(x - r, y + r); ctx.lineTo(x + r, y - r);
    ctx.stroke();
  }
  if (series.window) {
    const y = u.bbox.top + u.bbox.height - (5 + 7 * row) * scale;
    ctx.lineWidth = 3.5 * scale;
    ctx.beginPath();
    ctx.moveTo(u.valToPos(series.window[0], "x", true) - 2 * scale, y);
    ctx.lineTo(u.valToPos(series.window[1], "x", true) + 2 * scale, y);
    ctx.stroke();
  }
}

const axisText = (u, splits) => splits.map((v) => shown(v));

/* Places on a log axis: powers of ten; between them 2 and 5, or even steps, where there are few. */
function logSplits(low, high) {
  const [first, last] = [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)];
  const decades = Math.log10(high / low);
  if (decades < 0.9) {
    const rough = (high - low) / 4;
    const size = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].find((m) => m * size >= rough) * size;
    return Array.from({ length: 8 }, (_, i) => (Math.ceil(low / step) + i) * step).filter((v) => v <= high);
  }
  const every = Math.ceil((last - first + 1) / 7);
  const found = [];
  for (let power = first - 1; power <= last; power++) {
    for (const digit of decades < 2.2 ? [1, 2, 5] : [1]) if ((power - first) % every === 0) found.push(digit * 10 ** power);
  }
  return found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
}

function makeChart(spec, place, width, height, onZoom) {
  const { table, options, bands } = columnsOf(spec);
  const [axis, grid] = [variable("--muted"), variable("--line")];
  const xs = spec.series.flatMap((s) => [s.x[0], s.x.at(-1)]).filter((x) => x !== undefined);
  const whole = [Math.min(...xs), Math.max(...xs)];
  const span = spec.zoom ?? whole;
  const shared = { stroke: axis, font: FONT, labelFont: FONT, labelSize: 16, labelGap: 0, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
  return new uPlot({
    width, height, bands, series: options, legend: { show: false },
    padding: [8, labelWidth(spec) + 12, 0, 0],
    cursor: { y: false, drag: { x: Boolean(onZoom), y: false, setScale: false }, points: { show: false } },
    scales: {
      x: { time: false, distr: spec.xLog ? 3 : 1, range: () => (span[0] === span[1] ? (spec.xLog ? [span[0] / 2, span[1] * 2] : [span[0] - 1, span[1] + 1]) : spec.xLog ? [span[0] / 1.2, span[1] * 1.2] : span) },
      y: { distr: spec.log ? 3 : 1, range: () => rangeOf(spec, span[0], span[1]) },
    },
    axes: [
      { ...shared, label: spec.xLabel, size: 26, values: axisText, ...(spec.xLog ? { splits: (u, i, low, high) => logSplits(low, high) } : {}) },
      { ...shared, label: spec.yLabel, size: 52, values: axisText, ...(spec.log ? { splits: (u, i, low, high) => logSplits(low, high) } : {}) },
    ],
    hooks: {
      draw: [(u) => drawOver(spec, u)],
      setSelect: [(u) => {
        if (u.select.width < 8 || !onZoom) return;
        const ends = [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")];
        setTimeout(() => onZoom(ends)); // uPlot has to end its drag before it is replaced
      }],
    },
  }, table, place);
}

/* What a pointer or the arrow keys at a place of the x axis are told, best first. */
function readings(spec, x) {
  const found = spec.series.map((series) => {
    const distance = (value) => Math.abs(spec.xLog ? Math.log(value / x) : value - x);
    let at = 0;
    for (let i = 1; i < series.x.length; i++) if (distance(series.x[i]) < distance(series.x[at])) at = i;
    return { series, at, x: series.x[at], y: series.y[at] };
  });
  const sign = spec.metric.higher && state.scale !== "gap" ? -1 : 1;
  return found.sort((a, b) => sign * ((a.y ?? sign * Infinity) - (b.y ?? sign * Infinity)));
}

function tooltipOf(spec, x) {
  const rows = readings(spec, x);
  const body = rows.map(({ series, at, y }) => {
    const diverged = y === null && spec.kind !== "tuning";
    const range = series.low ? `${shown(series.low[at])} to ${shown(series.high[at])}` : "";
    const runs = series.seeds ? `${series.seeds} seed${series.seeds > 1 ? "s" : ""}` : "";
    return element("tr", {}, element("td", {}, sample(series.o)), element("th", { scope: "row" }, series.name),
      element("td", { class: "number" }, diverged ? "diverged" : shown(y)),
      element("td", { class: "muted" }, range), element("td", { class: "muted" }, runs));
  });
  for (const { series, at } of rows) {
    if (!series.lines) continue;
    const values = series.lines.map((line) => `${line.seed}: ${shown(line.y[at])}`).join(", ");
    body.push(element("tr", {}, element("td", { colspan: 5, class: "muted", style: "white-space:normal" }, `${series.name} by seed: ${values}`)));
  }
  const near = rows[0] ? shown(rows[0].x) : "";
  return element("div", {}, element("b", {}, `${near} ${spec.xLabel}`), element("table", {}, element("tbody", {}, ...body)));
}

/* The text equivalent of a chart: its values at some places. */
function valuesOf(spec) {
  const xs = spec.series.flatMap((s) => s.x).filter((x) => spec.zoom === null || (x >= spec.zoom[0] && x <= spec.zoom[1]));
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const places = spec.xLog || spec.kind === "tuning" ? [...new Set(xs)].sort((a, b) => a - b) : [0, 0.1, 0.25, 0.5, 0.75, 1].map((s) => low + s * (high - low));
  const step = Math.max(1, Math.ceil(places.length / 12));
  const kept = places.filter((_, i) => i % step === 0 || i === places.length - 1);
  const cells = kept.map((x) => readings(spec, x));
  const rows = spec.series.map((series) => element("tr", {}, element("th", { scope: "row" }, series.name),
    ...cells.map((found) => element("td", { class: "number" }, shown(found.find((r) => r.series === series).y)))));
  return element("table", {}, element("caption", {}, `${spec.yLabel} by ${spec.xLabel}${spec.kind === "curves" ? ", median over seeds" : ""}`),
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, spec.xLabel), ...kept.map((x, i) => element("th", { scope: "col", class: "number" }, shown(cells[i][0]?.x ?? x))))),
    element("tbody", {}, ...rows));
}
