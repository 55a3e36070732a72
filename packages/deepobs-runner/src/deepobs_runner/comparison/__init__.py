"""The comparison of optimizers: targets, times, speedups, tests and verdicts, as numbers.

Everything takes the settings that `analysis.tuned_settings` returns, or ordinary `RunResult`s, and
returns frozen dataclasses with `rows()`. docs/statistics.md explains each number.
"""

from deepobs_runner.analysis.t_tests import student, welch
from deepobs_runner.comparison.equivalence import Equivalence, equivalence_p, equivalences
from deepobs_runner.comparison.estimate import Estimate, holm
from deepobs_runner.comparison.fairness import (
    Agreement,
    Difference,
    ForeignTarget,
    agreement,
    differences,
    foreign_targets,
)
from deepobs_runner.comparison.final_values import final_difference, rank_shift
from deepobs_runner.comparison.overall import GeometricMean, geometric_mean, improvement
from deepobs_runner.comparison.pairs import Pairs, choose_pairs
from deepobs_runner.comparison.problem_comparison import ProblemComparison, compare_on_problem
from deepobs_runner.comparison.profiles import Profile, Profiles, performance_profiles
from deepobs_runner.comparison.ranks import MeanRank, Ranks, mean_ranks
from deepobs_runner.comparison.speedup import speedup_of
from deepobs_runner.comparison.targets import (
    CONVERGENCE,
    Target,
    Targets,
    convergence_target,
    stored_targets,
    target_among,
    target_of,
    targets_of,
)
from deepobs_runner.comparison.time_to_target import (
    Speed,
    Times,
    comparable_times,
    published_speed,
    reaching_window,
    survival_median,
    times_to_target,
)
from deepobs_runner.comparison.verdict import Verdict, correct, judge, judge_pairs, judge_settings
from deepobs_runner.config import Unit

__all__ = [
    "CONVERGENCE",
    "Agreement",
    "Difference",
    "Equivalence",
    "Estimate",
    "ForeignTarget",
    "GeometricMean",
    "MeanRank",
    "Pairs",
    "ProblemComparison",
    "Profile",
    "Profiles",
    "Ranks",
    "Speed",
    "Target",
    "Targets",
    "Times",
    "Unit",
    "Verdict",
    "agreement",
    "choose_pairs",
    "comparable_times",
    "compare_on_problem",
    "convergence_target",
    "correct",
    "differences",
    "equivalence_p",
    "equivalences",
    "final_difference",
    "foreign_targets",
    "geometric_mean",
    "holm",
    "improvement",
    "judge",
    "judge_pairs",
    "judge_settings",
    "mean_ranks",
    "performance_profiles",
    "published_speed",
    "rank_shift",
    "reaching_window",
    "speedup_of",
    "stored_targets",
    "student",
    "survival_median",
    "target_among",
    "target_of",
    "targets_of",
    "times_to_target",
    "welch",
]
