"""Errors and warnings on standard error, and JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from deepobs_runner.text import printable

RED, YELLOW = "31", "33"

_PACKAGE = Path(__file__).parents[1]


def print_error(text: str, *, prefix: str = "deepobs") -> None:
    """Print an error to standard error, with a red prefix where the terminal has colours."""
    print_aside(f"{_colored(f'{prefix}:', RED)} {printable(text)}")


def warn(text: str) -> None:
    """Print a warning to standard error, with a yellow prefix where the terminal has colours."""
    print_aside(f"{_colored('deepobs:', YELLOW)} {printable(text)}")


@contextmanager
def warnings_as_messages() -> Iterator[None]:
    """Print Python's warnings in one style: those of DeepOBS as `warn` does, each text once."""
    before = warnings.formatwarning
    shown: set[str] = set()

    def in_one_style(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        if category.__module__.startswith("deepobs") or Path(filename).is_relative_to(_PACKAGE):
            text = printable(str(message))
            repeated = text in shown
            shown.add(text)
            return "" if repeated else f"{_colored('deepobs:', YELLOW)} warning: {text}\n"
        return f"{printable(before(message, category, filename, lineno, line).rstrip())}\n"

    warnings.formatwarning = in_one_style
    try:
        yield
    finally:
        warnings.formatwarning = before


def print_traceback(*error: Any) -> None:
    """Print an error that nothing expects, as Python does, without control characters."""
    print_aside(printable("".join(traceback.format_exception(*error))).rstrip())


def print_aside(text: str) -> None:
    """Print to standard error; a full disk or a closed terminal must not end the command."""
    with suppress(OSError):
        print(text, file=sys.stderr)


STANDARD_OUTPUT = "standard output"
"""File name in an `OSError` about it."""


@contextmanager
def output_errors() -> Iterator[None]:
    """Name standard output in errors of writing to it."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from error


def print_json(value: Any) -> None:
    """Print a value as JSON; a number that is not finite becomes null."""
    from deepobs_runner.results.result import jsonable  # imports numpy

    with output_errors():
        print(json.dumps(jsonable(value), indent=1, default=str), flush=True)


def _colored(text: str, color: str) -> str:
    """Text in a colour if standard error shows colours and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stderr.isatty() else f"\x1b[{color}m{text}\x1b[0m"
