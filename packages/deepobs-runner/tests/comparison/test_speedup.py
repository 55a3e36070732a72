"""How many times as fast one optimizer is as another."""

import math

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of, two_optimizers
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import performance_profiles, speedup


def test_runs_that_end_before_the_other_gets_there_say_nothing_about_speed():
    slow = [reaching(8, seed) for seed in range(3)]
    short = [reaching(None, seed, length=5, optimizer="Adam") for seed in range(3)]
    (line,) = speedup(tuned_settings(slow + short), {"p": BAR}, "Adam", "SGD").problems
    assert math.isnan(line.ratio)
    assert (line.excluded, line.too_short) == ("too short", "Adam")
    profiles = performance_profiles(tuned_settings(slow + short), {"p": BAR}, ["SGD", "Adam"])
    assert profiles.left_out == {"p": "the runs of Adam end before the fastest reaches the target"}
    # Runs that are seen for longer, or that diverged, did fail.
    for failed in (
        [reaching(None, seed, optimizer="Adam") for seed in range(3)],
        [run_of([2.0, None], seed, optimizer="Adam", status="diverged") for seed in range(3)],
    ):
        (line,) = speedup(tuned_settings(slow + failed), {"p": BAR}, "Adam", "SGD").problems
        assert line.too_short == ""
        assert line.excluded == "not reached"


def test_speedup_by_hand():
    runs = two_optimizers([20, 24, 22], [10, 11, 12])
    runs += two_optimizers([10, 10, 10], [20, 20, 20], "q")
    runs += two_optimizers([10, None, None], [20, 20, 20], "r")
    runs += two_optimizers([10], [5], "s")
    found = speedup(tuned_settings(runs), dict.fromkeys("pqrs", BAR), "Adam", "SGD")
    assert [line.ratio for line in found.problems[:2]] == [2.0, 0.5]
    assert found.ratio == pytest.approx(1.0)
    assert [line.problem for line in found.used] == ["p", "q"]
    assert (found.problems[1].low, found.problems[1].high) == pytest.approx((0.5, 0.5))
    assert [line.excluded for line in found.problems] == ["", "", "not reached", "few seeds"]
    assert found.problems[3].ratio == 2.0
    assert found.problems[3].more_seeds == 2
    assert len(found.rows()) == 5


def test_speedup_interval_is_scipys_stratified_bootstrap():
    rng = np.random.default_rng(5)
    samples = [rng.integers(10, 40, size=11) for _ in range(4)]
    runs = two_optimizers(samples[0], samples[1]) + two_optimizers(samples[2], samples[3], "q")
    found = speedup(
        tuned_settings(runs), {"p": BAR, "q": BAR}, "Adam", "SGD", resamples=5000, level=0.9
    )

    def log_ratio(a, b, c, d, axis=-1):
        logs = [np.log(np.median(x, axis=axis)) for x in (a, b, c, d)]
        return (logs[0] - logs[1] + logs[2] - logs[3]) / 2

    theirs = stats.bootstrap(
        samples, log_ratio, method="percentile", n_resamples=5000, confidence_level=0.9
    ).confidence_interval
    assert math.log(found.low) == pytest.approx(theirs.low, abs=0.03)
    assert math.log(found.high) == pytest.approx(theirs.high, abs=0.03)


def test_speedup_does_not_depend_on_other_problems():
    runs = two_optimizers([20, 24, 30], [10, 15, 12])
    others = two_optimizers([10, 12, 9], [20, 25, 20], "a")
    alone = speedup(tuned_settings(runs), {"p": BAR}, "Adam", "SGD").problems[0]
    among = speedup(tuned_settings(others + runs), {"p": BAR, "a": BAR}, "Adam", "SGD").problems[1]
    assert (alone.low, alone.high) == (among.low, among.high)


def test_problems_are_drawn_independently():
    slow, fast = [20, 24, 30, 26, 33], [10, 15, 12, 19, 13]
    runs = [r for p in "pqrs" for r in two_optimizers(slow, fast, p)]
    found = speedup(tuned_settings(runs), dict.fromkeys("pqrs", BAR), "Adam", "SGD")
    alone = np.log(found.problems[0].high / found.problems[0].low)
    assert np.log(found.high / found.low) < 0.7 * alone  # about half, not as wide


def test_a_side_that_may_not_reach_the_target_has_no_bound():
    runs = two_optimizers([20, 22, 25, None, None], [10, 10, 10, 11, 12])
    line = speedup(tuned_settings(runs), {"p": BAR}, "Adam", "SGD").problems[0]
    assert line.ratio == 2.5
    assert line.high == math.inf
    assert line.low >= 20 / 12


def test_the_wanted_ratio_is_checked():
    runs = two_optimizers([3] * 3, [2] * 3)
    with pytest.raises(UsageError, match="factor"):
        speedup(tuned_settings(runs), {"p": BAR}, "Adam", "SGD", wanted=1)
