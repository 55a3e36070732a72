"""Estimates, and the correction of p-values."""

import math

import numpy as np
import pytest

from deepobs_runner.comparison import Estimate, holm


def holm_by_its_definition(p):
    """Reject the smallest at level / m, the next at level / (m - 1), until one is not rejected."""
    levels = np.linspace(0.001, 1, 1000)
    corrected = np.ones(len(p))
    for level in levels[::-1]:
        for rank, index in enumerate(np.argsort(p)):
            if p[index] > level / (len(p) - rank):
                break
            corrected[index] = level
    return corrected


@pytest.mark.parametrize("seed", range(3))
def test_holm_is_its_definition(seed):
    p = np.random.default_rng(seed).uniform(size=7) ** 2
    np.testing.assert_allclose(holm(p), holm_by_its_definition(p), atol=1.1e-3)


def test_holm_of_many_reports_at_once():
    p = np.random.default_rng(0).uniform(size=(4, 3, 5))
    each = [[holm(row) for row in rows] for rows in p]
    np.testing.assert_array_equal(holm(p), each)
    assert holm([]).shape == (0,)
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(0.5, 2.0, True), (0.0, math.inf, False), (1.2, math.inf, True), (-math.inf, 1.0, True),
     (math.nan, math.nan, False), (-math.inf, math.inf, False)],
)  # fmt: skip
def test_only_a_defined_interval_is_shown(low, high, shown):
    estimate = Estimate(
        value=1.0, low=low, high=high, level=0.95, p=0.01, p_corrected=math.nan, method=""
    )
    assert estimate.has_interval == shown
    assert not estimate.decided  # by a p-value that is outside of the correction
