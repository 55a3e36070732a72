"""Arguments that several commands share; imports nothing heavy."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import MappingProxyType

from deepobs_runner.config import CHOICES, VECTORIZE
from deepobs_runner.executors.registry import EXECUTORS, RETRIES
from deepobs_runner.trackers import TRACKERS

TIME_UNITS = ("epochs", "steps", "gradient_evaluations", "seconds")

SETTINGS = MappingProxyType({
    "epochs": None, "steps": None, "batch_size": None, "schedule": "constant", "l2": None,
    "valid_size": 0, "clip_norm": None, **{name: allowed[0] for name, allowed in CHOICES.items()},
})  # fmt: skip
"""Options that belong to a run's identity, with their defaults."""


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add where results are read from."""
    parser.add_argument(
        "results",
        type=Path,
        help="folder that `run` and `bench` wrote to, or a set of `baselines list`",
    )


def add_problems(parser: argparse.ArgumentParser, help: str = "may be given several times") -> None:
    """Add the choice of problems."""
    parser.add_argument("--problem", action="append", default=[], help=help)


def add_data_dir(parser: argparse._ActionsContainer) -> None:
    """Add where data sets lie."""
    parser.add_argument("--data-dir", type=Path, help="default: DEEPOBS_DATA_DIR, else user cache")


def add_device(
    parser: argparse._ActionsContainer, help: str = "auto, cpu, cuda, cuda:1, mps"
) -> None:
    """Add what computes."""
    parser.add_argument("--device", default="auto", help=help)


def add_out(parser: argparse._ActionsContainer) -> None:
    """Add where results are written to."""
    parser.add_argument(
        "--out", type=Path, default=Path("results"), help="folder of results; default: %(default)s"
    )


def add_jobs(parser: argparse._ActionsContainer, help: str) -> None:
    """Add how many runs are made at once."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help=help)


def add_comparison(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what results are compared with, and how far they are read; return the group."""
    group = parser.add_argument_group("comparison")
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


def add_references(parser: argparse.ArgumentParser) -> None:
    """Add all that says what is compared with what."""
    group = add_comparison(parser)
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


def add_import_code(parser: argparse.ArgumentParser) -> None:
    """Add whether code that results name may be imported."""
    parser.add_argument(
        "--import-code",
        action="store_true",
        help="for trajectories: import the optimizers' files and packages that results name; not "
        "for results of unknown origin",
    )


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what changes the numbers of a run."""
    group = parser.add_argument_group("settings (part of a run's identity)")
    group.add_argument("--epochs", type=int, help="default: the problem's")
    group.add_argument("--steps", type=int, help="stop after this many optimizer steps")
    group.add_argument("--batch-size", type=int, help="default: the problem's")
    group.add_argument("--schedule", help="such as cosine:warmup=0.05")
    group.add_argument("--l2", type=float, help="regularization factor; default: the problem's")
    group.add_argument("--valid-size", type=int, help="training examples held out")
    group.add_argument("--clip-norm", type=float, help="clip the gradient to this norm")
    for name, allowed in CHOICES.items():
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, choices=allowed, help="default: %(default)s")
    parser.set_defaults(**SETTINGS)


def add_execution(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add where and how a run is executed; return the group."""
    group = parser.add_argument_group("execution")
    add_device(group)
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
    group.add_argument(
        "--create-graph",
        action="store_true",
        help="keep the graph of every gradient, for second-order optimizers such as AdaHessian",
    )
    add_data_dir(group)
    add_out(group)
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


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add where many runs are made."""
    group = parser.add_argument_group("executor (docs/clusters.md)")
    group.add_argument(
        "--executor",
        default="local",
        metavar="NAME",
        help=f"{', '.join(EXECUTORS.built_in())} or one of your own; default: %(default)s",
    )
    add_jobs(group, "local: run N at once, in processes that share the cores; default: %(default)s")
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
