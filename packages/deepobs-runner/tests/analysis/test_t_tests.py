"""Student's and Welch's t against scipy."""

import numpy as np
import pytest
from scipy import stats

from deepobs_runner.analysis.t_tests import student, welch


@pytest.mark.parametrize("n", [2, 3, 10])
def test_student_is_scipys(n):
    values = np.random.default_rng(n).normal(0.5, size=n)
    theirs = stats.ttest_1samp(values, 0.0)
    found = student(values)
    assert found.p() == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.9)
    assert found.interval(0.9) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(("n", "m"), [(2, 2), (3, 10), (7, 4)])
def test_welch_is_scipys(n, m):
    rng = np.random.default_rng(n)
    first, second = rng.normal(size=n), rng.normal(0.3, 4.0, size=m)
    theirs = stats.ttest_ind(first, second, equal_var=False)
    found = welch(first, second)
    assert found.p() == pytest.approx(theirs.pvalue)
    assert found.freedom == pytest.approx(theirs.df)
    interval = theirs.confidence_interval(0.95)
    assert found.interval(0.95) == pytest.approx((interval.low, interval.high))


def test_many_samples_at_once():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(5, 3)), rng.normal(size=(5, 4))
    found = welch(first, second, 0.1)
    each = [welch(a, b, 0.1) for a, b in zip(first, second, strict=True)]
    np.testing.assert_array_equal(found.p(), [one.p() for one in each])


def test_a_known_variance_adds_to_the_error_alone():
    same = np.full(3, 5.0)
    found = welch(same, np.full(4, 4.0), 0.25)
    assert (found.error, found.freedom) == (0.5, pytest.approx(1 / (0.25 / 2 + 0.25 / 3)))
    assert found.p() == pytest.approx(2 * stats.t.sf(2.0, found.freedom))


def test_without_any_spread_a_difference_is_certain():
    same = np.full(3, 5.0)
    assert welch(same, same).p() == 1.0
    assert welch(same, same - 1).p() == 0.0
    assert welch(same, same - 1).interval(0.95) == (1.0, 1.0)
