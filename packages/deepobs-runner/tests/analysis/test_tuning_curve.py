"""The best of a few random trials."""

import itertools

import numpy as np
import pytest
from runner_builders import ACCURACY, LOSS, run_of

from deepobs_runner.analysis import expected_best, expected_search, tuned_settings
from deepobs_runner.analysis.tuning_curve import best_of


def test_expected_best_is_the_mean_over_all_draws():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    runs = [run_of([9.0, v], lr=i + 1.0) for i, v in enumerate(values)]
    curve = expected_best(runs, LOSS)
    for k in range(1, 6):
        bests = [min(draw) for draw in itertools.combinations(values, k)]
        assert curve.expected[k - 1] == pytest.approx(np.mean(bests))
        assert curve.std[k - 1] == pytest.approx(np.std(bests), abs=1e-7)
    assert best_of(5, 3).sum() == pytest.approx(1)


def test_a_failed_trial_counts_as_untrained():
    runs = [
        run_of([2.0, 1.0], lr=0.1),
        run_of([2.0, 50.0], lr=1.0),
        run_of([2.0, None], lr=10.0, status="diverged"),
    ]
    curve = expected_best(runs, LOSS)
    assert curve.untrained == 2
    assert curve.expected[0] == pytest.approx(5 / 3)
    assert curve.expected[-1] == 1.0
    assert expected_best([], LOSS) is None
    assert expected_best(runs, ACCURACY) is None


def test_a_winner_trained_anew_is_no_further_trial():
    runs = [run_of([9.0, v], lr=v, valid_size=10) for v in (3.0, 1.0)]
    runs += [run_of([9.0, 0.5], seed, lr=1.0) for seed in (42, 43)]
    curve = expected_best(runs, LOSS)
    assert curve.expected.tolist() == [2.0, 1.0]
    (setting,) = tuned_settings(runs)["p"]
    assert setting.tried == 2


def test_k_trials_cost_k_times_their_mean():
    lengths = [1, 2, 4]
    runs = [run_of([9.0] * length + [1.0], lr=float(length)) for length in lengths]
    curve = expected_best(runs, LOSS)
    for k in (1, 2, 3):
        costs = [sum(draw) for draw in itertools.combinations(lengths, k)]
        assert curve.epochs[k - 1] == pytest.approx(np.mean(costs))
    assert [row["epochs"] for row in curve.rows()] == curve.epochs.tolist()


@pytest.mark.parametrize(
    "reached", [(True,) * 5, (False, True, True, False, True), (False,) * 4 + (True,)]
)
def test_the_expected_search_is_the_mean_over_all_orders(reached):
    lengths = np.array([10.0, 8.0, 10.0, 3.0, 10.0])
    times = np.array([4.0, 5.0, 9.0, 3.0, 7.0])
    costs = []
    for order in itertools.permutations(range(5)):
        cost = 0.0
        for trial in order:
            if reached[trial]:
                costs.append(cost + times[trial])
                break
            cost += lengths[trial]
    found = expected_search(lengths, times, np.array(reached))
    assert found == pytest.approx(np.mean(costs))


def test_a_search_that_finds_nothing_never_ends():
    none = np.zeros(2, dtype=bool)
    assert expected_search(np.ones(2), np.ones(2), none) == np.inf
    assert np.isnan(expected_search(np.zeros(0), np.zeros(0), none[:0]))
