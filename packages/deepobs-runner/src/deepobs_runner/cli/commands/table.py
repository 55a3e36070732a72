"""`deepobs table`: one table of the report."""

from __future__ import annotations

import argparse
from pathlib import Path

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_list, add_references, add_results
from deepobs_runner.cli.threads import use_one_thread
from deepobs_runner.errors import UsageError, cannot_write
from deepobs_runner.report import TABLE_FORMATS
from deepobs_runner.report.tables import TABLES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add which table of which results, and its format."""
    parser.description = "Print one table of the report, or write it to a file."
    add_results(parser)
    kinds = TABLES.built_in()
    listed = f"{', '.join(kinds)} or one of your own; default: %(default)s"
    add(parser, "kind", listed, nargs="?", default=kinds[0])
    add(parser, "--format", "", choices=TABLE_FORMATS, default="terminal")
    add(parser, "--out", "file to write; its suffix may say the format", Path)
    add_list(parser, "--problem")
    add_references(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print one table, or write it to a file."""
    use_one_thread()
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.read import read_data, warn_of_left_out
    from deepobs_runner.report.latex import latex_table
    from deepobs_runner.report.text import csv_table, json_table, markdown_table, terminal_table
    from deepobs_runner.results.files import write_bytes
    from deepobs_runner.results.store import collector_paused

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
    if arguments.format == "terminal" and arguments.out is None:
        console.print(terminal_table(table))
        return 0
    kind = arguments.format if arguments.format != "terminal" else _format_of(arguments.out)
    writers = {
        "csv": csv_table, "latex": latex_table, "markdown": markdown_table, "json": json_table,
    }  # fmt: skip
    text = writers[kind](table)
    if arguments.out is None:
        print(text, end="")
    else:
        try:
            write_bytes(arguments.out, text.encode())
        except OSError as error:
            raise cannot_write(arguments.out, error) from None
        console.print_line(f"wrote {arguments.out}")
    return 0


def _format_of(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises:
        UsageError: none.
    """
    formats = {suffix: name for name, suffix in TABLE_FORMATS.items() if suffix}
    if path.suffix not in formats:
        raise UsageError(
            f"{path.name!r} says no format. End it with {', '.join(formats)}, or give --format."
        )
    return formats[path.suffix]


COMMAND = Command("print one table of the report, or write it to a file", add_arguments, execute)
