"""Runs that are kept as evidence say what the docs say they say."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool():
    path = ROOT / "tools" / "check_against_official.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("split", "metric"), [("test", "accuracy"), ("train_eval", "objective")])
def test_three_seeds_lie_within_the_official_band(tool, split, metric):
    assert len(tool.our_runs("2019")) >= 3
    deviations = tool.deviations("2019", split, metric)
    assert len(deviations) == 11
    assert np.abs(deviations).max() < 3
