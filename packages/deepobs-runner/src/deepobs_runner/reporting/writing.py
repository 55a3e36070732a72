"""The files of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from deepobs_runner.errors import UsageError
from deepobs_runner.figures import save, to_svg
from deepobs_runner.provenance import whose
from deepobs_runner.reporting.assembly import Report
from deepobs_runner.reporting.bibliography import bibtex
from deepobs_runner.reporting.html import html_report
from deepobs_runner.reporting.latex import latex_curves, latex_methods, latex_table
from deepobs_runner.reporting.pictures import shown_settings
from deepobs_runner.reporting.plain_text import csv_table, write_evaluations
from deepobs_runner.reporting.study import Study

FORMATS = ("html", "png", "pdf", "csv", "latex")
"""What can be written; `cli.REPORT_FORMATS` repeats them."""


def write_report(
    study: Study, report: Report, folder: Path, formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Write a report to a folder; return the paths, that of the page first.

    Args:
        study: what it is about.
        report: of the study, with its drawings if figures are wanted.
        folder: is made if it is not there; files of the same name are replaced.
        formats: some of `FORMATS`.

    Raises:
        UsageError: an unknown format, or a file cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(
            f"There is no format {', '.join(map(repr, unknown)) or 'asked for'}; allowed: "
            f"{', '.join(FORMATS)}."
        )
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in _texts(study, report, formats):
            written.append(_write(folder / name, content))
        if "csv" in formats:
            written.append(_write_evaluations(study, folder / "evaluations.csv"))
        written += _write_figures(report, folder / "figures", formats)
    except OSError as error:
        raise UsageError(f"Cannot write the report to {folder}: {error.strerror}.") from None
    return written


def _texts(study: Study, report: Report, formats: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and content of every file but evaluations and figures."""
    if "html" in formats:
        drawn = (*report.drawings, *(d for section in report.sections for d in section.drawings))
        pictures = {
            drawing.name: to_svg(drawing.figure, label=f"{drawing.title}. {drawing.caption}")
            for drawing in drawn
            if drawing.figure is not None
        }
        yield "report.html", html_report(report, pictures)
    tables = {kind: table for kind, table in report.tables.items() if table.rows}
    if "csv" in formats:
        yield from ((f"tables/{kind}.csv", csv_table(table)) for kind, table in tables.items())
    if "latex" in formats:
        yield from ((f"latex/{kind}.tex", latex_table(table)) for kind, table in tables.items())
        yield "latex/methods.tex", latex_methods(report.methods)
        yield "latex/references.bib", bibtex(report.methods.keys)
        for section in report.sections:
            settings = shown_settings(study, section.problem)
            curves = latex_curves(section.problem, settings, level=study.level)
            if curves:
                yield f"latex/curves-{section.name}.tex", curves
    yield "methods.txt", report.methods.plain() + "\n"


def _write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8", newline="\n")
    return path


def _write_evaluations(study: Study, path: Path) -> Path:
    compared = [run for listed in study.problems.values() for c in listed for run in c.runs]
    baselines = {id(run) for run in study.baselines}
    tuned = [run for run in compared if id(run) in baselines]
    runs = [(run, whose(run)) for run in (*study.own, *tuned)]

    with path.open("w", encoding="utf-8", newline="") as file:
        write_evaluations(runs, file)
    return path


def _write_figures(report: Report, folder: Path, formats: Sequence[str]) -> list[Path]:
    kinds = [name for name in ("png", "pdf") if name in formats]
    drawn = (*report.drawings, *(d for section in report.sections for d in section.drawings))
    if kinds:
        folder.mkdir(exist_ok=True)
    return [
        save(drawing.figure, folder / f"{drawing.name}.{kind}")
        for drawing in drawn
        if drawing.figure is not None
        for kind in kinds
    ]
