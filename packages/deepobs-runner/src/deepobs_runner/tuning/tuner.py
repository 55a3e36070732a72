"""Carry a study out: make its trials and choose the winners; what is there is not repeated."""

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
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.store import stored_result
from deepobs_runner.runs.disk import failed_for_disk
from deepobs_runner.runs.outcome import Outcome, outcome_of, survey
from deepobs_runner.runs.progress import Metrics, Reporter, Silent, reported
from deepobs_runner.text import count
from deepobs_runner.training.record import Record
from deepobs_runner.tuning.candidate import Candidate
from deepobs_runner.tuning.ledger import Ledger
from deepobs_runner.tuning.samplers import Point, PruningSampler, Sampler
from deepobs_runner.tuning.study import Study
from deepobs_runner.tuning.trials import PRUNED, Trial, best_of, shares_of_progress, trial_of

GENERATED = frozenset(entry.name for entry in list_datasets() if entry.kind == "synthetic")
"""Data sets that are made of random numbers."""


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """The result of tuning one optimizer on one problem.

    Attributes:
        problem: its name.
        candidate: the optimizer.
        trials: all of them, in order.
        winner: the best, the first of several; None if all are lost.
        ties: other trials that are as good.
        score: score of the winner in a `shared` ruleset, see `shares_of_progress`.
    """

    problem: str
    candidate: Candidate
    trials: tuple[Trial, ...]
    winner: Trial | None
    ties: tuple[Trial, ...] = ()
    score: float | None = None


def choose_valid_sizes(
    study: Study, execution: Execution, *, valid_size: int | None = None
) -> Study:
    """Study with the number of validation examples of every problem.

    It is the ruleset's fraction of the training examples, rounded down. Of data that are generated
    (quadratic_deep and the two-dimensional problems) no training example is held out: validation
    examples are draws of their own, and there are as many as for training.

    Nothing is downloaded. `valid_size` replaces the fraction.

    Raises:
        UsageError: examples are to be held out by a ruleset that chooses on the test split, or none
            by another, or the data are too few.
    """
    rules = study.rules
    if rules.select_on == "test":
        if valid_size:
            raise UsageError(
                f"{study.ruleset} holds out no validation examples. Leave --valid-size out."
            )
        return study
    if valid_size is not None and valid_size < 1:
        raise UsageError(f"{study.ruleset} chooses on the validation split; --valid-size is 0.")
    sizes = {p: valid_size or _valid_size(study, p, execution) for p in study.problems}
    return replace(study, valid_sizes=sizes)


def _valid_size(study: Study, problem: str, execution: Execution) -> int:
    # Nothing of the optimizer is asked for: its rate is only there to resolve the rest.
    candidate = study.candidates[0]
    config = study.trial(problem, candidate, candidate.space.at(0.5))
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
    """Make the trials of a study that are not there yet, and choose the winners.

    The result depends on the study alone, not on where and how many at once its runs are made, and
    not on how often it was interrupted: points are drawn again, and stored results are reused.

    Args:
        ledger: ledger of the study; every trial is appended.
        execution: where and how.
        execute: makes the runs, see `executors`; but a study that prunes makes its own.
        retry_failed: make failed trials again.
        reporter: receives the progress.

    Raises:
        UsageError: all trials lack the same thing, such as the data, or a disk is full.
    """
    study = ledger.study
    tuner = _Tuner(ledger, execution, execute, retry_failed, reporter or Silent())
    searches = [
        _Search(candidate, problems, study.sampler_of(candidate, _epochs(study, problems[0])))
        for problems in (
            [study.problems] if study.rules.per == "suite" else [(p,) for p in study.problems]
        )
        for candidate in study.candidates
    ]
    if study.prune:
        for search in searches:
            tuner.make_pruned(search)
    else:
        share = study.at_once if study.adaptive else study.budget
        while planned := [trial for search in searches for trial in search.ask(study, share)]:
            trials = tuner.make(planned)
            for search in searches:
                search.tell([trials[trial] for trial in planned if trial.search is search])
    return [tuned for search in searches for tuned in _choose(search, study)]


def _epochs(study: Study, problem: str) -> int | None:
    """Epochs of a whole trial, None if its steps alone end it."""
    epochs: int | None = study.settings.get("epochs")
    if epochs is None and "steps" not in study.settings:
        return load_problem(problem).defaults.epochs
    return epochs


@dataclass
class _Search:
    """A candidate and the problems that its trials are made on, with what is known so far."""

    candidate: Candidate
    problems: tuple[str, ...]
    sampler: Sampler
    points: list[Point] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    def ask(self, study: Study, count: int) -> list[_Planned]:
        """Next trials, none if the budget is spent."""
        points = self.sampler.ask(min(count, study.budget - len(self.points)))
        planned = [
            _Planned(self, problem, number, point, study.trial(problem, self.candidate, point))
            for number, point in enumerate(points, start=len(self.points))
            for problem in self.problems
        ]
        self.points += points
        return planned

    def tell(self, trials: list[Trial]) -> None:
        """Take the trials that were asked for last, in their order."""
        self.trials += trials
        self.sampler.tell(trials)


@dataclass(frozen=True, eq=False)
class _Planned:
    """A trial that is to be made."""

    search: _Search
    problem: str
    number: int
    point: Point
    config: RunConfig

    def trial(self, result: RunResult | None, outcome: Outcome | None, split: str) -> Trial:
        """Trial of a result, or of an outcome that left none."""
        about: dict[str, Any] = {
            "problem": self.problem,
            "optimizer": self.search.candidate.optimizer,
            "number": self.number,
            "point": self.point,
        }
        if result is not None:
            trial = trial_of(result, split, about)
            unexplained = outcome is not None and not outcome.good and not trial.message
            return replace(trial, message=outcome.reason) if outcome and unexplained else trial
        assert outcome is not None
        return Trial(**about, run=self.config.id, status=outcome.status, message=outcome.reason)


@dataclass(frozen=True)
class _Tuner:
    """Makes trials and appends them to the ledger."""

    ledger: Ledger
    execution: Execution
    execute: Execute
    retry_failed: bool
    reporter: Reporter

    def make(self, planned: Sequence[_Planned]) -> dict[_Planned, Trial]:
        """Trials; make those that are not there."""
        split = self.ledger.study.rules.select_on
        by_run: dict[str, list[_Planned]] = {}
        for trial in planned:
            by_run.setdefault(trial.config.id, []).append(trial)
        trials: dict[_Planned, Trial] = {}

        def note(run: str, result: RunResult | None, outcome: Outcome | None = None) -> None:
            for trial in by_run[run]:
                trials[trial] = trial.trial(result, outcome, split)
                self.ledger.append(trials[trial])

        def note_if_ended(run: str) -> None:
            result = self._ended(by_run[run][0].config)
            if result is not None:
                note(run, result)

        configs = [same[0].config for same in by_run.values()]
        found = survey(configs, self.execution, retry_failed=self.retry_failed)
        for result in (*found.finished, *found.failed):
            note(result.config.id, result)
        reporter = _Noting(self.reporter, split, note_if_ended)
        outcomes = self.execute(found.todo, self.execution, reporter=reporter)
        if len(outcomes) == len(planned) and all(o.status == "refused" for o in outcomes):
            raise UsageError(f"No trial could be made: {outcomes[0].message}")
        for outcome in outcomes:
            note(outcome.config.id, self._ended(outcome.config), outcome)
        _check_disk(outcomes)
        return trials

    def make_pruned(self, search: _Search) -> None:
        """Make the trials one after another; the sampler may end each after any epoch."""
        study = self.ledger.study
        sampler = cast(PruningSampler, search.sampler)  # make_study has seen to it
        while planned := search.ask(study, 1):
            (trial,) = planned
            stored, outcome = self._ended(trial.config), None
            retried = stored is not None and (self.retry_failed or failed_for_disk(stored))
            if stored is None or (retried and not stored.finished):
                outcome = self._run_pruned(trial, sampler, study.rules.select_on)
                stored = self._ended(trial.config)
            made = trial.trial(stored, outcome, study.rules.select_on)
            if outcome is None and stored is not None and made.metric is not None:
                for epoch, value in enumerate(stored.series(made.metric.split, made.metric.name)):
                    sampler.should_prune(epoch, made.metric.sign * value)
            self.ledger.append(made)
            _check_disk([] if outcome is None else [outcome])
            search.tell([made])

    def _ended(self, config: RunConfig) -> RunResult | None:
        """Stored result of a run to which nothing will be added."""
        result = stored_result(config, self.execution.out)
        return result if result is not None and result.ended else None

    def _run_pruned(self, trial: _Planned, sampler: PruningSampler, split: str) -> Outcome:
        with reported(self.reporter, trial.config) as tell:

            def watch(record: Record) -> str | None:
                tell(record)
                metrics = record.metrics[split]
                merit = metrics["accuracy"] if "accuracy" in metrics else -metrics["objective"]
                if sampler.should_prune(record.epoch, merit):
                    return f"{PRUNED}Hyperband ended it after epoch {record.epoch}"
                return None

            return outcome_of(trial.config, self.execution, on_record=watch)


def _check_disk(outcomes: Sequence[Outcome]) -> None:
    """End a study if a disk let a trial fail, which tells nothing about its setting.

    Raises:
        UsageError: it did.
    """
    failed = [outcome for outcome in outcomes if outcome.failed_for_disk]
    if failed:
        raise UsageError(
            f"The study ends without {count(len(failed), 'trial')}: {failed[0].reason} "
            "Finished trials are kept."
        )


class _Noting:
    """A reporter that has every run noted when it ends, so that an interrupt costs no line.

    It shows nothing of the test split unless that is what is tuned on.
    """

    def __init__(self, reporter: Reporter, split: str, note: Callable[[str], None]) -> None:
        self._reporter, self._splits, self._note = reporter, ("train_eval", split), note
        self.start = reporter.start

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        shown = {name: values for name, values in metrics.items() if name in self._splits}
        self._reporter.record(run, epoch, shown, seconds)

    def finish(self, run: str) -> None:
        self._reporter.finish(run)
        self._note(run)


def _choose(search: _Search, study: Study) -> list[Tuned]:
    """Winner of a search on each of its problems."""
    by_problem = {p: [t for t in search.trials if t.problem == p] for p in search.problems}
    choose = _choose_each if study.rules.per == "problem" else _choose_shared
    return [
        Tuned(
            problem=problem,
            candidate=search.candidate,
            trials=tuple(by_problem[problem]),
            winner=best[0] if best else None,
            ties=tuple(best[1:]),
            score=score if best else None,
        )
        for problem, (best, score) in choose(by_problem).items()
    ]


Chosen = Mapping[str, tuple[Sequence[Trial], float | None]]
"""By problem: the best trials, the winner first, and their score."""


def _choose_each(by_problem: Mapping[str, Sequence[Trial]]) -> Chosen:
    return {problem: (best_of(trials), None) for problem, trials in by_problem.items()}


def _choose_shared(by_problem: Mapping[str, Sequence[Trial]]) -> Chosen:
    scores = shares_of_progress(by_problem)
    top = max(scores.values(), default=0.0)
    numbers = [number for number, score in scores.items() if score == top > 0]
    return {
        problem: ([trials[number] for number in numbers], top)
        for problem, trials in by_problem.items()
    }
