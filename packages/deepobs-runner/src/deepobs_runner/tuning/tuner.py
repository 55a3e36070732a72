"""Carry a study out: make its trials, choose, run the winners; what is there is not repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from deepobs_data import list_datasets
from deepobs_problems import load_problem
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.local import run_all
from deepobs_runner.executors.registry import Execute
from deepobs_runner.plans.estimate import data_and_sizes
from deepobs_runner.results.labels import label_run
from deepobs_runner.results.store import stored_result
from deepobs_runner.runs.outcome import Outcome, attempt, survey
from deepobs_runner.runs.progress import Metrics, Reporter, Silent, evaluations_of, pass_on
from deepobs_runner.training.loop import Record
from deepobs_runner.tuning.ledger import Ledger
from deepobs_runner.tuning.samplers import Point, PruningSampler, Sampler
from deepobs_runner.tuning.study import Candidate, Study
from deepobs_runner.tuning.trials import (
    PRUNED,
    Trial,
    best_of,
    judge,
    shares_of_progress,
)

GENERATED = frozenset(entry.name for entry in list_datasets() if entry.kind == "synthetic")
"""Data sets that are made of random numbers."""

"""Statuses of result files to which nothing will be added."""


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """What came out for one optimizer on one problem.

    Attributes:
        problem: its name.
        candidate: the optimizer.
        trials: all of them, in order.
        winner: the best, the first of several; None if all are lost.
        ties: other trials that are as good.
        score: of the winner in a `shared` ruleset, see `shares_of_progress`.
    """

    problem: str
    candidate: Candidate
    trials: tuple[Trial, ...]
    winner: Trial | None
    ties: tuple[Trial, ...] = ()
    score: float | None = None


@dataclass
class _Arm:
    """A candidate and the problems that its trials are made on, with what is known so far."""

    candidate: Candidate
    problems: tuple[str, ...]
    sampler: Sampler
    points: list[Point] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)


@dataclass(frozen=True)
class _Asked:
    """A trial that is to be made."""

    arm: _Arm
    problem: str
    number: int
    point: Point
    config: RunConfig

    def about(self) -> dict[str, Any]:
        return {
            "problem": self.problem,
            "optimizer": self.arm.candidate.optimizer,
            "number": self.number,
            "point": self.point,
        }


def choose_valid_sizes(
    study: Study, execution: Execution, *, valid_size: int | None = None
) -> Study:
    """Return the study with the number of validation rows of every problem.

    It is the ruleset's fraction of the training examples, rounded down. Of data that are generated
    (quadratic_deep and the two-dimensional problems) no training row is held out: validation rows
    are draws of their own, and there are as many as for training.

    Args:
        study: whose trials need them.
        execution: where the data are; nothing is downloaded.
        valid_size: in place of the fraction.

    Raises:
        UsageError: a ruleset that looks at the test split is to hold something out, one that does
            not is to hold nothing out, or the data are too few.
    """
    rules = study.rules
    if rules.select_on == "test":
        if valid_size:
            raise UsageError(
                f"{study.ruleset} holds no validation rows out; leave --valid-size away."
            )
        return study
    if valid_size is not None and valid_size < 1:
        raise UsageError(f"{study.ruleset} chooses on the validation split; --valid-size is 0.")
    sizes = {p: valid_size or _valid_size(study, p, execution) for p in study.problems}
    return replace(study, valid_sizes=sizes)


def _valid_size(study: Study, problem: str, execution: Execution) -> int:
    # Nothing of the optimizer is asked for: its rate is only there to resolve the rest.
    candidate = study.candidates[0]
    places = [0.5] * len(candidate.space.dimensions)
    config = study.trial(problem, candidate, candidate.space.point(places))
    dataset, sizes = data_and_sizes(load_problem(problem), config, execution)
    if dataset.name in GENERATED:
        return sizes["train"]
    size = int(sizes["train"] * study.rules.valid_fraction)
    if size < 1:
        raise UsageError(
            f"{problem} has {sizes['train']} training examples, too few to hold "
            f"{study.rules.valid_fraction:.0%} out. Give --valid-size."
        )
    return size


def make_trials(
    ledger: Ledger,
    execution: Execution,
    *,
    execute: Execute = run_all,
    retry_failed: bool = False,
    reporter: Reporter | None = None,
) -> list[Tuned]:
    """Make the trials of a study that are not there yet, and choose.

    The result depends on the study alone, not on where and how many at once its runs are made, and
    not on how often it was interrupted: points are drawn anew and told the results that are there.

    Args:
        ledger: of the study; notes every trial.
        execution: where and how.
        execute: makes the runs, see `executors`; pruned trials are made here.
        retry_failed: make failed trials again.
        reporter: is told about progress.

    Raises:
        UsageError: all trials lack the same thing, such as the data.
    """
    study = ledger.study
    reporter = reporter or Silent()
    arms = [
        _Arm(candidate, problems, study.sampler_of(candidate, _epochs(study, problems[0])))
        for problems in (
            [study.problems] if study.rules.per == "suite" else [(p,) for p in study.problems]
        )
        for candidate in study.candidates
    ]
    if study.prune:
        for arm in arms:
            _follow_pruned(arm, ledger, execution, retry_failed, reporter)
        return [tuned for arm in arms for tuned in _choose(arm, study)]
    share = study.at_once if study.adaptive else study.budget
    while asked := [trial for arm in arms for trial in _ask(arm, study, share)]:
        trials = _make(asked, ledger, execution, execute, retry_failed, reporter)
        for arm in arms:
            told = [t for a, t in zip(asked, trials, strict=True) if a.arm is arm]
            arm.trials += told
            arm.sampler.tell(told)
    return [tuned for arm in arms for tuned in _choose(arm, study)]


def _epochs(study: Study, problem: str) -> int | None:
    """Return the epochs of a whole trial, None if its steps alone end it."""
    epochs: int | None = study.settings.get("epochs")
    if epochs is None and "steps" not in study.settings:
        return load_problem(problem).defaults.epochs
    return epochs


def _ask(arm: _Arm, study: Study, count: int) -> list[_Asked]:
    """Return the next trials of an arm, none if its budget is spent."""
    points = arm.sampler.ask(min(count, study.budget - len(arm.points)))
    asked = [
        _Asked(arm, problem, number, point, study.trial(problem, arm.candidate, point))
        for number, point in enumerate(points, start=len(arm.points))
        for problem in arm.problems
    ]
    arm.points += points
    return asked


def _make(
    asked: Sequence[_Asked],
    ledger: Ledger,
    execution: Execution,
    execute: Execute,
    retry_failed: bool,
    reporter: Reporter,
) -> list[Trial]:
    """Return what became of some trials, in order; make those that are not there."""
    split = ledger.study.rules.select_on
    configs = {a.config.id: a.config for a in asked}
    found = survey(list(configs.values()), execution, retry_failed=retry_failed)
    ended = {result.config.id: result for result in (*found.finished, *found.failed)}
    waiting: dict[str, list[_Asked]] = {}
    trials: dict[int, Trial] = {}
    for place, trial in enumerate(asked):
        if trial.config.id in ended:
            trials[place] = judge(ended[trial.config.id], split, trial.about())
            ledger.note(trials[place])
        else:
            waiting.setdefault(trial.config.id, []).append(trial)

    def note(run: str) -> None:
        result = stored_result(configs[run], execution.out)
        if result is not None and result.ended:
            for trial in waiting[run]:
                ledger.note(judge(result, split, trial.about()))

    outcomes = execute(found.todo, execution, reporter=_Noting(reporter, split, note))
    by_run = {outcome.config.id: outcome for outcome in outcomes}
    if len(outcomes) == len(asked) and all(o.status == "refused" for o in outcomes):
        raise UsageError(f"No trial could be made: {outcomes[0].message}")
    for place, trial in enumerate(asked):
        if place not in trials:
            trials[place] = _judged(trial, by_run[trial.config.id], execution, split)
            ledger.note(trials[place])
    return [trials[place] for place in range(len(asked))]


def _judged(asked: _Asked, outcome: Outcome, execution: Execution, split: str) -> Trial:
    """Return the trial of an outcome, from its result file where that is complete."""
    result = stored_result(asked.config, execution.out)
    if result is not None and result.ended:
        return judge(result, split, asked.about())
    return Trial(
        **asked.about(), run=asked.config.id, status=outcome.status, message=outcome.reason
    )


class _Noting:
    """A reporter that has every run noted when it ends, so that an interrupt costs no line.

    It shows nothing of the test split where that is not what is tuned on.
    """

    def __init__(self, reporter: Reporter, split: str, note: Callable[[str], None]) -> None:
        self._reporter, self._split, self._note = reporter, split, note

    def start(self, run: str, label: str, evaluations: int) -> None:
        """Pass on."""
        self._reporter.start(run, label, evaluations)

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        """Pass on."""
        self._reporter.record(run, epoch, shown_to_tuners(metrics, self._split), seconds)

    def finish(self, run: str) -> None:
        """Pass on, then note."""
        self._reporter.finish(run)
        self._note(run)


def shown_to_tuners(metrics: Metrics, split: str) -> Metrics:
    """Return metrics without the test split, unless that is what is tuned on."""
    return {name: values for name, values in metrics.items() if name in ("train_eval", split)}


def _follow_pruned(
    arm: _Arm, ledger: Ledger, execution: Execution, retry_failed: bool, reporter: Reporter
) -> None:
    """Make the trials of an arm one after another; the pruner may end each after any epoch."""
    study, sampler = ledger.study, cast(PruningSampler, arm.sampler)  # make_study has seen to it
    while asked := _ask(arm, study, 1):
        (trial,) = asked
        stored = stored_result(trial.config, execution.out)
        if stored is not None and (stored.finished if retry_failed else stored.ended):
            noted = judge(stored, study.rules.select_on, trial.about())
            if noted.metric is not None:
                for epoch, value in enumerate(stored.series(noted.metric.split, noted.metric.name)):
                    sampler.hopeless(epoch, noted.metric.sign * value)
        else:
            outcome = _run_pruned(trial, sampler, study, execution, reporter)
            noted = _judged(trial, outcome, execution, study.rules.select_on)
        ledger.note(noted)
        arm.trials.append(noted)
        sampler.tell([noted])


def _run_pruned(
    trial: _Asked, sampler: PruningSampler, study: Study, execution: Execution, reporter: Reporter
) -> Outcome:
    split = study.rules.select_on

    def watch(record: Record) -> str | None:
        pass_on(reporter, trial.config.id, record)
        metrics = record.metrics[split]
        merit = metrics["accuracy"] if "accuracy" in metrics else -metrics["objective"]
        if sampler.hopeless(record.epoch, merit):
            return f"{PRUNED}Hyperband ended it after epoch {record.epoch}"
        return None

    reporter.start(trial.config.id, label_run(trial.config), evaluations_of(trial.config))
    try:
        return attempt(trial.config, execution, on_record=watch)
    finally:
        reporter.finish(trial.config.id)


def _choose(arm: _Arm, study: Study) -> list[Tuned]:
    """Return the winner on each problem of an arm."""
    by_problem = {p: [t for t in arm.trials if t.problem == p] for p in arm.problems}
    if study.rules.per == "problem":
        chosen = {p: best_of(trials) for p, trials in by_problem.items()}
        return [
            Tuned(
                problem=p,
                candidate=arm.candidate,
                trials=tuple(by_problem[p]),
                winner=winner,
                ties=tuple(ties),
            )
            for p, (winner, ties) in chosen.items()
        ]
    return _choose_shared(arm, by_problem)


def _choose_shared(arm: _Arm, by_problem: Mapping[str, list[Trial]]) -> list[Tuned]:
    scores = shares_of_progress(by_problem)
    best = max(scores.values(), default=0.0)
    numbers = [number for number, score in scores.items() if score == best and best > 0]
    return [
        Tuned(
            problem=problem,
            candidate=arm.candidate,
            trials=tuple(trials),
            winner=trials[numbers[0]] if numbers else None,
            ties=tuple(trials[number] for number in numbers[1:]),
            score=best if numbers else None,
        )
        for problem, trials in by_problem.items()
    ]
