"""Results as they were after the first epochs, to compare runs of different lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal, NamedTuple

from deepobs_runner.results.labels import show_schedule
from deepobs_runner.results.names import distinct_names
from deepobs_runner.results.result import YOURS, RunResult, provenance_of, without_copies
from deepobs_runner.schedules import Constant
from deepobs_runner.text import bare_name

FULL_LENGTH = "planned_epochs"
"""Field of the environment of a shortened result: how many epochs the whole run has."""

WHOLE_RUN = "whole_run"
"""Field of the environment of a shortened result: the id of the run, as its file has it."""


Reason = Literal["", "schedule", "too short", "unknown end", "not evaluated"]
"""Reason why a run cannot be cut: its schedule depends on its length, it ends before, it does not
record whether a limit of steps shortened its last epoch, or it has no evaluation there. Empty: it
can be cut."""


class Reading(NamedTuple):
    """Runs of a problem of which the first epochs are read, or nothing.

    Attributes:
        problem: its name.
        epochs: how many are read.
        reason: why nothing is.
        planned: epochs, or steps, of the whole runs, for which their settings were chosen.
        unit: `epochs` or `steps`.
        schedule: learning-rate schedule, in words.
        runs: optimizer and origin of each run.
    """

    problem: str
    epochs: int
    reason: Reason
    planned: int | None
    unit: Literal["epochs", "steps"]
    schedule: str
    runs: tuple[str, ...]


def first_epochs(
    results: Iterable[RunResult], epochs: int
) -> tuple[list[RunResult], list[Reading]]:
    """Results as if every run had this many epochs, and a summary of the runs they come from.

    With a constant learning rate the first epochs of a longer run are those of a run of this
    length. Its result gets the configuration of the latter, and its environment has the
    length of the full run, for which its settings may have been tuned, and its id. Runs with
    another schedule, which depends on their length, are left out, and so are shorter ones.

    Args:
        results: results of any problems; those without a record stay as they are.
        epochs: how many, at least 1.

    Returns:
        The results in order, each run once (a short run, and a long one that begins like it, are
        one), and the runs that were shortened or left out.
    """
    results = list(results)
    problems = distinct_names(run.config.problem_id for run in results)
    kept: list[RunResult] = []
    found: dict[Reading, list[str]] = {}
    for run in results:
        reason = _why_not(run, epochs)
        if not reason:
            kept.append(_shorten(run, epochs))
        if reason or kept[-1] is not run:
            name, source = bare_name(run.config.optimizer), provenance_of(run)
            words = name if source == YOURS else f"{name} ({source})"
            reading = _reading(problems[run.config.problem_id], run, epochs, reason)
            found.setdefault(reading, []).append(words)
    readings = [reading._replace(runs=tuple(names)) for reading, names in found.items()]
    return without_copies(kept), readings


def _reading(problem: str, run: RunResult, epochs: int, reason: Reason) -> Reading:
    """Key of runs that are read, or not, alike."""
    config = run.config
    if reason:
        schedule = show_schedule(config.schedule) if reason == "schedule" else ""
        return Reading(problem, epochs, reason, None, "epochs", schedule, ())
    if config.steps is not None:
        return Reading(problem, epochs, "", config.steps, "steps", "", ())
    return Reading(problem, epochs, "", config.epochs, "epochs", "", ())


def id_of_file(run: RunResult) -> str:
    """Id under which a run is stored, though it may be shortened here."""
    return str(run.environment.get(WHOLE_RUN, run.config.id))


def _why_not(run: RunResult, epochs: int) -> Reason:
    """Reason why a run cannot be cut to this many epochs; empty if it can."""
    config = run.config
    if not run.records or (config.epochs == epochs and config.steps is None):
        return ""
    if config.schedule != Constant():
        return "schedule"
    ended = run.status == "done" and float(run.epochs()[-1]) < epochs
    if ended or (config.epochs is not None and config.epochs < epochs):
        return "too short"
    if run.ends_in_unknown_epoch and run.epochs()[-1] == epochs:
        return "unknown end"
    if float(run.epochs()[-1]) >= epochs and epochs not in run.epochs():
        return "not evaluated"
    return ""


def _shorten(run: RunResult, epochs: int) -> RunResult:
    """Run as if it had been planned for this number of epochs."""
    config = run.config
    if not run.records or (config.epochs == epochs and config.steps is None):
        return run
    kept = int((run.epochs() <= epochs).sum())
    whole = kept == len(run.records)
    there = run.epochs()[kept - 1] == epochs
    return replace(
        run,
        config=replace(config, epochs=epochs, steps=None),
        status="done" if there and not (whole and run.status == "diverged") else run.status,
        records=tuple(run.records[:kept]),
        environment={**run.environment, FULL_LENGTH: config.epochs, WHOLE_RUN: config.id},
    )
