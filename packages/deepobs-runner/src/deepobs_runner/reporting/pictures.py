"""Which settings are drawn, and the drawings of a report."""

from __future__ import annotations

from collections.abc import Iterator

from deepobs_runner.curves import Setting
from deepobs_runner.figures import KINDS, Drawing
from deepobs_runner.figures import drawings as draw_settings
from deepobs_runner.reporting.study import Study

MOST_SETTINGS = 12
"""Settings of a problem that are all shown; of more, only those that stand for an optimizer."""

OF_ALL_SETTINGS = ("sensitivity", "tuning")
"""Figures that are about what was tried, not about what was chosen."""


def shown_settings(study: Study, problem: str) -> list[Setting]:
    """Return the settings of a problem whose curves are shown."""
    listed = list(study.settings[problem])
    if len(listed) <= MOST_SETTINGS:
        return listed
    chosen = {id(contender.runs[0]) for contender in study.problems[problem]}
    return [setting for setting in listed if any(id(run) in chosen for run in setting.runs)]


def drawings(study: Study) -> Iterator[Drawing]:
    """Yield every figure of a study, or why it could not be drawn."""
    shown = {problem: shown_settings(study, problem) for problem in study.settings}
    yield from draw_settings(shown, [kind for kind in KINDS if kind not in OF_ALL_SETTINGS])
    yield from draw_settings(study.settings, OF_ALL_SETTINGS)
