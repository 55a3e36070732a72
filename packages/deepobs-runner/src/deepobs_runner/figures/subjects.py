"""The looks of optimizers: the same in every figure of the problems they are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepobs_runner.figures.style import Look, Palette, Subject, looks_of
from deepobs_runner.results.settings import Setting


def looks_of_settings(
    problems: Mapping[str, Sequence[Setting]], palette: Palette | None = None
) -> dict[str, Look]:
    """Return the look of each label.

    Args:
        problems: as `analysis.tuned_settings` returns them.
        palette: of all figures shown together.
    """
    subjects: dict[str, Subject] = {}
    for listed in problems.values():
        for setting in listed:
            subject = Subject(setting.config.optimizer_id.name, setting.baseline)
            subjects.setdefault(setting.optimizer, subject)
    return dict(zip(subjects, looks_of(list(subjects.values()), palette), strict=True))
