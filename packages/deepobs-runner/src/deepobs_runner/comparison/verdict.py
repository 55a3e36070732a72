"""The comparison of two optimizers: how fast, how good, and how fairly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from deepobs_runner.analysis.tuned import optimizers_of, tuned_settings
from deepobs_runner.comparison.fairness import (
    Agreement,
    Difference,
    ForeignTarget,
    agreement,
    differences,
    foreign_targets,
)
from deepobs_runner.comparison.paired import Paired, compare_paired
from deepobs_runner.comparison.speedup import Options, Speedup, speedup
from deepobs_runner.comparison.targets import Target, target_among
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the results say about two optimizers.

    Attributes:
        speed: how many times as fast the optimizer reaches the targets.
        paired: how much better it ends, by problem; empty where they share no problem.
        differences: in what else the two differ.
        foreign: whose targets were set by runs of another recipe or other data.
        agreement: what is equal between the two, and what is not known of both.
        known: labels of all optimizers among the results.
    """

    speed: Speedup
    paired: tuple[Paired, ...]
    differences: tuple[Difference, ...]
    foreign: tuple[ForeignTarget, ...]
    agreement: Agreement
    known: tuple[str, ...]


def judge(
    results: Iterable[RunResult], optimizer: str, reference: str, **options: Unpack[Options]
) -> Verdict:
    """Return the verdict on two optimizers at their tuned settings.

    Args:
        results: of any problems and optimizers, official ones among them or not.
        optimizer: its label, see `Setting.optimizer`.
        reference: label of what it is compared with.
        options: unit, level, resamples, seed and wanted, see `speedup`.

    Raises:
        UsageError: as `speedup`.
    """
    problems = tuned_settings(results)
    targets = {problem: target_among(problem, tuned) for problem, tuned in problems.items()}
    return judge_settings(problems, targets, optimizer, reference, **options)


def judge_settings(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    optimizer: str,
    reference: str,
    **options: Unpack[Options],
) -> Verdict:
    """Return the verdict of `judge` where tuned settings and targets are known, by problem."""
    speed = speedup(problems, targets, optimizer, reference, **options)
    pair = [optimizer, reference]
    return Verdict(
        speed=speed,
        paired=tuple(compare_paired(problems, optimizer, reference, level=speed.level)),
        differences=tuple(differences(problems, pair)),
        foreign=tuple(foreign_targets(problems, targets, pair)),
        agreement=agreement(problems, pair),
        known=tuple(optimizers_of(problems)),
    )
