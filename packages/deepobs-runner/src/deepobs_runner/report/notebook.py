"""The report in a notebook: the page inline, and its tables as frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path

from deepobs_runner.comparison import Verdict
from deepobs_runner.config import Unit
from deepobs_runner.report.data import ReportData, gather_data
from deepobs_runner.report.formats import USUAL_FORMATS
from deepobs_runner.report.page.render import render_page
from deepobs_runner.report.sections import Report, assemble
from deepobs_runner.report.table import Table
from deepobs_runner.report.write import write_report
from deepobs_runner.results.baselines import baseline_results, baseline_sets, choose_sets
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.store import collector_paused, load_results

HEIGHT = 760
"""Pixels of the page in a notebook."""


@dataclass(frozen=True)
class Page:
    """A report that a notebook shows, with everything it is made of.

    Attributes:
        data: results, targets and verdicts.
        report: title, notes, tables and methods.
    """

    data: ReportData
    report: Report

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdict of each pair that is compared."""
        return self.data.verdicts

    @property
    def tables(self) -> Mapping[str, Table]:
        """Every table by kind; each has `to_frame()` and `to_latex()`."""
        return self.report.tables

    @cached_property
    def html(self) -> str:
        """The page: one HTML file that needs no network."""
        return render_page(self.report, self.data)

    def save(self, folder: str | Path, formats: Sequence[str] = USUAL_FORMATS) -> list[Path]:
        """Write the report as `deepobs report` does; return the paths, that of the page first.

        Raises:
            UsageError: an unknown format, or a file cannot be written.
        """
        return write_report(self.data, self.report, Path(folder), formats)

    def _repr_html_(self) -> str:
        """Page in a frame, which keeps its style from that of the notebook."""
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="{escape(self.report.title)}" '
            f'style="width: 100%; height: {HEIGHT}px; border: 0"></iframe>'
        )


def report(
    results: str | Path | Iterable[RunResult],
    *,
    baselines: Sequence[str] | None = None,
    references: Sequence[str] = (),
    unit: Unit = "epochs",
    level: float = 0.95,
    epochs: int | None = None,
    equivalence: float | None = None,
) -> Page:
    """Report of results; a notebook cell that ends with it displays the page.

    Args:
        results: a folder of results, or results.
        baselines: names of baseline sets to compare with; None: all sets; empty: no baselines.
        references: labels or optimizers to compare with; empty: SGD, Momentum and Adam.
        unit: unit of time to target.
        level: confidence level of all intervals.
        epochs: number to compare after; None: at the end of each run.
        equivalence: relative margin, e.g. 0.05, to test for equivalence; None: no test.

    Raises:
        UsageError: results without records, an unknown set or reference, a level outside (0, 1), or
            a margin <= 0.
    """
    with collector_paused():
        left_out: list[str] = []
        if isinstance(results, str | Path):
            own = load_results(Path(results), on_error=lambda e: left_out.append(f"skipped: {e}"))
        else:
            own = list(results)
        sets = list(baseline_sets().values()) if baselines is None else choose_sets(baselines)
        problems = dict.fromkeys(run.config.problem_id.name for run in own)
        known = [run for each in sets for name in problems for run in baseline_results(each, name)]
        data = gather_data(
            own,
            known,
            references=references,
            unit=unit,
            level=level,
            epochs=epochs,
            equivalence=equivalence,
            left_out=left_out,
        )
        return Page(data, assemble(data))
