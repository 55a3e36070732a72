"""The problem under test and the report of findings, shared by all checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepobs_data import Batch, Dataset
from deepobs_problems.evaluation import evaluation_mode
from deepobs_problems.problem import Problem


class FailedCheckError(Exception):
    """A check failed; the message names the finding and the fix."""


@dataclass
class Case:
    """A problem under test; `dataset`, `batch` and `model` are filled in by the first checks."""

    problem: Problem
    examples: int
    seed: int
    data: Callable[[], Dataset]
    dataset: Dataset = field(init=False)
    batch: Batch = field(init=False)
    model: nn.Module = field(init=False)

    def build_model(self, offset: int = 0) -> nn.Module:
        """Model initialised from the seed plus `offset`."""
        torch.default_generator.manual_seed(self.seed + offset)
        return self.problem.build_model(self.dataset)

    def evaluation_losses(self, model: nn.Module, batch: Batch) -> Tensor:
        """Losses in evaluation mode, without gradients."""
        with evaluation_mode(model), torch.no_grad():
            return self.problem.losses(model, batch)[0]

    def forward(self, mode: str) -> Any:
        """Model's output for the batch, in "training" or in "evaluation".

        Raises:
            FailedCheckError: the model cannot take the batch.
        """
        with evaluation_mode(self.model), torch.no_grad():
            self.model.train(mode == "training")
            try:
                return self.problem.forward(self.model, self.batch, None)[0]
            except Exception as error:
                raise FailedCheckError(
                    f"In {mode}, the model cannot take inputs {shape(self.batch.x)} "
                    f"{self.batch.x.dtype}: {type(error).__name__}: {error}"
                ) from error


def rows_of(batch: Batch) -> list[Batch]:
    """Each example of a batch as a batch of one."""
    return [Batch(batch.x[i : i + 1], batch.y[i : i + 1]) for i in range(len(batch.x))]


def close(actual: Tensor, expected: Tensor, single: float = 1e-4) -> bool:
    """Whether values agree as well as another order of summation leaves them, to the largest.

    Args:
        actual: what was found.
        expected: expected values, of the same shape.
        single: relative tolerance in single precision; in double it is 1e-9.
    """
    tolerance = 1e-9 if expected.dtype == torch.float64 else single
    difference = (actual - expected).abs().max().item()
    return difference <= tolerance * max(expected.abs().max().item(), 1e-6)


def shape(value: Any) -> str:
    """Shape of a tensor, the shapes of a tuple of them, or the type of anything else."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    if isinstance(value, tuple | list):
        return f"[{', '.join(shape(part) for part in value)}]"
    return f"a {type(value).__name__}"


def listed(names: list[str], most: int = 3) -> str:
    """First names of a list, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def arrow(values: list[float]) -> str:
    """Numbers as `1.5 -> 1.4 -> 1.3`."""
    return " -> ".join(f"{value:.6g}" for value in values)
