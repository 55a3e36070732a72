"""Curves over the seeds of a setting."""

import numpy as np
import pytest
from runner_builders import LOSS, run_of
from scipy import stats

from deepobs_runner.analysis import curve_band


def test_band_by_hand():
    runs = [run_of([4.0, 2.0, 1.0], 42), run_of([2.0, 4.0, 3.0], 43), run_of([3.0, 9.0], 44)]
    band = curve_band(runs, LOSS)
    assert band.epochs.tolist() == [0, 1, 2]
    assert band.runs.tolist() == [3, 3, 2]
    assert band.mean.tolist() == [3.0, 5.0, 2.0]
    assert band.median.tolist() == [3.0, 4.0, 2.0]
    assert band.lower_quartile.tolist() == [2.5, 3.0, 1.5]
    # Student's interval, also of two runs.
    two = stats.ttest_1samp([1.0, 3.0], 0.0).confidence_interval(0.95)
    assert (band.low[2], band.high[2]) == pytest.approx((two.low, two.high))
    assert np.isnan(curve_band(runs, LOSS, center="median").low).all()  # three are too few
    assert np.isnan(curve_band(runs[:1], LOSS).low).all()
    assert len(band.rows()) == 3


def test_band_of_the_mean_is_students():
    values = np.random.default_rng(1).normal(size=(4, 3))
    band = curve_band([run_of(row.tolist(), 42 + i) for i, row in enumerate(values)], LOSS)
    theirs = stats.ttest_1samp(values, 0.0).confidence_interval(0.95)
    np.testing.assert_allclose(band.low, theirs.low)
    np.testing.assert_allclose(band.high, theirs.high)


def test_band_of_the_median_is_scipys_percentile_bootstrap():
    values = np.random.default_rng(1).normal(size=(12, 3))
    runs = [run_of(row.tolist(), 42 + i) for i, row in enumerate(values)]
    band = curve_band(runs, LOSS, center="median", resamples=4000)
    theirs = stats.bootstrap(
        (values,), np.median, axis=0, method="percentile", n_resamples=4000
    ).confidence_interval
    np.testing.assert_allclose(band.low, theirs.low, atol=0.12)
    np.testing.assert_allclose(band.high, theirs.high, atol=0.12)
    again = curve_band(runs, LOSS, center="median", resamples=4000)
    np.testing.assert_array_equal(band.low, again.low)
