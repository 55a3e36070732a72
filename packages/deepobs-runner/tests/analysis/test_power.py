"""Power of Welch's t-test, against simulation and statsmodels."""

import math

import numpy as np
import pytest

from deepobs_runner import UsageError
from deepobs_runner.analysis import detectable, seeds_for_power, welch_power
from deepobs_runner.analysis.t_tests import welch

SIMULATED = 40_000


@pytest.mark.parametrize(
    ("seeds", "other_seeds", "difference", "other_deviation", "known"),
    [
        (2, 2, 3.0, 1.0, 0.0),
        (3, 3, 2.0, 1.0, 0.0),
        (3, 3, 2.0, 1.0, 0.3),
        (3, 8, 1.5, 1.0, 0.0),
        (5, 5, 2.0, 3.0, 0.0),
        (10, 10, 1.0, 1.0, 0.05),
        (4, 4, 0.0, 2.0, 0.0),
        (6, 6, 1.0, 0.0, 0.0),
    ],
)
def test_power_is_that_of_simulated_tests(seeds, other_seeds, difference, other_deviation, known):
    draws = np.random.default_rng(0)
    noise = draws.normal(0, math.sqrt(known), (SIMULATED, 1))
    one = draws.normal(difference, 1.0, (SIMULATED, seeds)) + noise
    other = draws.normal(0.0, other_deviation, (SIMULATED, other_seeds))
    found = (welch(one, other, known).p() < 0.05).mean()
    power = welch_power(
        difference,
        1.0,
        seeds,
        other_deviation=other_deviation,
        other_seeds=other_seeds,
        known_variance=known,
    )
    assert power == pytest.approx(found, abs=3.5 * math.sqrt(power * (1 - power) / SIMULATED))


@pytest.mark.parametrize("level", [0.95, 0.999])
@pytest.mark.parametrize("difference", [0.3, 0.8, 1.5])
@pytest.mark.parametrize("seeds", [20, 60])
def test_power_is_that_of_statsmodels_where_degrees_of_freedom_matter_little(
    seeds, difference, level
):
    power = pytest.importorskip("statsmodels.stats.power")
    expected = power.TTestIndPower().power(difference, seeds, 1 - level)
    assert welch_power(2 * difference, 2.0, seeds, level=level) == pytest.approx(expected, abs=4e-3)


def test_few_seeds_find_less_than_the_noncentral_t_says():
    """Its degrees of freedom are those of equal variances, which two samples never show."""
    assert welch_power(3.0, 1.0, 2) == pytest.approx(0.197, abs=2e-3)  # noncentral t: 0.387


@pytest.mark.parametrize(("difference", "known"), [(0.1, 0.0), (1.0, 0.0), (1.0, 0.05), (9.0, 0.0)])
def test_the_seeds_are_the_fewest(difference, known):
    seeds = seeds_for_power(difference, 0.5, known_variance=known)
    assert welch_power(difference, 0.5, seeds, known_variance=known) >= 0.8
    if seeds > 2:
        assert welch_power(difference, 0.5, seeds - 1, known_variance=known) < 0.8


def test_what_no_number_of_seeds_finds():
    assert seeds_for_power(0.1, 0.3, known_variance=0.01) is None
    assert seeds_for_power(1e-3, 1.0) is None
    assert seeds_for_power(0.0, 1.0) is None


@pytest.mark.parametrize("seeds", [2, 5, 20])
def test_the_smallest_difference_has_the_power(seeds):
    difference = detectable(2.0, seeds, power=0.9, known_variance=0.1)
    assert welch_power(difference, 2.0, seeds, known_variance=0.1) == pytest.approx(0.9, abs=1e-6)


def test_without_any_spread_every_difference_is_found():
    assert welch_power(0.1, 0.0, 2) == 1.0
    assert welch_power(0.0, 0.0, 2) == 0.0
    assert seeds_for_power(0.1, 0.0) == 2
    assert detectable(0.0, 2) == 0.0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: welch_power(1.0, 1.0, 1), "two seeds"),
        (lambda: welch_power(1.0, 1.0, 5, other_seeds=1), "two seeds"),
        (lambda: welch_power(1.0, -1.0, 5), "deviation"),
        (lambda: welch_power(1.0, 1.0, 5, level=1.0), "level"),
        (lambda: seeds_for_power(1.0, 1.0, power=1.0), "power"),
        (lambda: detectable(1.0, 5, power=0.0), "power"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(UsageError, match=words):
        call()
