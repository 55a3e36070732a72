"""`deepobs calibrate`: measure and store the SGD step time of each problem on this machine."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_data_dir, add_device, add_json, add_list
from deepobs_runner.errors import UsageError
from deepobs_runner.text import count, duration

if TYPE_CHECKING:
    from deepobs_runner.plans.calibration import Calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add problems, device, number of jobs and the file of the times."""
    parser.description = (
        "Time SGD on each problem with its default settings. "
        "`bench --dry-run` uses the stored times."
    )
    add_list(parser, "--problem")
    add_list(
        parser,
        "--suite",
        "problems of a suite; default: all (expensive: GPU only)",
    )
    add_device(parser)
    add_data_dir(parser)
    jobs = "threads as for N parallel jobs; default: %(default)s"
    add(parser, "--jobs N", jobs, int, default=1)
    add_json(parser)
    add(parser, "--out FILE", "file; default: $DEEPOBS_CALIBRATION, else user cache", Path)


def execute(arguments: argparse.Namespace) -> int:
    """Time the problems, print and store the times; return 1 if a problem fails."""
    from deepobs_problems import load_problem
    from deepobs_runner.backend.memory import keep_memory
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.messages import print_json, warn
    from deepobs_runner.cli.terminal_table import terminal_table
    from deepobs_runner.config import Execution
    from deepobs_runner.plans.calibration import keep_calibration, measure
    from deepobs_runner.report.table import make_table, number, words

    keep_memory()
    if arguments.jobs < 1:
        raise UsageError(f"--jobs is {arguments.jobs}; it must be at least 1.")
    console = make_console(quiet=arguments.json)
    names = _problems(arguments)
    for name in names:
        load_problem(name)  # report wrong names before timing starts
    console.print_line(f"timing SGD on {count(len(names), 'problem')}; best on a quiet machine")
    execution = Execution(device=arguments.device, data_dir=arguments.data_dir)
    rows = []
    reasons = []
    times: dict[str, Any] = {}
    for name in names:  # one at a time: an interrupt keeps all earlier times
        calibration, missing = measure([name], execution, jobs=arguments.jobs)
        reasons += missing
        if calibration.timings:
            path = keep_calibration(calibration, arguments.out)
            step, training = _cells(name, calibration)
            rows.append({"name": name, "step": step, "training": training})
            times[name] = asdict(next(iter(calibration.timings.values())))
    if arguments.json:
        print_json(times)
    if rows:
        columns = [
            words("Problem", "name"),
            number("SGD step", "step"),
            number("Default training", "training"),
        ]
        console.print(terminal_table(make_table("calibration", "", "", columns, rows)))
        machine = calibration.machine
        device = (
            f"{machine['processor']}, {machine['device']}, {count(machine['threads'], 'thread')}"
        )
        console.print_line(f"{device}, torch {machine['torch']}; kept in {path}")
    for reason in reasons:
        warn(f"not timed: {reason}")
    return int(bool(reasons))


def _problems(arguments: argparse.Namespace) -> list[str]:
    from deepobs_problems import problems_with
    from deepobs_runner.backend.devices import choose_device

    suites = (name for suite in arguments.suite for name in problems_with(suite=suite))
    chosen = list(dict.fromkeys([*arguments.problem, *suites]))
    if chosen:
        return chosen
    expensive = ["expensive"] if choose_device(arguments.device).type == "cpu" else []
    return list(problems_with(without=expensive))


def _cells(name: str, calibration: Calibration) -> tuple[str, str]:
    """Time per step, and for a training run of the problem's default length."""
    from deepobs_problems import load_problem
    from deepobs_runner.config import RunConfig
    from deepobs_runner.plans.calibration import OPTIMIZER

    (timing,) = calibration.timings.values()
    epochs = load_problem(name).defaults.epochs
    training = timing.seconds(RunConfig(problem=name, optimizer=OPTIMIZER, epochs=epochs))
    return f"{1000 * timing.step:.3g} ms", duration(training)


COMMAND = Command("measure and store SGD step times of this machine", add_arguments, execute)
