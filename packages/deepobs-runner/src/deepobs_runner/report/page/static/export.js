/* ---- Downloads: CSV, PNG, SVG; LaTeX to the clipboard ---- */

function save(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = element("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

const fileName = (...words) => words.filter(Boolean).join("-").replace(/[^A-Za-z0-9_.-]+/g, "_");

/* A text that a spreadsheet would take for a formula gets an apostrophe; a number stays one.
   As `inert` of the tables: in any width, behind blanks, and behind what may divide cells. */
const inertPart = (part) => /^[\s\ufffd"]*[=+\-@]/.test(part.normalize("NFKC")) && !Number.isFinite(Number(part)) ? `'${part}` : part;

function csvCell(value) {
  if (value === null || value === undefined) return "";
  const text = String(value).replace(/[\t\n\r]/g, " ").split(/([;|])/).map(inertPart).join("");
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const csvOf = (rows) => rows.map((row) => row.map(csvCell).join(",")).join("\n") + "\n";

/* Means with their spread and intervals are two columns of numbers each. */
function tableCsv(table) {
  const rows = [...table.tBodies, table.tFoot].flatMap((part) => (part ? [...part.rows] : []))
    .filter((row) => row.checkVisibility?.() ?? true);
  const cells = rows.map((row) => [...row.cells].map((cell) => plainText(cell).replace(/\u2212/g, "-")));
  const heads = [...table.tHead.rows].at(-1).cells;
  const parts = [...heads].map((head, i) => {
    const texts = cells.map((row) => row[i] ?? "");
    const title = plainText(head);
    const pairs = texts.map((text) => text.match(/^(\S+) ± (\S+)$/) ?? text.match(/^\[(\S+), (\S+)\]$/));
    if (!pairs.some(Boolean)) return [[title, ...texts.map((text) => (text === "–" ? "" : text))]];
    const names = texts.some((text) => text.includes("±")) ? [title, `${title} sd`] : [`${title} low`, `${title} high`];
    return names.map((name, side) => [name, ...texts.map((text, row) => pairs[row]?.[side + 1] ?? (side || text === "–" ? "" : text))]);
  }).flat();
  return csvOf(rows.length ? parts[0].map((_, row) => parts.map((column) => column[row])) : []);
}

const plainText = (cell) => {
  const copy = cell.cloneNode(true);
  for (const hint of $$(".sort-hint", copy)) hint.remove();
  return copy.textContent.replace(/\s+/g, " ").trim();
};

/* The forest has two rows of headings and pictures, so its columns are named here. */
function forestCsv() {
  const table = document.getElementById("forest");
  const groups = $$("thead tr:first-child th.group", table).map(plainText);
  const head = ["problem", ...groups.flatMap((g) => [`${g}: speedup`, `${g}: interval`, `${g}: final value`, `${g}: its interval`])];
  const rows = $$("tbody tr", table).filter((row) => !row.hidden).map((row) => [
    plainText(row.cells[0]),
    ...$$("td.speed, td.final", row).flatMap((cell) => {
      const range = $("small", cell) ? plainText($("small", cell)) : "";
      const words = $$(".hidden", cell).map(plainText).join(" ");
      return [[plainText($(".value", cell) ?? cell), words].filter(Boolean).join(" ").replace(/\u2212/g, "-"), range.replace(/\u2212/g, "-")];
    }),
  ]);
  return csvOf([head, ...rows]);
}

/* All curves of a problem in the long format, as they are stored here. */
function curvesCsv(problem) {
  const units = Object.keys(UNITS).filter((unit) => problem.settings.some((s) => s.x[unit] !== undefined));
  const rows = [["problem", "optimizer", "setting", "source", "metric", "statistic", ...units, "value"]];
  for (const setting of problem.settings) {
    const axes = units.map((unit) => (setting.x[unit] === undefined ? [] : axisOf(setting, unit)));
    setting.bands.forEach((band, m) => {
      if (!band) return;
      const names = band.length > 1 ? ["median", "lowest", "highest"] : [`seed ${setting.seeds[0]}`];
      const lines = band.map((values, i) => [names[i], values]);
      if (setting.runs && m === problem.judged) lines.push(...setting.runs.map((run, i) => [`seed ${setting.seeds[i]}`, run]));
      for (const [statistic, values] of lines) values.forEach((value, i) => rows.push([
        problem.name, data.optimizers[setting.o].name, setting.label, setting.source,
        problem.metrics[m].name, statistic, ...axes.map((axis) => axis[i]), value,
      ]));
    });
  }
  return csvOf(rows);
}

const specCsv = (spec) => csvOf([
  ["optimizer", spec.xLabel, spec.yLabel],
  ...spec.series.flatMap((s) => s.x.map((x, i) => [s.name, x, s.y[i]])),
]);

function savePng(spec, u, name) {
  const source = u.ctx.canvas;
  const top = 26 * devicePixelRatio;
  const canvas = element("canvas", { width: source.width, height: source.height + top });
  const context = canvas.getContext("2d");
  context.fillStyle = variable("--bg");
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = variable("--fg");
  context.font = BOLD.replace("11.5px", `${13 * devicePixelRatio}px`);
  context.fillText(name, 8 * devicePixelRatio, 18 * devicePixelRatio);
  context.drawImage(source, 0, top);
  canvas.toBlob((blob) => save(`${fileName(name)}.png`, blob), "image/png");
}

/* The same picture as vectors, from the places uPlot gives its values. */
function saveSvg(spec, u, name) {
  const scale = devicePixelRatio;
  const box = { left: u.bbox.left / scale, top: u.bbox.top / scale + 26, width: u.bbox.width / scale, height: u.bbox.height / scale };
  const [width, height] = [u.width, u.height + 26];
  const escape = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
  const text = (x, y, words, more = "") => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${escape(words)}</text>`;
  const at = (x, y) => `${u.valToPos(x, "x").toFixed(1) * 1 + box.left},${(u.valToPos(y, "y") + box.top).toFixed(1)}`;
  const usable = (x, y) => y !== null && y !== undefined && (!spec.log || y > 0) && x >= u.scales.x.min && x <= u.scales.x.max;
  const path = (xs, ys) => {
    let open = false;
    return xs.map((x, i) => {
      if (!usable(x, ys[i])) { open = false; return ""; }
      const command = open ? "L" : "M";
      open = true;
      return command + at(x, ys[i]);
    }).join("");
  };
  const parts = [`<rect width="100%" height="100%" fill="${variable("--bg")}"/>`, text(8, 17, name, 'font-weight="600" font-size="13"')];
  for (const [index, axis] of u.axes.entries()) {
    const splits = axis._splits ?? [];
    const values = axis._values ?? [];
    splits.forEach((value, i) => {
      if (values[i] === null || values[i] === undefined || values[i] === "") return;
      const place = u.valToPos(value, index === 0 ? "x" : "y");
      const [x, y] = index === 0 ? [box.left + place, box.top] : [box.left, box.top + place];
      parts.push(`<path d="M${x.toFixed(1)} ${y.toFixed(1)}${index === 0 ? `v${box.height}` : `h${box.width}`}" stroke="${variable("--line")}"/>`);
      parts.push(index === 0 ? text(x, box.top + box.height + 15, values[i], 'text-anchor="middle"') : text(x - 6, y + 4, values[i], 'text-anchor="end"'));
    });
  }
  parts.push(text(box.left + box.width / 2, height - 3, spec.xLabel, 'text-anchor="middle"'));
  parts.push(text(12, box.top + box.height / 2, spec.yLabel, `text-anchor="middle" transform="rotate(-90 12 ${box.top + box.height / 2})"`));
  parts.push(`<clipPath id="c"><rect x="${box.left}" y="${box.top}" width="${box.width}" height="${box.height}"/></clipPath><g clip-path="url(#c)" fill="none">`);
  for (const series of spec.series) {
    const look = lookOf(series.o);
    const stroke = `stroke="${look.stroke}" stroke-dasharray="${look.dash.join(" ")}"`;
    if (series.low && !series.lines) {
      const ends = series.x.map((x, i) => [x, series.high[i], series.low[i]]).filter(([x, h, l]) => usable(x, h) && usable(x, l));
      const outline = [...ends.map(([x, h]) => at(x, h)), ...ends.reverse().map(([x, , l]) => at(x, l))];
      if (outline.length) parts.push(`<path d="M${outline.join("L")}Z" fill="${look.stroke}" opacity=".16"/>`);
    }
    for (const line of series.lines ?? []) parts.push(`<path d="${path(series.x, line.y)}" stroke="${look.stroke}" stroke-width=".8" opacity=".55"/>`);
    parts.push(`<path d="${path(series.x, series.y)}" ${stroke} stroke-width="${series.faint ? 1 : look.width}"/>`);
  }
  if (spec.target !== null && usable(u.scales.x.min, spec.target)) {
    const y = (u.valToPos(spec.target, "y") + box.top).toFixed(1);
    parts.push(`<path d="M${box.left} ${y}h${box.width}" stroke="${variable("--fg")}" stroke-dasharray="5 4"/>`);
  }
  parts.push("</g>");
  for (const label of endLabels(spec, u, scale)) parts.push(text(label.x / scale, label.y / scale + 30, label.name, `fill="${lookOf(label.o).stroke}" font-weight="600"`));
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11" fill="${variable("--fg")}">${parts.join("")}</svg>`;
  save(`${fileName(name)}.svg`, svg, "image/svg+xml");
}

async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // where a page may not write to the clipboard, the old way still works
    const area = element("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast(`${what} copied`);
}
