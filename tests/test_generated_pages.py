"""Pages in docs/ that scripts in tools/ make are what the scripts make today."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepobs_models import same_output_size, same_padding
from deepobs_problems import CATALOG

ROOT = Path(__file__).parents[1]


def load_tool(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_the_catalog_page_is_current():
    tool = load_tool("generate_catalog")
    found = tool.PAGE.read_text(encoding="utf-8").splitlines()
    expected = tool.render().splitlines()
    assert found == expected, "run: python tools/generate_catalog.py"


@pytest.mark.slow
def test_the_page_of_every_problem_is_current():
    tool = load_tool("generate_problem_pages")
    pages = {tool.FOLDER / f"{name}.md": tool.page_of(CATALOG[name]) for name in CATALOG}
    assert tool.outdated(pages) == [], "run: python tools/generate_problem_pages.py"


def test_the_page_of_every_command_is_current():
    tool = load_tool("generate_cli_pages")
    pages = tool.render()
    outdated = [path.name for path, text in pages.items() if path.read_text("utf-8") != text]
    assert outdated == [], "run: python tools/generate_cli_pages.py"
    assert {path.name for path in tool.FOLDER.glob("*.md")} == {path.name for path in pages}
    assert set(tool.EXAMPLES) <= {path.stem for path in pages}


def test_the_page_of_conclusions_is_current():
    tool = load_tool("conclusions")
    found = tool.PAGE.read_text(encoding="utf-8").splitlines()
    assert found == tool.page().splitlines(), "run: python tools/conclusions.py"


@pytest.mark.slow
def test_the_table_of_attacks_is_current():
    tool = ROOT / "tools" / "security_table.py"  # it collects tests, so not in this process
    done = subprocess.run([sys.executable, str(tool), "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"run: python tools/security_table.py\n{done.stderr}"


@pytest.mark.parametrize(
    ("name", "train", "evaluated", "test"),
    [
        ("shakespeare_chargpt", 3921, 435, 435),
        ("shakespeare_chargpt_small", 15_685, 1740, 1742),
        ("tolstoi_chargpt", 10_206, 435, 2551),
        ("tolstoi_chargpt_small", 40_827, 1740, 10_206),
    ],
)
def test_pages_count_windows_as_the_texts_do(name, train, evaluated, test):
    """As the data sets have them, made of the texts with the known checksums."""
    tool = load_tool("generate_catalog")
    problem = CATALOG[name]
    facts = tool.info(problem.stand_in().name)
    expected = {"train": train, "train_eval": evaluated, "test": test}
    assert tool.sizes_of(problem, facts) == expected


def test_the_layers_on_a_page_hold_all_parameters():
    tool = load_tool("generate_problem_pages")
    names = ("mnist_vae", "svhn_wrn164", "tolstoi_char_rnn", "quadratic_deep")
    later = ("bigram_lowrank", "mnist1d_gru", "poisson_pinn", "burgers_pinn")
    for name in (
        *names,
        *later,
        "shakespeare_chargpt_small",
        "attention_teacher",
        "modadd_transformer",
    ):
        problem = CATALOG[name]
        batch = next(problem.stand_in().train.batches(torch.arange(2), 2))
        trained = sum(p.numel() for p in problem.model().parameters() if p.requires_grad)
        assert sum(layer.parameters for layer in tool.layers_of(problem, batch)) == trained


def test_the_page_marks_the_defaults_that_the_original_lacks():
    tool = load_tool("generate_catalog")
    folder = ROOT / "packages" / "deepobs-problems" / "tests" / "reference"
    names = tool.ORIGINALS
    original = {name: json.loads((folder / f"{name}.json").read_text()) for name in names}
    lacking = [name for name in names if original[name]["defaults"]["batch_size"] is None]
    assert lacking == list(tool.WITHOUT_ORIGINAL)


PICTURE = re.compile(
    r"^(\d+) pixels, kernel (\d+), stride (\d+)(?:, dilation (\d+))?: (\d+) before, (\d+) after\n"
    r"  input   (.*)\n((?:  out .*\n)+)",
    re.MULTILINE,
)


def test_the_pictures_of_padding_are_true():
    found = PICTURE.findall((ROOT / "docs" / "layers.md").read_text(encoding="utf-8"))
    assert len(found) == 5
    for *numbers, row, windows in found:
        n, kernel, stride, dilation, before, after = (int(number or 1) for number in numbers)
        assert same_padding(n, kernel, stride, dilation) == (before, after)
        assert row.split() == [*"." * before, *"x" * n, *"." * after]
        starts = range(0, stride * same_output_size(n, stride), stride)
        for start, line in zip(starts, windows.splitlines(), strict=True):
            seen = [place for place, cell in enumerate(line[10::2]) if cell == "■"]
            assert seen == list(range(start, start + kernel * dilation, dilation))


def test_every_network_is_in_the_table_of_operations_and_none_failed():
    tool = load_tool("model_operations")
    page = tool.PAGE.read_text(encoding="utf-8")
    made = page.partition(tool.START)[2].partition(tool.END)[0]
    assert re.findall(r"^\| `(\w+)` \|", made, re.M) == [case.name for case in tool.load_cases()]
    assert tool.render(tool.parse(made)).strip() == made.strip()
    for case in tool.load_cases():
        if case.name in ("3c3d", "char_lstm", "signal_mlp", "vae"):  # the quick columns, anew
            quick = dict(tool.run(case, ("head", "forward_features")))
            assert quick.items() <= tool.parse(made)[case.name].items()
    assert "✗" not in made


def test_the_table_of_operations_shows_what_fails():
    tool = load_tool("model_operations")
    cells = dict.fromkeys(tool.OPERATIONS, "yes") | {"fx": "ValueError: no", "DDP": "(why)"}
    row, reasons = tool.render({"net": cells}).splitlines()[2], tool.render({"net": cells})
    assert row.startswith("| `net` | ✗ 1 | ✓ |")
    assert row.endswith("| — 2 |")
    assert "1. ValueError: no\n2. why\n" in reasons


@pytest.mark.parametrize("number", [0, 7, 999, 1000, 15_680, 2_670_000, 30_932_418_560])
def test_quantities_are_rounded_to_three_digits(number):
    tool = load_tool("generate_catalog")
    text = tool.quantity(number)
    value, _, prefix = text.partition(" ")
    scale = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}[prefix]
    assert float(value) * scale == pytest.approx(number, rel=5e-3)
    assert len(value.replace(".", "")) <= 3
