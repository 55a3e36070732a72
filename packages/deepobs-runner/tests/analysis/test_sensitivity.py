"""Learning rates, and the window of the good ones."""

import numpy as np
import pytest
from runner_builders import ACCURACY, LOSS, run_of

from deepobs_runner.analysis import learning_rate_sensitivity, near_best, sensitivity_of


def test_sensitivity_by_hand():
    values = {1e-3: [9.0], 1e-2: [1.04], 1e-1: [1.1, 0.9], 1.0: [1.06], 10.0: [None]}
    runs = [
        run_of([5.0, end], 42 + i, lr=lr, status="done" if end else "diverged")
        for lr, ends in values.items()
        for i, end in enumerate(ends)
    ]
    curve = learning_rate_sensitivity(reversed(runs), LOSS)
    assert curve.rates.tolist() == [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    assert curve.medians.tolist() == [9.0, 1.04, 1.0, 1.06, np.inf]
    assert curve.runs.tolist() == [1, 1, 2, 1, 1]
    assert curve.diverged.tolist() == [0, 0, 0, 0, 1]
    window = near_best(curve, 5.0)
    assert (window.low, window.high) == (1e-2, 1e-1)
    assert window.decades == pytest.approx(1.0)
    assert window.decades_at_most == pytest.approx(3.0)  # from 1e-3 to 1
    assert near_best(curve, 10.0).decades == pytest.approx(2.0)
    assert near_best(curve, 900.0).decades_at_most == np.inf  # the grid ends first
    assert learning_rate_sensitivity(runs, LOSS, seed=42).medians[2] == 1.1
    assert len(curve.rows()) == 5


def test_window_of_accuracies():
    runs = [run_of([v], lr=10.0**i, metric="accuracy") for i, v in enumerate([0.5, 0.77, 0.8])]
    window = near_best(learning_rate_sensitivity(runs, ACCURACY), 5.0)
    assert (window.low, window.high) == (10.0, 100.0)


def test_window_is_relative_to_the_size_of_the_best():
    runs = [run_of([v], lr=10.0**i) for i, v in enumerate([109.0, 104.0, 100.0, 106.0])]
    window = near_best(learning_rate_sensitivity(runs, LOSS), 5.0)
    assert (window.low, window.high) == (10.0, 100.0)


def test_rates_are_compared_by_the_seed_that_all_have():
    runs = [run_of([3.0, v], lr=lr) for lr, v in ((0.1, 1.0), (1.0, 0.5))]
    runs += [run_of([3.0, 9.0], seed, lr=1.0) for seed in (43, 44)]
    assert sensitivity_of(runs, LOSS).medians.tolist() == [1.0, 0.5]
    assert learning_rate_sensitivity(runs, LOSS).medians.tolist() == [1.0, 9.0]


def test_sensitivity_without_values():
    empty = learning_rate_sensitivity([], LOSS)
    assert empty.best is None
    assert near_best(empty) is None
    assert empty.rows() == []
    lost = learning_rate_sensitivity([run_of([None], status="diverged")], LOSS)
    assert near_best(lost) is None
