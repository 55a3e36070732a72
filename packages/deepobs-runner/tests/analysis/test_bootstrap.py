"""Quantiles and intervals of bootstrap replicates."""

import numpy as np
import pytest

from deepobs_runner.analysis.bootstrap import interval, quantiles


def test_quantiles_are_numpys():
    values = np.random.default_rng(0).normal(size=(7, 5))
    values[2:4, 1] = np.nan
    levels = [0.0, 0.1, 0.5, 0.9, 1.0]
    np.testing.assert_allclose(quantiles(values, levels), np.nanquantile(values, levels, axis=0))


def test_quantiles_with_infinite_and_without_values():
    assert quantiles(np.array([1.0, np.inf, np.inf]), [0.0, 0.5]).tolist() == [1.0, np.inf]
    assert quantiles(np.array([-np.inf, 1.0]), [0.5])[0] == -np.inf
    assert np.isnan(quantiles(np.array([np.nan, np.nan]), [0.5])[0])


def test_undefined_replicates_widen_an_interval():
    replicates = np.linspace(0.0, 1.0, 101)
    assert interval(replicates, 0.9) == pytest.approx((0.05, 0.95))
    replicates[:10] = np.nan
    assert interval(replicates, 0.9) == (-np.inf, np.inf)
