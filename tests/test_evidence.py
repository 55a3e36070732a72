"""Runs that are kept as evidence say what the docs say they say."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from deepobs_runner.results.baselines import unpacked_results

ROOT = Path(__file__).parents[1]


def load_tool(name):
    path = ROOT / "tools" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    return load_tool("check_against_official")


PANELS = [("test", "accuracy"), ("train_eval", "objective")]


@pytest.mark.parametrize("panel", PANELS)
def test_three_seeds_lie_within_the_official_band(tool, panel):
    runs = tool.of_recipe("2019")
    assert len(runs) >= 3
    deviations = tool.deviations(runs, *panel, 10)
    assert len(deviations) == 11
    assert np.abs(deviations).max() < 3


def test_whole_runs_on_a_gpu_end_within_the_range_of_the_official_seeds(tool):
    runs = tool.unpacked_results(tool.WHOLE)
    assert {run.config.optimizer for run in runs} == {"SGD", "Momentum", "Adam"}
    for run in runs:
        assert run.environment["cuda_graphs"] is True
        for panel in (*PANELS, ("test", "objective")):
            table = tool.official_table(run.config.optimizer, *panel)
            ours = run.series(*panel)
            assert ours.shape == table.shape[1:] == (101,)
            assert table[:, -1].min() <= ours[-1] <= table[:, -1].max()
            beyond = np.abs(tool.deviations([run], *panel)[1:]) > 3
            assert beyond.sum() <= 2


def test_the_page_shows_how_they_end(tool):
    page = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    assert "\n".join(tool.table_of_whole_runs()) in page
    assert "\n".join(tool.table_of_text()) in page


@pytest.mark.parametrize("optimizer", ["SGD", "Momentum", "Adam"])
@pytest.mark.parametrize("metric", ["objective", "accuracy"])
def test_the_recurrent_network_lies_within_the_official_bands(tool, optimizer, metric):
    runs = tool.our_text_runs(optimizer)
    assert len({run.config.seed for run in runs}) == 3
    assert {run.config.recipe for run in runs} == {"2019"}
    assert np.abs(tool.deviations(runs, "test", metric, 5)).max() < 1.2


def test_bf16_and_compiled_runs_lie_within_the_spread_of_fp32():
    tool = load_tool("compare_precisions")
    found = tool.runs_by_arithmetic()
    fp32 = [tool.accuracy(run) for run in found.pop("fp32").values()]
    others = [tool.accuracy(run) for runs in found.values() for run in runs.values()]
    assert (len(fp32), len(others)) == (3, 3)
    assert min(fp32) - np.std(fp32, ddof=1) <= min(others)
    assert max(others) <= max(fp32) + np.std(fp32, ddof=1)


def test_the_page_shows_what_the_precisions_gave():
    page = (ROOT / "docs" / "execution.md").read_text(encoding="utf-8")
    assert "\n".join(load_tool("compare_precisions").table()) in page


@pytest.fixture(scope="module")
def published():
    return load_tool("published_results")


def test_modern_runs_are_on_their_page(published):
    assert published.PAGE.read_text(encoding="utf-8") == published.page(), (
        "run: python tools/published_results.py"
    )


def test_modern_runs_end_where_the_published_ones_do(published):
    runs = unpacked_results(published.SET)
    compared = [row for row in published.PUBLISHED if row.number is not None and not row.note]
    assert len(compared) >= 4
    for row in compared:
        ends = published.ends_of(row, published.runs_of(row, runs))
        spread = ends.std(ddof=1) if len(ends) > 1 else 0.0
        if row.metric == "accuracy":
            assert ends.mean() == pytest.approx(row.number, abs=max(0.01, spread)), row
        else:
            assert ends.mean() < 1.05 * row.number, row
    for row in (r for r in published.PUBLISHED if r.problem == "poisson_pinn"):
        ends = published.ends_of(row, published.runs_of(row, runs))
        assert len(ends) == 5
        assert 1e-4 < np.median(ends) < (1e-3 if row.optimizer == "LBFGS" else 2e-3)
    (steep,) = (r for r in published.PUBLISHED if r.what.startswith("gradient descent"))
    (end,) = published.ends_of(steep, published.runs_of(steep, runs))
    assert 0.133 < end < 0.225  # of the bare loops that the page names


def test_small_transformers_end_where_the_page_shows_them(published):
    runs = unpacked_results(published.SET)
    rows = [row for row in published.PUBLISHED if "chargpt" in row.problem]
    ends = {
        (row.problem.partition("_")[0], row.optimizer): published.ends_of(
            row, published.runs_of(row, runs)
        )
        for row in rows
    }
    assert len(ends["shakespeare", "AdamW"]) == 5
    assert 1.88 < ends["shakespeare", "AdamW"].mean() < 1.92
    muon, adamw, sgd = (ends["tolstoi", name] for name in ("Muon", "AdamW", "SGD"))
    assert len(muon) == len(adamw) == len(sgd) == 3
    assert muon.max() < adamw.min() < adamw.max() < sgd.min()
