"""The way of an optimizer over a function of two parameters, which results do not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import nn

from deepobs_problems import Problem, ProblemError, load_problem
from deepobs_runner.analysis import final_value
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.config import Execution
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import OFFICIAL, ORIGINAL, RunResult, provenance_of
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.training.loop import train

Point = tuple[float, float]

MINIMA: Mapping[str, tuple[Point, ...]] = MappingProxyType(
    {
        "two_d_rosenbrock": ((1.0, 1.0),),
        "two_d_beale": ((3.0, 0.5),),
        "two_d_branin": ((-np.pi, 12.275), (np.pi, 2.275), (3 * np.pi, 2.475)),
    }
)
"""Global minima (u, v) of the noise-free functions."""

MOST_STEPS = 20_000
"""A longer run is followed up to here, if nothing else is said."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The parameters of a run after every step.

    Attributes:
        points: (u, v) before training and after every step, `(steps + 1, 2)`.
        values: of the noise-free function there, `(steps + 1,)`.
        repeated: whether the run ended at the value that its result holds.
        complete: whether these are all steps of the run.
    """

    points: np.ndarray
    values: np.ndarray
    repeated: bool
    complete: bool


def follow(run: RunResult, most_steps: int = MOST_STEPS) -> Trajectory:
    """Train a run on a function of two parameters once more, and return its way.

    A run of this package is deterministic, so it goes the same way again; the optimizer is
    imported as it was for the run.

    Args:
        run: with a record.
        most_steps: the run is followed to the end of the epoch in which they are taken.

    Raises:
        UsageError: another problem, results of the original, or an optimizer that is gone.
    """
    config = run.config
    if config.problem not in MINIMA:
        raise UsageError(f"{config.problem} has no trajectory; there are: {', '.join(MINIMA)}.")
    if provenance_of(run) in (OFFICIAL, ORIGINAL):
        raise UsageError(f"{config.problem}: runs of the original DeepOBS cannot be repeated here.")
    problem = load_problem(config.problem)
    build = optimizer_of(config, problem)
    points: list[Point] = []

    def build_watched(model: nn.Module) -> Any:
        """Return the optimizer, whose every step leaves a point."""
        optimizer = build(model)
        step = optimizer.step
        u, v = model.parameters()

        def watched(*args: Any, **kwargs: Any) -> Any:
            result = step(*args, **kwargs)
            points.append((u.item(), v.item()))
            return result

        optimizer.step = watched
        points.append((u.item(), v.item()))
        return optimizer

    records = train(problem, build_watched, config=config, execution=Execution(device="cpu"))
    values: list[float] = []
    for _, record in zip(run.records, records, strict=False):
        values.append(record.metrics["test"]["objective"])
        if len(points) > most_steps:
            break
    way = np.array(points)  # (steps + 1, 2)
    complete = len(values) == len(run.records)
    stored = final_value(run, TEST_OBJECTIVE)
    return Trajectory(
        points=way,
        values=surface(problem, way[:, 0], way[:, 1]),
        repeated=not complete or bool(np.isclose(values[-1], stored, rtol=1e-4, equal_nan=True)),
        complete=complete,
    )


def names_code(run: RunResult) -> bool:
    """Whether to follow a run is to import the file or package that its result names."""
    return ":" in run.config.optimizer


def try_to_follow(run: RunResult, most_steps: int = MOST_STEPS) -> Trajectory | str:
    """Return the way of a run, see `follow`, or why there is none, in one line.

    The optimizer may be a user's file as it is today, which can raise anything. A reason, unlike
    some exceptions, can be sent from any process.

    Args:
        run: with a record.
        most_steps: as for `follow`.
    """
    try:
        return follow(run, most_steps)
    except (UsageError, ProblemError) as error:
        return str(error)
    except (Exception, SystemExit) as error:  # SystemExit: of a file that is a script as well
        return " ".join(f"{type(error).__name__}: {error}".split())


def surface(problem: Problem, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the noise-free function of a problem of two parameters at points, elementwise."""
    model: Any = problem.model()
    with torch.no_grad():
        values: np.ndarray = model.value(torch.from_numpy(u), torch.from_numpy(v)).numpy()
    return values
