"""How many seeds an interval takes."""

import math

import numpy as np
import pytest
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.analysis import seeds_for_mean, seeds_for_ratio


@pytest.mark.parametrize("half_width", [0.05, 0.3, 2.0])
def test_seeds_for_mean_is_the_smallest(half_width):
    values = np.array([1.0, 2.0, 1.5, 1.2])
    spread = values.std(ddof=1)
    found = seeds_for_mean(values, half_width)
    enough = [
        n for n in range(2, 2000) if stats.t.ppf(0.975, n - 1) * spread / n**0.5 <= half_width
    ]
    assert found == enough[0]


def test_seeds_that_cannot_be_planned():
    assert seeds_for_mean(np.array([1.0]), 0.1) is None
    assert seeds_for_mean(np.array([1.0, np.nan]), 0.1) is None
    assert seeds_for_mean(np.array([0.0, 1.0]), 1e-9) is None
    assert seeds_for_mean(np.array([1.0, 1.0]), 0.1) == 2
    with pytest.raises(UsageError, match="half_width"):
        seeds_for_mean(np.array([1.0, 2.0]), 0.0)


def test_seeds_for_ratio():
    assert seeds_for_ratio(1 / 1.44, 1.44, 10, 1.2) == 40  # half the width takes four times as many
    assert seeds_for_ratio(0.9, 1.1, 10, 1.2) == 10
    assert seeds_for_ratio(0.5, math.inf, 10, 1.2) is None
    assert seeds_for_ratio(math.nan, math.nan, 1, 1.2) is None
    with pytest.raises(UsageError, match="factor"):
        seeds_for_ratio(0.5, 2.0, 10, 1.0)
