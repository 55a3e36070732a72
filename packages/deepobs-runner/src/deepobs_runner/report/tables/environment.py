"""The machines and versions that results were made with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from deepobs_runner.report.data import ReportData
from deepobs_runner.report.table import Table, make_table, number, words
from deepobs_runner.results.result import RunResult

NAMED = ("system", "python", "device", "device_name", "threads", "source")
"""Fields of an environment that have a column; others are shown together."""


def environment_table(data: ReportData) -> Table:
    """Return every environment, and how many of the runs that are shown it made.

    Of baselines these are the tuned ones, not the trials of their tuning.
    """
    tuned = [run for s in data.tuned if not data.is_own(s) for run in s.runs]
    counts: dict[tuple[tuple[str, str], ...], int] = {}
    for run in [*data.own, *tuned]:
        key = tuple(sorted(describe(run.environment).items()))
        counts[key] = counts.get(key, 0) + 1
    rows = [{**dict(key), "runs": count} for key, count in counts.items()]
    return make_table(
        "environment",
        "Environment",
        "What the runs were made with, as recorded in their files; of baselines, the tuned runs.",
        [
            number("Runs", "runs"),
            words("Results", "source"),
            words("System", "system"),
            words("Python", "python"),
            words("Device", "device"),
            words("Name", "device_name"),
            number("Threads", "threads"),
            words("Packages", "packages"),
            words("Other", "other"),
        ],
        rows,
    )


def describe(environment: Mapping[str, Any]) -> dict[str, str]:
    """Return an environment as short texts."""
    found = {name: str(environment[name]) for name in NAMED if environment.get(name) is not None}
    packages = environment.get("packages")
    if isinstance(packages, Mapping):
        found["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    other = {
        name: value
        for name, value in environment.items()
        if name not in (*NAMED, "packages") and isinstance(value, str | int | float)
    }
    if other:
        found["other"] = ", ".join(f"{name} {value}" for name, value in other.items())
    return found


def versions_of(runs: Iterable[RunResult], package: str) -> list[str]:
    """Return the versions of a package that runs were made with, sorted."""
    found = set()
    for run in runs:
        packages = run.environment.get("packages")
        if isinstance(packages, Mapping) and package in packages:
            found.add(str(packages[package]))
    return sorted(found)
