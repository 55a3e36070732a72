"""Verdicts: correction of p-values, and what can be said over all problems."""

import math

import numpy as np
import pytest
from runner_builders import BAR, run_of, two_optimizers
from scipy import optimize, stats

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import correct, holm, judge_settings, mean_ranks
from deepobs_runner.comparison.overall import improvement_of, mean_of_intervals

FASTER = ([24, 26, 25, 24, 27, 26], [20, 21, 20, 22, 20, 21])
SLOWER = FASTER[::-1]
OPEN = ([5, 30, 9, 26, 8], [20, 9, 22, 14, 30])
FAILED = ([None] * 5, [None] * 5)


def several(*problems, optimizers=("Adam", "SGD"), **options):
    """Return the verdict on problems, each with the times of SGD and Adam."""
    names = "pqrstuvwxyz"[: len(problems)]
    runs = [
        r for name, pair in zip(names, problems, strict=True) for r in two_optimizers(*pair, name)
    ]
    return judge_settings(tuned_settings(runs), dict.fromkeys(names, BAR), *optimizers, **options)


def test_every_test_of_a_report_is_corrected_together():
    verdicts = correct([several(FASTER, OPEN), several(OPEN, SLOWER, FASTER)])
    estimates = [e for v in verdicts for line in v.problems for e in (line.speedup, line.final)] + [
        v.improvement for v in verdicts
    ]
    raw = [e.p for e in estimates]
    assert len(raw) == 12
    np.testing.assert_allclose(holm(raw), [e.p_corrected for e in estimates])


def test_a_claim_never_contradicts_its_interval():
    verdict = several(FASTER, SLOWER, OPEN, FAILED, ([9] * 9, [None] * 9), *[OPEN] * 3)
    decided = 0
    for line in verdict.problems:
        if line.speedup_status in ("faster", "slower"):
            decided += 1
            assert line.speedup.low >= 1 or line.speedup.high <= 1
            assert line.speedup.p <= line.speedup.p_corrected <= 0.05
        elif line.speedup is not None:
            assert line.speedup.p_corrected > 0.05
    assert decided == 3


def test_targets_that_are_easier_and_harder_are_no_further_tests():
    alone = several(FASTER)
    runs = two_optimizers(*FASTER)
    others = {"p": {"easier": BAR, "harder": None}}
    verdict = judge_settings(tuned_settings(runs), {"p": BAR}, "Adam", "SGD", other_targets=others)
    (line,) = verdict.problems
    assert line.speedup == alone.problems[0].speedup
    assert line.other_targets["easier"].value == line.speedup.value
    assert not line.other_targets["easier"].decided
    assert line.other_targets["harder"] is None
    assert line.rows()[0]["easier_speedup_low"] == line.speedup.low


@pytest.mark.parametrize(
    ("problems", "used"),
    [
        ([FASTER] * 4, 4),
        ([FASTER] * 3, None),  # too few
        ([*[FASTER] * 4, *[FAILED] * 3], 4),
        ([*[FASTER] * 4, *[FAILED] * 4], None),  # not more than half
        ([*[FASTER] * 4, SLOWER], None),  # a contradiction
        ([*[FASTER] * 4, OPEN], 5),
    ],
)
def test_where_a_mean_says_something(problems, used):
    mean = several(*problems).mean
    assert (None if mean is None else len(mean.used)) == used


def test_geometric_mean_by_hand():
    verdict = several(FASTER, OPEN, FASTER, OPEN)
    logs = np.log([line.speedup.value for line in verdict.problems])
    assert verdict.geometric_mean.value == pytest.approx(np.exp(logs.mean()))
    over = stats.ttest_1samp(logs, 0.0).confidence_interval(0.95)
    assert verdict.over_problems == pytest.approx((np.exp(over.low), np.exp(over.high)))
    without = [np.exp(np.delete(logs, i).mean()) for i in range(4)]
    assert verdict.leave_one_out == pytest.approx((min(without), max(without)))


def test_the_interval_of_a_mean_of_normal_intervals_is_the_normal_one():
    rng = np.random.default_rng(0)
    values, errors = rng.normal(size=6), rng.uniform(0.5, 2.0, size=6)
    reach = 1.959963985 * errors
    mean, low, high, p = mean_of_intervals(values, values - reach, values + reach, level=0.95)
    error = math.sqrt((errors**2).sum()) / 6
    assert (mean, high - mean) == pytest.approx((values.mean(), 1.959963985 * error))
    assert low == pytest.approx(2 * mean - high)
    assert p == pytest.approx(2 * stats.norm.sf(abs(mean) / error))


def newcombe(share, n, m):
    """Method 5 of Newcombe (2006), solved by another method than bisection."""

    def excess(theta):
        both = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + ((n + m) / 2 - 1) * both) / (n * m)
        return abs(share - theta) - 1.959963985 * math.sqrt(variance)

    low = 0.0 if share == 0 else optimize.brentq(excess, 1e-12, share - 1e-12)
    return low, 1.0 if share == 1 else optimize.brentq(excess, share + 1e-12, 1 - 1e-12)


@pytest.mark.parametrize(("share", "n", "m"), [(0.6, 5, 8), (0.5, 10, 10), (0.05, 3, 3)])
def test_improvement_on_one_problem_is_newcombes(share, n, m):
    mean, low, high, _ = improvement_of(np.array([share]), np.array([[n, m]]), 0.95)
    assert mean == share
    assert (low, high) == pytest.approx(newcombe(share, n, m), abs=1e-6)


def test_improvement_is_the_stratified_rank_sum_test():
    """Its p-value is that of all divisions of the runs of each problem."""
    rng = np.random.default_rng(1)
    sides = [(rng.permutation(40)[:n] + 5, rng.permutation(40)[:m] + 2) for n, m in [(8, 9)] * 4]
    verdict = several(*[(slow.tolist(), fast.tolist()) for slow, fast in sides])
    us = [stats.mannwhitneyu(slow, fast).statistic / 72 for slow, fast in sides]
    assert verdict.improvement.value == pytest.approx(np.mean(us))
    drawn = np.zeros(4000)
    for slow, fast in sides:
        both = np.tile(np.concatenate([slow, fast]), (4000, 1))
        both = rng.permuted(both, axis=1)
        drawn += stats.mannwhitneyu(both[:, : len(slow)], both[:, len(slow) :], axis=1).statistic
    p = np.mean(np.abs(drawn / 288 - 0.5) >= abs(np.mean(us) - 0.5) - 1e-12)
    assert verdict.improvement.p == pytest.approx(p, abs=0.02)


def test_improvement_takes_a_run_that_reaches_a_target():
    assert several(FAILED, FAILED).improvement is None
    assert several(FAILED, SLOWER).improvement is not None


def test_improvement_and_its_interval_agree():
    rng = np.random.default_rng(2)
    shares = rng.uniform(size=(500, 3)) ** 2
    _, low, high, p = improvement_of(shares, np.array([[3, 3], [5, 4], [10, 3]]), 0.95)
    np.testing.assert_array_equal(p <= 0.05, (low > 0.5) | (high < 0.5))
    assert 50 < np.sum(p <= 0.05) < 450


def test_a_run_that_never_reaches_the_target_is_last():
    verdict = several(([10] * 3, [None] * 3), FAILED)
    assert verdict.improvement.value == pytest.approx(0.25)  # lost everywhere, and all ties


def three(times, problem):
    runs = two_optimizers(times[0], times[1], problem)
    more = two_optimizers([1], times[2], problem)[1:]
    from dataclasses import replace

    return runs + [replace(r, config=replace(r.config, optimizer="Mine")) for r in more]


def test_mean_ranks_by_hand():
    runs = three(([9, 9], [5, 5], [3, 3]), "p") + three(([9, 9], [3, 5], [4, 9]), "q")
    problems = tuned_settings(runs)
    targets = dict.fromkeys("pq", BAR)
    ranks = mean_ranks(problems, targets, ["SGD", "Adam", "Mine"])
    assert ranks.problems == ("p", "q")
    # On q: SGD loses all but a tie in four, Adam wins three pairs of four against Mine.
    expected = [(3 + 2.75) / 2, (2 + 1.25) / 2, (1 + 2.0) / 2]
    assert [rank.rank for rank in ranks.ranks] == pytest.approx(expected)
    assert math.isnan(ranks.ranks[0].low)  # two problems are too few
    assert ranks.critical_difference is None
    assert mean_ranks(problems, targets, ["SGD", "Adam"]) is None
    assert mean_ranks(problems, {}, ["SGD", "Adam", "Mine"]) is None


def test_critical_difference_is_that_of_demsar():
    """Table 5 (a) of Demšar (2006): q is 2.343 for three at 0.05."""
    names = "abcdefghij"
    runs = [r for name in names for r in three(([9, 8], [5, 6], [3, 4]), name)]
    ranks = mean_ranks(tuned_settings(runs), dict.fromkeys(names, BAR), ["SGD", "Adam", "Mine"])
    assert ranks.critical_difference == pytest.approx(2.343 * math.sqrt(3 * 4 / 60), abs=1e-3)
    assert ranks.p == pytest.approx(stats.friedmanchisquare([3] * 10, [2] * 10, [1] * 10).pvalue)


def test_what_is_compared_on_no_problem():
    verdict = judge_settings({}, {}, "Adam", "SGD")
    assert (verdict.problems, verdict.improvement, verdict.mean) == ((), None, None)
    alone = judge_settings(tuned_settings([run_of()]), {"p": BAR}, "Adam", "SGD")
    assert alone.speedup_counts == {"no runs": 1}
    assert alone.final_counts == {"no runs": 1}
