"""The comparison of two optimizers in words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepobs_runner.analysis.metrics import Row
from deepobs_runner.analysis.tuned import optimizers_of, tuned_settings
from deepobs_runner.comparison.fairness import Agreement, agreement, foreign_targets, unequal
from deepobs_runner.comparison.paired import Paired, compare_paired
from deepobs_runner.comparison.speedup import ProblemSpeedup, Speedup, speedup
from deepobs_runner.comparison.targets import Target, target_among
from deepobs_runner.comparison.time_to_target import Unit
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count, join


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the results say about two optimizers; every number in it has an interval.

    Attributes:
        speed: how many times as fast the optimizer reaches the targets.
        paired: how much better it ends, by problem; empty where they share no problem.
        overall: one sentence or two.
        lines: one for every problem.
        unequal: what to know before believing it.
        agreement: what is equal between the two, and what is not known of both.
    """

    speed: Speedup
    paired: tuple[Paired, ...]
    overall: str
    lines: tuple[str, ...]
    unequal: tuple[str, ...]
    agreement: Agreement

    def rows(self) -> list[Row]:
        """Return a row for every line, the overall one first."""
        named = zip((p.problem for p in self.speed.problems), self.lines, strict=True)
        return [
            {"problem": "all", "verdict": self.overall},
            *({"problem": problem, "verdict": line} for problem, line in named),
        ]

    def __str__(self) -> str:
        return "\n".join([self.overall, *self.lines, *self.unequal])


def judge(
    results: Iterable[RunResult],
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    wanted: float = 1.2,
) -> Verdict:
    """Return the verdict on two optimizers at their tuned settings.

    Args:
        results: of any problems and optimizers, official ones among them or not.
        optimizer: its label, see `Setting.optimizer`.
        reference: label of what it is compared with.
        unit: in which time is counted.
        level: of all intervals.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        wanted: an undecided problem needs more seeds until the interval of its speed-up reaches
            from the ratio over this to the ratio times it.

    Raises:
        UsageError: a level outside (0, 1), no resamples, wanted not above 1, no such unit.
    """
    problems = tuned_settings(results)
    targets = {problem: target_among(problem, tuned) for problem, tuned in problems.items()}
    return judge_settings(
        problems,
        targets,
        optimizer,
        reference,
        unit=unit,
        level=level,
        resamples=resamples,
        seed=seed,
        wanted=wanted,
    )


def judge_settings(
    problems: Mapping[str, Sequence[Setting]],
    targets: Mapping[str, Target | None],
    optimizer: str,
    reference: str,
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    wanted: float = 1.2,
) -> Verdict:
    """Return the verdict of `judge` where settings and targets are known.

    Args:
        problems: as `tuned_settings` returns them.
        targets: by problem.
        optimizer: as for `judge`, and so are the others.
        reference: label of what it is compared with.
        unit: in which time is counted.
        level: of all intervals.
        resamples: bootstrap samples.
        seed: of the bootstrap.
        wanted: ratio that the intervals of undecided problems should reach.

    Raises:
        UsageError: as `judge`.
    """
    speed = speedup(
        problems,
        targets,
        optimizer,
        reference,
        unit=unit,
        level=level,
        resamples=resamples,
        seed=seed,
        wanted=wanted,
    )
    paired = tuple(compare_paired(problems, optimizer, reference, level=level))
    by_problem = {entry.problem: entry for entry in paired}
    known = optimizers_of(problems)
    missing = [label for label in (optimizer, reference) if label not in known]
    return Verdict(
        speed=speed,
        paired=paired,
        overall=_unknown(missing, known) if missing else overall_sentence(speed),
        lines=tuple(
            f"{line.problem}: {speed_sentence(line, unit)} "
            f"{paired_sentence(by_problem.get(line.problem))}".rstrip()
            for line in speed.problems
        ),
        unequal=(
            *unequal(problems, [optimizer, reference]),
            *foreign_targets(problems, targets, [optimizer, reference]),
        ),
        agreement=agreement(problems, [optimizer, reference]),
    )


def _unknown(missing: Sequence[str], known: Sequence[str]) -> str:
    there = f"there are results of {join(list(known))}" if known else "there are no results"
    return f"No verdict: no run of {join(missing)} has a record; {there}."


def overall_sentence(speed: Speedup) -> str:
    """Return the verdict over all problems: the geometric mean, where it holds, what is missing."""
    used, total = len(speed.used), len(speed.problems)
    problems = count(total, "problem")
    if not total:
        return f"No verdict: no problem has runs of {speed.optimizer} or {speed.reference}."
    if used:
        text = (
            f"{speed.optimizer} reaches the target {ratio_number(speed.ratio)} times as fast as "
            f"{speed.reference} {ratio_bracket(speed.low, speed.high)} on {used} of {problems}"
        )
    else:
        text = (
            f"No verdict on the speed of {speed.optimizer} against {speed.reference}: none of "
            f"{problems} has a speed-up with an interval"
        )
    if used and not (speed.low > 1 or speed.high < 1):
        text += ", which leaves open which is faster"
    text += "".join(f"; {words}" for words in _left_out(speed))
    needs = [line.more_seeds for line in speed.problems if line.more_seeds]
    if needs:
        noun = "seed" if max(needs) == 1 else "seeds"
        amount = str(needs[0]) if min(needs) == max(needs) else f"{min(needs)} to {max(needs)}"
        text += f"; {len(needs)} {'needs' if len(needs) == 1 else 'need'} {amount} more {noun}"
    return text + "."


def _left_out(speed: Speedup) -> list[str]:
    """Return what became of the problems that are not in the mean."""
    groups: dict[str, list[str]] = {}
    for line in speed.problems:
        medians = [times.median for times in (line.times, line.reference_times) if times]
        if not line.excluded:
            continue
        if len(medians) < 2 or not any(map(math.isinf, medians)):
            words = "{} cannot be judged"
        elif line.too_short:
            other = line.reached_by[0]
            words = f"on {{}} the runs of {line.too_short} end before {other} reaches it"
        elif line.reached_by:
            words = f"on {{}} only {line.reached_by[0]} reaches it in half of its runs"
        else:
            words = "on {} neither reaches it in half of its runs"
        groups.setdefault(words, []).append(line.problem)
    return [words.format(join(names)) for words, names in groups.items()]


def speed_sentence(line: ProblemSpeedup, unit: Unit = "epochs") -> str:
    """Return the verdict on the speed on one problem."""
    if line.excluded:
        text = f"no speed-up of {line.optimizer} over {line.reference}: {line.excluded}"
        if line.more_seeds:
            text += f"; {line.more_seeds} more {'is' if line.more_seeds == 1 else 'are'} needed"
        return text + "."
    if line.times is None or line.reference_times is None:
        return "no runs."
    counted = line.times.counted.replace("_", " ")
    if line.times.counted != unit:
        counted += f", as {unit.replace('_', ' ')} are not recorded"
    text = (
        f"{line.optimizer} reaches the target ({line.target}) {ratio_number(line.ratio)} times "
        f"as fast as {line.reference} {ratio_bracket(line.low, line.high)} "
        f"(after {number(line.times.median)} and {number(line.reference_times.median)} {counted})"
    )
    censored = [
        f"{int((~times.reached).sum())} of {len(times.times)} runs of {label} do not reach it"
        for times, label in (
            (line.times, line.optimizer),
            (line.reference_times, line.reference),
        )
        if not times.reached.all()
    ]
    if censored:
        text += "; " + ", ".join(censored)
    if not line.decided:
        text += "; this leaves open which is faster"
        if line.more_seeds is None:
            text += ", and how many more seeds it takes cannot be said"
        elif line.more_seeds:
            text += f", {count(line.more_seeds, 'more seed')} would narrow it"
    return text + "."


def paired_sentence(paired: Paired | None) -> str:
    """Return the verdict on the final value on one problem, nothing if it cannot be compared."""
    if paired is None or paired.metric is None:
        return ""
    if not all(paired.runs):
        return "No seed in common." if paired.by_seed else ""
    what = f"The {paired.kind} {paired.metric} of {paired.optimizer}"
    if paired.by_seed:
        total = len(paired.seeds)
        where = f"over {count(total, 'common seed')}"
        if paired.ties == total:
            everywhere = "on the common seed" if total == 1 else f"on all {total} common seeds"
            if paired.diverged == total:
                return f"{paired.optimizer} and {paired.reference} both diverge {everywhere}."
            some = f", and on {paired.diverged} of them both diverge" if paired.diverged else ""
            return f"{what} is equal to that of {paired.reference} {everywhere}{some}."
    else:
        one, other = paired.runs
        if paired.diverged == one * other:
            return f"All runs of {paired.optimizer} and {paired.reference} diverge."
        where = f"over {count(one, 'run')} against {other}, not paired, as two programs made them"
    low, high = paired.low, paired.high
    if paired.gain < 0:
        low, high = -high, -low
    word = "better" if paired.gain > 0 else "worse" if paired.gain < 0 else "different"
    text = f"{what} is {word} by {number(abs(paired.gain))} {bracket(low, high)} {where}"
    if paired.p_least > 1 - paired.level:
        return f"{text}: too few to tell it from chance."
    return f"{text} (p = {p_number(paired.p_holm)})."


def number(value: float) -> str:
    """Return a number with three digits.

    >>> [number(x) for x in (1.179, 1.1, 54.5, 1234.5, 0.00234, 3e-10)]
    ['1.18', '1.10', '54.5', '1234', '0.00234', '3.00e-10']
    """
    if not math.isfinite(value):
        return "unknown" if math.isnan(value) else "-∞" if value < 0 else "∞"
    if value == 0:
        return "0"
    if abs(value) < 1e-6:
        return f"{value:.2e}"
    digits = 2 - math.floor(math.log10(abs(value)) + 1e-12)
    return f"{value:.{min(max(digits, 0), 8)}f}"


def ratio_number(value: float) -> str:
    """Return a ratio with three digits, or as many as it takes to tell it from 1.

    >>> [ratio_number(x) for x in (1.5, 1.0, 1.0004, 0.99996)]
    ['1.50', '1.00', '1.0004', '0.99996']
    """
    return beside_one(number(value), value)


def beside_one(text: str, value: float) -> str:
    """Return the text of a number, with more digits if it reads as 1 and the number is not."""
    digits = 2
    while math.isfinite(value) and abs(value - 1) > 1e-9 and float(text) == 1:
        digits += 1
        text = f"{value:.{digits}f}"
    return text


def p_number(p: float) -> str:
    """Return a p-value with two digits, never 0."""
    return "below 0.0001" if p < 1e-4 else f"{p:.2g}"


def bracket(low: float, high: float) -> str:
    """Return an interval, or that there is none."""
    if math.isnan(low) or math.isnan(high):
        return "[no interval]"
    return f"[{number(low)}, {number(high)}]"


def ratio_bracket(low: float, high: float) -> str:
    """Return an interval of a ratio, from whose ends it can be seen whether it holds 1."""
    if math.isnan(low) or math.isnan(high):
        return "[no interval]"
    return f"[{ratio_number(low)}, {ratio_number(high)}]"
