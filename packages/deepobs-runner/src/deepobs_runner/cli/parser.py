"""The `deepobs` command: its arguments, parsed without importing torch.

What each command does is in a module of its name.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deepobs_runner.config import CHOICES, VECTORIZE
from deepobs_runner.executors.options import RETRIES
from deepobs_runner.executors.registry import EXECUTORS
from deepobs_runner.trackers import TRACKERS
from deepobs_runner.tuning.rulesets import RULESETS
from deepobs_runner.tuning.samplers import SAMPLERS

REPORT_FORMATS = ("html", "png", "pdf", "csv", "latex")
TABLE_FORMATS = ("terminal", "csv", "latex", "markdown", "json")
TABLE_KINDS = (
    "final", "verdict", "times", "speedup", "paired", "profiles", "sensitivity", "rates", "tuning",
    "divergence", "cost", "trials", "seeds", "settings", "runs", "environment",
)  # fmt: skip
TIME_UNITS = ("epochs", "steps", "gradient_evaluations", "seconds")
RESULTS_HELP = "folder that `run` and `bench` wrote to, or a set of `baselines list`"

FIGURES = ("comparison", "profile", "curves", "speed", "sensitivity", "tuning", "trajectory")
"""Those of `figures.KINDS`, which takes matplotlib to import."""


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
    _add_tune(commands)
    _add_report(commands)
    _add_table(commands)
    _add_plot(commands)
    _add_baselines(commands)
    _add_check(commands)
    _add_calibrate(commands)
    _add_doctor(commands)
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
        "--retry-failed", action="store_true", help="run those again that failed before"
    )
    _add_executor(sub)


def _add_tune(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "tune",
        help="find good settings of optimizers with equal budgets",
        description="Try settings of each optimizer, choose the best on the validation split, run "
        "the winners with several seeds, and write a plan that repeats these runs. What is done "
        "already is not repeated.",
        epilog="Rulesets: "
        + "; ".join(f"{name}: {RULESETS.load(name).summary}" for name in RULESETS.built_in()),
    )
    sub.add_argument("target", metavar="PROBLEM|SUITE", help="a problem, or a suite of problems")
    sub.add_argument(
        "optimizers",
        nargs="+",
        metavar="OPTIMIZER [key=value ...]",
        help="what has a value is not tuned; a bare word starts the next optimizer",
    )
    sub.add_argument("--ruleset", default="best-of-k", help="default: %(default)s; see below")
    sub.add_argument(
        "--budget", metavar="K", help="trials of each optimizer; default: the ruleset's"
    )
    sub.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="SPACE",
        help="lr=log:1e-5:1, Adam.lr=log:1e-5:1, or a YAML file; may be given several times",
    )
    sub.add_argument(
        "--sampler",
        help=f"{', '.join(SAMPLERS.built_in())} or one of your own; default: the ruleset's",
    )
    sub.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="default: 0")
    sub.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="trials an adaptive sampler draws before it learns from them; default: %(default)s",
    )
    sub.add_argument(
        "--prune", action="store_true", help="let Hyperband end hopeless trials of tpe and gp early"
    )
    sub.add_argument("--study", metavar="NAME", help="default: made of the settings")
    sub.add_argument("--seeds", type=int, metavar="N", help="of the winners; default: 10")
    _add_settings(sub)
    group = _add_execution(sub)
    group.add_argument("--retry-failed", action="store_true", help="make failed trials again")
    _add_executor(sub)
    sub.set_defaults(valid_size=None)


def _add_report(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "report",
        help="compare results with each other and with the baselines, for reading and for a paper",
        description="Write one HTML file that opens without a network, figures as PNG and PDF, "
        "tables as CSV and LaTeX, curves for PGFPlots, and a methods paragraph (docs/report.md).",
    )
    sub.add_argument("--problem", action="append", default=[], help="only these; may be repeated")
    _add_compared(sub)
    sub.add_argument(
        "--out", type=Path, help="folder of the report; default: RESULTS/report, report-SET"
    )
    sub.add_argument(
        "--formats",
        default=",".join(REPORT_FORMATS),
        metavar="A,B",
        help="what to write; default: %(default)s",
    )
    _add_import_code(sub)


def _add_table(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "table",
        help="print one table of the report, or write it to a file",
        description="Print one table of the report, or write it to a file.",
    )
    sub.add_argument("results", type=Path, help=RESULTS_HELP)
    sub.add_argument(
        "kind",
        nargs="?",
        choices=TABLE_KINDS,
        default=TABLE_KINDS[0],
        help="default: %(default)s",
    )
    sub.add_argument("--format", choices=TABLE_FORMATS, default="terminal")
    sub.add_argument("--out", type=Path, help="file to write; its suffix may say the format")
    sub.add_argument("--problem", action="append", default=[], help="may be given several times")
    _add_compared(sub, results=False)


def _add_compared(sub: argparse.ArgumentParser, *, results: bool = True) -> None:
    """Add what is compared with what."""
    if results:
        sub.add_argument("results", type=Path, help=RESULTS_HELP)
    group = _add_baselines_and_unit(sub)
    group.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="OPTIMIZER",
        help="compare with this one; may be repeated; default: SGD, Momentum and Adam",
    )
    group.add_argument(
        "--level", type=float, default=0.95, help="of all intervals; default: %(default)s"
    )


def _add_baselines_and_unit(sub: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what results are shown with, and how far they are read; return the group."""
    group = sub.add_argument_group("comparison")
    group.add_argument(
        "--no-baselines", action="store_true", help="compare the results with each other only"
    )
    group.add_argument(
        "--baselines",
        action="append",
        default=[],
        metavar="SET",
        help="a set of `baselines list`, or a folder; may be repeated; default: all sets",
    )
    group.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="compare after N epochs: of longer runs with a constant schedule the first N are read",
    )
    group.add_argument(
        "--unit",
        choices=TIME_UNITS,
        default=TIME_UNITS[0],
        help="of the time to the target; default: %(default)s",
    )
    return group


def _add_plot(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "plot",
        help="draw one figure of results, into a file or as text",
        description="Draw one kind of figure of the results in a folder, beside the baselines. "
        "docs/figures.md shows them all.",
    )
    sub.add_argument("results", type=Path, help=RESULTS_HELP)
    sub.add_argument("figure", choices=FIGURES, help="one of: %(choices)s", metavar="FIGURE")
    sub.add_argument("--problem", action="append", default=[], help="only these; may be repeated")
    sub.add_argument("--metric", help="such as accuracy, of curves, sensitivity and tuning")
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="a .pdf, .png or .svg; default: print it as text"
    )
    sub.add_argument("--terminal", action="store_true", help="text as well as the file")
    _add_import_code(sub)
    _add_baselines_and_unit(sub)


def _add_import_code(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--import-code",
        action="store_true",
        help="for trajectories: import the optimizers' files and packages that results name; not "
        "for results of unknown origin",
    )


def _add_baselines(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "baselines",
        help="list, show and copy the results that reports compare with",
        description="Baseline sets: the official results of 2019, sets of this package, and "
        "folders of your own that DEEPOBS_BASELINE_DIR names.",
    )
    sub.add_argument("action", choices=("list", "show", "export"))
    sub.add_argument("name", nargs="?", help="a set of `baselines list`, or a folder of results")
    sub.add_argument("--problem", action="append", default=[], help="may be given several times")
    group = sub.add_argument_group("export")
    group.add_argument("--out", type=Path, help="folder to write to")
    group.add_argument(
        "--tuned", action="store_true", help="only the tuned setting of each optimizer"
    )
    group.add_argument(
        "--pack", metavar="NAME", help="write a compact set of this name instead of result files"
    )
    group.add_argument("--title", help="of the packed set, a sentence")
    group.add_argument("--licence", help="of the packed set's numbers")


def _add_check(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "check",
        help="check a problem or an optimizer of your own",
        description="Run the conformance suite on a problem (on its stand-in data, if it has any) "
        "or an optimizer, and print what was found.",
    )
    sub.add_argument("subject", help="a name, file.py:name or package.module:name")
    sub.add_argument("hyperparams", nargs="*", metavar="key=value", help="of an optimizer")


def _add_calibrate(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "calibrate",
        help="measure the time of an SGD step of each problem, and keep it",
        description="Time SGD on each problem with its default settings, and keep the times of "
        "this machine: `bench --dry-run` predicts from them.",
    )
    sub.add_argument("--problem", action="append", default=[], help="may be given several times")
    sub.add_argument(
        "--suite",
        action="append",
        default=[],
        help="all problems of a suite; without any: all, but expensive ones only on a GPU",
    )
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    sub.add_argument("--data-dir", type=Path, help="default: DEEPOBS_DATA_DIR, else user cache")
    sub.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="with the threads that each of N runs at once has; default: %(default)s",
    )
    sub.add_argument(
        "--out", type=Path, metavar="FILE", help="default: DEEPOBS_CALIBRATION, else user cache"
    )


def _add_doctor(commands: Subparsers[argparse.ArgumentParser]) -> None:
    sub = commands.add_parser(
        "doctor",
        help="say what this installation can do",
        description="Print versions, devices, threads, data sets, extras and baseline sets. "
        "Nothing is downloaded, and no folder is written to.",
    )
    sub.add_argument(
        "--smoke",
        action="store_true",
        help="train a few steps of as many problems as some seconds allow; 1 if one fails",
    )
    sub.add_argument(
        "--smoke-seconds", type=float, default=10.0, metavar="S", help="default: %(default)g"
    )
    sub.add_argument("--device", default="auto", help="of the smoke test; default: %(default)s")
    sub.add_argument("--data-dir", type=Path, help="default: DEEPOBS_DATA_DIR, else user cache")
    sub.add_argument(
        "--out", type=Path, default=Path("results"), help="folder of results; default: %(default)s"
    )
    sub.add_argument("--json", action="store_true", help="print JSON")


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
    group.add_argument(
        "--compile",
        action="store_true",
        help="compile forward pass and loss of training with torch.compile",
    )
    group.add_argument(
        "--cuda-graphs",
        action="store_true",
        help="launch forward and backward pass of training as one CUDA graph",
    )
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
        "--track",
        action="append",
        default=[],
        metavar="KIND",
        help=f"also log to {', '.join(TRACKERS.built_in())} or one of your own, such as "
        "file.py:name; repeat for more",
    )
    group.add_argument(
        "--dry-run", action="store_true", help="say what would run and for how long, and stop"
    )
    group.add_argument("--quiet", action="store_true", help="no progress, only the end result")
    return group


def _add_executor(sub: argparse.ArgumentParser) -> None:
    """Add where many runs are made."""
    group = sub.add_argument_group("executor (docs/clusters.md)")
    group.add_argument(
        "--executor",
        default="local",
        metavar="NAME",
        help=f"{', '.join(EXECUTORS.built_in())} or one of your own; default: %(default)s",
    )
    group.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="local: run N at once, in processes that share the cores; default: %(default)s",
    )
    group.add_argument(
        "--vectorize",
        choices=VECTORIZE,
        default="auto",
        help="train runs of one small problem together: auto where it pays, on wherever it is "
        "possible (docs/speed.md); default: %(default)s",
    )
    group.add_argument(
        "--cpus-per-run", type=int, metavar="N", help="ray, slurm: cores of a run; default: 1"
    )
    group.add_argument(
        "--gpus-per-run", type=float, metavar="X", help="ray, slurm: such as 1, on Ray also 0.5"
    )
    group.add_argument(
        "--retries",
        type=int,
        metavar="N",
        help="ray, slurm: how often a run is taken up again whose node was lost or whose time was "
        f"up; default: {RETRIES}",
    )
    group.add_argument(
        "--address",
        help="ray: auto, ip:port or ray://host:port; default: RAY_ADDRESS, else this machine",
    )
    group.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="slurm: an option of sbatch, such as partition=gpu or time=2:00:00; repeat for more",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code.

    0: done. 1: a run failed. 2: something asked for does not exist or makes no sense. 130:
    interrupted.
    """
    parser = build_parser()
    arguments = parser.parse_args(argv)
    if arguments.command is None and not arguments.version:
        parser.print_help()
        return 0
    # Spinning OpenMP threads make small steps many times slower on a busy machine; torch reads
    # this when it is imported, which happens below.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from deepobs_runner.cli.main import execute
    from deepobs_runner.errors import LostProcessError, RankZeroError

    try:
        return execute(arguments)
    except RankZeroError:  # which it prints itself
        return 2
    except LostProcessError as error:
        print(f"deepobs: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        trains = arguments.command in ("run", "bench", "tune")
        kept = "; finished runs are kept" if trains else ""
        print(f"deepobs: interrupted{kept}.", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            print(f"deepobs: there is no space left for the output: {error}.", file=sys.stderr)
            _drop_output()
        elif _says_all(error):
            print(f"deepobs: {error}", file=sys.stderr)
        else:
            raise
        return 2


def _drop_output() -> None:
    """Let Python write at its exit what it could not write before, to nowhere."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _says_all(error: Exception) -> bool:
    """Whether the message of an error is all a user needs, without a traceback."""
    from deepobs_runner.runs.outcome import REFUSALS

    return isinstance(error, REFUSALS)
