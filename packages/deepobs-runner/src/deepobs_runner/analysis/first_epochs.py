"""Results as they were after the first epochs, to compare runs of different lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from deepobs_runner.results.labels import show_schedule
from deepobs_runner.results.names import distinct_names
from deepobs_runner.results.result import YOURS, RunResult, provenance_of, without_copies
from deepobs_runner.schedules import Constant

FULL_LENGTH = "planned_epochs"
"""Field of the environment of a shortened result: how many epochs the whole run has."""

WHOLE_RUN = "whole_run"
"""Field of the environment of a shortened result: the id of the run, as its file has it."""


def first_epochs(results: Iterable[RunResult], epochs: int) -> tuple[list[RunResult], list[str]]:
    """Return what the results would be if every run had this many epochs, and sentences about it.

    With a constant learning rate the first epochs of a longer run are what a run of so many epochs
    would have given. Its result gets the configuration of the latter, and its environment says how
    long the run is, for which its settings may have been tuned, and its id. Runs with another
    schedule, which depends on their length, are left out, and so are shorter ones.

    Args:
        results: of any problems; those without a record stay as they are.
        epochs: how many, at least 1.

    Returns:
        The results in order, each run once (a short run, and a long one that begins like it, are
        one), and sentences that say which runs of a problem were shortened or left out.
    """
    results = list(results)
    problems = distinct_names(run.config.problem_id for run in results)
    kept: list[RunResult] = []
    said: dict[tuple[str, str], list[str]] = {}
    for run in results:
        reason = _why_not(run, epochs)
        if not reason:
            kept.append(_shorten(run, epochs))
        if reason or kept[-1] is not run:
            words = reason or _what_is_read(run, epochs)
            names = said.setdefault((problems[run.config.problem_id], words), [])
            name = run.config.optimizer.rpartition(":")[2]
            names.append(name if provenance_of(run) == YOURS else f"{name} ({provenance_of(run)})")
    sentences = []
    for (problem, words), names in said.items():
        listed = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
        runs = "run" if len(names) == 1 else "runs"
        sentences.append(f"{problem}: of {len(names)} {runs} ({listed}) {words}.")
    return without_copies(kept), sentences


def id_of_file(run: RunResult) -> str:
    """Return the id under which a run is stored, though it may be shortened here."""
    return str(run.environment.get(WHOLE_RUN, run.config.id))


def _what_is_read(run: RunResult, epochs: int) -> str:
    """Return which epochs of a longer run are read, and for what length its settings are."""
    first, verb = ("the first", "is") if epochs == 1 else (f"the first {epochs}", "are")
    chosen = "and settings are those that were chosen for"
    if (steps := run.config.steps) is not None:
        noun = "epoch" if epochs == 1 else "epochs"
        return f"{first} {noun} {verb} read, of {steps} steps in all, {chosen} {steps} steps"
    length = run.config.epochs
    return f"{first} of {length} epochs {verb} read, {chosen} {length}"


def _why_not(run: RunResult, epochs: int) -> str:
    """Return why a run says nothing about so many epochs, nothing if it does."""
    config = run.config
    if not run.records or (config.epochs == epochs and config.steps is None):
        return ""
    if config.schedule != Constant():
        schedule = show_schedule(config.schedule)
        return f"nothing is read: the schedule {schedule} depends on the length of the run"
    ended = run.status == "done" and float(run.epochs()[-1]) < epochs
    if ended or (config.epochs is not None and config.epochs < epochs):
        return f"nothing is read: they end before epoch {epochs}"
    if run.ends_in_unknown_epoch and run.epochs()[-1] == epochs:
        return "nothing is read: they do not say whether the limit of steps cut their epoch short"
    if float(run.epochs()[-1]) >= epochs and epochs not in run.epochs():
        return f"nothing is read: they were not evaluated after epoch {epochs}"
    return ""


def _shorten(run: RunResult, epochs: int) -> RunResult:
    """Return a run as if it had been planned for so many epochs."""
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
