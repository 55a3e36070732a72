"""Output that several commands share."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from deepobs_runner.cli.messages import output_errors
from deepobs_runner.text import printable

if TYPE_CHECKING:
    from deepobs_runner.results.settings import Setting


class PatientConsole(Console):
    """A console that tolerates a closed pipe, as in `deepobs run ... | head`."""

    def on_broken_pipe(self) -> None:
        """Print nothing from now on."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as `rich` does; name standard output in errors."""
        with output_errors():
            super().print(*objects, **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what is printed, without control characters of a text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))

    def print_line(self, text: str) -> None:
        """Print a line without colours or markup; a terminal gets it broken between words."""
        if self.is_terminal:
            text = "\n".join(_broken_between_words(line, self.width) for line in text.split("\n"))
        self.print(text, highlight=False, markup=False, soft_wrap=True)


def _broken_between_words(line: str, width: int) -> str:
    """Lines of at most a width, except for longer words such as the path of a file."""
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


def make_console(*, quiet: bool = False) -> PatientConsole:
    """A console; wide enough for the tables if the output is not a terminal."""
    console = PatientConsole(quiet=quiet)
    if console.is_terminal:
        return console
    return PatientConsole(width=120, quiet=quiet)


def print_summary(console: PatientConsole, problems: dict[str, list[Setting]]) -> None:
    """Print the table of settings, and notes on comparing them."""
    from deepobs_runner.cli.summary import Summary
    from deepobs_runner.report.notes import notes  # these import torch

    console.print(Summary(problems), crop=False)
    for note in notes(problems):
        console.print_line(f"note: {note}")
