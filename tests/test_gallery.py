"""The gallery of docs/figures.md shows every kind of figure, with pictures that are there."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from deepobs_runner.figures import FIGURES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "draw_figures.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_kind_has_its_example(tool):
    assert list(tool.EXAMPLES) == FIGURES.built_in()
    for kind, example in tool.EXAMPLES.items():
        words = example.command.split()
        assert words[:2] == ["deepobs", "plot"]
        assert words[3] == kind


def test_the_page_is_current(tool):
    text = tool.PAGE.read_text(encoding="utf-8")
    assert text == tool.page_with(tool.gallery()), "run: python tools/draw_figures.py --page"


def test_pictures_are_small_and_as_wide_as_a_column_or_a_page(tool):
    for kind in FIGURES.built_in():
        path = tool.FOLDER / f"{kind}.png"
        assert path.stat().st_size < 100_000, path
        with Image.open(path) as image:
            inches = image.width / 200
        assert any(abs(inches - width) < 0.01 for width in (3.3, 6.9, 0.75 * 6.9)), path


@pytest.mark.parametrize("kind", ["batch-size", "weight-decay"])
def test_runs_that_are_kept_for_a_figure_make_it(tool, kind):
    drawing = tool.EXAMPLES[kind].draw()
    assert drawing.figure is not None
    assert drawing.kind == kind


def test_the_gallery_of_results_is_current_and_its_reports_are_there(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    spec = importlib.util.spec_from_file_location("examples", ROOT / "tools" / "make_examples.py")
    examples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(examples)
    page = examples.PAGE.read_text(encoding="utf-8")
    assert page == examples.page(), "run: python tools/make_examples.py --page"
    folders = {path.name for path in (ROOT / "docs" / "examples").iterdir()}
    assert folders == set(examples.EXAMPLES)
    for name, example in examples.EXAMPLES.items():
        report = ROOT / "docs" / "examples" / name / "report.html"
        assert 100_000 < report.stat().st_size < 1_000_000
        assert (ROOT / "docs" / example.picture).is_file()
