"""Commands of `deepobs`: one module per command, with its arguments and its action.

Arguments must not need torch, numpy or matplotlib; an action imports them when it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

from deepobs_runner.extensions import Extensions


class Command(NamedTuple):
    """One command of the command line.

    Attributes:
        help: one line for the list of commands.
        add_arguments: adds its arguments to a parser, and a description.
        execute: returns the exit code.
    """

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    execute: Callable[[argparse.Namespace], int]


COMMANDS: Extensions[Command] = Extensions(
    "command",
    "deepobs_runner.cli.commands",
    lambda command: isinstance(command, Command),
    first=(
        "list", "run", "bench", "tune", "report", "table", "plot", "baselines",
        "plan-seeds", "check", "calibrate", "doctor",
    ),
)  # fmt: skip
"""By name, in the order of the help; each module defines its `COMMAND`."""
