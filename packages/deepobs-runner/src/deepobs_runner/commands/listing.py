"""`deepobs list`: the problems there are."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import nn

from deepobs_problems import CATALOG, SUITES, Problem, ProblemError, load_problem, problems_with
from deepobs_problems.lookup import installed_problems
from deepobs_runner.commands.terminal import make_console

RIGHT = ("parameters", "batch size", "epochs", "l2")


def list_problems(arguments: argparse.Namespace) -> int:
    """Print the problems that have the suite and all the tags asked for.

    Raises:
        ProblemError: no such suite or tag.
    """
    names = problems_with(arguments.tag, suite=arguments.suite or "all")
    problems = [CATALOG[name] for name in names]
    if arguments.suite in (None, "all"):
        problems += [p for p in _installed() if set(arguments.tag) <= p.tags]
    rows = [problem_row(problem) for problem in problems]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    if not rows:
        wanted = " and ".join(map(repr, arguments.tag))
        print(f"No problem of the suite {arguments.suite or 'all'!r} has the tags {wanted}.")
        return 0
    make_console().print(problem_table(rows))
    return 0


def _installed() -> Iterator[Problem]:
    """Yield the problems of installed packages; one that cannot be loaded is said and left out."""
    for name in installed_problems():
        try:
            yield load_problem(name)
        except (ProblemError, ImportError) as error:
            print(f"deepobs: the installed problem {name!r} is left out: {error}", file=sys.stderr)


def problem_row(problem: Problem) -> dict[str, Any]:
    """Return what the list says about a problem."""
    return {
        "problem": problem.name,
        "parameters": count_parameters(problem),
        "batch size": problem.defaults.batch_size,
        "epochs": problem.defaults.epochs,
        "l2": problem.l2,
        "metrics": ["loss", *problem.metrics],
        "suites": [name for name, names in SUITES.items() if problem.name in names],
        "tags": sorted(problem.tags),
    }


def count_parameters(problem: Problem) -> int:
    """Return how many numbers a model of the problem trains.

    The model is built on torch's meta device, without memory or random numbers; a user's model
    that cannot be built there is built for real.
    """
    model: nn.Module
    try:
        with torch.device("meta"):
            model = problem.model()
    except (RuntimeError, NotImplementedError, TypeError):
        model = problem.model()
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def problem_table(rows: list[dict[str, Any]]) -> Table:
    """Return the table for a terminal of 80 columns; `--json` has every column."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, caption=f"{len(rows)} problems")
    columns = {
        "problem": "problem", "parameters": "parameters", "batch size": "batch",
        "epochs": "epochs", "l2": "L2", "suites": "suites",
    }  # fmt: skip
    for key, title in columns.items():
        table.add_column(title, justify="right" if key in RIGHT else "left", no_wrap=True)
    for row in rows:
        shown = {**row, "suites": [name for name in row["suites"] if name != "all"]}
        table.add_row(*(_cell(shown[key]) for key in columns))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if value else "-"
