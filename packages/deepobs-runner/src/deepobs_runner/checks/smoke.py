"""Smoke test: a few training steps of many problems on stand-in data; writes no files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from deepobs_problems import CATALOG, Problem
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.plans.estimate import cut_dataset
from deepobs_runner.plans.problem_table import catalog_rows, shipped_rows
from deepobs_runner.runs.resolve import optimizer_of, resolve_config
from deepobs_runner.training.data import load_data
from deepobs_runner.training.loop import train

SECONDS = 10.0
STEPS = 2
ROWS = 4
"""Examples of a batch, and of each split that is evaluated: enough to run all code."""

MOST_PARAMETERS = 20_000_000
"""Larger networks are left out: one alone may take all the time."""

COSTS = ("cheap", "medium", "expensive")
"""Tags of the catalog."""


@dataclass(frozen=True, kw_only=True)
class Smoke:
    """The outcome of a problem.

    Attributes:
        problem: its name.
        status: `left out` where the time was over, or the network is too large.
        seconds: that it took.
        reason: why it failed or was left out.
    """

    problem: str
    status: Literal["ok", "failed", "left out"]
    seconds: float = 0.0
    reason: str = ""


def candidates() -> tuple[list[Problem], list[Smoke]]:
    """Problems of the catalog, cheapest first, and problems that are too large."""
    rows = shipped_rows() or catalog_rows()
    rows.sort(key=lambda row: (_cost(row["tags"]), row["parameters"]))
    small = [CATALOG[row["problem"]] for row in rows if row["parameters"] <= MOST_PARAMETERS]
    large = [
        Smoke(
            problem=row["problem"],
            status="left out",
            reason=f"networks of more than {MOST_PARAMETERS:,} parameters",
        )
        for row in rows
        if row["parameters"] > MOST_PARAMETERS
    ]
    return small, large


def _cost(tags: Iterable[str]) -> int:
    return next(number for number, tag in enumerate(COSTS) if tag in tags)


def smoke_test(
    problems: Sequence[Problem],
    *,
    device: str = "auto",
    seconds: float = SECONDS,
    on_end: Callable[[Smoke], object] = lambda smoke: None,
) -> list[Smoke]:
    """Train each problem for a few SGD steps and evaluate it; return the outcomes.

    A problem starts only if it can finish in time, judged by the slowest problem so far.

    Args:
        problems: in this order, the cheapest first.
        device: device to run on.
        seconds: time for all together, in seconds.
        on_end: called with each as soon as it is over.
    """
    _step_once()
    begun, slowest = time.perf_counter(), 0.0
    ended = []
    for problem in problems:
        left = seconds - (time.perf_counter() - begun)
        if left < slowest or left <= 0:
            reason = f"{seconds:g} s are over"
            smoke = Smoke(problem=problem.name, status="left out", reason=reason)
        else:
            smoke = _try(problem, device)
            slowest = max(slowest, smoke.seconds)
        ended.append(smoke)
        on_end(smoke)
    return ended


def _step_once() -> None:
    """Take an empty step, since the first one makes torch import its compiler."""
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    torch.optim.SGD([weight], lr=0.1).step()


def _try(problem: Problem, device: str) -> Smoke:
    begun = time.perf_counter()
    try:
        reason = _train(problem, device)
    except Exception as error:  # whatever is broken here is what is asked for
        reason = f"{type(error).__name__}: {error}"
    return Smoke(
        problem=problem.name,
        status="failed" if reason else "ok",
        seconds=time.perf_counter() - begun,
        reason=reason,
    )


def _train(problem: Problem, device: str) -> str:
    """Take the steps; return what is wrong with the numbers, "" if nothing is."""
    config = resolve_config(
        RunConfig(
            problem=problem.name,
            optimizer="SGD",
            hyperparams={"lr": 1e-4},
            batch_size=ROWS,
            steps=STEPS,
            data="synthetic",
        ),
        problem,
    )
    execution = Execution(device=device)
    dataset = cut_dataset(load_data(problem, config, execution), STEPS * ROWS, ROWS)
    small = replace(problem, hardware=replace(problem.hardware, evaluation_batch=ROWS))
    records = train(
        small, optimizer_of(config, small), config=config, execution=execution, dataset=dataset
    )
    for record in records:
        if not record.finite:
            return f"the objective after {record.steps} steps is not finite"
    return ""
