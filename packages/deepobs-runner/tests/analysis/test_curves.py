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
    assert np.isnan(band.low[2])  # two runs have no interval
    assert len(band.rows()) == 3


@pytest.mark.parametrize(("center", "statistic"), [("mean", np.mean), ("median", np.median)])
def test_band_is_scipys_percentile_bootstrap(center, statistic):
    values = np.random.default_rng(1).normal(size=(12, 3))
    runs = [run_of(row.tolist(), 42 + i) for i, row in enumerate(values)]
    band = curve_band(runs, LOSS, center=center, resamples=4000)
    theirs = stats.bootstrap(
        (values,), statistic, axis=0, method="percentile", n_resamples=4000
    ).confidence_interval
    np.testing.assert_allclose(band.low, theirs.low, atol=0.12)
    np.testing.assert_allclose(band.high, theirs.high, atol=0.12)
    again = curve_band(runs, LOSS, center=center, resamples=4000)
    np.testing.assert_array_equal(band.low, again.low)
