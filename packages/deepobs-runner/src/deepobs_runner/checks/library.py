"""Conformance tests of all optimizers of a library."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from deepobs_problems.user_code import import_location
from deepobs_runner.checks.optimizer import Finding, check_optimizer
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import resolve_hyperparams
from deepobs_runner.text import first_line

USUAL_RATE = 1e-3
"""Learning rate of classes without a default."""


@dataclass(frozen=True)
class LibraryOptimizer:
    """An optimizer class of a library.

    Attributes:
        name: name as on the command line.
        hyperparams: the learning rate of its signature.
    """

    name: str
    hyperparams: Mapping[str, Any]


def optimizers_of(location: str) -> list[LibraryOptimizer]:
    """Optimizer classes of a module that take parameters and a learning rate.

    Args:
        location: `package.module` or `path/to/file.py`.

    Raises:
        UsageError: the module has no such class.
        ProblemError: unknown module or file.
    """
    module, _ = import_location(location)
    found = []
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or not inspect.isclass(value) or not hasattr(value, "step"):
            continue
        arguments = inspect.signature(value).parameters
        if "lr" in arguments and next(iter(arguments)) in ("params", "model"):
            rate = arguments["lr"].default
            is_number = isinstance(rate, int | float) and not isinstance(rate, bool)
            rate = float(rate) if is_number else USUAL_RATE
            found.append(LibraryOptimizer(f"{location}:{name}", {"lr": rate}))
    if not found:
        raise UsageError(
            f"{location} has no optimizer class with arguments params and lr. Name "
            "a module with one."
        )
    return found


def check_library(
    location: str, hyperparams: Mapping[str, Any], *, create_graph: bool = False
) -> Iterator[tuple[str, list[Finding]]]:
    """Yield each optimizer of a library with its findings, or the reason why it cannot run.

    Args:
        location: `package.module` or `path/to/file.py`.
        hyperparams: hyperparameters of all, beside the learning rate of each.
        create_graph: keep the graph of every gradient.
    """
    for optimizer in optimizers_of(location):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield optimizer.name, _check(optimizer, hyperparams, create_graph)


def _check(
    optimizer: LibraryOptimizer, hyperparams: Mapping[str, Any], create_graph: bool
) -> list[Finding]:
    try:
        resolved = resolve_hyperparams(optimizer.name, {**optimizer.hyperparams, **hyperparams})
    except UsageError as error:
        return [Finding("defaults", "no", first_line(error))]
    return check_optimizer(optimizer.name, resolved, create_graph=create_graph)
