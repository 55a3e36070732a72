"""What several commands print, and where."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from deepobs_runner.results.settings import Setting


class PatientConsole(Console):
    """A console whose reader may go away, as in `deepobs run ... | head`: the work goes on."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    def print_line(self, text: str) -> None:
        """Print a line as it is: no colours, no markup, no line breaks of our own."""
        self.print(text, highlight=False, markup=False, soft_wrap=True)


def make_console(*, quiet: bool = False) -> PatientConsole:
    """Return a console; wide enough for the tables where the output is no terminal."""
    console = PatientConsole(quiet=quiet)
    if console.is_terminal:
        return console
    return PatientConsole(width=120, quiet=quiet)


def warn(text: str) -> None:
    """Print a warning to standard error."""
    print(f"deepobs: {text}", file=sys.stderr)


def print_summary(console: PatientConsole, problems: dict[str, list[Setting]]) -> None:
    """Print the table of settings and what a reader must know before comparing them."""
    from deepobs_runner.report.notes import notes  # torch comes with these
    from deepobs_runner.report.summary import summary_table

    console.print(summary_table(problems, console.width), crop=False)
    for note in notes(problems):
        console.print_line(f"note: {note}")
