"""Arguments that several commands share.

Imports that few commands need are inside functions, to keep `deepobs --help` fast.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NoReturn

Parser = argparse._ActionsContainer  # a parser or a group of it; argparse has no public name


MEANING = 22
"""Column at which the meaning of a name begins."""


class _Formatter(argparse.HelpFormatter):
    """Help that keeps the lines of a text, and breaks only long ones."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(
            textwrap.fill(
                line,
                width,
                initial_indent=indent,
                subsequent_indent=indent + (" " * MEANING if line.startswith(" ") else ""),
            )
            for line in text.split("\n")
        )


def list_of_names(title: str, meanings: Mapping[str, str]) -> str:
    """Lines of names with their meanings, for the end of a help.

    >>> print(list_of_names("figures", {"forest": "speedups", "curves": "training curves"}))
    figures:
      forest              speedups
      curves              training curves
    """
    rows = (f"  {name}".ljust(MEANING) + meaning for name, meaning in meanings.items())
    return "\n".join([f"{title}:", *rows])


class CommandParser(argparse.ArgumentParser):
    """Parser with short errors that name the fix.

    Attributes:
        commands: parsers of the commands, by name.
    """

    commands: Mapping[str, CommandParser] = MappingProxyType({})

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Formatter, "allow_abbrev": False, **options})

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse; an unknown option is answered with the spelling that works."""
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = self.commands.get(parsed.command, self)
            takes_hyperparams = parsed.command in ("run", "bench", "tune", "check")
            options = list(command._option_string_actions)
            command.error(_explain_unknown(unknown, options, takes_hyperparams=takes_hyperparams))
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the error and where to find help; exit with code 2."""
        from deepobs_runner.cli.messages import print_error

        shown = re.sub(r"^argument ([^:]+): ", _argument_name, message)
        missing = "the following arguments are required: "
        if shown.startswith(missing):
            usage = "".join(f" {_in_usage(a)}" for a in self._actions if not a.option_strings)
            shown = f"missing: {shown.removeprefix(missing)}. Usage: {self.prog}{usage} [options]"
        shown = shown[:1].upper() + shown[1:] + ("" if shown[-1:] in ".?]" else ".")
        print_error(f"{shown}\nHelp: {self.prog} --help", prefix=self.prog)
        self.exit(2)


def _argument_name(found: re.Match[str]) -> str:
    """Last of the names of an argument, which is the long one."""
    return f"{found[1].rpartition('/')[2]} "


def _in_usage(argument: argparse.Action) -> str:
    """Positional argument as the usage shows it."""
    name = str(argument.metavar or argument.dest)
    more = " ..." if argument.nargs in ("*", "+") and " " not in name else ""
    return f"[{name}{more}]" if argument.nargs in ("*", "?") else f"{name}{more}"


def _explain_unknown(
    arguments: Sequence[str], options: Iterable[str], *, takes_hyperparams: bool
) -> str:
    """Message for arguments that no option or positional argument takes.

    >>> _explain_unknown(["--lr", "0.01"], ["--l2", "--seed"], takes_hyperparams=True)
    'unknown option --lr. Write lr=0.01'
    >>> _explain_unknown(["--sede", "1"], ["--l2", "--seed"], takes_hyperparams=True)
    'unknown option --sede. Did you mean --seed?'
    """
    from difflib import get_close_matches

    first, *rest = arguments
    if not first.startswith("-"):
        return f"unexpected argument {first!r}"
    option, equals, value = first.partition("=")
    name = option.lstrip("-").replace("-", "_")
    words = {known.lstrip("-").replace("-", "_"): known for known in options}
    if close := get_close_matches(name, list(words), n=1, cutoff=0.75):
        return f"unknown option {option}. Did you mean {words[close[0]]}?"
    if not equals and rest and not rest[0].startswith("--"):
        value = rest[0]
    if takes_hyperparams and value:
        return f"unknown option {option}. Write {name}={value}"
    return f"unknown option {option}"


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
    read = one_of(more["choices"]) if "choices" in more else READERS.get(type, type)
    parser.add_argument(flag, help=help, type=read, metavar=metavar or None, **more)


def whole_number(word: str) -> int:
    """Whole number of a word.

    Raises:
        argparse.ArgumentTypeError: another word.
    """
    try:
        return int(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a whole number, not {word!r}") from None


def number(word: str) -> float:
    """Number of a word.

    Raises:
        argparse.ArgumentTypeError: another word.
    """
    try:
        return float(word)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a number, not {word!r}") from None


READERS: Mapping[Callable[[str], Any], Callable[[str], Any]] = {int: whole_number, float: number}
"""Functions that read a value, by its type, with errors that name what is allowed."""


def one_of(choices: Collection[str]) -> Callable[[str], str]:
    """Function that reads one of the choices, and suggests the nearest for another word."""

    def read(word: str) -> str:
        if word in choices:
            return word
        from deepobs_problems.errors import nearest
        from deepobs_runner.text import join

        raise argparse.ArgumentTypeError(
            f"takes {join(list(choices), 'or')}, not {word!r}.{nearest(word, choices)}"
        )

    return read


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
    """Share that is written as `0.01` or `1%`.

    Raises:
        argparse.ArgumentTypeError: another word.

    >>> share("1%"), share("0.05")
    (0.01, 0.05)
    """
    figure, percent, _ = word.partition("%")
    try:
        return float(figure) / 100 if percent else float(figure)
    except ValueError:
        raise argparse.ArgumentTypeError(f"takes a share such as 1%, not {word!r}") from None


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
    """Add the options of the configuration, which change a run's numbers."""
    from deepobs_runner.config import CHOICES

    group = parser.add_argument_group("configuration (part of a run's identity)")
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
