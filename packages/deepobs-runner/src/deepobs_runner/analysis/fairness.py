"""What is unequal between the runs that are compared, in sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from deepobs_runner.analysis.first_epochs import FULL_LENGTH
from deepobs_runner.analysis.grouping import Contender
from deepobs_runner.analysis.metrics import is_diverged
from deepobs_runner.analysis.targets import Target
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
        "Different numbers of epochs": _epochs,
        "Different batch sizes": lambda c: _all(c, _batch_size),
        "Different data": lambda c: _all(c, lambda run: f"{run.config.data} data"),
        "Different rows held out of training": lambda c: _all(c, _held_out),
        "Different regularizers": lambda c: _all(c, _regularizer),
        "Unequal numbers of seeds": lambda c: _count(len(c.runs), "seed"),
        "Different programs": lambda c: _all(c, _program),
        "Different ways to choose the setting": _chosen_by,
    }
    runs = [run for listed in problems.values() for c in listed for run in c.runs]
    if any(FULL_LENGTH in run.environment for run in runs):
        facets["Settings chosen for other numbers of epochs"] = lambda c: _all(c, _full_length)
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


def foreign_targets(
    problems: Mapping[str, Sequence[Contender]],
    targets: Mapping[str, Target | None],
    labels: Sequence[str] | None = None,
) -> list[str]:
    """Return a sentence for each way in which runs differ from those that set their target.

    Args:
        problems: as `contenders` returns them.
        targets: by problem; only those from official runs are looked at.
        labels: of the contenders that are compared; None: all.
    """
    standard: dict[str, list[str]] = {}
    stand_in: dict[str, list[str]] = {}
    for problem, listed in problems.items():
        target = targets.get(problem)
        if target is None or "official" not in target.source:
            continue
        for contender in listed:
            if labels is not None and contender.label not in labels:
                continue
            config = contender.runs[0].config
            if config.data == "synthetic":
                stand_in.setdefault(problem, []).append(contender.label)
            elif config.recipe != "2019":
                standard.setdefault(problem, []).append(contender.label)
    sentences = []
    for found, words in (
        (standard, "follow the recipe standard, but the target was set by runs of the recipe 2019"),
        (stand_in, "saw generated stand-in data, for which the official target means nothing"),
    ):
        by_labels: dict[tuple[str, ...], list[str]] = {}
        for problem, names in found.items():
            by_labels.setdefault(tuple(names), []).append(problem)
        for listed_names, where in by_labels.items():
            sentences.append(f"The runs of {join(listed_names)} on {join(where)} {words}.")
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


def _full_length(run: RunResult) -> str:
    """Of results that were shortened, the length of the runs themselves."""
    planned = run.environment.get(FULL_LENGTH, run.config.epochs)
    return "" if planned is None else _count(planned, "epoch")


def _program(run: RunResult) -> str:
    return str(run.environment.get("source", "this package"))


def _epochs(contender: Contender) -> str:
    """A run that diverged ends where it diverged; that is no different length."""
    ends = [int(r.epochs()[-1]) for r in contender.runs if r.records and not is_diverged(r)]
    if not ends:
        planned = sorted({run.config.epochs for run in contender.runs if run.config.epochs})
        return " or ".join(_count(epochs, "epoch") for epochs in planned)
    if min(ends) == max(ends):
        return _count(ends[0], "epoch")
    return f"{min(ends)} to {max(ends)} epochs"


def _chosen_by(contender: Contender) -> str:
    """Settings chosen on test rows have an advantage over those chosen on held-out rows."""
    split = contender.chosen_by.partition(" ")[0]
    return f"chosen on {split} rows" if split in ("test", "valid") else ""
