"""Performance profiles."""

import math

import numpy as np
import pytest
from runner_builders import BAR, reaching

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import performance_profiles
from deepobs_runner.comparison.profiles import profile_integral, profile_ratios, profile_steps


def test_profile_by_hand():
    costs = np.array([[1.0, 2.0, 4.0, np.inf], [2.0, 2.0, 1.0, 3.0]])
    ratios = profile_ratios(costs)
    assert ratios.tolist() == [[1, 1, 4, np.inf], [2, 1, 1, 1]]
    taus, shares = profile_steps(ratios[0])
    assert taus.tolist() == [1, 4]
    assert shares.tolist() == [0.5, 0.75]
    assert profile_integral(ratios[0], 4.0) == pytest.approx(0.5)
    assert profile_integral(ratios[1], 4.0) == pytest.approx((3 + 0.5) / 4)


def test_profile_integral_is_the_area():
    ratios = np.exp(np.random.default_rng(0).exponential(size=9))
    grid = np.linspace(0, np.log(5.0), 20001)
    shares = [(np.log(ratios) <= x).mean() for x in grid]
    area = np.mean(shares)
    assert profile_integral(ratios, 5.0) == pytest.approx(area, abs=1e-3)


def test_profiles_leave_out_what_cannot_be_compared():
    runs = [reaching(3, s, problem=p) for s in range(3) for p in ("p", "alone", "hard", "free")]
    runs += [reaching(6, s, optimizer="Adam") for s in range(3)]
    runs += [reaching(3, s, problem="free", optimizer="Adam") for s in range(3)]
    runs += [reaching(None, s, problem="hard", optimizer="Adam") for s in range(3)]
    targets = {"p": BAR, "alone": BAR, "hard": BAR, "free": None}
    profiles = performance_profiles(tuned_settings(runs), targets, ["SGD", "Adam"])
    assert profiles.problems == ("p", "hard")
    assert profiles.left_out["alone"] == "no runs of Adam"
    assert profiles.left_out["free"] == "no target"
    sgd, adam = profiles.profiles
    assert sgd.integral == 1.0
    assert adam.ratios.tolist() == [2.0, np.inf]
    assert adam.integral == pytest.approx(0.25)
    nothing = performance_profiles({}, {}, ["SGD"])
    assert math.isnan(nothing.profiles[0].integral)
