"""`deepobs run` and `deepobs bench`: make runs, or say what would be made."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from deepobs_problems import problems_with
from deepobs_runner.attempts import Outcome, Survey, survey
from deepobs_runner.calibration import calibrate, describe_duration, predict
from deepobs_runner.commands.terminal import count, make_console, print_summary, say
from deepobs_runner.config import CHOICES, Execution, RunConfig
from deepobs_runner.devices import choose_device
from deepobs_runner.errors import UsageError
from deepobs_runner.execution import resolve_config
from deepobs_runner.jobs import evaluations_of, run_all
from deepobs_runner.official import official_learning_rate
from deepobs_runner.optimizers import parse_hyperparams
from deepobs_runner.plans import FIRST_SEED, load_plan
from deepobs_runner.progress import label_run, report_progress
from deepobs_runner.report import settings_by_problem
from deepobs_runner.results import check_writable, load_result, result_path
from deepobs_runner.schedules import parse_schedule

PLAN_SUFFIXES = (".yaml", ".yml")

SETTING_OPTIONS: dict[str, Any] = {
    "epochs": None, "steps": None, "batch_size": None, "schedule": "constant", "l2": None,
    "valid_size": 0, "clip_norm": None, **{name: allowed[0] for name, allowed in CHOICES.items()},
}  # fmt: skip
"""Options that belong to a run's identity, with their defaults."""


def run_one(arguments: argparse.Namespace) -> int:
    """Run one optimizer on one problem with one seed."""
    hyperparams = parse_hyperparams(arguments.hyperparams)
    config = _config(arguments, arguments.problem, arguments.optimizer, hyperparams, arguments.seed)
    return _run([config], arguments, jobs=1, retry_failed=True)


def run_many(arguments: argparse.Namespace) -> int:
    """Run a plan, or every optimizer on every problem with every seed."""
    words = arguments.optimizers
    plans = [word for word in words if word.lower().endswith(PLAN_SUFFIXES)]
    if plans:
        _check_that_the_plan_stands_alone(plans[0], arguments)
        configs = load_plan(Path(plans[0]))
    else:
        configs = _product(arguments)
    return _run(configs, arguments, jobs=arguments.jobs, retry_failed=arguments.retry_failed)


def _check_that_the_plan_stands_alone(plan: str, arguments: argparse.Namespace) -> None:
    """Refuse what would contradict a plan.

    Raises:
        UsageError: optimizers, problems, seeds or settings are given beside it.
    """
    given = [repr(word) for word in arguments.optimizers if word != plan]
    defaults = {"problem": [], "suite": [], "seeds": None, **SETTING_OPTIONS}
    given += [
        f"--{name.replace('_', '-')}"
        for name, default in defaults.items()
        if getattr(arguments, name) != default
    ]
    if given:
        raise UsageError(
            f"{', '.join(given)} cannot be given beside a plan. Write it into {plan}, or leave "
            "the plan out."
        )


def _product(arguments: argparse.Namespace) -> list[RunConfig]:
    suites = (name for suite in arguments.suite for name in problems_with(suite=suite))
    problems = [*arguments.problem, *suites]
    seeds = 1 if arguments.seeds is None else arguments.seeds
    if not problems:
        raise UsageError("No problem given. Add --problem NAME or --suite NAME.")
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1.")
    return [
        _config(arguments, problem, optimizer, hyperparams, FIRST_SEED + i)
        for problem in dict.fromkeys(problems)
        for optimizer, hyperparams in parse_optimizers(arguments.optimizers)
        for i in range(seeds)
    ]


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


def _config(
    arguments: argparse.Namespace,
    problem: str,
    optimizer: str,
    hyperparams: dict[str, Any],
    seed: int,
) -> RunConfig:
    """Return the resolved configuration of one run."""
    settings = {name: getattr(arguments, name) for name in SETTING_OPTIONS}
    settings["schedule"] = parse_schedule(arguments.schedule)
    return resolve_config(
        RunConfig(
            problem=problem, optimizer=optimizer, hyperparams=hyperparams, seed=seed, **settings
        )
    )


def _execution(arguments: argparse.Namespace) -> Execution:
    names = (
        "device", "out", "data_dir", "resume", "checkpoint_epochs", "checkpoint_minutes",
        "time_limit", "patience",
    )  # fmt: skip
    return Execution(**{name: getattr(arguments, name) for name in names})


def _run(
    configs: Sequence[RunConfig], arguments: argparse.Namespace, *, jobs: int, retry_failed: bool
) -> int:
    """Run the configurations and print a summary; return 1 if any failed."""
    if jobs < 1:
        raise UsageError(f"--jobs is {jobs}; it must be at least 1.")
    console = make_console()
    configs = _each_once(console, configs)
    _say_official_rates(console, configs)
    execution = _execution(arguments)
    found = survey(
        configs,
        execution,
        force=arguments.force,
        retry_failed=retry_failed,
    )
    if arguments.dry_run:
        _say_what_would_run(console, configs, found, execution, jobs)
        return 0
    choose_device(execution.device)  # said once, before anything starts
    check_writable(execution.out)
    if found.finished:
        finished = f"{len(found.finished)} of {count(len(configs), 'run')}"
        say(console, f"{finished} are finished already (--force repeats).")
    evaluations = sum(map(evaluations_of, found.todo))
    with report_progress(console, evaluations, quiet=arguments.quiet) as reporter:
        outcomes = run_all(
            found.todo, execution, jobs=jobs, force=arguments.force, reporter=reporter
        )
    bad = [outcome for outcome in outcomes if not outcome.good]
    if len(configs) == 1 and bad:
        return _say_why_it_failed(bad[0], execution.out)
    _summarize(console, configs, found, outcomes, execution.out)
    return 1 if bad or found.failed else 0


def _each_once(console: Console, configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Return the configurations without repetitions, which would count as further seeds."""
    kept: dict[str, RunConfig] = {}
    repeated: dict[str, RunConfig] = {}
    for config in configs:
        if config.id in kept:
            repeated[config.id] = config
        kept.setdefault(config.id, config)
    for config in repeated.values():
        say(console, f"asked for more than once, made once: {label_run(config)}")
    return list(kept.values())


def _say_why_it_failed(outcome: Outcome, folder: Path) -> int:
    """Print all there is to know of the only run; return the exit code."""
    if outcome.status in ("refused", "locked"):
        raise UsageError(outcome.message)
    print(outcome.message, file=sys.stderr)
    print(f"deepobs: failed: {label_run(outcome.config)}", file=sys.stderr)
    path = result_path(outcome.config, folder)
    if path.exists():
        print(f"deepobs: the traceback is kept in {path}", file=sys.stderr)
    return 1


def _summarize(
    console: Console,
    configs: Sequence[RunConfig],
    found: Survey,
    outcomes: Sequence[Outcome],
    folder: Path,
) -> None:
    """Print the table of what is finished, how many runs ended how, and why some failed."""
    good = {outcome.config.id for outcome in outcomes if outcome.good}
    results = [*found.finished]
    results += [load_result(result_path(c, folder)) for c in found.todo if c.id in good]
    if any(result.records for result in results):
        order = {config.id: number for number, config in enumerate(configs)}
        results.sort(key=lambda result: order[result.config.id])
        if len(configs) == 1:  # a table may have to break the label
            say(console, label_run(configs[0]))
        print_summary(console, settings_by_problem(results, baselines=False))
    tally = {"finished before": len(found.finished)}
    for outcome in outcomes:
        tally[outcome.status] = tally.get(outcome.status, 0) + 1
    tally["failed before, not retried"] = len(found.failed)
    shown = ", ".join(f"{number} {what}" for what, number in tally.items() if number)
    say(console, f"{count(len(configs), 'run')}: {shown}; results in {folder}")
    _say_why(outcomes)
    for result in found.failed:
        reason = Outcome(config=result.config, status="failed", message=result.error or "").reason
        run = f"{label_run(result.config)} ({result.config.id})"
        print(f"deepobs: failed before: {run}: {reason}", file=sys.stderr)
    if any(outcome.status == "failed" for outcome in outcomes) or found.failed:
        print(
            f"deepobs: tracebacks are kept in {folder}/<id>.json; --retry-failed runs failed ones "
            "again.",
            file=sys.stderr,
        )


def _say_why(outcomes: Sequence[Outcome]) -> None:
    """Print a line for each run that has no result; a sentence that holds for many is said once."""
    refused: dict[str, list[str]] = {}
    for outcome in outcomes:
        run = f"{label_run(outcome.config)} ({outcome.config.id})"
        if outcome.status == "refused":
            refused.setdefault(outcome.message, []).append(run)
        elif not outcome.good:
            print(f"deepobs: {outcome.status}: {run}: {outcome.reason}", file=sys.stderr)
    for message, runs in refused.items():
        print(f"deepobs: refused: {', '.join(runs)}: {message}", file=sys.stderr)


def _say_what_would_run(
    console: Console,
    configs: Sequence[RunConfig],
    found: Survey,
    execution: Execution,
    jobs: int,
) -> None:
    """Print every run with its state, and how long those to run would take together."""
    states = {result.config.id: "finished" for result in found.finished}
    states |= {result.config.id: "failed" for result in found.failed}
    for config in configs:
        say(console, f"{states.get(config.id, 'to run'):8}  {label_run(config)}  ({config.id})")
    say(console, f"{len(found.todo)} of {count(len(configs), 'run')} to run")
    if not found.todo:
        return
    prediction = predict(found.todo, calibrate(found.todo, execution, jobs=jobs), jobs=jobs)
    for sentence in prediction.gaps:
        say(console, f"not in the estimate: {sentence}")
    if prediction.seconds is not None:
        say(
            console,
            f"about {describe_duration(prediction.seconds)} with {count(jobs, 'job')}: an "
            "estimate from a few timed steps of each problem and optimizer on this machine",
        )


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
        say(console, line)
