"""What is unequal between the runs that are compared, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepobs_runner.analysis.grouping import Contender
from deepobs_runner.analysis.metrics import is_diverged
from deepobs_runner.results import RunResult

Describe = Callable[[Contender], str]


def unequal(
    problems: Mapping[str, Sequence[Contender]], labels: Sequence[str] | None = None
) -> list[str]:
    """Return a sentence for everything that differs between contenders on a problem.

    Tuning budget (number of distinct settings among the results), recipe, precision, epochs, batch
    size, data, rows held out, regularizer, seeds, and the program that made the runs. Problems on
    which it differs in the same way share a sentence.

    Args:
        problems: as `contenders` returns them.
        labels: of the contenders that are compared; None: all.
    """
    facets: dict[str, Describe] = {
        "Unequal tuning budgets": lambda c: _count(c.settings_seen, "setting") + " tried",
        "Different recipes": lambda c: _all(c, lambda run: f"recipe {run.config.recipe}"),
        "Different precisions": lambda c: _all(c, lambda run: run.config.precision),
        "Different numbers of epochs": lambda c: f"{_epochs(c)} epochs",
        "Different batch sizes": lambda c: _all(c, _batch_size),
        "Different data": lambda c: _all(c, lambda run: f"{run.config.data} data"),
        "Different rows held out of training": lambda c: _all(c, _held_out),
        "Different regularizers": lambda c: _all(c, _regularizer),
        "Unequal numbers of seeds": lambda c: _count(len(c.runs), "seed"),
        "Different programs": lambda c: _all(c, _program),
        "Different ways to choose the setting": _chosen_by,
    }
    sentences = []
    for name, describe in facets.items():
        found: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for problem, listed in problems.items():
            compared = [c for c in listed if labels is None or c.label in labels]
            described = tuple((c.label, describe(c)) for c in compared)
            known = {words for _, words in described if words}
            if len(known) > 1:
                found.setdefault(described, []).append(problem)
        for described, where in found.items():
            words = ", ".join(f"{label} {words}" for label, words in described if words)
            sentences.append(f"{name} on {join(where)}: {words}.")
    return sentences


def join(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    >>> join(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _all(contender: Contender, describe: Callable[[RunResult], Any]) -> str:
    """Return what holds for the runs of a contender, nothing where it is not known."""
    return " and ".join(sorted({str(words) for run in contender.runs if (words := describe(run))}))


def _batch_size(run: RunResult) -> str:
    return "" if run.config.batch_size is None else f"batch size {run.config.batch_size}"


def _held_out(run: RunResult) -> str:
    return f"{run.config.valid_size or 'no'} rows"


def _regularizer(run: RunResult) -> str:
    """The official runs do not say; theirs is the problem's."""
    l2 = run.config.l2
    if l2 is None:
        return ""
    return f"L2 {l2:g}" + ("" if run.config.l2_via == "objective" else " by the optimizer")


def _program(run: RunResult) -> str:
    return str(run.environment.get("source", "this package"))


def _epochs(contender: Contender) -> str:
    """A run that diverged ends where it diverged; that is no different length."""
    ends = [int(r.epochs()[-1]) for r in contender.runs if r.records and not is_diverged(r)]
    if not ends:
        return " or ".join(sorted({str(r.config.epochs) for r in contender.runs}))
    return str(min(ends)) if min(ends) == max(ends) else f"{min(ends)} to {max(ends)}"


def _chosen_by(contender: Contender) -> str:
    """Settings chosen on test rows have an advantage over those chosen on held-out rows."""
    split = contender.chosen_by.partition(" ")[0]
    return f"chosen on {split} rows" if split in ("test", "valid") else ""
