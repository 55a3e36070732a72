"use strict";

// Columns sort by a click or a key on their heading; numbers by data-value, what has none last.
function sortBy(table, index, heading) {
  const ascending = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
  const numeric = heading.classList.contains("number");
  const keys = new Map();
  for (const row of table.tBodies[0].rows) {
    const cell = row.cells[index];
    keys.set(row, numeric ? parseFloat(cell.dataset.value) : cell.textContent);
  }
  const order = new Intl.Collator("en", { numeric: true }).compare;
  const rows = [...keys.keys()].sort((one, other) => {
    const a = keys.get(one), b = keys.get(other);
    if (numeric && (isNaN(a) || isNaN(b))) return isNaN(a) - isNaN(b);
    const sign = numeric ? Math.sign(a - b) || 0 : order(a, b);
    return ascending ? sign : -sign;
  });
  table.tBodies[0].append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  [...table.tHead.rows[0].cells].forEach((heading, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sortBy(table, index, heading));
    heading.append(button);
  });
}

for (const box of document.querySelectorAll("input[data-search]")) {
  const rows = box.closest("details").querySelectorAll("tbody tr");
  const texts = [...rows].map((row) => row.textContent.toLowerCase());
  box.closest("label").hidden = false;
  box.addEventListener("input", () => {
    const words = box.value.toLowerCase().split(/\s+/);
    rows.forEach((row, i) => { row.hidden = !words.every((word) => texts[i].includes(word)); });
  });
}

// The contents are in the way on a phone, and a link into a closed part opens it.
const contents = document.querySelector("nav details");
if (window.matchMedia("(max-width: 70rem)").matches) contents.open = false;
contents.querySelector("summary").addEventListener("click", (event) => {
  if (window.matchMedia("(min-width: 70rem)").matches) event.preventDefault();
});
