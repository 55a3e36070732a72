"""Tables on the command line: where they go, and in which format."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs_runner.cli.parser import Parser, add
from deepobs_runner.errors import UsageError, cannot_write
from deepobs_runner.report.formats import TABLE_FORMATS

if TYPE_CHECKING:
    from deepobs_runner.cli.console import PatientConsole
    from deepobs_runner.report.table import Table


def add_table_output(parser: Parser) -> None:
    """Add the format and the file of a table."""
    add(
        parser,
        "--format",
        "output format; default: %(default)s",
        choices=TABLE_FORMATS,
        default="terminal",
    )
    parser.add_argument(
        "--json", action="store_const", const="json", dest="format", help="same as --format json"
    )
    add(parser, "--out", "output file; its extension sets the format", Path)


def is_for_people(arguments: argparse.Namespace) -> bool:
    """Whether a table goes to the terminal, rather than to a file or a program."""
    return bool(arguments.format == "terminal" and arguments.out is None)


def output_table(console: PatientConsole, table: Table, arguments: argparse.Namespace) -> None:
    """Print a table, or write it to a file.

    Raises:
        UsageError: unknown extension, or the file cannot be written.
    """
    from deepobs_runner.cli.terminal_table import terminal_table
    from deepobs_runner.report.table import Table
    from deepobs_runner.report.text import csv_table, json_table, markdown_table
    from deepobs_runner.results.outputs import write_output
    from deepobs_runner.text import printable

    if is_for_people(arguments):
        console.print(terminal_table(table))
        return
    kind = arguments.format if arguments.format != "terminal" else _format_of(arguments.out)
    writers = {
        "csv": csv_table, "latex": Table.to_latex, "markdown": markdown_table, "json": json_table,
    }  # fmt: skip
    text = printable(writers[kind](table))
    if arguments.out is None:
        print(text, end="")
        return
    try:
        write_output(arguments.out, text.encode())
    except OSError as error:
        raise cannot_write(arguments.out, error) from None
    console.print_line(f"wrote {arguments.out}")


def _format_of(path: Path) -> str:
    """Format that a file's name asks for.

    Raises:
        UsageError: none.
    """
    formats = {suffix: name for name, suffix in TABLE_FORMATS.items() if suffix}
    if path.suffix not in formats:
        raise UsageError(
            f"{path.name!r} has no known extension. Use {', '.join(formats)}, or add --format."
        )
    return formats[path.suffix]
