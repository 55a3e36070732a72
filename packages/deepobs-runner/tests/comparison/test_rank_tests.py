"""Rank tests and the intervals that invert them."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from deepobs_runner.comparison import hodges_lehmann, holm, signed_rank_p
from deepobs_runner.comparison.rank_tests import rank_sum_p, shift_of


def signed_rank_by_enumeration(differences):
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = [np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(kept))]
    observed = ranks[kept > 0].sum()
    least = min(np.mean(np.array(sums) <= observed), np.mean(np.array(sums) >= observed))
    return min(1.0, 2 * least)


@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_is_scipys(seed):
    differences = np.random.default_rng(seed).normal(0.4, size=5 + seed)
    theirs = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_with_ties_is_the_enumeration(seed):
    differences = np.random.default_rng(seed).integers(-2, 4, size=8).astype(float)
    assert signed_rank_p(differences) == pytest.approx(signed_rank_by_enumeration(differences))


def test_signed_rank_at_its_limits():
    assert signed_rank_p(np.array([])) == 1.0
    assert signed_rank_p(np.zeros(4)) == 1.0
    assert signed_rank_p(np.array([1.0, 2.0, np.inf])) == 0.25  # three seeds cannot say more
    assert signed_rank_p(np.full(10, 0.1)) == pytest.approx(2 / 2**10)


def test_hodges_lehmann_by_hand():
    gain, low, high = hodges_lehmann(np.array([1.0, 2.0, 6.0]), 0.5)
    assert gain == 2.75  # of 1, 1.5, 2, 3.5, 4, 6
    assert (low, high) == (1.5, 4.0)  # P(W <= 1) is 1/4
    assert hodges_lehmann(np.array([1.0, 2.0, 6.0]))[1:] == (-np.inf, np.inf)
    assert math.isnan(hodges_lehmann(np.array([]))[0])
    assert hodges_lehmann(np.array([np.inf] * 3 + [1.0] * 7))[2] == np.inf


def test_hodges_lehmann_inverts_the_test():
    differences = np.random.default_rng(2).normal(size=9)
    _, low, high = hodges_lehmann(differences)
    for shift in (low + 1e-9, 0.5 * (low + high), high - 1e-9):
        assert signed_rank_p(differences - shift) > 0.05
    for shift in (low - 1e-9, high + 1e-9):
        assert signed_rank_p(differences - shift) <= 0.05


def test_holm_by_hand():
    assert holm([]) == []
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_rank_sum_is_scipys(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=4), rng.normal(0.5, size=7)
    theirs = stats.mannwhitneyu(first, second, method="exact").pvalue
    assert rank_sum_p(first, second) == pytest.approx(theirs)
    many = rng.normal(size=40), rng.normal(0.3, size=41)
    assert rank_sum_p(*many) == pytest.approx(stats.mannwhitneyu(*many).pvalue)
    assert rank_sum_p(np.ones(40), np.ones(41)) == 1.0


def test_rank_sum_with_ties_is_the_enumeration():
    first, second = np.array([1.0, 2.0, np.inf]), np.array([0.0, 1.0, 1.0, 2.0, 0.0])
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = np.array([sum(drawn) for drawn in itertools.combinations(ranks, 3)])
    tails = [np.mean(sums <= ranks[:3].sum()), np.mean(sums >= ranks[:3].sum())]
    assert rank_sum_p(first, second) == pytest.approx(min(1.0, 2 * min(tails)))
    assert rank_sum_p(first, np.zeros(0)) == 1.0


@pytest.mark.parametrize("sizes", [(5, 8), (40, 45)])
def test_the_interval_of_a_shift_inverts_the_rank_sum_test(sizes):
    rng = np.random.default_rng(1)
    first, second = (rng.normal(size=size) for size in sizes)
    gain, low, high = shift_of(first, second)
    assert gain == np.median(np.subtract.outer(first, second))
    slack = 0.0 if sum(sizes) < 60 else 0.05  # where the distribution is the normal one
    for shift in (low + 1e-9 + slack, gain, high - 1e-9 - slack):
        assert rank_sum_p(first - shift, second) > 0.05
    for shift in (low - 1e-9 - slack, high + 1e-9 + slack):
        assert rank_sum_p(first - shift, second) <= 0.05


def test_an_interval_of_a_shift_takes_enough_runs():
    assert shift_of(np.arange(3.0), np.arange(4.0))[1:] == (-np.inf, np.inf)
    assert np.isfinite(shift_of(np.arange(3.0), np.arange(5.0))).all()
    assert math.isnan(shift_of(np.zeros(0), np.zeros(3))[0])
