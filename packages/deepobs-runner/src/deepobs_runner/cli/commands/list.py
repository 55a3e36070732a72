"""`deepobs list`: list the test problems."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_json, add_list

if TYPE_CHECKING:
    from deepobs_runner.plans.problem_table import ProblemRow
    from deepobs_runner.report.table import Table

NUMBERS = {"parameters": "Parameters", "batch size": "Batch", "epochs": "Epochs", "l2": "L2"}
HIDDEN = ("all", "synthetic")
ENTRY_POINT_GROUP = "deepobs.problems"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the filters and the format."""
    add(parser, "--suite", "only the problems of this suite")
    add_list(parser, "--tag", "only problems with this tag; repeatable")
    add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the problems of a suite that have all requested tags.

    Torch is imported only for problems of other packages, and for unknown names.

    Raises:
        ProblemError: no such suite or tag.
    """
    import json
    from importlib.metadata import entry_points

    from deepobs_runner.plans.problem_table import catalog_rows, shipped_rows

    suite, tags = arguments.suite or "all", set(arguments.tag)
    rows = shipped_rows() or catalog_rows()
    if suite == "all" and entry_points(group=ENTRY_POINT_GROUP):
        rows += _installed_rows()
    _check_names(rows, suite, tags)
    rows = [row for row in rows if suite in (*row["suites"], "all") and tags <= set(row["tags"])]
    if arguments.json:
        print(json.dumps(rows, indent=1))
    elif not rows:
        wanted = " and ".join(map(repr, arguments.tag))
        print(f"No problem of the suite {suite!r} has all the tags {wanted}. Remove one of them.")
    else:
        from deepobs_runner.cli.console import make_console
        from deepobs_runner.cli.terminal_table import terminal_table

        make_console().print(terminal_table(problem_table(rows)))
    return 0


def _check_names(rows: list[ProblemRow], suite: str, tags: set[str]) -> None:
    """Refuse a suite or a tag that does not exist.

    Raises:
        ProblemError: one does not.
    """
    suites = {name for row in rows for name in row["suites"]}
    if suite in suites and tags <= {tag for row in rows for tag in row["tags"]}:
        return
    from deepobs_problems import problems_with  # it knows all names and suggests the nearest

    problems_with(tags, suite=suite)


def _installed_rows() -> Iterator[ProblemRow]:
    """Rows of other packages' problems; a warning names each that cannot be loaded."""
    from deepobs_problems import load_problem
    from deepobs_problems.lookup import installed_problems
    from deepobs_runner.cli.messages import warn
    from deepobs_runner.plans.problem_table import problem_row
    from deepobs_runner.text import first_line

    for name in installed_problems(on_clash=lambda clash: warn(f"warning: {clash}")):
        try:
            yield problem_row(load_problem(name))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a broken package raises costs its own row
            reason = f"{type(error).__name__}: {first_line(error)}"
            warn(f"warning: skipped the installed problem {name!r}: {reason}")


def problem_table(rows: Sequence[ProblemRow]) -> Table:
    """The table for 80 columns; `--json` has every column."""
    from deepobs_runner.report.table import make_table, number, words

    caption = f"{len(rows)} problems"
    if any(row["steps"] for row in rows):
        caption += "; * optimizer steps"
    columns = [
        words("Problem", "name"),
        *(number(title, key, _shown(key)) for key, title in NUMBERS.items()),
        # `offline` includes `synthetic`, and both do not fit into 80 columns.
        words(
            "Suites", "suites", lambda row: ", ".join(s for s in row["suites"] if s not in HIDDEN)
        ),
    ]
    named = [{"name": row["problem"], **row} for row in rows]
    return make_table("problems", "", caption, columns, named)


def _shown(key: str) -> Callable[[Mapping[str, Any]], str]:
    """Function that shows a number of a row, with separators; without a value a dash."""

    def show(row: Mapping[str, Any]) -> str:
        if key == "epochs" and row["steps"] is not None:
            return f"{row['steps']:,}*"
        value = row[key]
        return f"{value:,}" if isinstance(value, int) else f"{value:g}" if value else "-"

    return show


COMMAND = Command("list the test problems", add_arguments, execute)
