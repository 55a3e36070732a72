"""Search through Optuna: the same points however often a study is interrupted; pruning."""

import math
from dataclasses import replace

import pytest

pytest.importorskip("optuna")

from deepobs_runner import load_result
from deepobs_runner.analysis.metrics import Metric
from deepobs_runner.tuning.cost import tuning_cost
from deepobs_runner.tuning.ledger import open_ledger, read_ledger
from deepobs_runner.tuning.optuna import OptunaSampler
from deepobs_runner.tuning.spaces import Choice, LogUniform, Space
from deepobs_runner.tuning.study import make_study
from deepobs_runner.tuning.trials import Trial
from deepobs_runner.tuning.tuner import choose_valid_sizes, make_trials

SPACE = Space({"lr": LogUniform(1e-6, 1.0), "nesterov": Choice((True, False))})


def told(point, number, merit, status="done"):
    return Trial(
        problem="p",
        optimizer="o",
        number=number,
        run="r",
        point=point,
        status=status,
        metric=Metric("valid", "accuracy", higher_is_better=True),
        value=merit,
    )


def search(kind, trials, *, at_once=1, lost=()):
    """Return the points of a search for lr = 1e-2, in which some trials diverge."""
    sampler = OptunaSampler(kind, SPACE, seed=1)
    points = []
    while len(points) < trials:
        asked = sampler.ask(at_once)
        numbers = range(len(points), len(points) + at_once)
        sampler.tell(
            [
                told(point, i, None, "diverged")
                if i in lost
                else told(point, i, -((math.log10(point["lr"]) + 2) ** 2))
                for i, point in zip(numbers, asked, strict=True)
            ]
        )
        points += asked
    return points


@pytest.mark.parametrize("kind", ["tpe", pytest.param("gp", marks=pytest.mark.slow)])
def test_the_search_closes_in_and_repeats_itself(kind):
    points = search(kind, 24, lost=(1, 3))
    assert search(kind, 24, lost=(1, 3)) == points
    distance = [abs(math.log10(point["lr"]) + 2) for point in points]
    assert sum(distance[-8:]) < 0.6 * sum(distance[:8])
    assert {point["nesterov"] for point in points} == {True, False}
    assert search(kind, 6, at_once=3, lost=range(6)) == search(kind, 6, at_once=3, lost=range(6))


def test_a_diverged_trial_is_worse_than_any_and_a_failed_one_says_nothing():
    sampler = OptunaSampler("tpe", SPACE, seed=1)
    ends = [(None, "diverged"), (None, "failed"), (-1e30, "done")]
    points = sampler.ask(len(ends))
    sampler.tell(
        [told(point, i, *end) for i, (point, end) in enumerate(zip(points, ends, strict=True))]
    )
    known = [(trial.state.name, trial.value) for trial in sampler._study.get_trials()]
    assert known == [("COMPLETE", -math.inf), ("FAIL", None), ("COMPLETE", -1e30)]


def study_of(execution, **options):
    study = make_study(
        "best-of-k",
        ["two_d_branin"],
        [("SGD", {})],
        spaces={"SGD": Space({"lr": LogUniform(1e-6, 0.1)})},
        sampler="tpe",
        **options,
    )
    return choose_valid_sizes(study, execution)


class Interrupts:
    """A reporter that interrupts before the third run, and counts the runs after that."""

    def __init__(self):
        self.started = 0

    def start(self, run, label, evaluations):
        self.started += 1
        if self.started == 3:
            raise KeyboardInterrupt

    def record(self, run, epoch, metrics, seconds):
        pass

    def finish(self, run):
        pass


@pytest.mark.parametrize("prune", [False, True])
def test_an_interrupted_study_asks_the_same_again(execution, prune, tmp_path):
    options = {"settings": {"epochs": 9, "batch_size": 5000}, "budget": 7, "prune": prune}
    study = study_of(execution, **options)
    elsewhere = replace(execution, out=tmp_path / "whole")
    with open_ledger(study, elsewhere.out, "s") as ledger:
        (whole,) = make_trials(ledger, elsewhere)
    reporter = Interrupts()
    with open_ledger(study, execution.out, "s") as ledger, pytest.raises(KeyboardInterrupt):
        make_trials(ledger, execution, reporter=reporter)
    assert len(read_ledger(execution.out / "tuning" / "s")) == 2
    with open_ledger(study, execution.out, "s") as ledger:
        (tuned,) = make_trials(ledger, execution, reporter=reporter)
    assert reporter.started == 3 + 5
    assert [(t.run, t.value, t.status) for t in tuned.trials] == [
        (t.run, t.value, t.status) for t in whole.trials
    ]
    assert tuned.winner.run == whole.winner.run
    (cost,) = tuning_cost(execution.out)
    pruned = [t for t in tuned.trials if t.status == "pruned"]
    assert (cost.pruned, bool(pruned)) == (len(pruned), prune)
    for trial in pruned:
        result = load_result(execution.out / f"{trial.run}.json")
        assert result.status == "stopped"
        assert result.error.startswith("pruned: Hyperband ended it after epoch")
        assert trial.epochs < 9
        assert trial.merit is None
    assert cost.epochs == sum(t.epochs for t in tuned.trials)
