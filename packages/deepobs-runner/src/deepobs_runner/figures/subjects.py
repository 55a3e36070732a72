"""The looks of contenders: the same in every figure of the problems they are compared on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from deepobs_runner.analysis import Contender
from deepobs_runner.figures.style import Look, Palette, Subject, looks_of
from deepobs_runner.results.result import ORIGINAL, YOURS, provenance_of


def looks_of_contenders(
    problems: Mapping[str, Sequence[Contender]], palette: Palette | None = None
) -> dict[str, Look]:
    """Return the look of each label.

    Args:
        problems: as `analysis.contenders` returns them.
        palette: of all figures shown together.
    """
    subjects: dict[str, Subject] = {}
    for listed in problems.values():
        for contender in listed:
            run = contender.runs[0]
            subject = Subject(run.config.optimizer, provenance_of(run) not in (YOURS, ORIGINAL))
            subjects.setdefault(contender.label, subject)
    return dict(zip(subjects, looks_of(list(subjects.values()), palette), strict=True))
