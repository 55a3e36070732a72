"""A physics-informed network: full batch, second derivatives in the loss, double precision.

Müller and Zeinhofer, ICML 2023 (arXiv 2302.13163): -Δu = f on the unit square, u = 0 on its
boundary, with the solution u = sin(πx₁) sin(πx₂).
"""

from __future__ import annotations

import math
from types import MappingProxyType

from torch import Tensor

from deepobs_data import Batch, poisson
from deepobs_models import LaplacianMLP
from deepobs_problems.problem import Defaults, Problem, Reference
from deepobs_problems.stand_in import stand_in

MEAN_SQUARE = (199 / 396) ** 2
"""Mean of the squared solution over the test points."""


def poisson_loss(output: Tensor, batch: Batch) -> Tensor:
    """Weighted squared residuals of equation and boundary, `(B,)`.

    `output` is value and Laplacian `(B, 2)`; `batch.y` `(B, 3)` are the weights of equation and
    boundary, and the solution, from which the source f = 2π²u follows.
    """
    value, laplacian = output.unbind(dim=1)
    equation, boundary, solution = batch.y.unbind(dim=1)
    residual = laplacian + 2 * math.pi**2 * solution
    return equation * residual.square() + boundary * value.square()


def relative_squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Squared error of the value, relative to the mean squared solution: `(B,)`."""
    return (output[:, 0] - batch.y[:, 2]).square() / MEAN_SQUARE


PROBLEMS = (
    Problem(
        name="poisson_pinn",
        data=poisson,
        stand_in=stand_in("poisson", 900),
        model=LaplacianMLP,
        loss=poisson_loss,
        metrics=MappingProxyType({"relative_squared_error": relative_squared_error}),
        roots=MappingProxyType({"relative_error": "relative_squared_error"}),
        stock_loss=None,
        # 30,000 steps.
        defaults=Defaults(900, 60, precision="fp64", reference=Reference("Adam", {"lr": 1e-3})),
        tags=frozenset({"synthetic", "cheap", "full-batch", "pinn", "per-example-safe"}),
    ),
)
