"""The hardest value that runs reach and keep."""

import math
from itertools import pairwise

import numpy as np
import pytest
from runner_builders import ACCURACY, LOSS, run_of

from deepobs_runner.analysis.reached import kept_values, median_reached, reached_within


def reaches(values, target, metric):
    """Where a target is reached by the rule itself: met there, and by the majority of five."""
    met = [math.isfinite(v) and metric.sign * v >= metric.sign * target for v in values]
    return [met[i] and 2 * sum(met[i : i + 5]) > len(met[i : i + 5]) for i in range(len(values))]


@pytest.mark.parametrize("metric", [LOSS, ACCURACY])
@pytest.mark.parametrize("seed", range(20))
def test_a_kept_value_is_the_hardest_target_that_is_reached(metric, seed):
    draws = np.random.default_rng(seed)
    values = draws.normal(size=draws.integers(1, 12))
    values[draws.random(len(values)) < 0.1] = np.nan
    kept = kept_values(values, metric)
    for i, hardest in enumerate(kept):
        for target in values[np.isfinite(values)]:
            expected = metric.sign * target <= metric.sign * hardest
            assert reaches(values, target, metric)[i] == expected


def test_one_lucky_evaluation_reaches_nothing():
    assert kept_values(np.array([3.0, 0.1, 2.0, 2.1, 2.2, 2.3]), LOSS)[1] == 2.1


@pytest.mark.parametrize(
    ("epochs", "value"),
    [(0.5, 4.0), (1, 4.0), (2, 3.0), (2.99, 3.0), (3, 2.0), (100, 1.0)],
)
def test_the_first_epoch_counts_and_training_has_to_begin(epochs, value):
    run = run_of([5.0, 4.0, 3.0, 2.0, 1.0])
    assert reached_within(run, LOSS, epochs) == value
    assert reached_within(run_of([0.0, 4.0]), LOSS, epochs) == 4.0
    assert reached_within(run_of([0.0]), LOSS, epochs) == math.inf


def test_a_run_that_diverges_right_after_a_target_did_not_reach_it():
    values = [9.0, 1.0, 2.0, 3.0]
    assert reached_within(run_of(values), LOSS, 3) == 2.0  # two of three meet 2
    assert reached_within(run_of([*values, None], status="diverged"), LOSS, 4) == 3.0


def test_half_of_the_runs_reach_the_median():
    runs = [run_of([9.0, last, last], seed) for seed, last in enumerate([1.0, 2.0, 3.0])]
    assert median_reached(runs, LOSS, 0.5, 2) == 2.0
    lost = [run_of([9.0, None], seed, status="diverged") for seed in (7, 8, 9)]
    assert median_reached([*runs, *lost], LOSS, 0.5, 2) == math.inf
    failed = run_of([9.0, 0.1], 5, status="failed")
    assert median_reached([*runs, failed], LOSS, 0.5, 2) == 2.0
    assert median_reached([failed], LOSS, 0.5, 2) == math.inf


@pytest.mark.parametrize("seed", range(5))
def test_more_time_never_gives_an_easier_value(seed):
    draws = np.random.default_rng(seed)
    runs = [run_of(draws.uniform(size=40), i) for i in range(6)]
    values = [median_reached(runs, LOSS, share, 39) for share in np.linspace(0.05, 1, 20)]
    assert all(later <= earlier for earlier, later in pairwise(values))
