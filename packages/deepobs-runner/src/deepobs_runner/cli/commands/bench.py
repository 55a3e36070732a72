"""`deepobs bench`: run optimizers × problems × seeds, or a plan."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import (
    add,
    add_execution,
    add_executor,
    add_flag,
    add_list,
    add_settings,
    setting_defaults,
)
from deepobs_runner.errors import UsageError

if TYPE_CHECKING:
    from deepobs_runner.config import RunConfig

PLAN_SUFFIXES = (".yaml", ".yml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add optimizers or a plan, problems, seeds, settings and execution."""
    parser.description = (
        "Run every optimizer on every problem with every seed, or a plan. "
        "Skip finished runs. Print a table."
    )
    add(
        parser,
        "optimizers PLAN.yaml | OPTIMIZER [key=value ...]",
        "e.g. SGD lr=.1 Adam lr=1e-3, or a plan file",
        nargs="+",
    )
    add_list(parser, "--problem")
    add_list(parser, "--suite", "all problems of a suite; repeatable")
    add(parser, "--seeds N", "number of seeds, starting at 42; default: 1", int)
    add_settings(parser)
    group = add_execution(parser)
    add_flag(group, "--retry-failed", "retry failed runs")
    add_executor(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Run a plan, or every optimizer on every problem with every seed; return 1 if a run fails."""
    from deepobs_runner.cli.runs import executor_options, make_runs
    from deepobs_runner.executors.registry import executor_of
    from deepobs_runner.plans.plan import load_plan

    options = executor_options(arguments)
    executor_of(options)  # fail before reading anything
    plans = [word for word in arguments.optimizers if word.lower().endswith(PLAN_SUFFIXES)]
    if plans:
        _check_nothing_beside(plans[0], arguments)
        configs = load_plan(Path(plans[0]))
    else:
        configs = _product(arguments)
    return make_runs(configs, arguments, options, retry_failed=arguments.retry_failed)


def _check_nothing_beside(plan: str, arguments: argparse.Namespace) -> None:
    """Refuse options that would contradict a plan.

    Raises:
        UsageError: optimizers, problems, seeds or settings are given with it.
    """
    given = [repr(word) for word in arguments.optimizers if word != plan]
    defaults: dict[str, Any] = {"problem": [], "suite": [], "seeds": None, **setting_defaults()}
    given += [
        f"--{name.replace('_', '-')}"
        for name, default in defaults.items()
        if getattr(arguments, name) != default
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot be combined with a plan. Write it into {plan}, or leave "
            "the plan out."
        )


def _product(arguments: argparse.Namespace) -> list[RunConfig]:
    from deepobs_problems import problems_with
    from deepobs_runner.cli.runs import config_of, parse_optimizers
    from deepobs_runner.plans.plan import FIRST_SEED

    suites = (name for suite in arguments.suite for name in problems_with(suite=suite))
    problems = [*arguments.problem, *suites]
    seeds = 1 if arguments.seeds is None else arguments.seeds
    if not problems:
        raise UsageError(
            "No problem given. Add --problem NAME or --suite NAME; deepobs list shows both."
        )
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1.")
    return [
        config_of(arguments, problem, optimizer, hyperparams, FIRST_SEED + i)
        for problem in dict.fromkeys(problems)
        for optimizer, hyperparams in parse_optimizers(arguments.optimizers)
        for i in range(seeds)
    ]


COMMAND = Command("run optimizers on several problems and seeds", add_arguments, execute)
