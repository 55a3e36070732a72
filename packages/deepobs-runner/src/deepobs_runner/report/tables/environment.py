"""The machines and versions that results were made with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from deepobs_runner.report.data import ReportData
from deepobs_runner.report.table import Table, make_table, number, words
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.sessions import environments_of

NAMED = ("system", "python", "device", "device_name", "threads", "source")
"""Fields of an environment that have a column; others are shown together."""


def environment_table(data: ReportData) -> Table:
    """Every environment, and how many of the runs that are shown it made.

    Of baselines these are the tuned ones, not the trials of their tuning.
    """
    tuned = [run for s in data.tuned if not data.is_own(s) for run in s.runs]
    made_in = (each for run in [*data.own, *tuned] for each in environments_of(run))
    texts = (tuple(sorted(_texts(environment).items())) for environment in made_in)
    rows = [{**dict(key), "runs": number_of} for key, number_of in Counter(texts).items()]
    columns = [
        number("Runs", "runs"), words("Results", "source"), words("System", "system"),
        words("Python", "python"), words("Device", "device"), words("Name", "device_name"),
        number("Threads", "threads"), words("Packages", "packages"), words("Other", "other"),
    ]  # fmt: skip
    caption = (
        "What the runs were made with, as recorded in their files; of baselines, the tuned runs. A "
        "run that was continued in another environment counts in each."
    )
    return make_table("environment", "Environment", caption, columns, rows)


def _texts(environment: Mapping[str, Any]) -> dict[str, str]:
    """Cells of an environment."""
    found = {name: str(environment[name]) for name in NAMED if environment.get(name) is not None}
    packages = environment.get("packages")
    if isinstance(packages, Mapping):
        found["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
    other = [
        f"{name} {value}"
        for name, value in environment.items()
        if name not in (*NAMED, "packages") and isinstance(value, str | int | float)
    ]
    return {**found, "other": ", ".join(other)} if other else found


def versions_of(runs: Iterable[RunResult], package: str) -> list[str]:
    """Versions of a package that runs were made with, sorted."""
    made_in = (environment for run in runs for environment in environments_of(run))
    packages = (environment.get("packages") for environment in made_in)
    found = {str(p[package]) for p in packages if isinstance(p, Mapping) and package in p}
    return sorted(found)
