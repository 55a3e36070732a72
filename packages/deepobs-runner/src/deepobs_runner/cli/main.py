"""What each command does: a module for each."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from importlib import import_module

ACTIONS: Mapping[str, tuple[str, str]] = {
    "list": ("commands.list", "list_problems"),
    "run": ("runs", "run_one"),
    "bench": ("runs", "run_many"),
    "tune": ("tuning", "tune"),
    "report": ("commands.report", "make_report"),
    "table": ("commands.report", "print_table"),
    "plot": ("commands.plot", "plot"),
    "baselines": ("commands.baselines", "baselines"),
    "check": ("commands.check", "check"),
    "calibrate": ("commands.calibrate", "measure_and_keep"),
    "doctor": ("commands.doctor", "examine"),
}
"""Module in this package and function of each command; a module is imported when it is needed."""

ANALYSES = ("report", "table", "plot")
"""Commands that compute with many small matrices."""

TRAINING = ("run", "bench", "tune", "check", "calibrate", "doctor")
"""Commands that train, and the one that says what those do."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""What numpy's and torch's libraries read when they are loaded."""


def execute(arguments: argparse.Namespace) -> int:
    """Run the command that was parsed; return the exit code."""
    if arguments.version:
        return print_versions()
    if arguments.command in ANALYSES:
        # Threads that wait for each other would take what the helping processes need.
        for name in THREADS:
            os.environ.setdefault(name, "1")
    if arguments.command in TRAINING:
        from deepobs_runner.backend.memory import keep_memory  # imports torch

        keep_memory()
    module, function = ACTIONS[arguments.command]
    action = getattr(import_module(f"deepobs_runner.cli.{module}"), function)
    return int(action(arguments))


def print_versions() -> int:
    """Print the versions that results record."""
    import torch

    from deepobs_runner.backend.environment import environment

    packages = environment(torch.device("cpu"))["packages"]
    print("\n".join(f"{name} {number}" for name, number in packages.items()))
    return 0
