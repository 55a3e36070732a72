"""When runs reach a target."""

import math
from dataclasses import replace

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.analysis import learning_rate_sensitivity, near_best
from deepobs_runner.comparison import (
    published_speed,
    reaching_window,
    survival_median,
    times_to_target,
)
from deepobs_runner.comparison.time_to_target import resampled_medians


def test_survival_by_hand():
    """The remission times of Freireich et al. (1963), the first of Cox's examples: median 23."""
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    lost = {3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20}
    reached = np.array([i not in lost for i in range(21)])
    assert survival_median(np.array(times, dtype=float), reached) == 23


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_median_without_censoring_is_the_ordinary_one(n):
    times = np.random.default_rng(n).permutation(20)[:n].astype(float)
    assert survival_median(times, np.ones(n, dtype=bool)) == np.median(times)


def test_median_with_censoring():
    def median(times, reached):
        return survival_median(np.array(times, dtype=float), np.array(reached, dtype=bool))

    assert median([3, 5, 9, 9], [1, 1, 0, 0]) == 5  # half get there, nobody after
    assert median([3, 9, 9, 9], [1, 0, 0, 0]) == np.inf
    assert median([2, 4, 6, 8], [1, 0, 1, 1]) == 6  # S is 3/4, then 3/8
    assert median([4, 4, 4], [1, 1, 0]) == 4  # reaching goes before being lost sight of
    assert math.isnan(median([], []))


def test_resampled_medians_are_those_of_the_drawn_runs():
    rng = np.random.default_rng(3)
    times = rng.integers(1, 8, size=9).astype(float)
    reached = rng.random(9) < 0.6
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=60)
    for count, median in zip(counts, resampled_medians(times, reached, counts), strict=True):
        rows = np.repeat(np.arange(9), count)
        there, where = times[rows], reached[rows]
        data = stats.CensoredData(uncensored=there[where], right=there[~where])
        curve = stats.ecdf(data).sf
        at, surviving = curve.quantiles, curve.probabilities
        below = at[surviving < 0.5 - 1e-9]
        half = at[np.isclose(surviving, 0.5)]
        events = set(there[where])
        last = [t for t in below if t in events]
        first = [t for t in half if t in events]
        expected = (
            last[0] if last and not first else
            (first[0] + last[0]) / 2 if last and first else
            first[0] if first else np.inf
        )  # fmt: skip
        assert median == pytest.approx(expected)


def test_times_in_every_unit():
    runs = [reaching(3, 42, gradients=14), reaching(5, 43, gradients=14)]
    for unit, expected in {
        "epochs": [3, 5], "steps": [21, 35], "gradient_evaluations": [42, 70], "seconds": [6, 10],
    }.items():  # fmt: skip
        times = times_to_target(runs, BAR, unit)
        assert times.times.tolist() == expected
        assert times.counted == unit
    mixed = times_to_target([runs[0], reaching(5, 43)], BAR, "gradient_evaluations")
    assert (mixed.counted, mixed.times.tolist()) == ("steps", [21, 35])
    with pytest.raises(UsageError, match="allowed: epochs"):
        times_to_target(runs, BAR, "minutes")


def test_runs_that_do_not_reach_the_target():
    runs = [
        reaching(2, 42),
        reaching(None, 43),
        reaching(None, 44, length=4, status="stopped"),
        run_of([2.0, None], 45, status="diverged"),
        run_of([], 46, status="failed"),
    ]
    times = times_to_target(runs, BAR)
    assert times.times.tolist() == [2, 9, 3, 9]  # a diverged run is never lost sight of
    assert times.reached.tolist() == [True, False, False, False]
    assert (times.diverged, times.unknown) == (1, 1)
    assert times.median == np.inf
    assert [row["reached"] for row in times.rows()] == [True, False, False, False]
    speed = published_speed(runs, BAR)
    assert (speed.mean, speed.unreached) == ((2 + 10 + 4 + 2) / 4, 3)
    nothing = times_to_target([], BAR)
    assert math.isnan(nothing.median)
    assert nothing.rows() == []
    assert math.isnan(published_speed([], BAR).mean)


@pytest.mark.parametrize(
    ("values", "time"),
    [
        ([2, 0, 2, 2, 2, 0, 0, 0, 0], 5),  # one lucky evaluation is no arrival
        ([2, 0, 2, 2, 0, 0, 2, 2, 2], 1),  # three of five
        ([2, 2, 2, 2, 0, 2, 2, 2, 0], 8),  # near the end those that are left decide
        ([2, 0, 0], 1),
        ([2, 0, None], None),  # it diverged, so two of five
        ([2, 0, 0, 0, None], 1),
    ],
)
def test_a_target_is_reached_where_it_is_kept(values, time):
    run = run_of(values, status="diverged" if values[-1] is None else "done")
    times = times_to_target([run], BAR)
    assert (times.times[0] if times.reached[0] else None) == time
    first = next(i for i, value in enumerate(values) if value == 0)
    assert published_speed([run], BAR).mean == first  # as published, first passage


def test_the_window_of_learning_rates_that_reach_the_target():
    ends = {0.01: 1.5, 0.03: 0.9, 0.1: 0.5, 0.3: 0.95, 1.0: 2.5}
    runs = [run_of([3.0, end], seed, lr=lr) for lr, end in ends.items() for seed in range(3)]
    curve = learning_rate_sensitivity(runs, BAR.metric)
    window = reaching_window(curve, runs, BAR)
    assert (window.low, window.high, window.percent) == (0.03, 0.3, None)
    assert window.decades_at_most == pytest.approx(2.0)
    assert reaching_window(curve, runs, replace(BAR, value=0.4)) is None
    assert reaching_window(curve, runs, None) == near_best(curve, 5.0)


def test_half_of_the_runs_may_be_open():
    runs = [reaching(2, 0), reaching(None, 1, length=5), reaching(None, 2, length=10)]
    times = times_to_target(runs, BAR)
    assert math.isinf(times.median)
    assert not times.ends_before(4)  # then two of three had not reached it
    assert times.ends_before(6)
