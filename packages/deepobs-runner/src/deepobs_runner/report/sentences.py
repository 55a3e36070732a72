"""Verdicts and fairness in words: every sentence is made of numbers that the comparison found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from deepobs_runner.analysis.first_epochs import Reading
from deepobs_runner.comparison import (
    Difference,
    ForeignTarget,
    Paired,
    ProblemSpeedup,
    Speedup,
    Verdict,
)
from deepobs_runner.comparison.fairness import differences_from_official, has_stand_in_data
from deepobs_runner.results.official import official_problems
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count, join

DIFFERENCES: Mapping[str, str] = MappingProxyType(
    {
        "tuning budget": "Unequal tuning budgets",
        "recipe": "Different recipes",
        "precision": "Different precisions",
        "epochs": "Different numbers of epochs",
        "batch size": "Different batch sizes",
        "data": "Different data",
        "rows held out": "Different rows held out of training",
        "regularizer": "Different regularizers",
        "schedule": "Different schedules",
        "clipping": "Different clipping",
        "number of processes": "Different numbers of processes",
        "seeds": "Different seeds",
        "program": "Different programs",
        "choice": "Different ways to choose the setting",
        "planned epochs": "Settings chosen for other numbers of epochs",
    }
)
"""What the sentence about a difference begins with, by the facet."""

FOREIGN: Mapping[str, str] = MappingProxyType(
    {
        "recipe": "follow the recipe standard, but the target was set by runs of the recipe 2019",
        "data": "saw generated stand-in data, for which the official target means nothing",
    }
)
"""In what runs differ from those that set their target."""


def verdict_text(verdict: Verdict) -> str:
    """Return all that a verdict says: overall, problem by problem, and what is unequal."""
    lines = verdict_lines(verdict)
    named = [f"{problem}: {line}" for problem, line in lines.items()]
    return "\n".join([overall_sentence(verdict), *named, *caveats(verdict)])


def verdict_lines(verdict: Verdict) -> dict[str, str]:
    """Return what a verdict says about each problem."""
    paired = {entry.problem: entry for entry in verdict.paired}
    return {
        line.problem: (
            f"{speed_sentence(line)} {paired_sentence(paired.get(line.problem))}".rstrip()
        )
        for line in verdict.speed.problems
    }


def caveats(verdict: Verdict) -> list[str]:
    """Return what to know before believing a verdict."""
    return [
        *map(difference_sentence, verdict.differences),
        *map(foreign_sentence, verdict.foreign),
    ]


def reading_sentence(reading: Reading) -> str:
    """Return of which runs the first epochs are read, or why nothing is."""
    names = reading.runs
    listed = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
    return f"{reading.problem}: of {count(len(names), 'run')} ({listed}) {_what_is_read(reading)}."


def _what_is_read(reading: Reading) -> str:
    epochs, planned = reading.epochs, reading.planned
    reasons = {
        "schedule": f"the schedule {reading.schedule} depends on the length of the run",
        "too short": f"they end before epoch {epochs}",
        "unknown end": "they do not say whether the limit of steps cut their epoch short",
        "not evaluated": f"they were not evaluated after epoch {epochs}",
    }
    if reading.reason:
        return f"nothing is read: {reasons[reading.reason]}"
    first, verb = ("the first", "is") if epochs == 1 else (f"the first {epochs}", "are")
    chosen = "and settings are those that were chosen for"
    if reading.unit == "steps":
        noun = "epoch" if epochs == 1 else "epochs"
        return f"{first} {noun} {verb} read, of {planned} steps in all, {chosen} {planned} steps"
    return f"{first} of {planned} epochs {verb} read, {chosen} {planned}"


def difference_sentence(difference: Difference) -> str:
    """Return in what optimizers differ on some problems."""
    words = ", ".join(f"{name} {value}" for name, value in difference.values if value)
    return f"{DIFFERENCES[difference.facet]} on {join(difference.problems)}: {words}."


def foreign_sentence(foreign: ForeignTarget) -> str:
    """Return in what runs differ from those that set their target."""
    where = f"{join(foreign.optimizers)} on {join(foreign.problems)}"
    return f"The runs of {where} {FOREIGN[foreign.reason]}."


def overall_sentence(verdict: Verdict) -> str:
    """Return the verdict over all problems: the geometric mean, where it holds, what is missing."""
    speed = verdict.speed
    missing = [name for name in (speed.optimizer, speed.reference) if name not in verdict.known]
    if missing:
        there = f"there are results of {join(verdict.known)}"
        return (
            f"No verdict: no run of {join(missing)} has a record; "
            f"{there if verdict.known else 'there are no results'}."
        )
    used, total = len(speed.used), len(speed.problems)
    problems = count(total, "problem")
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
        amount = str(needs[0]) if min(needs) == max(needs) else f"{min(needs)} to {max(needs)}"
        verb = "needs" if len(needs) == 1 else "need"
        text += f"; {len(needs)} {verb} {count(amount, 'more seed')}"
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


def speed_sentence(line: ProblemSpeedup) -> str:
    """Return the verdict on the speed on one problem."""
    if line.excluded:
        text = f"no speed-up of {line.optimizer} over {line.reference}: {exclusion(line)}"
        if line.more_seeds:
            text += f"; {line.more_seeds} more {'is' if line.more_seeds == 1 else 'are'} needed"
        return text + "."
    if line.times is None or line.reference_times is None:
        return "no runs."
    counted = line.times.counted.replace("_", " ")
    if line.times.counted != line.unit:
        counted += f", as {line.unit.replace('_', ' ')} are not recorded"
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


def exclusion(line: ProblemSpeedup) -> str:
    """Return why a problem has no speed-up, or none with an interval; nothing if it has one."""
    sides = ((line.optimizer, line.times), (line.reference, line.reference_times))
    if line.excluded == "no runs":
        return f"there are no runs of {next(label for label, times in sides if times is None)}"
    if line.excluded == "not recorded":
        label = next(label for label, times in sides if times is not None and not len(times.times))
        metric = "" if line.target is None else line.target.metric
        return f"the runs of {label} do not say {metric} and {line.unit}"
    if line.excluded == "too short":
        other = line.reference if line.too_short == line.optimizer else line.optimizer
        return f"the runs of {line.too_short} end before {other} reaches the target"
    if line.excluded == "not reached":
        slow = [
            f"{label} in {times.reached.sum()} of {len(times.times)} runs"
            for label, times in sides
            if times is not None and math.isinf(times.median)
        ]
        return f"less than half of the runs reach the target: {', '.join(slow)}"
    if line.excluded == "few seeds":
        few = min(len(times.times) for _, times in sides if times is not None)
        return f"{'one seed has' if few == 1 else 'two seeds have'} no interval"
    others = {"no target": "it has no target", "untrained": "the target is reached before training"}
    return others.get(line.excluded, "")


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


def notes_on_stand_in_data(problem: str, settings: Sequence[Setting]) -> list[str]:
    """Return what generated data forbids, unless `notes_on_official` says it."""
    labels = [setting.label for setting in settings if has_stand_in_data(setting)]
    if len(labels) == len(settings):
        official = (
            ", and the official results are left out" if problem in official_problems() else ""
        )
        return [
            f"{problem}: data=synthetic is generated data of the same shapes. The numbers say "
            f"nothing about the problem{official}."
        ]
    if not labels or any(setting.official for setting in settings):
        return []
    return [
        f"{problem}: {_listed(labels)} of generated data of the same shapes, which says nothing "
        "about the problem; not comparable with the others."
    ]


def notes_on_official(problem: str, settings: Sequence[Setting]) -> list[str]:
    """Return what forbids to compare the settings of a problem with the official results."""
    if not any(setting.official for setting in settings):
        return []
    differing: dict[str, list[str]] = {}
    for setting in settings:
        found = {} if setting.official else differences_from_official(setting.runs[0].config)
        if found:
            words = [f"{name} {own} (official: {theirs})" for name, (own, theirs) in found.items()]
            differing.setdefault(", ".join(words), []).append(setting.label)
    return [
        f"{problem}: {_listed(labels)} not comparable with the official results: {words}."
        for words, labels in differing.items()
    ]


def _listed(labels: Sequence[str]) -> str:
    return f"{labels[0]} is" if len(labels) == 1 else f"{'; '.join(labels)} are"
