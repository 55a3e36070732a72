"""`deepobs tune`: good settings of optimizers, found with equal budgets."""

from __future__ import annotations

import argparse

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import (
    add,
    add_execution,
    add_executor,
    add_flag,
    add_list,
    add_settings,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is tuned, by which rules, and where."""
    from deepobs_runner.tuning.rulesets import RULESETS
    from deepobs_runner.tuning.samplers import SAMPLERS

    parser.description = (
        "Try settings of each optimizer, choose the best on the validation split, run the winners "
        "with several seeds, and write a plan that repeats these runs. What is done already is "
        "not repeated."
    )
    summaries = (f"{name}: {RULESETS.load(name).summary}" for name in RULESETS.built_in())
    parser.epilog = f"Rulesets: {'; '.join(summaries)}"
    add(parser, "target PROBLEM|SUITE", "a problem, or a suite of problems")
    add(
        parser,
        "optimizers OPTIMIZER [key=value ...]",
        "what has a value is not tuned; a bare word starts the next optimizer",
        nargs="+",
    )
    add(parser, "--ruleset", "default: %(default)s; see below", default="best-of-k")
    add(parser, "--budget K", "trials of each optimizer; default: the ruleset's")
    add_list(
        parser,
        "--space SPACE",
        "lr=log:1e-5:1, Adam.lr=log:1e-5:1, or a YAML file; may be given several times",
    )
    samplers = ", ".join(SAMPLERS.built_in())
    add(parser, "--sampler", f"{samplers} or one of your own; default: the ruleset's")
    add(parser, "--sampler-seed N", "default: 0", int, default=0)
    add(
        parser,
        "--at-once N",
        "trials an adaptive sampler draws before it learns from them; default: %(default)s",
        int,
        default=1,
    )
    add_flag(parser, "--prune", "let Hyperband end hopeless trials of tpe and gp early")
    add(parser, "--study NAME", "default: made of the settings")
    add(parser, "--seeds N", "of the winners; default: 10", int)
    add_settings(parser)
    group = add_execution(parser)
    add_flag(group, "--retry-failed", "make failed trials again")
    add_executor(parser)
    parser.set_defaults(valid_size=None)


def execute(arguments: argparse.Namespace) -> int:
    """Carry a study out."""
    from deepobs_runner.cli.tuning import tune

    return tune(arguments)


COMMAND = Command("find good settings of optimizers with equal budgets", add_arguments, execute)
