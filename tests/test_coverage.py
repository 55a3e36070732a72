"""Coverage of intervals and rate of false claims, as benchmarks/coverage.py measures them."""

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def by_name(shares):
    return {(share.what, share.seeds): share.share for share in shares}


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage_of", ROOT / "benchmarks/coverage.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclasses look for annotations
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def covered(coverage):
    tables = (
        coverage.coverage_of_means(4000),
        coverage.coverage_of_differences(4000),
        coverage.coverage_of_speedups(4000),
    )
    return by_name(itertools.chain(*tables))


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_of_means_and_differences_cover(covered, seeds):
    for what in (
        "mean, normal: Student's t",
        "final, normal: Welch's t",
        "final, normal: paired t",
        "final, spreads 1 to 3: Welch's t",
        "final, a fifth diverged: rank-sum",
    ):
        assert covered[what, seeds] >= 0.93
    # Three values drawn with replacement from ten repeat in a quarter of the samples.
    assert covered["mean, resampled finals: Student's t", seeds] >= (0.87 if seeds == 3 else 0.88)
    assert covered["final, resampled finals: Welch's t", seeds] >= 0.93
    if seeds >= 6:  # below, runs are not paired
        assert covered["final, resampled pairs: paired t", seeds] >= 0.88


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_intervals_of_speedups_cover(covered, seeds):
    for ratio in ("1", "1.2", "1.5"):
        assert covered[f"speedup {ratio}: Welch's t", seeds] >= 0.93
        assert covered[f"speedup {ratio}, spreads 1 to 3: Welch's t", seeds] >= 0.93
    for ratio in ("1", "1.5"):
        assert covered[f"speedup {ratio}, censored runs: rank-sum", seeds] >= 0.93


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_equal_optimizers_are_rarely_called_different(coverage, seeds):
    found = by_name(coverage.false_claims(300, [seeds]))
    assert found["any claim in a report", seeds] <= 0.07
    assert found["only one optimizer reaches the target", seeds] <= 0.05


def test_true_differences_are_found(coverage):
    """So the false claims are not rare because nothing is ever claimed."""
    found = by_name(coverage.power_of_reports(40))
    assert found["speedup 1.5: significant on a problem", 10] >= 0.7
    assert found["speedup 1.5: significant probability of being faster", 3] >= 0.9


def test_the_seeds_of_one_optimizer_do_not_differ(coverage):
    """At most 3 of 40 divisions, as a rate: 40 alone may have 4 by chance."""
    assert coverage.divided_seeds(200) <= 200 * 3 / 40
