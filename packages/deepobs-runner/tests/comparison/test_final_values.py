"""Differences of final values."""

import math

import numpy as np
import pytest
from scipy import stats

from deepobs_runner.comparison import final_difference
from deepobs_runner.comparison.final_values import ONE_RUN, PAIRED, RANK_SUM, WELCH


def by_seed(values, first=0):
    return {first + index: float(value) for index, value in enumerate(values)}


@pytest.mark.parametrize(
    ("first", "second", "seeds_pair", "method"),
    [
        (by_seed(range(6)), by_seed(range(6)), True, PAIRED),
        (by_seed(range(6)), by_seed(range(6)), False, WELCH),  # two programs
        (by_seed(range(5)), by_seed(range(5)), True, WELCH),
        (by_seed(range(8)), by_seed(range(8), first=3), True, WELCH),
        (by_seed([*range(6), -math.inf]), by_seed(range(7)), True, RANK_SUM),
        (by_seed([1]), by_seed(range(7)), True, ONE_RUN),
        (by_seed([1] * 8), by_seed([2] * 8), True, RANK_SUM),  # no spread to test by
        (by_seed([1] * 5), by_seed(range(5)), True, WELCH),
    ],
)
def test_the_runs_choose_the_test(first, second, seeds_pair, method):
    assert final_difference(first, second, seeds_pair=seeds_pair).method == method


def test_each_test_is_scipys():
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, size=6), rng.normal(size=6)
    paired = final_difference(by_seed(one), by_seed(other))
    assert paired.p == pytest.approx(stats.ttest_rel(one, other).pvalue)
    unpaired = final_difference(by_seed(one), by_seed(other), seeds_pair=False)
    theirs = stats.ttest_ind(one, other, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert (unpaired.low, unpaired.high) == pytest.approx((interval.low, interval.high))
    one[0] = -np.inf
    ranked = final_difference(by_seed(one), by_seed(other))
    assert ranked.p == pytest.approx(stats.mannwhitneyu(one, other, method="exact").pvalue)


def test_three_seeds_are_enough_for_three_equal_differences():
    """Which an exact rank test cannot say for any three seeds."""
    found = final_difference(by_seed([1.0245, 1.0233, 1.0241]), by_seed([1.0, 1.0001, 0.9999]))
    assert found.value == pytest.approx(0.02397, abs=1e-4)
    assert 0.02 < found.low < found.high < 0.03
    assert found.p < 1e-3


def test_most_runs_of_a_side_diverge():
    found = final_difference(by_seed([1.0] * 6), by_seed([-math.inf] * 5 + [2.0]))
    assert found.value == math.inf
    assert found.high == math.inf
    both = final_difference(by_seed([-math.inf] * 3), by_seed([-math.inf] * 3))
    assert (both.value, both.p) == (0.0, 1.0)


def test_without_runs_or_with_one_there_is_no_test():
    assert final_difference({}, {1: 1.0}) is None
    found = final_difference({1: 3.0}, {1: 1.0, 2: 1.0})
    assert found.value == 2.0
    assert not found.has_interval
    assert math.isnan(found.p)
