"""`deepobs tune`: tune optimizers with equal budgets."""

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
    list_of_names,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add optimizers, problems, ruleset, budget and execution."""
    from deepobs_runner.tuning.rulesets import RULESETS
    from deepobs_runner.tuning.samplers import SAMPLERS

    parser.description = (
        "Tune each optimizer on the validation split, run the winners with several seeds, and "
        "write a plan of these runs. Skip finished trials."
    )
    summaries = {name: RULESETS.load(name).summary for name in RULESETS.built_in()}
    parser.epilog = list_of_names("rulesets", summaries)
    add(parser, "target PROBLEM|SUITE", "problem or suite to tune on")
    add(
        parser,
        "optimizers OPTIMIZER [key=value ...]",
        "e.g. SGD Adam beta1=0.9; a given value is not tuned",
        nargs="+",
    )
    add(
        parser, "--ruleset", "tuning protocol, see below; default: %(default)s", default="best-of-k"
    )
    add(parser, "--budget K", "trials per optimizer; default: the ruleset's")
    add_list(
        parser,
        "--space SPACE",
        "e.g. lr=log:1e-5:1 or Adam.lr=…, or a YAML file; repeatable",
    )
    samplers = ", ".join(SAMPLERS.built_in())
    add(parser, "--sampler", f"{samplers}, file.py:name; default: ruleset's")
    add(parser, "--sampler-seed N", "default: 0", int, default=0)
    add(
        parser,
        "--at-once N",
        "trials per batch of an adaptive sampler; default: %(default)s",
        int,
        default=1,
    )
    add_flag(parser, "--prune", "stop bad trials of tpe and gp early (Hyperband)")
    add(parser, "--study NAME", "name of the study; default: from its settings")
    add(parser, "--seeds N", "seeds for each winner; default: 10", int)
    add_settings(parser)
    group = add_execution(parser)
    add_flag(group, "--retry-failed", "retry failed trials")
    add_executor(parser)
    parser.set_defaults(valid_size=None)


def execute(arguments: argparse.Namespace) -> int:
    """Run a study."""
    from deepobs_runner.cli.tuning import tune

    return tune(arguments)


COMMAND = Command("tune optimizers with equal budgets", add_arguments, execute)
