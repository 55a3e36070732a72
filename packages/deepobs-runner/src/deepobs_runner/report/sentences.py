"""Sentences on verdicts and fairness, made of the numbers of the comparison."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.analysis.first_epochs import Reading
from deepobs_runner.comparison import (
    Difference,
    Estimate,
    ForeignTarget,
    ProblemComparison,
    Verdict,
)
from deepobs_runner.comparison.estimate import Bound
from deepobs_runner.comparison.fairness import differences_from_official, has_stand_in_data
from deepobs_runner.comparison.final_values import PAIRED
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
        "validation examples": "Different numbers of validation examples",
        "regularizer": "Different regularizers",
        "schedule": "Different schedules",
        "clipping": "Different clipping",
        "number of processes": "Different numbers of processes",
        "seeds": "Different seeds",
        "vectorization": "Vectorized runs on one side",
        "versions": "Different major versions",
        "program": "Different programs",
        "choice": "Different selection of the setting",
        "left out": "Runs that do not count",
        "planned epochs": "Settings chosen for other numbers of epochs",
    }
)
"""First words about a difference, by facet."""

FOREIGN: Mapping[str, str] = MappingProxyType(
    {
        "recipe": "use recipe standard, but the target comes from runs of recipe 2019",
        "data": "use generated stand-in data, for which the official target is meaningless",
    }
)
"""Difference between runs and the runs behind their target."""


def verdict_lines(verdict: Verdict) -> dict[str, str]:
    """Sentences on each problem."""
    return {
        line.problem: f"{speedup_sentence(line)} {final_sentence(line)}".rstrip()
        for line in verdict.problems
    }


def caveats(verdict: Verdict) -> list[str]:
    """Caveats of a verdict."""
    return [
        *map(difference_sentence, verdict.differences),
        *map(foreign_sentence, verdict.foreign),
    ]


def reading_sentence(reading: Reading) -> str:
    """Sentence on the runs of which only the first epochs count, or why none do."""
    names = reading.runs
    listed = ", ".join(f"{names.count(name)} of {name}" for name in dict.fromkeys(names))
    return f"{reading.problem}: of {count(len(names), 'run')} ({listed}) {_what_is_read(reading)}."


def _what_is_read(reading: Reading) -> str:
    epochs, planned = reading.epochs, reading.planned
    reasons = {
        "schedule": f"the schedule {reading.schedule} depends on the length of the run",
        "too short": f"they end before epoch {epochs}",
        "unknown end": "they do not record whether the limit of steps shortened their last epoch",
        "not evaluated": f"they have no evaluation after epoch {epochs}",
    }
    if reading.reason:
        return f"no epoch is used: {reasons[reading.reason]}"
    first, verb = ("the first", "is") if epochs == 1 else (f"the first {epochs}", "are")
    chosen = "with settings chosen for"
    if reading.unit == "steps":
        noun = "epoch" if epochs == 1 else "epochs"
        return f"{first} {noun} {verb} used, of {planned} steps in total, {chosen} {planned} steps"
    return f"{first} of {planned} epochs {verb} used, {chosen} {planned}"


def difference_sentence(difference: Difference) -> str:
    """Properties in which optimizers differ on some problems."""
    words = ", ".join(f"{name} {value}" for name, value in difference.values if value)
    return f"{DIFFERENCES[difference.facet]} on {join(difference.problems)}: {words}."


def foreign_sentence(foreign: ForeignTarget) -> str:
    """Properties in which runs differ from those that set their target."""
    where = f"{join(foreign.optimizers)} on {join(foreign.problems)}"
    return f"The runs of {where} {FOREIGN[foreign.reason]}."


COUNTED = (
    "faster", "slower", "better", "worse", "inconclusive", "not reached", "too short", "one run",
    "not recorded", "untrained", "no target", "no runs",
)  # fmt: skip
"""Statuses in the order in which they are counted."""


def overall_sentence(verdict: Verdict) -> str:
    """Verdict over all problems: counts, then the estimates over all problems.

    With one problem it is the text on that problem.
    """
    missing = [name for name in (verdict.optimizer, verdict.reference) if name not in verdict.known]
    if missing:
        known = f" Results: {join(verdict.known)}." if verdict.known else ""
        has = "has" if len(missing) == 1 else "have"
        return f"No verdict: {join(missing)} {has} no evaluated run.{known}"
    head = f"{verdict.optimizer} vs. {verdict.reference}, {count(len(verdict.problems), 'problem')}"
    if len(verdict.problems) == 1:
        (line,) = verdict_lines(verdict).values()
        return f"{head}. {line}"
    parts = [
        f"{head}. Time to target: {counts_text(verdict.speedup_counts)}",
        f"Final value: {counts_text(verdict.final_counts)}",
    ]
    if verdict.improvement is not None:
        found = verdict.improvement
        parts.append(f"Probability of being faster: {number(found.value)} {_bracket(found)}")
    if verdict.mean is not None:
        parts.append(mean_text(verdict))
    return ". ".join(parts) + "."


def counts_text(counts: Mapping[str, int]) -> str:
    """Number of problems per status.

    >>> counts_text({"inconclusive": 3, "faster": 2})
    'faster 2, inconclusive 3'
    """
    return ", ".join(f"{status} {counts[status]}" for status in COUNTED if counts.get(status))


def mean_text(verdict: Verdict) -> str:
    """Geometric mean speedup with its intervals; empty without one."""
    mean = verdict.mean
    if mean is None:
        return ""
    seeds, problems, without = (
        range_text(ratio_number(low), ratio_number(high))
        for low, high in ((mean.seeds.low, mean.seeds.high), mean.problems, mean.leave_one_out)
    )
    return (
        f"Geometric mean speedup: {ratio_number(mean.seeds.value)}× on {len(mean.used)} of "
        f"{count(len(verdict.problems), 'problem')} ({percent(verdict.level)} CI {seeds} over "
        f"seeds, {problems} over problems; {without} without any one problem)"
    )


def speedup_sentence(line: ProblemComparison) -> str:
    """Text on the time to target of one problem."""
    estimate, status = line.shown_speedup, line.speedup_status
    if estimate is None:
        text = f"No speedup estimate: {exclusion(line)}"
    elif status in ("faster", "slower"):
        turned = estimate if status == "faster" else inverse(estimate)
        size = f"{_capital(ratio_text(turned))} {status} {_bracket(turned, ratio_number)}"
        unknown = f"{_capital(status)} by an unknown factor ({p_text(estimate.p_corrected)})"
        text = unknown if _only_direction(turned) else size
    elif _only_direction(estimate):
        text = _undecided(estimate)
    else:
        text = f"{_undecided(estimate)}: {ratio_text(estimate)}"
        text += " from one run on a side" if status == "one run" else ""
        text += f" {_bracket(estimate, ratio_number)}" if estimate.has_interval else ""
    details = "; ".join(_times_of(line))
    return f"{text}; {details}." if details else f"{text}."


def ratio_text(estimate: Estimate) -> str:
    """Speedup, or the bound of it that is known.

    >>> estimate = Estimate(value=1.8, low=1.2, high=math.inf, level=0.95, p=0.01,
    ...                     p_corrected=0.01, method="", bound="at least")
    >>> ratio_text(estimate)
    'at least 1.80×'
    """
    return f"{estimate.bound} {ratio_number(estimate.value)}×".lstrip()


def inverse(estimate: Estimate) -> Estimate:
    """Ratio seen from the other side: a speedup of 0.5 as "2× slower"."""
    turned: Mapping[Bound, Bound] = {"": "", "at least": "at most", "at most": "at least"}

    def one_over(value: float) -> float:
        return math.inf if value == 0 else 1 / value

    return replace(
        estimate,
        value=one_over(estimate.value),
        low=one_over(estimate.high),
        high=one_over(estimate.low),
        bound=turned[estimate.bound],
    )


def _undecided(estimate: Estimate) -> str:
    """Sentence for a comparison that no test decides; with whether one would if it were alone."""
    if estimate.p <= 1 - estimate.level:
        return "Inconclusive after correction for multiple tests"
    return "Inconclusive"


def _only_direction(estimate: Estimate) -> bool:
    """Whether a ratio is only known to be on one side of 1."""
    return bool(estimate.bound) and estimate.value == 1


def _times_of(line: ProblemComparison) -> list[str]:
    """Times of both sides, or how many of their runs reach the target."""
    if line.times is None or line.reference_times is None or line.target is None:
        return []
    sides = (line.times, line.reference_times)
    if not all(len(times.times) for times in sides) or line.undecided == "untrained":
        return []
    (k, n), (other_k, other_n) = line.reached, line.reference_reached
    if k == n and other_k == other_n:
        counted = line.times.counted.replace("_", " ")
        first, second = (number(times.geometric_mean) for times in sides)
        note = "" if line.times.counted == line.unit else f" ({line.unit} are not recorded)"
        return [f"{first} vs. {second} {counted} to {line.target}{note.replace('_', ' ')}"]
    p = f" (Fisher's exact {p_text(line.reached_p)})"
    p = "" if line.reached_p == 1 else p
    return [f"{line.target} reached by {k} of {n} vs. {other_k} of {count(other_n, 'run')}{p}"]


def exclusion(line: ProblemComparison) -> str:
    """Reason why a problem has no speedup; empty if it has one."""
    sides = ((line.optimizer, line.times), (line.reference, line.reference_times))
    status = line.speedup_status
    if status == "no runs":
        return f"no runs of {next(label for label, times in sides if times is None)}"
    if status == "not recorded":
        label = next(label for label, times in sides if times is not None and not len(times.times))
        metric = "" if line.target is None else line.target.metric
        return f"the runs of {label} do not record {metric} and {line.unit}"
    if status == "too short":
        other = line.reference if line.too_short == line.optimizer else line.optimizer
        return f"the runs of {line.too_short} end before {other} reaches the target"
    reasons = {
        "not reached": "too few runs reach the target",
        "no target": "the problem has no target",
        "untrained": "the target is reached before training",
    }
    return reasons.get(status, "")


def final_sentence(line: ProblemComparison) -> str:
    """Text on the final value of one problem; empty without a comparison."""
    estimate = line.final
    if estimate is None or line.final_metric is None:
        return ""
    what = f"Final {line.final_metric}"
    diverged = _diverged(line)
    if all(d == n for d, n in zip(line.diverged, line.final_runs, strict=True)):
        return f"{what}: all runs of both diverge."
    size = number(abs(estimate.value))
    if line.final_status in ("better", "worse"):
        turned = estimate if line.final_status == "better" else _negative(estimate)
        text = f"{what}: {line.final_status}"
        if math.isfinite(estimate.value):
            text = f"{what}: {size} {line.final_status} {_bracket(turned)}"
    else:
        sign = "+" if estimate.value > 0 else "-" if estimate.value < 0 else ""
        text = f"{what}: {_undecided(estimate).lower()}"
        text += f", {sign}{size}" if math.isfinite(estimate.value) else ""
        text += f" {_bracket(estimate)}" if estimate.has_interval else ""
    pairs = f"over {line.pairs} common seeds" if estimate.method == PAIRED else ""
    one, other = line.final_runs
    runs = pairs or f"{one} vs. {count(other, 'run')}"
    return f"{text}, {runs}{diverged}."


def _diverged(line: ProblemComparison) -> str:
    if not any(line.diverged):
        return ""
    one, other = line.diverged
    return f"; {one} vs. {other} diverged"


def _negative(estimate: Estimate) -> Estimate:
    return replace(estimate, value=-estimate.value, low=-estimate.high, high=-estimate.low)


def _bracket(estimate: Estimate, show: Callable[[float], str] | None = None) -> str:
    """Interval and the corrected p-value of an estimate, in parentheses.

    An end that is open is left out.
    """
    show = show or number
    low, high = estimate.low, estimate.high
    if not estimate.has_interval:
        inner = "no interval"
    elif not math.isfinite(high):
        inner = f"{percent(estimate.level)} CI ≥ {show(low)}"
    elif estimate.open_below:
        inner = f"{percent(estimate.level)} CI ≤ {show(high)}"
    else:
        inner = f"{percent(estimate.level)} CI {range_text(show(low), show(high))}"
    if not math.isnan(estimate.p_corrected):
        inner += f", {p_text(estimate.p_corrected)}"
    return f"({inner})"


def range_text(low: str, high: str) -> str:
    """Range between two numbers.

    >>> range_text("0.97", "1.33"), range_text("-0.2", "0.1")
    ('0.97–1.33', '-0.2 to 0.1')
    """
    return f"{low} to {high}" if "-" in low + high else f"{low}\N{EN DASH}{high}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def number(value: float) -> str:
    """Number with three digits.

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
    """Ratio with three digits, or as many as it takes to tell it from 1.

    >>> [ratio_number(x) for x in (1.5, 1.0, 1.0004, 0.99996)]
    ['1.50', '1.00', '1.0004', '0.99996']
    """
    return beside_one(number(value), value)


def beside_one(text: str, value: float) -> str:
    """Text of a number, with more digits if it reads as 1 and the number is not."""
    digits = 2
    while math.isfinite(value) and abs(value - 1) > 1e-9 and float(text) == 1:
        digits += 1
        text = f"{value:.{digits}f}"
    return text


def p_text(p: float) -> str:
    """P-value with its name.

    >>> p_text(0.0123), p_text(1e-7)
    ('p = 0.012', 'p < 0.0001')
    """
    return "p < 0.0001" if p < 1e-4 else f"p = {p_number(p)}"


def p_number(p: float) -> str:
    """P-value with two digits, never 0."""
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def notes_on_stand_in_data(problem: str, settings: Sequence[Setting]) -> list[str]:
    """Note on generated data, unless `notes_on_official` has it."""
    labels = [setting.label for setting in settings if has_stand_in_data(setting)]
    if len(labels) == len(settings):
        official = (
            ", and the official results are left out" if problem in official_problems() else ""
        )
        return [
            f"{problem}: data=synthetic is generated data of the same shapes. These results do "
            f"not hold for the problem{official}."
        ]
    if not labels or any(setting.official for setting in settings):
        return []
    return [
        f"{problem}: {_listed(labels)} of generated data of the same shapes; results do not "
        "hold for the problem and are not comparable with the others."
    ]


def notes_on_official(problem: str, settings: Sequence[Setting]) -> list[str]:
    """Reasons against comparing the settings of a problem with the official results."""
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
