"""`deepobs run`: train one optimizer on one problem with one seed."""

from __future__ import annotations

import argparse

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_execution, add_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add problem, optimizer, seed, settings and execution."""
    parser.description = "Train one optimizer on one problem with one seed."
    parser.epilog = "Example: deepobs run quadratic_deep SGD lr=0.01 --epochs 2"
    add(parser, "problem", "a problem of `deepobs list`, or file.py:name")
    add(parser, "optimizer", "torch.optim class, Momentum, or file.py:name")
    add(
        parser,
        "hyperparams key=value",
        "optional hyperparameters, e.g. lr=1e-3",
        nargs="*",
        default=[],
    )
    add(parser, "--seed N", "random seed; default: %(default)s", int, default=42)
    add_settings(parser)
    add_execution(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run one optimizer on one problem with one seed; return 1 if the run fails."""
    from deepobs_runner.cli.runs import config_of, make_runs
    from deepobs_runner.executors.registry import ExecutorOptions
    from deepobs_runner.optimizers import parse_hyperparams

    hyperparams = parse_hyperparams(arguments.hyperparams)
    config = config_of(
        arguments, arguments.problem, arguments.optimizer, hyperparams, arguments.seed
    )
    return make_runs([config], arguments, ExecutorOptions(), retry_failed=True)


COMMAND = Command("train one optimizer on one problem with one seed", add_arguments, execute)
