"""How many times as fast one optimizer is as another on one problem."""

import math
from dataclasses import replace

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of, two_optimizers
from scipy import stats

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import judge_settings, performance_profiles, times_to_target
from deepobs_runner.comparison.speedup import RANK_SUM, WELCH, reached_p, win_share


def line_of(runs, target=BAR, **options):
    """Return the comparison of Adam with SGD on problem p."""
    return judge_settings(tuned_settings(runs), {"p": target}, "Adam", "SGD", **options).problems[0]


def test_all_runs_reach_the_target():
    """Geometric means, and Welch's t on log times with the variance of whole epochs."""
    slow, fast = [20, 24, 22], [10, 11, 12, 10]
    found = line_of(two_optimizers(slow, fast)).speedup
    assert found.method == WELCH
    assert found.value == pytest.approx(stats.gmean(slow) / stats.gmean(fast))
    logs = [np.log(times) for times in (slow, fast)]
    errors = [np.var(log, ddof=1) / len(log) for log in logs]
    grid = sum(np.mean(1.0 / np.square(times)) / 12 for times in (slow, fast))
    variance = sum(errors) + grid
    freedom = variance**2 / ((errors[0] + grid / 2) ** 2 / 2 + (errors[1] + grid / 2) ** 2 / 3)
    reach = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert math.log(found.low) == pytest.approx(math.log(found.value) - reach)
    ratio = abs(math.log(found.value)) / math.sqrt(variance)
    assert found.p == pytest.approx(2 * stats.t.sf(ratio, freedom))


def test_equal_times_are_known_to_an_epoch():
    """However many seeds there are, as all of them arrive between the same two evaluations."""
    few, many = (line_of(two_optimizers([6] * n, [5] * n)).speedup for n in (3, 30))
    assert (few.value, many.value) == pytest.approx((1.2, 1.2))
    error = math.sqrt((1 / 25 + 1 / 36) / 12)
    for found, n in ((few, 3), (many, 30)):
        reach = stats.t.ppf(0.975, 2 * n - 2) * error
        assert math.log(found.high) == pytest.approx(math.log(1.2) + reach)
    assert line_of(two_optimizers([30] * 5, [20] * 5)).speedup_status == "faster"


def test_the_grid_is_the_distance_between_evaluations():
    runs = two_optimizers([20, 24, 22], [10, 11, 12])
    epochs, steps = (line_of(runs, unit=unit).speedup for unit in ("epochs", "steps"))
    assert (steps.value, steps.low) == pytest.approx((epochs.value, epochs.low))


def test_a_first_evaluation_is_known_to_its_whole_length():
    run = reaching(0, 1)
    late = replace(run, records=tuple({**r, "epoch": r["epoch"] + 4} for r in run.records))
    assert times_to_target([late], BAR).grid.tolist() == [4.0]


def test_two_runs_are_enough():
    found = line_of(two_optimizers([40, 41], [10, 11]))
    assert found.speedup.has_interval
    one = line_of(two_optimizers([10], [5]))
    assert (one.speedup_status, one.speedup.value) == ("one run", pytest.approx(2.0))
    assert not one.speedup.has_interval


def test_a_side_that_never_reaches_the_target():
    line = line_of(two_optimizers([None] * 6, [10, 10, 12, 11, 12, 10]))
    found = line.speedup
    assert (found.method, found.bound) == (RANK_SUM, "at least")
    assert found.value == pytest.approx(59 / 10.5, rel=0.1)
    assert 59 / 12 <= found.low < found.value < found.high == math.inf
    assert found.p == pytest.approx(2 / math.comb(12, 6))
    assert (line.reached, line.reference_reached) == ((6, 6), (0, 6))
    assert line.reached_p == pytest.approx(2 / math.comb(12, 6))
    assert line.speedup_status == "faster"
    turned = line_of(two_optimizers([10, 10, 12, 11, 12, 10], [None] * 6))
    assert (turned.speedup_status, turned.speedup.bound) == ("slower", "at most")
    assert turned.speedup.high == pytest.approx(1 / found.low)


def test_three_runs_against_none_decide_nothing():
    """Between equal optimizers that happens too often to be a claim."""
    line = line_of(two_optimizers([None] * 3, [10, 11, 12]))
    assert line.speedup.p == pytest.approx(0.1)
    assert line.speedup_status == "inconclusive"


def test_only_the_direction_may_be_known():
    line = line_of(two_optimizers([None] * 10, [*range(40, 47), None, None, None]))
    assert line.speedup.p < 0.05
    assert (line.speedup.low, line.speedup.high) == (1.0, math.inf)
    assert line.speedup_status == "faster"


def test_too_few_runs_reach_the_target():
    few = line_of(two_optimizers([None, None, 20], [None, 10, None]))
    assert (few.speedup, few.speedup_status) == (None, "not reached")
    nobody = line_of(two_optimizers([None] * 3, [None] * 3))
    assert (nobody.speedup, nobody.speedup_status, nobody.reached_p) == (None, "not reached", 1.0)


def test_censored_runs_leave_the_interval_what_it_would_be_at_most():
    """Whatever the censored runs would have done, the interval of all times lies within."""
    rng = np.random.default_rng(4)
    for _ in range(20):
        slow, fast = rng.integers(15, 58, size=8), rng.integers(10, 40, size=8)
        full = np.log(np.divide.outer(slow, fast)).ravel()
        low, high = np.exp(np.sort(full)[[13, 64 - 14]])  # of 8 against 8
        censored = [t if t < 45 else None for t in slow]
        runs = [reaching(t, i, 45) for i, t in enumerate(censored)]
        runs += [reaching(t, i, 60, optimizer="Adam") for i, t in enumerate(fast)]
        found = line_of(runs).speedup
        if found.method == RANK_SUM:
            assert found.low <= low + 1e-9 or found.low == 1.0
            assert found.high >= high - 1e-9 or found.high == 1.0


def test_runs_that_end_before_the_other_gets_there_say_nothing_about_speed():
    slow = [reaching(8, seed) for seed in range(3)]
    short = [reaching(None, seed, length=5, optimizer="Adam") for seed in range(3)]
    line = line_of(slow + short)
    assert (line.speedup_status, line.too_short) == ("too short", "Adam")
    profiles = performance_profiles(tuned_settings(slow + short), {"p": BAR}, ["SGD", "Adam"])
    assert profiles.left_out == {"p": "the runs of Adam end before the fastest reaches the target"}
    # Runs that are seen for longer, or that diverged, did fail.
    for failed in (
        [reaching(None, seed, optimizer="Adam") for seed in range(3)],
        [run_of([2.0, None], seed, optimizer="Adam", status="diverged") for seed in range(3)],
    ):
        line = line_of(slow + failed)
        assert (line.speedup_status, line.too_short) == ("inconclusive", "")


@pytest.mark.parametrize(
    ("runs", "target", "status"),
    [
        (two_optimizers([4] * 3, [2] * 3), None, "no target"),
        ([reaching(3, seed) for seed in range(3)], BAR, "no runs"),
        ([reaching(0, 1), reaching(3, 1, optimizer="Adam")], BAR, "untrained"),
        (
            [reaching(3, 1), run_of(seed=1, optimizer="Adam", metric="accuracy")],
            BAR,
            "not recorded",
        ),
    ],
)
def test_without_times_there_is_no_estimate(runs, target, status):
    line = line_of(runs, target)
    assert (line.speedup, line.speedup_status) == (None, status)


@pytest.mark.parametrize(("first", "second"), [((3, 10), (9, 10)), ((0, 3), (3, 3))])
def test_reached_is_fishers_test(first, second):
    table = [[first[0], second[0]], [first[1] - first[0], second[1] - second[0]]]
    k, n, total = first[0] + second[0], first[1], first[1] + second[1]
    chances = stats.hypergeom(total, k, n).pmf(np.arange(n + 1))
    expected = chances[chances <= chances[first[0]] * (1 + 1e-9)].sum()
    assert reached_p(first, second) == pytest.approx(expected)
    assert reached_p(first, second) == pytest.approx(stats.fisher_exact(table)[1])
    assert math.isnan(reached_p((0, 0), second))


def test_share_of_pairs_that_are_won():
    runs = [reaching(t, s, 20) for s, t in enumerate([3, 5, None])]
    others = [reaching(t, s, 20) for s, t in enumerate([5, None])]
    first, second = times_to_target(runs, BAR), times_to_target(others, BAR)
    # 3 wins twice, 5 wins once and ties once, the last loses once and ties once.
    assert win_share(first, second) == pytest.approx((2 + 1.5 + 0.5) / 6)
    assert win_share(first, second) == pytest.approx(1 - win_share(second, first))
    assert math.isnan(win_share(first, times_to_target([], BAR)))
