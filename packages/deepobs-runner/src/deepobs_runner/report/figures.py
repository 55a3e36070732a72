"""Which settings are drawn, and the drawings of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor

from deepobs_runner.figures import Drawing
from deepobs_runner.figures import drawings as draw_settings
from deepobs_runner.report.data import ReportData
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

MOST_SETTINGS = 12
"""Settings of a problem that are all shown; of more, only those that stand for an optimizer."""


def shown_settings(data: ReportData, problem: str) -> list[Setting]:
    """Return the settings of a problem whose curves are shown."""
    listed = list(data.settings[problem])
    if len(listed) <= MOST_SETTINGS:
        return listed
    return [setting for setting in listed if setting.chosen_by]


def drawings(
    data: ReportData,
    kinds: Sequence[str] | None = None,
    *,
    metric: str | None = None,
    import_code: bool = False,
    executor: Executor | None = None,
) -> Iterator[Drawing]:
    """Return every figure of a report, or why it could not be drawn; see `figures.drawings`.

    Args:
        data: results and who is compared.
        kinds: some of `figures.FIGURES`; None: all.
        metric: as for `figures.drawings`.
        import_code: as for `figures.drawings`.
        executor: as for `figures.drawings`.
    """
    results: dict[str, list[RunResult]] = {name: [] for name in data.settings}
    for setting in data.every:
        results[setting.problem].extend(setting.runs)
    return draw_settings(
        {name: shown_settings(data, name) for name in data.settings},
        kinds,
        results=results,
        targets=data.targets,
        metric=metric,
        unit=data.unit,
        level=data.level,
        import_code=import_code,
        executor=executor,
    )
