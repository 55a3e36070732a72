"""The tables there are, by the names they have on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepobs_runner.report import comparing, ends, ledgers, tuning
from deepobs_runner.report.data import Study
from deepobs_runner.report.tables.environment import environment_table
from deepobs_runner.report.tables.table import Table

TABLES: Mapping[str, Callable[[Study], Table]] = MappingProxyType(
    {
        "final": ends.final_table,
        "verdict": comparing.verdict_table,
        "times": comparing.times_table,
        "speedup": comparing.speedup_table,
        "paired": comparing.paired_table,
        "profiles": comparing.profiles_table,
        "sensitivity": tuning.sensitivity_table,
        "rates": tuning.rates_table,
        "tuning": tuning.tuning_table,
        "divergence": tuning.divergence_table,
        "cost": ledgers.cost_table,
        "trials": ledgers.trials_table,
        "seeds": tuning.seeds_table,
        "settings": ends.settings_table,
        "runs": ends.runs_table,
        "environment": environment_table,
    }
)
"""A function from a study to a table for each kind; `cli.TABLE_KINDS` repeats the names."""
