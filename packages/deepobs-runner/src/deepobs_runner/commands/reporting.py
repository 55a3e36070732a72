"""`deepobs report`: a table and figures of a folder of results."""

from __future__ import annotations

import argparse
import sys

from deepobs_runner.commands.terminal import count, make_console, print_summary, say
from deepobs_runner.errors import UsageError
from deepobs_runner.report import settings_by_problem, write_report
from deepobs_runner.results import load_results


def make_report(arguments: argparse.Namespace) -> int:
    """Print a table of results and write it with the figures.

    A file that cannot be read is named and left out.
    """
    unreadable: list[UsageError] = []
    results = load_results(arguments.results, on_error=unreadable.append)
    for error in unreadable:
        print(f"deepobs: left out: {error}", file=sys.stderr)
    console = make_console()
    empty = [result for result in results if not result.records]
    if empty and len(empty) < len(results):
        say(console, f"{count(len(empty), 'run')} without any evaluation left out")
    problems = settings_by_problem(results, baselines=not arguments.no_baselines)
    print_summary(console, problems)
    for path in write_report(problems, arguments.out or arguments.results / "report"):
        say(console, f"wrote {path}")
    return 0
