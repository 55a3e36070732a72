"""What the commands of `cli.py` do."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deepobs_problems import CATALOG, SUITES, Problem, ProblemError
from deepobs_problems.errors import nearest
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.devices import environment
from deepobs_runner.errors import UsageError
from deepobs_runner.execution import finished_result, resolve_config, run
from deepobs_runner.official import official_learning_rate
from deepobs_runner.optimizers import parse_hyperparams
from deepobs_runner.progress import report_progress
from deepobs_runner.report import (
    notes,
    settings_by_problem,
    summary_table,
    write_report,
)
from deepobs_runner.results import RunResult, load_results
from deepobs_runner.schedules import parse_schedule

FIRST_SEED = 42
"""Of the official runs: N seeds are 42 to 41 + N."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed; return the exit code."""
    if arguments.version:
        return print_versions()
    actions = {
        "list": list_problems,
        "run": run_one,
        "bench": run_many,
        "report": make_report,
    }
    return actions[arguments.command](arguments)


def print_versions() -> int:
    """Print the versions that results record."""
    import torch

    packages = environment(torch.device("cpu"))["packages"]
    print("\n".join(f"{name} {number}" for name, number in packages.items()))
    return 0


def list_problems(arguments: argparse.Namespace) -> int:
    """Print the problems of the catalog."""
    rows = [_problem_row(CATALOG[name]) for name in suite(arguments.suite or "all")]
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return 0
    table = Table()
    for column in rows[0]:
        right = column in ("parameters", "batch size", "epochs", "l2")
        table.add_column(column, justify="right" if right else "left", no_wrap=column == "problem")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    _console().print(table)
    return 0


def _problem_row(problem: Problem) -> dict[str, Any]:
    model = problem.model()
    return {
        "problem": problem.name,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "batch size": problem.defaults.batch_size,
        "epochs": problem.defaults.epochs,
        "l2": problem.l2,
        "metrics": ["loss", *problem.metrics],
        "suites": [name for name, names in SUITES.items() if problem.name in names],
    }


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def suite(name: str) -> tuple[str, ...]:
    """Return the names of a suite's problems.

    Raises:
        UsageError: no such suite.
    """
    if name not in SUITES:
        raise UsageError(
            f"Unknown suite {name!r}.{nearest(name, SUITES)} There are: {', '.join(SUITES)}."
        )
    return SUITES[name]


def run_one(arguments: argparse.Namespace) -> int:
    """Run one optimizer on one problem with one seed."""
    hyperparams = parse_hyperparams(arguments.hyperparams)
    config = _config(arguments, arguments.problem, arguments.optimizer, hyperparams, arguments.seed)
    return _run_all([config], arguments)


def run_many(arguments: argparse.Namespace) -> int:
    """Run every optimizer on every problem with every seed."""
    problems = [*arguments.problem, *(name for s in arguments.suite for name in suite(s))]
    if not problems:
        raise UsageError("No problem given. Add --problem NAME or --suite NAME.")
    if arguments.seeds < 1:
        raise UsageError(f"--seeds is {arguments.seeds}; it must be at least 1.")
    configs = [
        _config(arguments, problem, optimizer, hyperparams, FIRST_SEED + i)
        for problem in dict.fromkeys(problems)
        for optimizer, hyperparams in parse_optimizers(arguments.optimizers)
        for i in range(arguments.seeds)
    ]
    return _run_all(configs, arguments)


def parse_optimizers(words: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return optimizers with their hyperparameters; a word without `=` starts the next one.

    Raises:
        UsageError: a hyperparameter before the first optimizer.

    >>> parse_optimizers(["SGD", "lr=.1", "Adam"])
    [('SGD', {'lr': 0.1}), ('Adam', {})]
    """
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if "=" not in word:
            groups.append((word, []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UsageError(f"{word!r} comes before any optimizer. Write SGD lr=.1 Adam lr=1e-3.")
    return [(name, parse_hyperparams(options)) for name, options in groups]


def make_report(arguments: argparse.Namespace) -> int:
    """Print a table of results and write it with the figures."""
    results = load_results(arguments.results)
    problems = settings_by_problem(results, baselines=not arguments.no_baselines)
    console = _console()
    _print_summary(console, problems)
    for path in write_report(problems, arguments.out or arguments.results / "report"):
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    return 0


def _config(
    arguments: argparse.Namespace,
    problem: str,
    optimizer: str,
    hyperparams: dict[str, Any],
    seed: int,
) -> RunConfig:
    """Return the resolved configuration of one run."""
    config = RunConfig(
        problem=problem,
        optimizer=optimizer,
        hyperparams=hyperparams,
        schedule=parse_schedule(arguments.schedule),
        seed=seed,
        recipe=arguments.recipe,
        batch_size=arguments.batch_size,
        epochs=arguments.epochs,
        steps=arguments.steps,
        valid_size=arguments.valid_size,
        l2=arguments.l2,
        l2_via=arguments.l2_via,
        clip_norm=arguments.clip_norm,
        precision=arguments.precision,
        data=arguments.data,
    )
    return resolve_config(config)


def _execution(arguments: argparse.Namespace) -> Execution:
    return Execution(device=arguments.device, out=arguments.out, data_dir=arguments.data_dir)


def _run_all(configs: Sequence[RunConfig], arguments: argparse.Namespace) -> int:
    """Run the configurations one after another; return 1 if any failed."""
    console = _console()
    _say_official_rates(console, configs)
    done = {} if arguments.force else _finished(configs, arguments)
    if arguments.dry_run:
        for config in configs:
            state = "finished" if config.id in done else "to run"
            console.print(f"{state:8}  {_label(config)}  ({config.id})", highlight=False)
        return 0
    if done:
        console.print(f"{len(done)} of {len(configs)} runs are finished already (--force repeats).")
    todo = [config for config in configs if config.id not in done]
    failed: list[RunConfig] = []
    results = [*done.values()]
    evaluations = sum((config.epochs or 0) + 1 for config in todo)
    with report_progress(console, evaluations, quiet=arguments.quiet) as reporter:
        for config in todo:
            reporter.start(_label(config))
            try:
                results.append(
                    run(
                        config,
                        _execution(arguments),
                        on_record=reporter.record,
                        force=arguments.force,
                    )
                )
            except (UsageError, ProblemError, OSError):
                raise  # would stop every other run too
            except Exception:  # whatever a user's optimizer raises; it is in the result file
                traceback.print_exc()
                failed.append(config)
            reporter.finish()
    if results:
        _print_summary(console, settings_by_problem(results, baselines=False))
    console.print(f"results in {arguments.out}", highlight=False, soft_wrap=True)
    for config in failed:
        print(f"deepobs: failed: {_label(config)} ({config.id})", file=sys.stderr)
    return 1 if failed else 0


def _finished(configs: Iterable[RunConfig], arguments: argparse.Namespace) -> dict[str, RunResult]:
    found = ((config.id, finished_result(config, arguments.out)) for config in configs)
    return {name: result for name, result in found if result is not None}


def _label(config: RunConfig) -> str:
    settings = " ".join(f"{k}={v}" for k, v in config.hyperparams.items() if k == "lr")
    name = config.problem.rpartition(":")[2]
    return f"{name} {config.optimizer.rpartition(':')[2]} {settings} seed {config.seed}"


def _say_official_rates(console: Console, configs: Sequence[RunConfig]) -> None:
    """Say which learning rates are the tuned ones of the official runs."""
    said = {
        f"{config.problem} {config.optimizer}: lr={config.hyperparams['lr']} is the tuned rate of "
        "the official runs"
        for config in configs
        if config.hyperparams.get("lr") is not None
        and config.hyperparams["lr"] == official_learning_rate(config.problem, config.optimizer)
    }
    for line in sorted(said):
        console.print(line, highlight=False)


def _print_summary(console: Console, problems: dict[str, Any]) -> None:
    console.print(summary_table(problems))
    for note in notes(problems):
        console.print(f"note: {note}", highlight=False)


def _console() -> Console:
    """Return a console; wide enough for the tables where the output is no terminal."""
    console = Console()
    return console if console.is_terminal else Console(width=120)
