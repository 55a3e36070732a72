"""Results as they were after the first epochs, to compare runs of different lengths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from deepobs_runner.analysis.grouping import once
from deepobs_runner.labels import show_schedule
from deepobs_runner.provenance import YOURS, whose
from deepobs_runner.results import RunResult
from deepobs_runner.schedules import Constant

FULL_LENGTH = "planned_epochs"
"""Field of the environment of a shortened result: how many epochs the whole run has."""


def first_epochs(results: Iterable[RunResult], epochs: int) -> tuple[list[RunResult], list[str]]:
    """Return what the results would be if every run had this many epochs, and sentences about it.

    With a constant learning rate the first epochs of a longer run are what a run of so many epochs
    would have given. Its result gets the configuration of the latter, and its environment says how
    long the run is, for which its settings may have been tuned. Runs with another schedule, which
    depends on their length, are left out, and so are shorter ones.

    Args:
        results: of any problems; those without a record stay as they are.
        epochs: how many, at least 1.

    Returns:
        The results in order, each run once (a short run, and a long one that begins like it, are
        one), and sentences that say which runs of a problem were shortened or left out.
    """
    kept: list[RunResult] = []
    said: dict[tuple[str, str], list[str]] = {}
    for run in results:
        reason = _why_not(run, epochs)
        if not reason:
            kept.append(_shorten(run, epochs))
        if reason or kept[-1] is not run:
            length = run.config.epochs or "more"
            words = reason or (
                f"the first {epochs} of {length} epochs are read, and settings are those that were "
                f"chosen for {length}"
            )
            names = said.setdefault((run.config.problem, words), [])
            name = run.config.optimizer.rpartition(":")[2]
            names.append(name if whose(run) == YOURS else f"{name} ({whose(run)})")
    sentences = []
    for (problem, words), names in said.items():
        listed = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
        runs = "run" if len(names) == 1 else "runs"
        sentences.append(f"{problem}: of {len(names)} {runs} ({listed}) {words}.")
    return once(kept), sentences


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
    if float(run.epochs()[-1]) >= epochs and epochs not in run.epochs():
        return f"nothing is read: they were not evaluated after epoch {epochs}"
    return ""


def _shorten(run: RunResult, epochs: int) -> RunResult:
    """Return a run as if it had been planned for so many epochs."""
    config = run.config
    if not run.records or (config.epochs == epochs and config.steps is None):
        return run
    records = [record for record in run.records if record["epoch"] <= epochs]
    whole = len(records) == len(run.records)
    there = records[-1]["epoch"] == epochs
    return replace(
        run,
        config=replace(config, epochs=epochs, steps=None),
        status="done" if there and not (whole and run.status == "diverged") else run.status,
        records=tuple(records),
        environment={**run.environment, FULL_LENGTH: config.epochs},
    )
