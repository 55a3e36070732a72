"""`deepobs`: parse the command line, execute the command, and turn errors into exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import sys
from collections.abc import Sequence

from deepobs_runner.cli.commands import COMMANDS
from deepobs_runner.cli.encoding import let_streams_substitute
from deepobs_runner.cli.messages import (
    STANDARD_OUTPUT,
    print_error,
    print_traceback,
    warnings_as_messages,
)
from deepobs_runner.cli.parser import CommandParser
from deepobs_runner.cli.threads import let_threads_sleep
from deepobs_runner.errors import LostProcessError, RankZeroError
from deepobs_runner.runs.interrupts import SIGNALS, interruptible

TRAINING = ("run", "bench", "tune")
"""Commands that write checkpoints when a signal interrupts them."""


def program() -> int:
    """Run the command line of this process, as the installed `deepobs` does.

    Before and after the command Ctrl-C ends the process and prints nothing. Python's own handler
    would print a traceback of what is being imported, or of a library's clean-up at exit.

    Returns:
        The exit code, see `main`.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0: done. 1: a run failed. 2: invalid request. 130: interrupted.
    """
    if "_ARGCOMPLETE" in os.environ:
        complete(os.environ.get("COMP_LINE", ""))
    let_streams_substitute()
    sys.excepthook = print_traceback
    words = list(sys.argv[1:] if argv is None else argv)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS.built_in():
        print_error(_unknown_command(words[0]))
        return 2
    parser = build_parser(words[0] if words else None)
    arguments = parser.parse_args(words)
    if arguments.command is None and not arguments.version:
        parser.print_help()
        return 0
    let_threads_sleep()
    signals = SIGNALS if arguments.command in TRAINING else (signal.SIGINT,)
    with warnings_as_messages(), interruptible(signals):
        return _execute(arguments)


def _execute(arguments: argparse.Namespace) -> int:
    """Execute a command; return the exit code, also of an error."""
    try:
        if arguments.version:
            return print_versions()
        return COMMANDS.load(arguments.command).execute(arguments)
    except RankZeroError:  # rank 0 already reported it
        return 2
    except LostProcessError as error:
        print_error(str(error))
        return 1
    except KeyboardInterrupt:
        kept = "; finished runs are kept" if arguments.command in TRAINING else ""
        print_error(f"Interrupted{kept}.")
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.filename == STANDARD_OUTPUT:
            print_error(f"Cannot write to {STANDARD_OUTPUT}: {error.strerror}.")
            _drop_output()
        elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            print_error(f"Disk full: {error}. Free some space, or choose another --out.")
            _drop_output()
        elif _needs_no_traceback(error):
            print_error(str(error))
        else:
            raise
        return 2


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Parser of one command, or of all commands without their arguments.

    Only the module of the command is imported.

    Args:
        command: its name; None, or an unknown name: the parser lists the commands.
    """
    parser = CommandParser(
        prog="deepobs",
        description="Benchmark deep-learning optimizers.",
        epilog="Example: deepobs bench SGD Adam lr=0.03 --problem quadratic_deep --seeds 3",
    )
    parser.add_argument("--version", action="store_true", help="print versions and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    known = COMMANDS.built_in()
    for name in [command] if command in known else known:
        listed = COMMANDS.load(name)
        added = commands.add_parser(name, help=listed.help)
        if name == command:
            listed.add_arguments(added)
    parser.commands = commands.choices
    return parser


def _unknown_command(name: str) -> str:
    """Error about an unknown command."""
    from deepobs_problems.errors import nearest

    known = COMMANDS.built_in()
    return f"Unknown command {name!r}.{nearest(name, known)} Commands: {', '.join(known)}."


def complete(line: str) -> None:
    """Answer the shell's request for completions, see `deepobs_runner[completion]`.

    Args:
        line: the command line so far.
    """
    from argcomplete import autocomplete

    words = line.split()
    autocomplete(build_parser(words[1] if len(words) > 1 else None))


def print_versions() -> int:
    """Print the versions that results record."""
    import torch

    from deepobs_runner.backend.environment import environment

    packages = environment(torch.device("cpu"))["packages"]
    print("\n".join(f"{name} {number}" for name, number in packages.items()))
    return 0


def _drop_output() -> None:
    """Discard what Python could not write, so that its exit does not fail again."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _needs_no_traceback(error: Exception) -> bool:
    """Whether a user needs only the message of an error, without a traceback."""
    from deepobs_runner.runs.outcome import REFUSALS

    return isinstance(error, REFUSALS)
