"""Choice of pairs to compare: optimizers with otherwise equal settings, if possible."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from deepobs_runner.analysis.tuned import find, optimizers_of
from deepobs_runner.config import without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.results.settings import Setting

USUAL_REFERENCES = ("SGD", "Momentum", "Adam")
"""Default references; they are compared with the first of them."""

LEAST_COMMON = 3
"""Smallest number of common seeds for which your runs replace a baseline as reference."""

Pairs: TypeAlias = dict[tuple[str, str], list[str]]
"""Labels of an optimizer and its reference, and the problems on which the two are compared."""


def choose_pairs(
    problems: Mapping[str, Sequence[Setting]],
    ours: Sequence[str],
    references: Sequence[str] = (),
) -> Pairs:
    """Pairs of labels, each of `ours` with each reference of the same data, and their problems.

    Results on generated data are never compared with results on a problem's own data. The default
    references are SGD, Momentum and Adam of the same recipe, because results of two recipes differ
    for other reasons than the optimizer. Without another optimizer of that recipe, they are those
    of all recipes. If `ours` are only these three, the first of them is the reference of the
    others. If every one of `ours` is a reference, the other optimizers are compared with it.
    Of several sources of a default reference, such as your runs and a baseline set, each problem
    has its own choice.

    Args:
        problems: problems as `tuned_settings` returns them.
        ours: labels of the settings the report is about.
        references: labels or optimizers; none: see `usual_pairs`.

    Raises:
        UsageError: no setting has the label of a reference, several are meant, or no other
            has its data.
    """
    known = optimizers_of(problems)
    if references:
        chosen = [find_label(problems, word) for word in references]
        pairs = _of_same_data(problems, _pair(ours, chosen, known))
        return {pair: _with_either(problems, pair) for pair in pairs}
    found: Pairs = {}
    for comparable, alike in _groups(problems, known):
        own = [label for label in ours if label in alike]
        if own and len(comparable) > 1:
            others = alike if len(alike) > 1 else comparable
            found |= usual_pairs(problems, own, others, ours)
    return found


def _with_either(problems: Mapping[str, Sequence[Setting]], pair: Sequence[str]) -> list[str]:
    """Problems on which one of a pair has runs."""
    return [name for name, listed in problems.items() if any(find(listed, label) for label in pair)]


def _pair(
    ours: Sequence[str], chosen: Sequence[str], known: Sequence[str]
) -> list[tuple[str, str]]:
    """Pair each of `ours` with each chosen one; if all of them are chosen, the other known ones."""
    compared = [label for label in ours if label not in chosen]
    compared = compared or [label for label in known if label not in chosen]
    return [(label, reference) for reference in chosen for label in compared]


def _of_same_data(
    problems: Mapping[str, Sequence[Setting]], pairs: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Pairs of the same data.

    Raises:
        UsageError: there are only others.
    """
    data = {label: _values(problems, label, "data") for pair in pairs for label in pair}
    kept = [(one, other) for one, other in pairs if data[one] == data[other]]
    if pairs and not kept:
        reference = pairs[0][1]
        raise UsageError(
            f"{reference!r} cannot be the reference: no other optimizer has "
            f"{' and '.join(sorted(data[reference]))} data."
        )
    return kept


def _groups(
    problems: Mapping[str, Sequence[Setting]], labels: Sequence[str]
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield labels of the same data and recipe, after those of the same data in any recipe."""
    for comparable in _alike(problems, labels, "data"):
        for alike in _alike(problems, comparable, "recipe"):
            yield comparable, alike


def _alike(
    problems: Mapping[str, Sequence[Setting]], labels: Sequence[str], field: str
) -> list[list[str]]:
    """Labels in groups of configurations with equal values in one field."""
    groups: dict[frozenset[str], list[str]] = {}
    for label in labels:
        groups.setdefault(_values(problems, label, field), []).append(label)
    return list(groups.values())


def _values(problems: Mapping[str, Sequence[Setting]], label: str, field: str) -> frozenset[str]:
    """Values of a field in the runs of a label: one, unless its problems differ in it."""
    found = (find(listed, label) for listed in problems.values())
    return frozenset(getattr(c.runs[0].config, field) for c in found if c is not None)


def usual_pairs(
    problems: Mapping[str, Sequence[Setting]],
    own: Sequence[str],
    known: Sequence[str],
    ours: Sequence[str],
) -> Pairs:
    """Default pairs of labels, without a named reference, and their problems.

    Args:
        problems: problems as `tuned_settings` returns them.
        own: those of `ours` that are judged.
        known: those that may be references, `own` among them.
        ours: labels of the settings the report is about.
    """
    usual: dict[str, list[str]] = {name: [] for name in USUAL_REFERENCES}
    for label in known:
        usual.get(_optimizer(problems, label), []).append(label)
    listed = [labels for labels in usual.values() if labels]
    judged = [label for label in own if _optimizer(problems, label) not in USUAL_REFERENCES]
    found: Pairs = {}
    if judged and listed:
        for label in judged:
            for labels in listed:
                found |= _by_reference(problems, labels, label, ours)
        return found
    first = listed[0] if listed else known
    pairs = _pair(own, [choose_reference(problems, first, own, ours)], known)
    for label, reference in pairs:
        if label in own and label not in first:
            found |= _by_reference(problems, first, label, ours)
        else:
            found[label, reference] = _with_either(problems, (label, reference))
    return found


def _by_reference(
    problems: Mapping[str, Sequence[Setting]],
    labels: Sequence[str],
    judged: str,
    ours: Sequence[str],
) -> Pairs:
    """Pairs of one optimizer with the best reference of each problem.

    Problems on which only one side has runs are with the reference that is the best over all.
    """
    chosen: dict[str, str] = {}
    for name, listed in problems.items():
        here = [label for label in labels if find(listed, label)]
        if here and find(listed, judged):
            chosen[name] = choose_reference({name: listed}, here, [judged], ours)
    rest = choose_reference(problems, labels, [judged], ours)
    if chosen and rest not in chosen.values():
        rest = next(iter(chosen.values()))
    found: Pairs = {}
    for name in _with_either(problems, (judged, *labels)):
        if name in chosen or name in _with_either(problems, (judged, rest)):
            found.setdefault((judged, chosen.get(name, rest)), []).append(name)
    return found


def choose_reference(
    problems: Mapping[str, Sequence[Setting]],
    labels: Sequence[str],
    judged: Sequence[str],
    ours: Sequence[str],
) -> str:
    """Best reference among several labels of one optimizer.

    It is the one on most problems of those judged, at their recipe, data and precision if there is
    one. Of several it is one of `ours` if the same seeds were run, as nothing else differs then,
    and else a baseline, which was tuned.
    """

    def rank(label: str) -> tuple[int, int, int]:
        pairs = [
            (one, other)
            for listed in problems.values()
            for name in judged
            if name not in labels and (one := find(listed, name)) and (other := find(listed, label))
        ]
        paired = bool(pairs) and all(_common_seeds(*pair) >= LEAST_COMMON for pair in pairs)
        preference = 1 if label not in ours else 0 if paired else 2
        found = sum(find(listed, label) is not None for listed in problems.values())
        return -sum(_are_alike(*pair) for pair in pairs), -(len(pairs) or found), preference

    return min(labels, key=rank)


def _optimizer(problems: Mapping[str, Sequence[Setting]], label: str) -> str:
    found = (find(listed, label) for listed in problems.values())
    return next(c.runs[0].config.optimizer for c in found if c is not None)


def _common_seeds(one: Setting, other: Setting) -> int:
    return len({run.config.seed for run in one.runs} & {run.config.seed for run in other.runs})


def _are_alike(one: Setting, other: Setting) -> bool:
    first, second = one.runs[0].config, other.runs[0].config
    names = ("recipe", "data", "precision")
    return all(getattr(first, name) == getattr(second, name) for name in names)


def find_label(problems: Mapping[str, Sequence[Setting]], word: str) -> str:
    """Label of a name: the label itself, or that of the only such optimizer.

    Raises:
        UsageError: none or several are meant.
    """
    known = optimizers_of(problems)
    if word in known:
        return word
    listed = [
        s
        for found in problems.values()
        for s in found
        if s.config.optimizer_id.name == without_folder(word)
    ]
    meant = list(dict.fromkeys(c.optimizer for c in listed))
    if len(meant) == 1:
        return meant[0]
    words = f"means {', '.join(meant)}" if meant else "is not in the results"
    raise UsageError(f"The reference {word!r} {words}. Choose one of: {', '.join(known)}.")
