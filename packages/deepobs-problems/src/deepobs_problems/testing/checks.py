"""The checks of `testing.check_problem`: each returns a message or raises one.

A check that does not apply to a problem returns None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepobs_problems.testing import behaviour, definition
from deepobs_problems.testing.case import Case

CHECKS: Mapping[str, Callable[[Case], str | None]] = MappingProxyType(
    {
        "data": definition.check_data,
        "model": definition.check_model,
        "loss": definition.check_loss,
        "metrics": definition.check_metrics,
        "l2": definition.check_l2,
        "evaluation": behaviour.check_evaluation,
        "rows": behaviour.check_rows,
        "stock_loss": behaviour.check_stock_loss,
        "state_dict": behaviour.check_state_dict,
        "state": behaviour.check_state,
        "per_example": behaviour.check_per_example,
        "definition": definition.check_definition,
        "training": behaviour.check_training,  # last: it changes the model
    }
)
"""All checks by name, in the order they are made."""

NEEDED = (definition.check_data, definition.check_model, definition.check_loss)
"""Checks without which the others make no sense."""
