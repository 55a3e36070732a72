"""The page in a real browser without a network; skipped where there is no Chromium."""

import html
import json
import re
import shutil
import subprocess

import pytest

from deepobs_runner.cli import main

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip

WATCH = """<script>
const errors = [];
window.addEventListener("error", (event) => errors.push(String(event.message)), true);
</script>"""

TRY = """<script>
const table = document.querySelector("#all-settings").closest("details").querySelector("table");
const heading = [...table.tHead.rows[0].cells].find((th) => /test objective/.test(th.textContent));
const column = () => [...table.tBodies[0].rows].map((row) =>
  parseFloat(row.cells[heading.cellIndex].dataset.value));
heading.querySelector("button").click();
const up = column();
heading.querySelector("button").click();
const found = {
  errors, up, down: column(), sorted: heading.getAttribute("aria-sort"),
  loaded: performance.getEntriesByType("resource").map((entry) => entry.name),
  width: document.documentElement.scrollWidth, window: window.innerWidth,
};
const out = document.createElement("output");
out.id = "found";
out.textContent = JSON.stringify(found);
document.body.append(out);
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")
@pytest.mark.parametrize("size", ["1366,900", "600,900"], ids=["laptop", "narrow"])
def test_the_page_needs_no_network_and_its_tables_sort(tmp_path, size):
    folder = tmp_path / "report"
    words = ["report", "official", "--problem", "quadratic_deep", "--formats", "html"]
    assert main([*words, "--out", str(folder)]) == 0
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("<head>") == page.count("</body>") == 1
    watched = page.replace("<head>", f"<head>{WATCH}").replace("</body>", f"{TRY}</body>")
    copy = tmp_path / "watched.html"
    copy.write_text(watched, "utf-8")
    command = [BROWSER, *OPTIONS, f"--window-size={size}", f"--user-data-dir={tmp_path / 'user'}"]
    shown = subprocess.run(
        [*command, copy.as_uri()], capture_output=True, text=True, timeout=300, check=True
    )
    output = re.search(r'<output id="found">(.*?)</output>', shown.stdout, re.DOTALL)
    assert output is not None, shown.stderr
    found = json.loads(html.unescape(output[1]))
    assert found["errors"] == found["loaded"] == []
    assert len(found["up"]) == 108
    finite = [value for value in found["up"] if value is not None]
    assert finite == sorted(finite) != []
    assert [value for value in found["down"] if value is not None] == finite[::-1]
    assert found["sorted"] == "descending"
    assert found["width"] <= found["window"]  # nothing sticks out to the right
