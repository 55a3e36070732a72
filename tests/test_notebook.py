"""The notebook in examples/ runs from top to bottom and shows the report.

It is executed by nbclient in a kernel, not by `exec`: only so is it seen what a reader sees, the
outputs under the cells.
"""

import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "examples" / "report.ipynb"


def test_it_is_kept_without_outputs():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_the_page_has_the_cells_of_the_notebook_and_their_outputs():
    spec = importlib.util.spec_from_file_location("render", ROOT / "tools" / "render_notebook.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    page = tool.PAGE.read_text(encoding="utf-8")
    expected = tool.sources(tool.render(tool.stored_cells()))
    assert len(expected) >= 10
    assert tool.sources(page) == expected, "run: python tools/render_notebook.py"
    assert page.count("](notebook/") == len(list(tool.FOLDER.glob("*.svg"))) == 2
    assert "quadratic_deep-AdamW-42-ddabb4057164 done 87.1" in page


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Return the outputs of every code cell, and the folder in which they were made."""
    for name in ("nbclient", "ipykernel"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"], folder


@pytest.mark.slow
def test_the_runs_are_made(shown):
    (runs, *_), folder = shown
    lines = "".join(output.text for output in runs if output.output_type == "stream").splitlines()
    done = [line.split() for line in lines if line.startswith("quadratic_deep-")]
    assert [words[1] for words in done] == ["done"] * 6
    # Training starts at 353; the official runs end between 87.0 and 87.5.
    assert all(86.5 < float(words[2]) < 88.5 for words in done)
    assert len(list((folder / "results").glob("*.json"))) == 6


@pytest.mark.slow
def test_the_report_is_shown_inline(shown):
    (_, verdict, table, figures, page), folder = shown
    assert "AdamW" in verdict[0].text
    assert "SGD" in verdict[0].text
    (rows,) = (output.data["text/markdown"] for output in table)
    assert "official" in rows
    assert "| quadratic_deep" in rows
    pictures = [output.data["text/html"] for output in figures]
    assert len(pictures) == 2
    assert all("<svg" in picture for picture in pictures)
    assert "report.html" in page[-1].data["text/html"]
    assert "<title>" in (folder / "report" / "report.html").read_text(encoding="utf-8")
