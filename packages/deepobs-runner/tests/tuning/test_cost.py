"""Tuning costs what was trained: a setting that is drawn again is trained once."""

import pytest

from deepobs_runner.tuning.cost import _cost
from deepobs_runner.tuning.study import Study


def line(number, run, status="done", seconds=1.0):
    return {
        "number": number, "run": run, "status": status, "epochs": 2, "steps": 10, "seconds": seconds
    }  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "distinct"), [("abc", 3), ("aab", 2), ("aaaa", 1), ("abab", 2), ("", 0)]
)
def test_a_repeated_trial_costs_nothing(runs, distinct):
    study = Study.__new__(Study)
    for name, value in {"ruleset": "r", "sampler": "s", "budget": 4}.items():
        object.__setattr__(study, name, value)
    lines = [line(number, run) for number, run in enumerate(runs)]
    cost = _cost(study, "name", "p", "SGD", lines)
    assert cost.trials == len(runs)
    assert (cost.epochs, cost.steps, cost.seconds) == (2 * distinct, 10 * distinct, distinct)
