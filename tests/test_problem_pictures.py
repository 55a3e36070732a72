"""The pictures of docs/problems are there, small, on a page, and made from today's inputs."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

from deepobs_problems import CATALOG
from deepobs_runner import official_results

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "problems"


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool(monkeypatch_module):
    return load_tool("draw_problem_pictures")


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield patch


@pytest.fixture
def pages_tool(tool):
    return load_tool("generate_problem_pages")


def shown_on(page):
    return re.findall(r"!\[[^\]]+\]\(pictures/(\S+)\.png\)", page.read_text(encoding="utf-8"))


def test_pictures_are_made_from_todays_inputs(tool):
    kept = json.loads(tool.DIGESTS.read_text(encoding="utf-8"))
    assert kept == tool.digests(), "run: python tools/draw_problem_pictures.py with what differs"


def test_pictures_are_small_and_each_is_on_a_page(tool):
    paths = sorted(tool.FOLDER.glob("*.png"))
    assert [path.stem for path in paths] == sorted(tool.digests())
    assert {path.name: path.stat().st_size for path in paths if path.stat().st_size > 40_000} == {}
    shown = {name for page in PAGES.glob("*.md") for name in shown_on(page)}
    assert shown == {path.stem for path in paths}


@pytest.mark.parametrize("problem", CATALOG)
def test_a_page_shows_its_data_and_the_curves_of_official_runs(problem, tool):
    data, *curves = shown_on(PAGES / f"{problem}.md")
    assert data == f"data-{tool.picture_of(problem)}"
    assert curves == ([f"curves-{problem}"] if problem in tool.CURVES else [])
    if official_results(problem):
        assert tool.CURVES[problem].path.parent == tool.OFFICIAL


def test_generated_data_is_named_so(tool):
    for problem in ("cifar10_3c3d", "imagenet_vgg16", "tolstoi_char_rnn", "mnist_vae"):
        assert "Generated" in tool.DATA[tool.picture_of(problem)].caption


@pytest.mark.parametrize(
    ("mean", "deviation", "text"),
    [
        (0.92271, 0.0017, "0.923 ± 0.002"),
        (38.2, 12.1, "38 ± 12"),
        (52.927, 0.0121, "52.93 ± 0.01"),
        (5.65e-5, 7.3e-6, "(5.65 ± 0.73) × 10⁻⁵"),
        (0.0017, 0.0012, "0.0017 ± 0.0012"),
        (3.0, 0.0, "3.00"),
    ],
)
def test_numbers_have_three_digits_and_a_spread(mean, deviation, text, pages_tool):
    assert pages_tool.with_spread(mean, deviation) == text


def test_no_page_shows_a_spread_of_zero():
    for page in PAGES.glob("*.md"):
        assert not re.search(r"± 0(\.0+)?\b(?!\.)", page.read_text(encoding="utf-8")), page.name
