"""Final values of two optimizers, by seed where a seed pairs runs."""

import math

import pytest
from runner_builders import OFFICIAL, run_of

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import compare_paired


def test_paired_by_hand():
    runs = [run_of([3.0, 1.0 + 0.1 * s], s) for s in range(8)]
    runs += [run_of([3.0, 0.9 + 0.1 * s], s, optimizer="Adam") for s in range(1, 7)]
    runs += [run_of([3.0, None], 7, optimizer="Adam", status="diverged")]
    runs += [run_of([3.0], 0, optimizer="Adam", status="running")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.seeds == (1, 2, 3, 4, 5, 6, 7)
    assert (paired.wins, paired.ties) == (6, 0)
    assert paired.gain == pytest.approx(0.1)
    assert paired.low == -math.inf  # a run that diverged may be any amount worse
    assert paired.p == paired.p_holm
    assert paired.rows()[0]["seeds"] == 7


def test_paired_where_nothing_is_shared():
    runs = [run_of([1.0], 1), run_of([1.0], 2, optimizer="Adam")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert (paired.seeds, paired.p) == ((), 1.0)
    runs = [run_of([1.0], 1), run_of([0.5], 1, optimizer="Adam", metric="accuracy")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.metric is None
    both = [run_of([None], 1, optimizer=o, status="diverged") for o in ("SGD", "Adam")]
    (paired,) = compare_paired(tuned_settings(both), "Adam", "SGD")
    assert (paired.ties, paired.gain) == (1, 0.0)


def test_nothing_is_paired_across_programs():
    """Three seeds of ours against ten of TensorFlow's, with other names or the same."""
    runs = [run_of([1.0 + 0.01 * s], s, environment=OFFICIAL) for s in range(10)]
    for first in (0, 100):
        ours = [run_of([0.5 + 0.01 * s], first + s, optimizer="Adam") for s in range(3)]
        (paired,) = compare_paired(tuned_settings([*runs, *ours]), "Adam", "SGD")
        assert (paired.by_seed, paired.seeds, paired.runs) == (False, (), (3, 10))
        assert paired.p == pytest.approx(2 / math.comb(13, 3))
        assert (paired.gain, paired.low, paired.high) == pytest.approx((0.535, 0.5, 0.57))
