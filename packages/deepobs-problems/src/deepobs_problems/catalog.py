"""The catalog: one entry a problem."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

from torch import nn

from deepobs_data import fmnist, quadratic
from deepobs_models import LogisticRegression, Net2c2d, Quadratic
from deepobs_problems.hessian import quadratic_deep_hessian
from deepobs_problems.losses import model_output
from deepobs_problems.problem import NO_METRICS, Defaults, Problem


def quadratic_deep_model() -> nn.Module:
    """Return the 100-dimensional quadratic with its Hessian in the default dtype."""
    return Quadratic(quadratic_deep_hessian())


_PROBLEMS = (
    Problem(
        name="fmnist_logreg",
        data=fmnist,
        model=partial(LogisticRegression, 10),
        defaults=Defaults(epochs=50),
    ),
    Problem(name="fmnist_2c2d", data=fmnist, model=partial(Net2c2d, 10)),
    Problem(
        name="quadratic_deep",
        data=quadratic,
        model=quadratic_deep_model,
        loss=model_output,
        metrics=NO_METRICS,
        stock_loss=None,
    ),
)

CATALOG: Mapping[str, Problem] = MappingProxyType({p.name: p for p in _PROBLEMS})
"""All problems by name, in the order of the table."""

SUITES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"synthetic": ("quadratic_deep",), "all": tuple(CATALOG)}
)
"""Names of the problems of each suite."""
