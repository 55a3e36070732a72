"""A physics-informed network of Burgers' equation: its solution becomes steep.

Raissi, Perdikaris and Karniadakis, J. Comput. Phys. 378, 2019: u_t + u u_x = (0.01/π) u_xx, with
u = -sin(πx) at t = 0 and u = 0 at x = ±1.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from torch import Tensor

from deepobs_data import Batch, burgers
from deepobs_models import BurgersMLP
from deepobs_problems.problem import Defaults, Problem, Reference
from deepobs_problems.stand_in import stand_in

MEAN_SQUARE = 0.3774105810532511
"""Mean of the squared solution over the test points."""

_VISCOSITY = 0.01 / math.pi


def burgers_loss(output: Tensor, batch: Batch) -> Tensor:
    """Weighted squared residuals of equation and known values, `(B,)`.

    `output` is u, u_x, u_xx and u_t `(B, 4)`; `batch.y` `(B, 3)` are the weights of equation and
    known value, and the solution.
    """
    u, u_x, u_xx, u_t = output.unbind(dim=1)
    equation, known, solution = batch.y.unbind(dim=1)
    residual = u_t + u * u_x - _VISCOSITY * u_xx
    return equation * residual.square() + known * (u - solution).square()


def relative_squared_error(output: Tensor, batch: Batch) -> Tensor:
    """Squared error of the value, relative to the mean squared solution: `(B,)`."""
    return (output[:, 0] - batch.y[:, 2]).square() / MEAN_SQUARE


PROBLEMS = (
    Problem(
        name="burgers_pinn",
        data=burgers,
        stand_in=stand_in("burgers", 10456),
        model=BurgersMLP,
        loss=burgers_loss,
        metrics=MappingProxyType({"relative_squared_error": relative_squared_error}),
        roots=MappingProxyType({"relative_error": "relative_squared_error"}),
        stock_loss=None,
        # 10,000 steps.
        defaults=Defaults(10456, 40, precision="fp64", reference=Reference("Adam", {"lr": 1e-3})),
        tags=frozenset({"synthetic", "cheap", "full-batch", "pinn", "per-example-safe"}),
    ),
)
