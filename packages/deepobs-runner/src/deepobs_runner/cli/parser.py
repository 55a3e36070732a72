"""Arguments that several commands share.

Imports that few commands need are inside functions, to keep `deepobs --help` fast.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

Parser = argparse._ActionsContainer  # a parser or a group of it; argparse has no public name


class CommandParser(argparse.ArgumentParser):
    """Parser with short errors that name the fix."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown option is answered with the spelling that works."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(_explain_unknown(unknown, parsed.command))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help; exit with code 2."""
        self.exit(
            2,
            f"{self.prog}: {message}\nHelp: {self.prog} --help\n",
        )


def _explain_unknown(arguments: Sequence[str], command: str | None) -> str:
    """Message for arguments that no option or positional argument takes.

    >>> _explain_unknown(["--lr", "0.01"], "run")
    'unknown option --lr: write lr=0.01'
    """
    first, *rest = arguments
    if not first.startswith("-"):
        return f"unexpected argument {first!r}"
    name, equals, value = first.lstrip("-").partition("=")
    if not equals and rest and not rest[0].startswith("--"):
        value = rest[0]
    if command in ("run", "bench", "tune", "check") and value:
        return f"unknown option --{name}: write {name.replace('-', '_')}={value}"
    return f"unknown option {first}"


CHOICE_HELP: Mapping[str, str] = {
    "recipe": "how data are read and evaluated",
    "l2_via": "where the L2 term is added",
    "precision": "arithmetic of the model",
    "data": "real data, or generated stand-ins",
}


def add(
    parser: Parser, name: str, help: str, type: Callable[[str], Any] = str, **more: Any
) -> None:
    """Add an argument or an option, written as in the help: `seed`, `--jobs N`."""
    flag, _, metavar = name.partition(" ")
    parser.add_argument(flag, help=help, type=type, metavar=metavar or None, **more)


def add_flag(parser: Parser, name: str, help: str) -> None:
    """Add an option without a value."""
    parser.add_argument(name, action="store_true", help=help)


def add_json(parser: Parser) -> None:
    """Add JSON output."""
    add_flag(parser, "--json", "print JSON")


def add_list(parser: Parser, name: str, help: str = "repeat to give several") -> None:
    """Add an option that may be repeated."""
    add(parser, name, help, action="append", default=[])


def add_results(parser: Parser) -> None:
    """Add the results to read."""
    add(
        parser,
        "results",
        "results folder, or a baseline set",
        Path,
    )


def add_data_dir(parser: Parser) -> None:
    """Add the data folder."""
    add(parser, "--data-dir", "data folder; default: $DEEPOBS_DATA_DIR, else user cache", Path)


def add_device(
    parser: Parser, help: str = "auto, cpu, cuda, cuda:1 or mps; default: %(default)s"
) -> None:
    """Add the device."""
    add(parser, "--device", help, default="auto")


def add_out(parser: Parser) -> None:
    """Add the folder for results."""
    add(parser, "--out", "results folder; default: %(default)s", Path, default=Path("results"))


def add_comparison(parser: argparse.ArgumentParser) -> Parser:
    """Add baselines, length and unit of a comparison; return the group."""
    from deepobs_runner.config import UNITS

    group = parser.add_argument_group("comparison")
    add_flag(group, "--no-baselines", "leave out all baselines")
    add_list(
        group,
        "--baselines SET",
        "a baseline set or folder; repeatable; default: all sets",
    )
    add(
        group,
        "--epochs N",
        "compare after N epochs; cuts longer constant-schedule runs",
        int,
    )
    default = "unit of the time to target; default: %(default)s"
    add(group, "--unit", default, choices=UNITS, default=UNITS[0])
    return group


def add_references(parser: argparse.ArgumentParser) -> None:
    """Add the comparison with its references and level."""
    group = add_comparison(parser)
    add_list(
        group,
        "--reference OPTIMIZER",
        "reference; repeatable; default: SGD, Momentum, Adam",
    )
    add(
        group, "--level", "confidence level of intervals; default: %(default)s", float, default=0.95
    )
    add(group, "--equivalence M", "test for equivalence within a margin, such as 1%%", share)


def share(word: str) -> float:
    """Return a share that is written as `0.01` or `1%`.

    >>> share("1%"), share("0.05")
    (0.01, 0.05)
    """
    number, percent, _ = word.partition("%")
    return float(number) / 100 if percent else float(number)


def add_import_code(parser: Parser) -> None:
    """Add the permission to import code that results name."""
    add_flag(
        parser,
        "--import-code",
        "trajectories: import the optimizers' code that results name",
    )


def setting_defaults() -> dict[str, Any]:
    """Options that belong to a run's identity, with their defaults."""
    from deepobs_runner.config import CHOICES, DEFAULT_PRECISION

    return {
        "epochs": None, "steps": None, "batch_size": None, "schedule": "default", "l2": None,
        "valid_size": 0, "clip_norm": None,
        **{name: allowed[0] for name, allowed in CHOICES.items()},
        "precision": DEFAULT_PRECISION,
    }  # fmt: skip


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add the settings, which change a run's numbers."""
    from deepobs_runner.config import CHOICES

    group = parser.add_argument_group("settings (part of a run's identity)")
    add(group, "--epochs N", "epochs to train; default: the problem's", int)
    add(group, "--steps N", "stop after N optimizer steps", int)
    add(group, "--batch-size N", "training batch size; default: the problem's", int)
    add(group, "--schedule", "e.g. cosine:warmup=0.05; default: the problem's")
    add(group, "--l2", "L2 regularization factor; default: the problem's", float)
    add(group, "--valid-size N", "hold out N training examples; default: 0", int)
    add(group, "--clip-norm", "clip the gradient to this norm; 0: no clipping", float)
    for name, allowed in CHOICES.items():
        text = f"{CHOICE_HELP[name]}; default: %(default)s"
        add(group, f"--{name.replace('_', '-')}", text, choices=allowed)
    parser.set_defaults(**setting_defaults())


def add_execution(parser: argparse.ArgumentParser) -> Parser:
    """Add device, folders, checkpoints and limits; return the group."""
    from deepobs_runner.trackers import TRACKERS

    group = parser.add_argument_group("execution")
    add_device(group)
    add_flag(group, "--compile", "use torch.compile for forward pass and loss")
    add_flag(group, "--cuda-graphs", "capture forward and backward pass in a CUDA graph")
    add_flag(
        group,
        "--create-graph",
        "keep gradient graphs, e.g. for AdaHessian",
    )
    add_data_dir(group)
    add_out(group)
    add_flag(group, "--force", "repeat finished runs instead of skipping them")
    add_flag(group, "--resume", "resume interrupted runs from their checkpoints")
    add(
        group,
        "--checkpoint-epochs N",
        "save a checkpoint every N epochs; default: by time only",
        int,
    )
    add(
        group,
        "--checkpoint-minutes M",
        "save a checkpoint every M minutes; default: %(default)g",
        float,
        default=10.0,
    )
    add(
        group,
        "--time-limit SECONDS",
        "stop a run after this time, at the end of the epoch",
        float,
    )
    add(group, "--patience N", "stop after N epochs without improvement; default: never", int)
    add_list(
        group,
        "--track KIND",
        f"also log to {', '.join(TRACKERS.built_in())} or file.py:name",
    )
    add_flag(group, "--dry-run", "show planned runs and a time estimate, then exit")
    add_flag(group, "--quiet", "hide the progress")
    add_json(group)
    return group


def add_executor(parser: argparse.ArgumentParser) -> None:
    """Add the executor and its options."""
    from deepobs_runner.config import VECTORIZE
    from deepobs_runner.executors.registry import EXECUTORS, RETRIES

    group = parser.add_argument_group("executor (docs/clusters.md)")
    executors = ", ".join(EXECUTORS.built_in())
    default = f"{executors} or file.py:name; default: %(default)s"
    add(group, "--executor NAME", default, default="local")
    add(
        group,
        "--jobs N",
        "local: number of worker processes; default: %(default)s",
        int,
        default=1,
    )
    add(
        group,
        "--vectorize",
        "train small runs in one pass; default: %(default)s",
        choices=VECTORIZE,
        default="off",
    )
    add(group, "--cpus-per-run N", "ray, slurm: CPU cores per run; default: 1", int)
    add(group, "--gpus-per-run X", "ray, slurm: GPUs per run, on Ray also 0.5; default: 0", float)
    add(
        group,
        "--retries N",
        f"ray, slurm: restarts after a lost node; default: {RETRIES}",
        int,
    )
    add(
        group,
        "--address",
        "ray: auto, ip:port or ray://host:port; default: local",
    )
    add_list(
        group,
        "--slurm KEY=VALUE",
        "slurm: sbatch option, e.g. time=2:00:00; repeatable",
    )
