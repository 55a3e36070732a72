"""Results for `report`, `table` and `plot`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection, Iterable
from pathlib import Path

from deepobs_runner.cli.messages import warn
from deepobs_runner.config import without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.report.data import ReportData, gather_data
from deepobs_runner.results.baselines import (
    DESCRIPTION,
    all_results,
    baseline_results,
    baseline_sets,
    choose_sets,
    unpacked_results,
)
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.store import load_results


def read_data(arguments: argparse.Namespace) -> ReportData:
    """Data for the arguments of `report`, `table` or `plot`.

    Raises:
        UsageError: unknown folder, set, baselines or reference, or no results.
    """
    left_out: list[str] = []
    own, is_set = read_results(arguments.results, left_out)
    chosen = arguments.problem
    if chosen:
        chosen = [without_folder(name) for name in chosen]
        _check_problems(chosen, dict.fromkeys(run.config.problem_id.name for run in own))
        own = [run for run in own if run.config.problem_id.name in chosen]
        evaluated = {run.config.problem_id.name for run in own if run.records}
        left_out += [
            f"{name}: no run has an evaluation yet"
            for name in dict.fromkeys(chosen)
            if name not in evaluated
        ]
    baselines: list[RunResult] = []
    if not is_set and not arguments.no_baselines:
        names = arguments.baselines
        sets = choose_sets(names) if names else list(baseline_sets().values())
        baselines = [
            run
            for each in sets
            for problem in dict.fromkeys(run.config.problem_id.name for run in own)
            for run in baseline_results(each, problem)
        ]
    return gather_data(
        own,
        baselines,
        references=getattr(arguments, "reference", ()),
        unit=arguments.unit,
        level=getattr(arguments, "level", 0.95),
        epochs=arguments.epochs,
        equivalence=getattr(arguments, "equivalence", None),
        left_out=left_out,
        chosen=chosen,
    )


def check_order(command: str, results: Path, kind: str, kinds: Collection[str]) -> None:
    """Refuse a kind of figure or table where the results belong.

    Raises:
        UsageError: the kind comes first.
    """
    if str(results) in kinds and not results.exists():
        folder = kind if Path(kind).exists() else "results"
        raise UsageError(f"The results come first. Write: deepobs {command} {folder} {results}")


def read_results(place: Path, left_out: list[str]) -> tuple[list[RunResult], bool]:
    """Results of a folder or baseline set, and whether it is a set.

    Args:
        place: a folder of results or a packed set, or the name of a baseline set.
        left_out: receives a message per skipped file.

    Raises:
        UsageError: not found, or without results.
    """
    if not place.is_dir() and str(place) in baseline_sets():
        return all_results(baseline_sets()[str(place)]), True
    if (place / DESCRIPTION).exists():
        return unpacked_results(place), False
    within = f"{place}{os.sep}"  # a report names no folder of this machine

    def leave_out(error: UsageError) -> None:
        left_out.append(f"skipped: {str(error).replace(within, '')}")

    results = load_results(place, on_error=leave_out)
    if (place / "tuning").is_dir():  # the import is one of torch, which takes a second
        from deepobs_runner.tuning.ledger import damaged_studies

        found = damaged_studies(place)
        left_out += [f"skipped: {message.replace(within, '')}" for message in found]
    if not results:
        raise UsageError(
            f"No results in {place}. "
            + (
                " ".join(left_out)
                or 'Create some with "deepobs run" or "deepobs bench", or name another folder.'
            )
        )
    return results, False


def warn_of_left_out(data: ReportData) -> None:
    """Print a warning per skipped file, problem or range of epochs."""
    for message in data.left_out:
        warn(message)


def _check_problems(names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            from deepobs_problems.errors import nearest  # imports torch

            raise UsageError(
                f"No results on the problem {name!r}.{nearest(name, known)} Problems: "
                f"{', '.join(known)}."
            )
