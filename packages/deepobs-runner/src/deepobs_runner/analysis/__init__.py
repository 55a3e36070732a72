"""Numbers of one optimizer: pure functions from results to small tables.

Everything takes ordinary `RunResult`s, loaded from a folder or shipped, and returns frozen
dataclasses with `rows()`. docs/statistics.md explains each number and its limits.
"""

from deepobs_runner.analysis.curves import Band, curve_band
from deepobs_runner.analysis.first_epochs import Reading, first_epochs
from deepobs_runner.analysis.metrics import (
    Divergence,
    End,
    Metric,
    best_value,
    divergence_rate,
    final_value,
    is_diverged,
    metric_of,
    summarize_end,
)
from deepobs_runner.analysis.power import detectable, seeds_for_power, welch_power
from deepobs_runner.analysis.sensitivity import (
    Sensitivity,
    Window,
    learning_rate_sensitivity,
    near_best,
    sensitivity_of,
)
from deepobs_runner.analysis.tuned import candidates, choose, optimizers_of, tuned_settings
from deepobs_runner.analysis.tuning_curve import TuningCurve, expected_best, expected_search

__all__ = [
    "Band",
    "Divergence",
    "End",
    "Metric",
    "Reading",
    "Sensitivity",
    "TuningCurve",
    "Window",
    "best_value",
    "candidates",
    "choose",
    "curve_band",
    "detectable",
    "divergence_rate",
    "expected_best",
    "expected_search",
    "final_value",
    "first_epochs",
    "is_diverged",
    "learning_rate_sensitivity",
    "metric_of",
    "near_best",
    "optimizers_of",
    "seeds_for_power",
    "sensitivity_of",
    "summarize_end",
    "tuned_settings",
    "welch_power",
]
