"""The tables of a report, and their names, without an import of what makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepobs_runner.extensions import Extensions

if TYPE_CHECKING:
    from deepobs_runner.report.data import Study
    from deepobs_runner.report.table import Table

TABLES: Extensions[Callable[[Study], Table]] = Extensions(
    "table",
    "deepobs_runner.report.tables",
    callable,
    shared={
        "final": "final",
        "verdict": "comparison",
        "times": "comparison",
        "speedup": "comparison",
        "paired": "comparison",
        "profiles": "comparison",
        "sensitivity": "tuning",
        "rates": "tuning",
        "tuning": "tuning",
        "divergence": "tuning",
        "cost": "cost",
        "trials": "cost",
        "seeds": "tuning",
        "settings": "final",
        "runs": "final",
        "environment": "environment",
    },
)
"""Functions from a study to a table, in the order of a report; a module may define its `TABLE`."""
