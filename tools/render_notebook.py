"""Write docs/notebook.md: examples/report.ipynb with the outputs of its cells.

Run `python tools/render_notebook.py` after a change of the notebook; it needs nbclient and
ipykernel. With `--check` it compares code and text of the page, without running the notebook.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "report.ipynb"
PAGE = ROOT / "docs" / "notebook.md"
FOLDER = ROOT / "docs" / "notebook"
REPORT = "examples/quadratic_deep/report.html"
"""Shown instead of the report that the notebook writes, which is a file of its own."""

HEADER = """\
<!-- Made by tools/render_notebook.py; do not edit. -->

This page is [examples/report.ipynb](../examples/report.ipynb) with its outputs.
"""


def main() -> int:
    """Write the page, or check it; return the exit code."""
    parser = argparse.ArgumentParser(description="Write docs/notebook.md.")
    parser.add_argument("--check", action="store_true", help="only compare code and text")
    if parser.parse_args().check:
        current = sources(PAGE.read_text(encoding="utf-8")) == sources(render(stored_cells()))
        print("current" if current else f"{PAGE} is out of date: run this without --check.")
        return 0 if current else 1
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    PAGE.write_text(render(executed_cells()), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


def stored_cells() -> list[dict[str, Any]]:
    """Return the cells of the notebook without outputs."""
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return cells


def executed_cells() -> list[Any]:
    """Run the notebook in an empty folder; return its cells with outputs."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    return list(notebook.cells)


def render(cells: list[Any]) -> str:
    """Return the page of some cells; pictures among their outputs are written to FOLDER."""
    parts = []
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source.strip() + "\n")
            continue
        parts.append(f"```python\n{source.strip()}\n```\n")
        printed = "".join("".join(o["text"]) for o in cell["outputs"] if "text" in o)
        parts += [f"```text\n{printed.rstrip()}\n```\n"] if printed else []
        parts += [part for output in cell["outputs"] for part in shown(output, number)]
    title, *rest = parts
    heading, _, text = title.partition("\n")
    return "\n".join([f"{heading}\n", HEADER, text.strip() + "\n", *rest])


def shown(output: Mapping[str, Any], number: int) -> Iterator[str]:
    """Yield what an output displays as Markdown: a table, or a picture with its caption."""
    data = output.get("data", {})
    if "text/markdown" in data:
        yield "".join(data["text/markdown"]).strip() + "\n"
    elif "<svg" in (page := "".join(data.get("text/html", ""))):
        yield picture(page, number)
    elif "<iframe" in page:
        yield f"[A report of the same problem]({REPORT}) opens in the browser.\n"


def picture(page: str, number: int) -> str:
    """Write the figure of an HTML output; return it with its title and caption."""
    found = re.fullmatch(r"<h4>(.*?)</h4>(<svg.*</svg>|<\?xml.*</svg>)\s*<p>(.*?)</p>", page, re.S)
    assert found is not None, page[:200]
    title, drawing, caption = found.groups()
    path = FOLDER / f"{number}-{re.sub(r'[^a-z]+', '-', title.lower()).strip('-')}.svg"
    path.write_text(drawing.strip() + "\n", encoding="utf-8")
    return f"![{title}](notebook/{path.name})\n\n{caption}\n"


def sources(page: str) -> list[str]:
    """Return the code blocks and the headings of a page."""
    return re.findall(r"^```python\n.*?^```$|^#+ [^\n]*$", page, re.M | re.S)


if __name__ == "__main__":
    sys.exit(main())
