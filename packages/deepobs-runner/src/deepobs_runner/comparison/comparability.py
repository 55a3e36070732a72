"""Which settings differ from the official ones in more than the optimizer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from deepobs_problems import ProblemError, load_problem
from deepobs_runner.config import RunConfig
from deepobs_runner.results.labels import show, show_schedule
from deepobs_runner.results.official import official_config, official_problems
from deepobs_runner.results.settings import Setting

COMPARED = (
    "data", "l2", "l2_via", "batch_size", "schedule", "clip_norm", "precision", "valid_size",
    "world_size",
)  # fmt: skip
"""What all official runs of a problem have in common. The recipe has a note of its own, and so
has the length."""


def has_stand_in_data(setting: Setting) -> bool:
    """Whether the runs of a setting used generated data in place of the problem's own."""
    return setting.runs[0].config.data == "synthetic"


def notes_on_stand_in_data(problem: str, settings: Sequence[Setting]) -> list[str]:
    """Return what generated data forbids, unless `notes_on_official` says it.

    Args:
        problem: its name.
        settings: all that are shown.
    """
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
    """Return what forbids to compare the settings of a problem with the official results.

    Args:
        problem: its name.
        settings: all that are shown, the official ones included.
    """
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


def differences_from_official(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Return the settings of a run that no official run of its problem has, with the official ones.

    Fields that the configuration leaves open do not count, and neither does `l2_via` without l2.
    """
    expected = {name: getattr(official_config(config.problem), name) for name in COMPARED}
    expected["l2"] = official_l2(config.problem)
    found = {}
    for name, theirs in expected.items():
        own = getattr(config, name)
        open_ = (own is None and name != "clip_norm") or (theirs is None and name == "l2")
        if open_ or own == theirs or (name == "l2_via" and not config.l2):
            continue
        shown = show_schedule if name == "schedule" else show
        found[name] = (shown(own), shown(theirs))
    return found


@cache  # looking up a problem asks every installed package
def official_l2(problem: str) -> float | None:
    """Return the L2 of the official runs of a problem, which they do not say: the problem's own."""
    try:
        return load_problem(problem).l2
    except ProblemError:  # another package claims the name; nothing is known of its l2 then
        return None
