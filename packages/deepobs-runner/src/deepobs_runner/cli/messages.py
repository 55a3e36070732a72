"""Errors and warnings on standard error, and JSON on standard output."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from deepobs_runner.text import printable

RED, YELLOW = "31", "33"


def print_error(text: str, *, prefix: str = "deepobs") -> None:
    """Print an error to standard error, with a red prefix where the terminal has colours."""
    print(f"{_colored(f'{prefix}:', RED)} {printable(text)}", file=sys.stderr)


def warn(text: str) -> None:
    """Print a warning to standard error, with a yellow prefix where the terminal has colours."""
    print(f"{_colored('deepobs:', YELLOW)} {printable(text)}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print a value as JSON; a number that is not finite becomes null."""
    from deepobs_runner.results.result import jsonable  # imports numpy

    print(json.dumps(jsonable(value), indent=1, default=str))


def _colored(text: str, color: str) -> str:
    """Return a text in a colour if standard error shows colours and NO_COLOR is not set."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not sys.stderr.isatty() else f"\x1b[{color}m{text}\x1b[0m"
