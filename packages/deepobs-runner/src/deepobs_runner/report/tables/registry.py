"""The tables there are, by the names they have on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepobs_runner.report.data import Study
from deepobs_runner.report.table import Table
from deepobs_runner.report.tables import comparison, cost, final, tuning
from deepobs_runner.report.tables.environment import environment_table

TABLES: Mapping[str, Callable[[Study], Table]] = MappingProxyType(
    {
        "final": final.final_table,
        "verdict": comparison.verdict_table,
        "times": comparison.times_table,
        "speedup": comparison.speedup_table,
        "paired": comparison.paired_table,
        "profiles": comparison.profiles_table,
        "sensitivity": tuning.sensitivity_table,
        "rates": tuning.rates_table,
        "tuning": tuning.tuning_table,
        "divergence": tuning.divergence_table,
        "cost": cost.cost_table,
        "trials": cost.trials_table,
        "seeds": tuning.seeds_table,
        "settings": final.settings_table,
        "runs": final.runs_table,
        "environment": environment_table,
    }
)
"""A function from a study to a table for each kind; `cli.TABLE_KINDS` repeats the names."""
