"""The comparison of two optimizers: how fast, how good, and how fairly."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from deepobs_runner.analysis.bootstrap import check_level
from deepobs_runner.analysis.tuned import find, optimizers_of, tuned_settings
from deepobs_runner.comparison.estimate import Estimate, holm
from deepobs_runner.comparison.fairness import (
    Agreement,
    Difference,
    ForeignTarget,
    agreement,
    differences,
    foreign_targets,
)
from deepobs_runner.comparison.overall import GeometricMean, geometric_mean, improvement
from deepobs_runner.comparison.pairs import Pairs
from deepobs_runner.comparison.problem_comparison import ProblemComparison, compare_on_problem
from deepobs_runner.comparison.targets import Target, targets_of
from deepobs_runner.config import Unit
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Comparison of two optimizers over all problems.

    Attributes:
        optimizer: label.
        reference: label of the reference.
        unit: unit of time.
        level: confidence level of the intervals.
        problems: the comparison on each problem on which one of them has runs.
        improvement: probability that a run of the optimizer is the faster one, over all problems;
            0.5 if both are equal; None with times on fewer than two problems.
        mean: geometric mean speedup; None where a mean is meaningless, see `geometric_mean`.
        differences: what else differs between the two.
        foreign: problems with targets from runs of another recipe or other data.
        agreement: what is equal between the two, and what is not known of both.
        known: labels of all optimizers among the results.
    """

    optimizer: str
    reference: str
    unit: Unit
    level: float
    problems: tuple[ProblemComparison, ...]
    improvement: Estimate | None
    mean: GeometricMean | None
    differences: tuple[Difference, ...]
    foreign: tuple[ForeignTarget, ...]
    agreement: Agreement
    known: tuple[str, ...]

    @property
    def speedup_counts(self) -> Mapping[str, int]:
        """On how many problems the speedup has which status."""
        return Counter(line.speedup_status for line in self.problems)

    @property
    def final_counts(self) -> Mapping[str, int]:
        """On how many problems the difference of final values has which status."""
        return Counter(line.final_status for line in self.problems)

    @property
    def geometric_mean(self) -> Estimate | None:
        """Geometric mean speedup with its interval over seeds."""
        return None if self.mean is None else self.mean.seeds

    @property
    def over_problems(self) -> tuple[float, float] | None:
        """Interval of the geometric mean speedup over problems."""
        return None if self.mean is None else self.mean.problems

    @property
    def leave_one_out(self) -> tuple[float, float] | None:
        """Least and greatest geometric mean speedup without one of the problems."""
        return None if self.mean is None else self.mean.leave_one_out


def judge(
    results: Iterable[RunResult],
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
) -> Verdict:
    """Verdict on two optimizers at their tuned settings.

    Its p-values are corrected for all tests of this verdict. Where several verdicts are read
    together, correct them together with `correct`.

    Args:
        results: results of any problems and optimizers; may include official results.
        optimizer: its label, see `Setting.optimizer`.
        reference: label of the reference.
        unit: unit of time.
        level: confidence level of the intervals.

    Returns:
        Verdict with one line per problem, and estimates over all problems.

    Raises:
        UsageError: a level outside (0, 1), or an unknown unit.
    """
    problems = tuned_settings(results)
    targets = {problem: targets_of(problem, tuned) for problem, tuned in problems.items()}
    return judge_settings(
        problems,
        {problem: found.main for problem, found in targets.items()},
        optimizer,
        reference,
        unit=unit,
        level=level,
        other_targets={problem: found.others for problem, found in targets.items()},
    )


def judge_settings(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    other_targets: Mapping[str, Mapping[str, Target | None]] = MappingProxyType({}),
) -> Verdict:
    """Verdict of `judge` where tuned settings and targets are known, by problem.

    `other_targets` holds easier and harder targets of a problem, by their names.
    """
    check_level(level)
    pair = [optimizer, reference]
    lines = tuple(
        compare_on_problem(
            problem,
            listed,
            targets.get(problem),
            optimizer,
            reference,
            unit=unit,
            level=level,
            other_targets=other_targets.get(problem, {}),
        )
        for problem, listed in problems.items()
        if any(find(listed, label) for label in pair)
    )
    verdict = Verdict(
        optimizer=optimizer,
        reference=reference,
        unit=unit,
        level=level,
        problems=lines,
        improvement=improvement(lines, level),
        mean=None,
        differences=tuple(differences(problems, pair)),
        foreign=tuple(foreign_targets(problems, targets, pair)),
        agreement=agreement(problems, pair),
        known=tuple(optimizers_of(problems)),
    )
    return correct([verdict])[0]


def judge_pairs(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    pairs: Pairs,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    other_targets: Mapping[str, Mapping[str, Target | None]] = MappingProxyType({}),
) -> tuple[Verdict, ...]:
    """Verdicts of `judge_settings` on pairs, each on its problems; corrected for all tests."""
    return correct(
        [
            judge_settings(
                {name: problems[name] for name in names},
                targets,
                *pair,
                unit=unit,
                level=level,
                other_targets=other_targets,
            )
            for pair, names in pairs.items()
        ]
    )


def correct(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Verdicts with p-values corrected by `holm` over all their tests.

    These are the speedup and the difference of final values of every line, and the probability of
    improvement and the geometric mean of every verdict. A mean is refused where lines are decided
    for different sides, so it is made after a first correction without the means.
    """
    lines = _correct([replace(verdict, mean=None) for verdict in verdicts])
    means = [replace(v, mean=geometric_mean(v.problems, v.level)) for v in lines]
    return tuple(_correct(means))


def _correct(verdicts: Sequence[Verdict]) -> list[Verdict]:
    every = [estimate for verdict in verdicts for estimate in _estimates(verdict)]
    tested = [e for e in every if e is not None and not math.isnan(e.p)]
    corrected = iter(holm([e.p for e in tested]).tolist())

    def next_of(estimate: Estimate | None) -> Estimate | None:
        """Estimate with its corrected p-value, in the order of `_estimates`."""
        if estimate is None or math.isnan(estimate.p):
            return estimate
        return replace(estimate, p_corrected=next(corrected))

    found = []
    for verdict in verdicts:
        lines = tuple(
            replace(line, speedup=next_of(line.speedup), final=next_of(line.final))
            for line in verdict.problems
        )
        better = next_of(verdict.improvement)
        seeds = next_of(verdict.geometric_mean)
        mean = None
        if verdict.mean is not None and seeds is not None:
            mean = verdict.mean._replace(seeds=seeds)
        found.append(replace(verdict, problems=lines, improvement=better, mean=mean))
    return found


def _estimates(verdict: Verdict) -> list[Estimate | None]:
    lines = [e for line in verdict.problems for e in (line.speedup, line.final)]
    return [*lines, verdict.improvement, verdict.geometric_mean]
