"""The `deepobs` command: its arguments, parsed without importing torch.

What each command does is in `commands/`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deepobs_runner.config import CHOICES


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="deepobs",
        description="Benchmark deep-learning optimizers.",
        epilog="Example: deepobs bench SGD Adam lr=0.03 --problem quadratic_deep --seeds 3",
    )
    parser.add_argument("--version", action="store_true", help="print versions and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    _add_list(commands)
    _add_run(commands)
    _add_bench(commands)
    _add_report(commands)
    _add_check(commands)
    return parser


Subparsers = argparse._SubParsersAction  # argparse has no public name for it


def _add_list(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser("list", help="list the test problems")
    sub.add_argument("--suite", help="only the problems of this suite")
    sub.add_argument(
        "--tag", action="append", default=[], help="only those with this tag; repeat to narrow"
    )
    sub.add_argument("--json", action="store_true", help="print JSON")


def _add_run(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "run",
        help="train one optimizer on one problem",
        description="Train one optimizer on one problem with one seed.",
    )
    sub.add_argument(
        "problem", help="a name of `deepobs list`, file.py:name or package.module:name"
    )
    sub.add_argument("optimizer", help="a torch.optim class, Momentum, or package.module:factory")
    sub.add_argument("hyperparams", nargs="*", metavar="key=value", help="such as lr=1e-3")
    sub.add_argument("--seed", type=int, default=42, help="default: %(default)s")
    _add_settings(sub)
    _add_execution(sub)


def _add_bench(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "bench",
        help="compare several optimizers on several problems and seeds",
        description="Run a plan, or every optimizer on every problem with every seed, then print "
        "a table. Finished runs are not repeated.",
    )
    sub.add_argument(
        "optimizers",
        nargs="+",
        metavar="PLAN.yaml | OPTIMIZER [key=value ...]",
        help="a plan (docs/plans.md), or optimizers, where a bare word starts the next one: "
        "SGD lr=.1 Adam lr=1e-3",
    )
    sub.add_argument("--problem", action="append", default=[], help="may be given several times")
    sub.add_argument("--suite", action="append", default=[], help="all problems of a suite")
    sub.add_argument("--seeds", type=int, metavar="N", help="seeds 42 to 41+N; default: 1")
    _add_settings(sub)
    group = _add_execution(sub)
    group.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="run N at once, in processes that share the cores; default: %(default)s",
    )
    group.add_argument(
        "--retry-failed", action="store_true", help="run those again that failed before"
    )


def _add_report(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "report",
        help="draw and tabulate results beside the official baselines",
        description="Print a table of the results in a folder, and write it as CSV with a figure "
        "of the training curves of each problem.",
    )
    sub.add_argument("results", type=Path, help="folder that `run` and `bench` wrote to")
    sub.add_argument("--out", type=Path, help="folder of the report; default: RESULTS/report")
    sub.add_argument(
        "--no-baselines", action="store_true", help="leave the official 2019 results out"
    )


def _add_check(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "check",
        help="check a problem or an optimizer of your own",
        description="Run the conformance suite on a problem (on its stand-in data, if it has any) "
        "or an optimizer, and print what was found.",
    )
    sub.add_argument("subject", help="a name, file.py:name or package.module:name")
    sub.add_argument("hyperparams", nargs="*", metavar="key=value", help="of an optimizer")


def _add_settings(sub: argparse.ArgumentParser) -> None:
    """Add what changes the numbers of a run."""
    group = sub.add_argument_group("settings (part of a run's identity)")
    group.add_argument("--epochs", type=int, help="default: the problem's")
    group.add_argument("--steps", type=int, help="stop after this many optimizer steps")
    group.add_argument("--batch-size", type=int, help="default: the problem's")
    group.add_argument("--schedule", default="constant", help="such as cosine:warmup=0.05")
    group.add_argument("--l2", type=float, help="regularization factor; default: the problem's")
    group.add_argument("--valid-size", type=int, default=0, help="training examples held out")
    group.add_argument("--clip-norm", type=float, help="clip the gradient to this norm")
    for name in CHOICES:
        group.add_argument(
            f"--{name.replace('_', '-')}",
            choices=CHOICES[name],
            default=CHOICES[name][0],
            help="default: %(default)s",
        )


def _add_execution(sub: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add where and how a run is executed; return the group."""
    group = sub.add_argument_group("execution")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    group.add_argument("--data-dir", type=Path, help="default: DEEPOBS_DATA_DIR, else user cache")
    group.add_argument(
        "--out", type=Path, default=Path("results"), help="folder of results; default: %(default)s"
    )
    group.add_argument("--force", action="store_true", help="repeat finished runs")
    group.add_argument(
        "--resume", action="store_true", help="go on from checkpoints of runs that were cut off"
    )
    group.add_argument(
        "--checkpoint-epochs", type=int, metavar="N", help="write a checkpoint every N epochs"
    )
    group.add_argument(
        "--checkpoint-minutes",
        type=float,
        default=10.0,
        metavar="M",
        help="and when M minutes have passed since the last; default: %(default)g",
    )
    group.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="stop a run at the end of the epoch in which it has taken this long",
    )
    group.add_argument(
        "--patience", type=int, metavar="N", help="stop after N epochs without improvement"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="say what would run and for how long, and stop"
    )
    group.add_argument("--quiet", action="store_true", help="no progress, only the end result")
    return group


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done. 1: a run failed. 2: something asked for does not exist or makes no sense.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None and not arguments.version:
        parser.print_help()
        return 0
    # Spinning OpenMP threads make small steps many times slower on a busy machine; torch reads
    # this when it is imported, which happens below.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from deepobs_data import DamagedFileError, DataNotFoundError, DownloadError
    from deepobs_problems import ProblemError
    from deepobs_runner import commands
    from deepobs_runner.errors import UsageError

    try:
        return commands.execute(arguments)
    except (UsageError, ProblemError, DataNotFoundError, DamagedFileError, DownloadError) as error:
        print(f"deepobs: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("deepobs: interrupted; finished runs are kept.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
