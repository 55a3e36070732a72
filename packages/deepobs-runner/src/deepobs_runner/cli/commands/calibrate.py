"""`deepobs calibrate`: measure the time of SGD steps on this machine, and keep it."""

from __future__ import annotations

import argparse
import sys

from rich.table import Table

from deepobs_problems import load_problem, problems_with
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.cli.console import make_console, say
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.plans.calibration import OPTIMIZER, Calibration, keep, measure
from deepobs_runner.plans.estimate import Pace, describe_duration
from deepobs_runner.text import count


def measure_and_keep(arguments: argparse.Namespace) -> int:
    """Time the problems, print and keep what was measured; 1 if one could not be timed."""
    if arguments.jobs < 1:
        raise UsageError(f"--jobs is {arguments.jobs}; it must be at least 1.")
    console = make_console()
    names = _problems(arguments)
    for name in names:
        load_problem(name)  # a name that is wrong is said before anything is timed
    say(console, f"timing SGD on {count(len(names), 'problem')}; best on a quiet machine")
    execution = Execution(device=arguments.device, data_dir=arguments.data_dir)
    table = Table("problem", "SGD step", "default training")
    reasons = []
    for name in names:  # one at a time: what is measured is kept if the next is interrupted
        calibration, missing = measure([name], execution, jobs=arguments.jobs)
        reasons += missing
        if calibration.paces:
            path = keep(calibration, arguments.out)
            table.add_row(name, *_cells(name, calibration))
    if table.row_count:
        console.print(table)
        machine = calibration.machine
        device = (
            f"{machine['processor']}, {machine['device']}, {count(machine['threads'], 'thread')}"
        )
        say(console, f"{device}, torch {machine['torch']}; kept in {path}")
    for reason in reasons:
        print(f"deepobs: not timed: {reason}", file=sys.stderr)
    return int(bool(reasons))


def _problems(arguments: argparse.Namespace) -> list[str]:
    suites = (name for suite in arguments.suite for name in problems_with(suite=suite))
    chosen = list(dict.fromkeys([*arguments.problem, *suites]))
    if chosen:
        return chosen
    expensive = ["expensive"] if choose_device(arguments.device).type == "cpu" else []
    return list(problems_with(without=expensive))


def _cells(name: str, calibration: Calibration) -> tuple[str, str]:
    (pace,) = calibration.paces.values()
    return f"{1000 * pace.step:.3g} ms", describe_duration(_default_training(name, pace))


def _default_training(name: str, pace: Pace) -> float:
    """Return the seconds of a training of the problem's default length."""
    epochs = load_problem(name).defaults.epochs
    return pace.seconds(RunConfig(problem=name, optimizer=OPTIMIZER, epochs=epochs))
