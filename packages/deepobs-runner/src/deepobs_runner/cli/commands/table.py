"""`deepobs table`: print one table of the report."""

from __future__ import annotations

import argparse

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_list, add_references, add_results
from deepobs_runner.cli.tables import add_table_output, output_table
from deepobs_runner.cli.threads import use_one_thread
from deepobs_runner.errors import UsageError
from deepobs_runner.report.tables import TABLES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind of table, the results and the format."""
    parser.description = "Print one table of the report, or write it to a file."
    add_results(parser)
    kinds = TABLES.built_in()
    listed = f"{', '.join(kinds)} or file.py:name; default: %(default)s"
    add(parser, "kind", listed, nargs="?", default=kinds[0])
    add_table_output(parser)
    add_list(parser, "--problem")
    add_references(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print one table, or write it to a file."""
    use_one_thread()
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.read import check_order, read_data, warn_of_left_out
    from deepobs_runner.results.store import collector_paused

    check_order("table", arguments.results, arguments.kind, TABLES.built_in())
    console = make_console()
    make_table = TABLES.load(arguments.kind)
    with collector_paused():
        data = read_data(arguments)
        warn_of_left_out(data)
        table = make_table(data)
    if not table.rows:
        raise UsageError(
            f"The table {arguments.kind!r} is empty for these results: {table.caption}"
        )
    output_table(console, table, arguments)
    return 0


COMMAND = Command("print a table of the report, or write it to a file", add_arguments, execute)
