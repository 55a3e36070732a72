"""The rank-sum test and the interval of a shift."""

import itertools
import math

import numpy as np
import pytest
from runner_builders import BAR, reaching
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.comparison import holm, rank_shift, times_to_target
from deepobs_runner.comparison.rank_tests import Tails, rank_sum_tails, shift_between
from deepobs_runner.comparison.speedup import win_share

NO_DIFFERENCE = Tails(0.5, 0.5)


@pytest.mark.parametrize("seed", range(5))
def test_rank_sum_is_scipys(seed):
    rng = np.random.default_rng(seed)
    for sizes, method in (((4, 7), "exact"), ((40, 41), "asymptotic")):
        first, second = (rng.normal(0.3 * i, size=n) for i, n in enumerate(sizes))
        for tail, alternative in zip(
            rank_sum_tails(first, second), ("less", "greater"), strict=True
        ):
            theirs = stats.mannwhitneyu(first, second, alternative=alternative, method=method)
            assert tail == pytest.approx(theirs.pvalue)


def test_rank_sum_with_ties_is_the_enumeration():
    first, second = np.array([1.0, 2.0, np.inf]), np.array([0.0, 1.0, 1.0, 2.0, 0.0])
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = np.array([sum(drawn) for drawn in itertools.combinations(ranks, 3)])
    tails = [np.mean(sums <= ranks[:3].sum()), np.mean(sums >= ranks[:3].sum())]
    assert rank_sum_tails(first, second) == pytest.approx(tails)
    assert rank_sum_tails(np.ones(40), np.ones(41)).p == 1.0


@pytest.mark.parametrize("sizes", [(5, 8), (10, 10), (40, 45)])
def test_the_interval_inverts_the_test(sizes):
    rng = np.random.default_rng(1)
    first, second = (rng.normal(size=size) for size in sizes)
    shift = rank_shift(first, second)
    assert shift.least == shift.most == np.median(np.subtract.outer(first, second))
    for inside in (shift.low + 1e-9, shift.least, shift.high - 1e-9):
        assert rank_sum_tails(first - inside, second).p > 0.05
    for outside in (shift.low - 1e-9, shift.high + 1e-9):
        assert rank_sum_tails(first - outside, second).p <= 0.05


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_interval_and_p_agree(level):
    """Also with ties, with diverged runs and where the runs are too few for any interval."""
    rng = np.random.default_rng(2)
    decided = 0
    for _ in range(300):
        n, m = rng.integers(2, 9, size=2)
        first = rng.integers(0, 6, size=n).astype(float) + 2
        second = rng.integers(0, 6, size=m).astype(float)
        second[rng.random(m) < 0.3] = -np.inf
        shift = rank_shift(first, second, level)
        if shift.p <= 1 - level:
            decided += 1
            assert shift.low >= 0 or shift.high <= 0
        else:
            assert shift.low <= 0 <= shift.high
    assert decided > 50


def test_an_interval_takes_enough_runs():
    assert rank_shift(np.arange(3.0), np.arange(4.0))[2:4] == (-np.inf, np.inf)
    shift = rank_shift(np.arange(10.0, 13.0), np.arange(5.0))
    assert (shift.low, shift.high) == (6.0, 12.0)
    with pytest.raises(UsageError, match="level"):
        rank_shift(np.arange(3.0), np.arange(4.0), 1.5)


def test_censored_differences_widen_the_interval():
    rng = np.random.default_rng(3)
    differences = np.subtract.outer(rng.normal(2, size=8), rng.normal(size=8))
    known = shift_between(differences, differences, NO_DIFFERENCE)
    least = np.where(rng.random((8, 8)) < 0.2, -np.inf, differences)
    most = np.where(rng.random((8, 8)) < 0.2, np.inf, differences)
    wider = shift_between(least, most, NO_DIFFERENCE)
    assert wider.low <= known.low <= known.high <= wider.high
    assert wider.least <= known.least <= wider.most


def test_two_diverged_runs_are_a_tie():
    lost = np.array([-np.inf, -np.inf, 1.0])
    shift = rank_shift(lost, lost)
    assert (shift.least, shift.p) == (0.0, 1.0)
    assert math.isinf(rank_shift(np.ones(3), lost).least)


def test_share_of_won_pairs_is_that_of_statsmodels():
    nonparametric = pytest.importorskip("statsmodels.stats.nonparametric")
    rng = np.random.default_rng(6)
    slow, fast = rng.integers(10, 50, size=9), rng.integers(10, 40, size=7)
    runs, others = (
        times_to_target([reaching(int(t), s, 60) for s, t in enumerate(side)], BAR)
        for side in (fast, slow)
    )
    theirs = nonparametric.rank_compare_2indep(slow, fast)
    assert win_share(runs, others) == pytest.approx(theirs.prob1)


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_that_of_statsmodels(seed):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    p = np.random.default_rng(seed).uniform(size=9) ** 3
    assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])
