"""Arguments that several commands share.

What only some need is imported where it is used: `deepobs --help` waits for no other import.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Parser = argparse._ActionsContainer  # a parser or a group of it; argparse has no public name


def add(
    parser: Parser, name: str, help: str, type: Callable[[str], Any] = str, **more: Any
) -> None:
    """Add an argument or an option, written as in the help: `seed`, `--jobs N`."""
    flag, _, metavar = name.partition(" ")
    parser.add_argument(flag, help=help, type=type, metavar=metavar or None, **more)


def add_flag(parser: Parser, name: str, help: str) -> None:
    """Add an option without a value."""
    parser.add_argument(name, action="store_true", help=help)


def add_list(parser: Parser, name: str, help: str = "may be given several times") -> None:
    """Add an option that may be repeated."""
    add(parser, name, help, action="append", default=[])


def add_results(parser: Parser) -> None:
    """Add where results are read from."""
    add(
        parser,
        "results",
        "folder that `run` and `bench` wrote to, or a set of `baselines list`",
        Path,
    )


def add_data_dir(parser: Parser) -> None:
    """Add where data sets lie."""
    add(parser, "--data-dir", "default: DEEPOBS_DATA_DIR, else user cache", Path)


def add_device(parser: Parser, help: str = "auto, cpu, cuda, cuda:1, mps") -> None:
    """Add what computes."""
    add(parser, "--device", help, default="auto")


def add_out(parser: Parser) -> None:
    """Add where results are written to."""
    add(parser, "--out", "folder of results; default: %(default)s", Path, default=Path("results"))


def add_comparison(parser: argparse.ArgumentParser) -> Parser:
    """Add what results are compared with, and how far they are read; return the group."""
    from deepobs_runner.config import UNITS

    group = parser.add_argument_group("comparison")
    add_flag(group, "--no-baselines", "compare the results with each other only")
    add_list(
        group,
        "--baselines SET",
        "a set of `baselines list`, or a folder; may be repeated; default: all sets",
    )
    add(
        group,
        "--epochs N",
        "compare after N epochs: of longer runs with a constant schedule the first N are read",
        int,
    )
    default = "of the time to the target; default: %(default)s"
    add(group, "--unit", default, choices=UNITS, default=UNITS[0])
    return group


def add_references(parser: argparse.ArgumentParser) -> None:
    """Add all that says what is compared with what."""
    group = add_comparison(parser)
    add_list(
        group,
        "--reference OPTIMIZER",
        "compare with this one; may be repeated; default: SGD, Momentum and Adam",
    )
    add(group, "--level", "of all intervals; default: %(default)s", float, default=0.95)
    add(group, "--equivalence M", "test for equivalence within a margin, such as 1%%", share)


def share(word: str) -> float:
    """Return a share that is written as `0.01` or `1%`.

    >>> share("1%"), share("0.05")
    (0.01, 0.05)
    """
    number, percent, _ = word.partition("%")
    return float(number) / 100 if percent else float(number)


def add_import_code(parser: Parser) -> None:
    """Add whether code that results name may be imported."""
    add_flag(
        parser,
        "--import-code",
        "for trajectories: import the optimizers' files and packages that results name; not for "
        "results of unknown origin",
    )


def setting_defaults() -> dict[str, Any]:
    """Return the options that belong to a run's identity, with their defaults."""
    from deepobs_runner.config import CHOICES, DEFAULT_PRECISION

    return {
        "epochs": None, "steps": None, "batch_size": None, "schedule": "default", "l2": None,
        "valid_size": 0, "clip_norm": None,
        **{name: allowed[0] for name, allowed in CHOICES.items()},
        "precision": DEFAULT_PRECISION,
    }  # fmt: skip


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add what changes the numbers of a run."""
    from deepobs_runner.config import CHOICES

    group = parser.add_argument_group("settings (part of a run's identity)")
    add(group, "--epochs", "default: the problem's", int)
    add(group, "--steps", "stop after this many optimizer steps", int)
    add(group, "--batch-size", "default: the problem's", int)
    add(group, "--schedule", "such as cosine:warmup=0.05; default: of the problem")
    add(group, "--l2", "regularization factor; default: the problem's", float)
    add(group, "--valid-size", "training examples held out", int)
    add(group, "--clip-norm", "clip the gradient to this norm; 0: not", float)
    for name, allowed in CHOICES.items():
        add(group, f"--{name.replace('_', '-')}", "default: %(default)s", choices=allowed)
    parser.set_defaults(**setting_defaults())


def add_execution(parser: argparse.ArgumentParser) -> Parser:
    """Add where and how a run is executed; return the group."""
    from deepobs_runner.trackers import TRACKERS

    group = parser.add_argument_group("execution")
    add_device(group)
    add_flag(group, "--compile", "compile forward pass and loss of training with torch.compile")
    add_flag(
        group, "--cuda-graphs", "launch forward and backward pass of training as one CUDA graph"
    )
    add_flag(
        group,
        "--create-graph",
        "keep the graph of every gradient, for second-order optimizers such as AdaHessian",
    )
    add_data_dir(group)
    add_out(group)
    add_flag(group, "--force", "repeat finished runs")
    add_flag(group, "--resume", "go on from checkpoints of runs that were cut off")
    add(group, "--checkpoint-epochs N", "write a checkpoint every N epochs", int)
    add(
        group,
        "--checkpoint-minutes M",
        "and when M minutes have passed since the last; default: %(default)g",
        float,
        default=10.0,
    )
    add(
        group,
        "--time-limit SECONDS",
        "stop a run at the end of the epoch in which it has taken this long",
        float,
    )
    add(group, "--patience N", "stop after N epochs without improvement", int)
    add_list(
        group,
        "--track KIND",
        f"also log to {', '.join(TRACKERS.built_in())} or one of your own, such as file.py:name; "
        "repeat for more",
    )
    add_flag(group, "--dry-run", "say what would run and for how long, and stop")
    add_flag(group, "--quiet", "no progress, only the end result")
    return group


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add where many runs are made."""
    from deepobs_runner.config import VECTORIZE
    from deepobs_runner.executors.registry import EXECUTORS, RETRIES

    group = parser.add_argument_group("executor (docs/clusters.md)")
    executors = ", ".join(EXECUTORS.built_in())
    default = f"{executors} or one of your own; default: %(default)s"
    add(group, "--executor NAME", default, default="local")
    add(
        group,
        "--jobs N",
        "local: run N at once, in processes that share the cores; default: %(default)s",
        int,
        default=1,
    )
    add(
        group,
        "--vectorize",
        "train runs of one small problem together, with other rounding: auto where it pays, on "
        "wherever it is possible (docs/speed.md); default: %(default)s",
        choices=VECTORIZE,
        default="off",
    )
    add(group, "--cpus-per-run N", "ray, slurm: cores of a run; default: 1", int)
    add(group, "--gpus-per-run X", "ray, slurm: such as 1, on Ray also 0.5", float)
    add(
        group,
        "--retries N",
        "ray, slurm: how often a run is taken up again whose node was lost or whose time was up; "
        f"default: {RETRIES}",
        int,
    )
    add(
        group,
        "--address",
        "ray: auto, ip:port or ray://host:port; default: RAY_ADDRESS, else this machine",
    )
    add_list(
        group,
        "--slurm KEY=VALUE",
        "slurm: an option of sbatch, such as partition=gpu or time=2:00:00; repeat for more",
    )
