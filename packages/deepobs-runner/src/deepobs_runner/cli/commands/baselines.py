"""`deepobs baselines`: what there is to compare with, its numbers, and copies of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.table import Table

from deepobs_runner.analysis.tuned import tuned_settings
from deepobs_runner.cli.console import make_console, print_summary, say
from deepobs_runner.errors import UsageError
from deepobs_runner.results.baselines import (
    FOLDERS_VARIABLE,
    BaselineSet,
    all_results,
    baseline_results,
    baseline_sets,
    choose_sets,
    pack_baselines,
    problems_of,
)
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import settings_of
from deepobs_runner.results.store import save_result
from deepobs_runner.text import count


def baselines(arguments: argparse.Namespace) -> int:
    """List the baseline sets, show one, or copy one."""
    if arguments.action == "list":
        return _list()
    if arguments.name is None:
        raise UsageError(f"deepobs baselines {arguments.action} wants the name of a set.")
    [chosen] = choose_sets([arguments.name])
    problems = _chosen_problems(chosen, arguments.problem)
    if arguments.action == "show":
        return _show(chosen, problems)
    return _export(chosen, problems, arguments)


def _list() -> int:
    """Print a row for every set."""
    table = Table("name", "problems", "runs", "what it is", box=box.SIMPLE_HEAD)
    for found in baseline_sets().values():
        runs = all_results(found)
        about = f"{found.title}\n{found.folder or 'shipped'}; licence: {found.licence}"
        table.add_row(found.name, str(len(problems_of(found))), f"{len(runs):,}", about)
    table.caption = f"further sets: folders in {FOLDERS_VARIABLE}"
    make_console().print(table)
    return 0


def _chosen_problems(chosen: BaselineSet, asked: Sequence[str]) -> list[str]:
    """Return the problems asked for, all of the set if none is.

    Raises:
        UsageError: the set has no results of one.
    """
    there = problems_of(chosen)
    for problem in asked:
        if problem not in there:
            raise UsageError(
                f"The baseline set {chosen.name} has no results of {problem!r}. It has "
                f"{', '.join(there) or 'none at all'}."
            )
    return list(asked) or there


def _show(chosen: BaselineSet, problems: Iterable[str]) -> int:
    """Print the tuned settings of a set, how many runs it has, and what made them."""
    console = make_console()
    say(console, f"{chosen.name}: {chosen.title}; licence: {chosen.licence}")
    runs = {problem: baseline_results(chosen, problem) for problem in problems}
    print_summary(console, tuned_settings(run for listed in runs.values() for run in listed))
    for problem, listed in runs.items():
        settings = len(settings_of(listed))
        say(console, f"{problem}: {count(len(listed), 'run')} of {count(settings, 'setting')}")
    for line in provenance([run for listed in runs.values() for run in listed]):
        say(console, line)
    return 0


def provenance(runs: Iterable[RunResult]) -> list[str]:
    """Return lines that say with what the runs were made: source, or versions and device."""
    lines: dict[str, int] = {}
    for run in runs:
        said = run.environment
        packages = said.get("packages", {})
        versions = [f"{name} {number}" for name, number in packages.items()]
        device = f"on {said['device']} ({said.get('device_name', '?')})" if "device" in said else ""
        words = [str(said.get("source", "")), ", ".join(versions), device]
        line = " ".join(word for word in words if word)
        lines[line] = lines.get(line, 0) + 1
    return [f"{count(number, 'run')} made with {line}" for line, number in lines.items() if line]


def _export(chosen: BaselineSet, problems: Sequence[str], arguments: argparse.Namespace) -> int:
    """Write a set, or some problems of it, as ordinary result files or as a packed set."""
    if arguments.out is None:
        raise UsageError("deepobs baselines export wants a folder to write to: --out FOLDER.")
    folder: Path = arguments.out
    runs = [run for problem in problems for run in baseline_results(chosen, problem)]
    if arguments.tuned:
        settings = [s for listed in tuned_settings(runs).values() for s in listed]
        runs = [run for setting in settings for run in setting.runs]
    console = make_console()
    if arguments.pack:
        pack_baselines(
            runs,
            folder,
            name=arguments.pack,
            title=arguments.title or chosen.title,
            licence=arguments.licence or chosen.licence,
        )
        say(console, f"wrote the baseline set {arguments.pack!r} to {folder}")
        say(console, f"{FOLDERS_VARIABLE}={folder} makes it one of those every report shows")
        return 0
    check_writable(folder)
    for run in runs:
        save_result(run, folder)
    say(console, f"wrote {count(len(runs), 'result')} to {folder}")
    return 0
