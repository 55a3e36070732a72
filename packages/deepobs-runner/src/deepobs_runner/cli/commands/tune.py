"""`deepobs tune`: good settings of optimizers, found with equal budgets."""

from __future__ import annotations

import argparse

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add_execution, add_executor, add_settings
from deepobs_runner.tuning.rulesets import RULESETS
from deepobs_runner.tuning.samplers import SAMPLERS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is tuned, by which rules, and where."""
    parser.description = (
        "Try settings of each optimizer, choose the best on the validation split, run the winners "
        "with several seeds, and write a plan that repeats these runs. What is done already is "
        "not repeated."
    )
    summaries = (f"{name}: {RULESETS.load(name).summary}" for name in RULESETS.built_in())
    parser.epilog = f"Rulesets: {'; '.join(summaries)}"
    parser.add_argument("target", metavar="PROBLEM|SUITE", help="a problem, or a suite of problems")
    parser.add_argument(
        "optimizers",
        nargs="+",
        metavar="OPTIMIZER [key=value ...]",
        help="what has a value is not tuned; a bare word starts the next optimizer",
    )
    parser.add_argument("--ruleset", default="best-of-k", help="default: %(default)s; see below")
    parser.add_argument(
        "--budget", metavar="K", help="trials of each optimizer; default: the ruleset's"
    )
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="SPACE",
        help="lr=log:1e-5:1, Adam.lr=log:1e-5:1, or a YAML file; may be given several times",
    )
    parser.add_argument(
        "--sampler",
        help=f"{', '.join(SAMPLERS.built_in())} or one of your own; default: the ruleset's",
    )
    parser.add_argument("--sampler-seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument(
        "--at-once",
        type=int,
        default=1,
        metavar="N",
        help="trials an adaptive sampler draws before it learns from them; default: %(default)s",
    )
    parser.add_argument(
        "--prune", action="store_true", help="let Hyperband end hopeless trials of tpe and gp early"
    )
    parser.add_argument("--study", metavar="NAME", help="default: made of the settings")
    parser.add_argument("--seeds", type=int, metavar="N", help="of the winners; default: 10")
    add_settings(parser)
    group = add_execution(parser)
    group.add_argument("--retry-failed", action="store_true", help="make failed trials again")
    add_executor(parser)
    parser.set_defaults(valid_size=None)


def execute(arguments: argparse.Namespace) -> int:
    """Carry a study out."""
    from deepobs_runner.cli.tuning import tune

    return tune(arguments)


COMMAND = Command("find good settings of optimizers with equal budgets", add_arguments, execute)
