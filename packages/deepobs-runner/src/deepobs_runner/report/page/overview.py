"""First screen except the forest: cards of verdicts, badges of fairness, ranks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from deepobs_runner.comparison import (
    Difference,
    Estimate,
    ProblemComparison,
    Verdict,
    differences,
)
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.page.forest import WITHOUT_SPEED, ratio_text
from deepobs_runner.report.page.groups import Group
from deepobs_runner.report.sentences import difference_sentence, foreign_sentence, inverse
from deepobs_runner.text import count, join

ORDER = ("faster", "better", "inconclusive", "slower", "worse")
"""Of the counts; what was not compared comes last."""

OUTCOMES: Mapping[str, str] = MappingProxyType(
    {"faster": "good", "better": "good", "slower": "bad", "worse": "bad", "inconclusive": "open"}
)
"""Colour of each status; others have none."""

NUMBERED = re.compile(r"[\d.,]+")


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many problems ended in one of the ways.

    Attributes:
        number: number of problems.
        status: status of these problems.
        state: its colour: `good`, `bad`, `open` or `none`.
    """

    number: int
    status: str
    state: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """The verdict on one optimizer against one reference.

    Attributes:
        optimizer: its label.
        reference: its label.
        headline: how often it is faster and slower; or the reason without a verdict.
        speed: counts of problems by the outcome for the time to the target.
        final: counts by the outcome for the final value.
        facts: name and value of the estimates over all problems.
    """

    optimizer: str
    reference: str
    headline: str
    speed: tuple[Count, ...]
    final: tuple[Count, ...]
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Badge:
    """Something in which the two sides of a comparison differ.

    Attributes:
        text: in a few words.
        detail: the full text.
    """

    text: str
    detail: str


def card_of(group: Group) -> Card:
    """Card of a comparison."""
    lines = group.lines
    speed = _counts(Counter(line.speedup_status for line in lines))
    final = _counts(Counter(line.final_status for line in lines))
    return Card(
        optimizer=group.optimizer,
        reference=group.reference,
        headline=_headline(lines, speed, final),
        speed=tuple(speed),
        final=tuple(final),
        facts=tuple(_facts(group)),
    )


def _headline(
    lines: Sequence[ProblemComparison], speed: Sequence[Count], final: Sequence[Count]
) -> str:
    """On how many problems the optimizer is faster, else better at the end, else why unknown."""
    faster = _on_problems(speed, len(lines))
    better = _on_problems(final, len(lines))
    if faster and len(lines) == 1:
        (line,) = lines
        slower = line.speedup_status == "slower"
        shown = inverse(line.speedup) if slower and line.speedup else line.speedup
        return f"{ratio_text(shown)} {line.speedup_status}"
    if faster:
        return faster[0].upper() + faster[1:]
    if better and len(lines) == 1:
        return f"Final value {lines[0].final_status}"
    if better:
        return f"Final value {better}"
    if any(c.status == "inconclusive" for c in speed):
        return "Inconclusive"
    if len(speed) == 1:
        text = WITHOUT_SPEED.get(speed[0].status, speed[0].status)
        return f"{text[0].upper()}{text[1:]}"
    if any(c.status == "inconclusive" for c in final):
        return "Inconclusive"
    return "Not compared"


def _on_problems(counts: Sequence[Count], problems: int) -> str:
    """Numbers of problems that are decided, such as "better on 2, worse on 1 of 6"; else ""."""
    decided = [f"{c.status} on {c.number}" for c in counts if c.state in ("good", "bad")]
    return f"{', '.join(decided)} of {problems}" if decided else ""


def _counts(found: Mapping[str, int]) -> list[Count]:
    known = [*ORDER, *(status for status in found if status not in ORDER)]
    return [
        Count(number=found[status], status=status, state=OUTCOMES.get(status, "none"))
        for status in known
        if found.get(status)
    ]


def _facts(group: Group) -> Iterable[tuple[str, str]]:
    """Yield names and values of what the forest has no row for."""
    for verdict in group.verdicts:
        if verdict.improvement is not None:
            several = len(group.verdicts) > 1
            where = f", {count(len(verdict.problems), 'problem')}" if several else ""
            yield f"Probability of being faster{where}", _with_interval(verdict.improvement)
    if group.sources:
        yield "Runs", "; ".join(group.sources)


def _with_interval(estimate: Estimate) -> str:
    if not estimate.has_interval:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def badges_of(data: ReportData) -> list[Badge]:
    """Differences between the sides of any comparison, each once."""
    sides: dict[str, list[str]] = {}
    for verdict in data.verdicts:
        sides.setdefault(verdict.optimizer, [verdict.optimizer]).append(verdict.reference)
    merged: dict[str, dict[str, None]] = {}
    for optimizer, labels in sides.items():
        for difference in differences(data.problems, labels):
            if optimizer in dict(difference.values):
                text = _difference_badge(difference, optimizer, data.epochs)
                merged.setdefault(text, {})[difference_sentence(difference)] = None
    foreign = dict.fromkeys(entry for verdict in data.verdicts for entry in verdict.foreign)
    for entry in foreign:
        text = {"recipe": "target of another recipe", "data": "generated data"}[entry.reason]
        merged.setdefault(text, {})[foreign_sentence(entry)] = None
    badges = [Badge(text=text, detail=" ".join(details)) for text, details in merged.items()]
    return [*badges, *_target_badges(data.verdicts)]


def _target_badges(verdicts: Sequence[Verdict]) -> Iterable[Badge]:
    """Yield the optimizers that are compared at a target which they have set themselves."""
    found: dict[str, dict[str, None]] = {}
    for verdict in verdicts:
        for line in verdict.problems:
            set_by = "" if line.target is None else line.target.set_by
            for side in (verdict.optimizer, verdict.reference):
                if side.partition(" ")[0] == set_by:
                    found.setdefault(side, {})[line.problem] = None
    for side, problems in found.items():
        yield Badge(
            text=f"target set by {side} on {count(len(problems), 'problem')}",
            detail=f"The targets on {join(list(problems))} are what {side} reaches in a part of "
            "its epochs, which favours it.",
        )


def matched_of(verdicts: Sequence[Verdict]) -> list[str]:
    """Properties that are equal in every comparison."""
    if not verdicts:
        return []
    first, *others = [verdict.agreement.equal for verdict in verdicts]
    return [facet for facet in first if all(facet in equal for equal in others)]


def unknown_of(verdicts: Sequence[Verdict]) -> list[str]:
    """Properties that are unknown in some comparison."""
    return list(dict.fromkeys(f for verdict in verdicts for f in verdict.agreement.unknown))


def _difference_badge(difference: Difference, optimizer: str, epochs: int | None = None) -> str:
    """Difference in a few words, the optimizer's side first.

    >>> one = Difference("seeds", ("p",), (("A", "3 seeds (1 to 3)"), ("B", "10 seeds (1 to 10)")))
    >>> _difference_badge(one, "A")
    '3 vs. 10 seeds'
    """
    values = dict(difference.values)
    own = values.pop(optimizer, "")
    other = next((words for words in values.values() if words != own), "")
    facet = difference.facet
    numbers = [NUMBERED.search(words) for words in (own, other)]
    first, second = (match[0] if match else "" for match in numbers)
    if facet == "tuning budget":
        if first == "1" and "tuned" not in own:
            return "untuned"
        if first == second:
            return "rate tuned elsewhere"
        return f"{first} vs. {second} settings tried"
    if facet == "planned epochs":
        longest = max(first, second, key=lambda text: float(text or 0))
        return f"judged at {epochs} of {longest} epochs"
    if facet == "batch size":
        return f"batch size {first} vs. {second}"
    if facet in ("seeds", "epochs", "validation examples", "number of processes"):
        nouns = {"number of processes": "processes"}
        noun = nouns.get(facet, facet)
        if first and second and first != second:
            return f"{first} vs. {second} {noun}"
        return f"other {noun}"
    short = {"program": "other program", "choice": "chosen on another split"}
    if facet in short:
        return short[facet]
    words = [text.removeprefix(f"{facet} ").removesuffix(f" {facet}") for text in (own, other)]
    text = f"{words[0]} vs. {words[1]} {facet}"
    return text if all(words) and len(text) <= 40 else f"other {facet}"


def facts_of(data: ReportData) -> list[str]:
    """Extent of the comparison: problems, seeds, tuning, source, length."""
    own = [setting for setting in data.tuned if data.is_own(setting)]
    other = [setting for setting in data.tuned if not data.is_own(setting)]
    if data.verdicts:  # baselines beside these are shown, not compared
        first = {verdict.optimizer for verdict in data.verdicts}
        second = {verdict.reference for verdict in data.verdicts} - first
        own = [setting for setting in data.tuned if setting.optimizer in first]
        other = [setting for setting in data.tuned if setting.optimizer in second]
    problems = count(len(data.problems), "problem")
    sides = [_range(len(s.runs) for s in side) for side in (own, other) if side]
    tried = [_range(s.tried for s in side) for side in (own, other) if side]
    facts = [problems, f"{' vs. '.join(dict.fromkeys(sides))} seeds"]
    facts[1] = facts[1].removesuffix("s") if facts[1] == "1 seeds" else facts[1]
    facts.append(f"{' vs. '.join(dict.fromkeys(tried))} settings tried")
    if facts[2].startswith("1 settings"):
        facts[2] = "untuned"
    if data.epochs is not None:
        facts.append(f"judged after {count(data.epochs, 'epoch')}")
    sources = list(dict.fromkeys(setting.source for setting in data.tuned if setting.baseline))
    alone = all(setting.baseline for setting in data.tuned)
    facts += [f"{'source' if alone else 'baselines'}: {', '.join(sources)}"] if sources else []
    facts.append(count(len(data.own), "run") + (" of yours" if sources and not alone else ""))
    return facts


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return "–".join(str(n) for n in dict.fromkeys((*found[:1], *found[-1:])))
