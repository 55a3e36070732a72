"""The statistics of a comparison: pure functions from results to small tables.

Everything takes ordinary `RunResult`s, loaded from a folder or shipped, and returns frozen
dataclasses with `rows()`. docs/statistics.md says what each number means and what it does not.
"""

from deepobs_runner.analysis.curves import Band, curve_band
from deepobs_runner.analysis.divergence import Divergence, divergence_rate
from deepobs_runner.analysis.first_epochs import first_epochs
from deepobs_runner.analysis.metrics import (
    End,
    Metric,
    best_value,
    final_value,
    is_diverged,
    metric_of,
    summarize_end,
)
from deepobs_runner.analysis.sample_size import seeds_for_mean, seeds_for_ratio
from deepobs_runner.analysis.sensitivity import (
    Sensitivity,
    Window,
    learning_rate_sensitivity,
    near_best,
    sensitivity_of,
)
from deepobs_runner.analysis.tuned import candidates, choose, optimizers_of, tuned_settings
from deepobs_runner.analysis.tuning_curve import TuningCurve, expected_best
from deepobs_runner.comparison.fairness import Agreement, agreement, foreign_targets, unequal
from deepobs_runner.comparison.paired import (
    Paired,
    compare_paired,
    hodges_lehmann,
    holm,
    signed_rank_p,
)
from deepobs_runner.comparison.profiles import Profile, Profiles, performance_profiles
from deepobs_runner.comparison.speedup import ProblemSpeedup, Speedup, speedup
from deepobs_runner.comparison.survival import survival_curve, survival_median
from deepobs_runner.comparison.targets import (
    CONVERGENCE,
    Target,
    convergence_target,
    target_of,
)
from deepobs_runner.comparison.time_to_target import (
    Speed,
    Times,
    Unit,
    published_speed,
    times_to_target,
)
from deepobs_runner.comparison.verdict import (
    Verdict,
    judge,
    judge_settings,
    overall_sentence,
    paired_sentence,
    speed_sentence,
)

__all__ = [
    "CONVERGENCE",
    "Agreement",
    "Band",
    "Divergence",
    "End",
    "Metric",
    "Paired",
    "ProblemSpeedup",
    "Profile",
    "Profiles",
    "Sensitivity",
    "Speed",
    "Speedup",
    "Target",
    "Times",
    "TuningCurve",
    "Unit",
    "Verdict",
    "Window",
    "agreement",
    "best_value",
    "candidates",
    "choose",
    "compare_paired",
    "convergence_target",
    "curve_band",
    "divergence_rate",
    "expected_best",
    "final_value",
    "first_epochs",
    "foreign_targets",
    "hodges_lehmann",
    "holm",
    "is_diverged",
    "judge",
    "judge_settings",
    "learning_rate_sensitivity",
    "metric_of",
    "near_best",
    "optimizers_of",
    "overall_sentence",
    "paired_sentence",
    "performance_profiles",
    "published_speed",
    "seeds_for_mean",
    "seeds_for_ratio",
    "sensitivity_of",
    "signed_rank_p",
    "speed_sentence",
    "speedup",
    "summarize_end",
    "survival_curve",
    "survival_median",
    "target_of",
    "times_to_target",
    "tuned_settings",
    "unequal",
]
