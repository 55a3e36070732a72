"""The tables of a report, and their names, without an import of what makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from deepobs_runner.extensions import Extensions

if TYPE_CHECKING:
    from deepobs_runner.report.data import ReportData
    from deepobs_runner.report.table import Table

TABLES: Extensions[Callable[[ReportData], Table]] = Extensions(
    "table",
    "deepobs_runner.report.tables",
    callable,
    shared={
        "final": "final",
        "verdict": "comparison",
        "times": "comparison",
        "speedup": "comparison",
        "difference": "comparison",
        "equivalence": "equivalence",
        "ranks": "comparison",
        "profiles": "comparison",
        "sensitivity": "tuning",
        "rates": "tuning",
        "tuning": "tuning",
        "search": "tuning",
        "divergence": "tuning",
        "cost": "cost",
        "trials": "cost",
        "settings": "final",
        "runs": "final",
        "environment": "environment",
    },
)
"""Functions from the data of a report to a table, in its order; a module may define its `TABLE`."""
