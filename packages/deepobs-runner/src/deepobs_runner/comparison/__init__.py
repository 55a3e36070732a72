"""The comparison of optimizers: targets, times, speedups, tests and verdicts, as numbers.

Everything takes the settings that `analysis.tuned_settings` returns, or ordinary `RunResult`s, and
returns frozen dataclasses with `rows()`. docs/statistics.md says what each number means.
"""

from deepobs_runner.comparison.fairness import (
    Agreement,
    Difference,
    ForeignTarget,
    agreement,
    differences,
    foreign_targets,
)
from deepobs_runner.comparison.paired import Paired, compare_paired
from deepobs_runner.comparison.pairs import choose_pairs
from deepobs_runner.comparison.profiles import Profile, Profiles, performance_profiles
from deepobs_runner.comparison.rank_tests import hodges_lehmann, holm, signed_rank_p
from deepobs_runner.comparison.speedup import ProblemSpeedup, Speedup, speedup
from deepobs_runner.comparison.targets import (
    CONVERGENCE,
    Target,
    convergence_target,
    target_among,
    target_of,
)
from deepobs_runner.comparison.time_to_target import (
    Speed,
    Times,
    comparable_times,
    published_speed,
    survival_median,
    times_to_target,
)
from deepobs_runner.comparison.verdict import Verdict, judge, judge_settings
from deepobs_runner.config import Unit

__all__ = [
    "CONVERGENCE",
    "Agreement",
    "Difference",
    "ForeignTarget",
    "Paired",
    "ProblemSpeedup",
    "Profile",
    "Profiles",
    "Speed",
    "Speedup",
    "Target",
    "Times",
    "Unit",
    "Verdict",
    "agreement",
    "choose_pairs",
    "comparable_times",
    "compare_paired",
    "convergence_target",
    "differences",
    "foreign_targets",
    "hodges_lehmann",
    "holm",
    "judge",
    "judge_settings",
    "performance_profiles",
    "published_speed",
    "signed_rank_p",
    "speedup",
    "survival_median",
    "target_among",
    "target_of",
    "times_to_target",
]
