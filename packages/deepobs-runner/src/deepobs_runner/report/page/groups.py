"""Verdicts that a reader sees as one comparison: of one optimizer and one reference by name.

Runs of several recipes or sources have several labels, such as "SGD (yours)" and "SGD (official)",
and a verdict each. Where they share no problem they are shown together, and the source is named
beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepobs_runner.comparison import ProblemComparison, Verdict


@dataclass(frozen=True, kw_only=True)
class Group:
    """One comparison as it is shown.

    Attributes:
        optimizer: short name.
        reference: short name.
        verdicts: that it consists of, on different problems.
    """

    optimizer: str
    reference: str
    verdicts: tuple[Verdict, ...]

    @property
    def lines(self) -> tuple[ProblemComparison, ...]:
        """The comparisons on problems on which both have runs; all without such a problem."""
        lines = [line for verdict in self.verdicts for line in verdict.problems]
        return tuple(filter(_has_both, lines)) or tuple(lines)

    @property
    def sources(self) -> list[str]:
        """Full labels of the verdicts, for the short names."""
        pairs = [(_rest(v.optimizer), _rest(v.reference)) for v in self.verdicts]
        if self.optimizer != short_name(self.optimizer):  # the labels are shown already
            return []
        return [" vs. ".join(filter(None, pair)) for pair in dict.fromkeys(pairs) if any(pair)]

    def line(self, problem: str) -> ProblemComparison | None:
        """Comparison on a problem, None without runs of both."""
        found = (line for line in self.lines if line.problem == problem)
        return next(found, None)


def short_name(label: str) -> str:
    """Label of an optimizer without what tells it from others of its name.

    >>> short_name("SGD (official)")
    'SGD'
    """
    return label.partition(" (")[0]


def _rest(label: str) -> str:
    return label.partition(" (")[2].removesuffix(")")


def groups_of(verdicts: Sequence[Verdict]) -> list[Group]:
    """Verdicts by short names; those that share a problem keep their labels."""
    found: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in verdicts:
        pair = (short_name(verdict.optimizer), short_name(verdict.reference))
        found.setdefault(pair, []).append(verdict)
    groups: list[Group] = []
    for (optimizer, reference), listed in found.items():
        problems = [line.problem for v in listed for line in v.problems if _has_both(line)]
        if len(problems) == len(set(problems)):
            groups.append(Group(optimizer=optimizer, reference=reference, verdicts=tuple(listed)))
        else:
            groups += [
                Group(optimizer=v.optimizer, reference=v.reference, verdicts=(v,)) for v in listed
            ]
    return groups


def _has_both(line: ProblemComparison) -> bool:
    return all(line.final_runs) or all((line.reached[1], line.reference_reached[1]))
