"""Defaults of problems and common optimizers, known without importing torch.

Labels and fairness checks need them for every result, and loading a problem or an optimizer imports
torch, which takes longer than a figure. Tests compare them with the real ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points, version
from importlib.resources import files
from types import MappingProxyType
from typing import Any

SGD: Mapping[str, Any] = MappingProxyType(
    {
        "lr": 0.001, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False,
        "maximize": False, "foreach": None, "differentiable": False, "fused": None,
    }
)  # fmt: skip
ADAM: Mapping[str, Any] = MappingProxyType(
    {
        "lr": 0.001, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0, "amsgrad": False,
        "foreach": None, "maximize": False, "capturable": False, "differentiable": False,
        "fused": None,
    }
)  # fmt: skip
OPTIMIZERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "SGD": SGD,
        "Momentum": {**SGD, "momentum": 0.99},
        "Adam": {**ADAM, "decoupled_weight_decay": False},
        "AdamW": {**ADAM, "weight_decay": 0.01},
    }
)
"""Defaults of hyperparameters as JSON values, by optimizer."""


@cache
def problem_row(problem: str) -> Mapping[str, Any] | None:
    """Row of `problems.json` for a problem of the catalog.

    None if the table was made for another version of deepobs-problems, or another package claims
    the name.
    """
    row = _rows().get(problem)
    if row is None or problem in {point.name for point in entry_points(group="deepobs.problems")}:
        return None
    return MappingProxyType(row)


@cache
def _rows() -> dict[str, dict[str, Any]]:
    table = json.loads((files("deepobs_runner") / "problems.json").read_text(encoding="utf-8"))
    if table["deepobs-problems"] != version("deepobs-problems"):
        return {}
    return {row["problem"]: row for row in table["rows"]}
