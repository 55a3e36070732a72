"""The files of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

from deepobs_runner.errors import UsageError
from deepobs_runner.figures.saving import save_all
from deepobs_runner.helpers import Here
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
    study: Study,
    report: Report,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    executor: Executor | None = None,
) -> list[Path]:
    """Write a report to a folder; return the paths, that of the page first.

    Args:
        study: what it is about.
        report: of the study, with its drawings if figures are wanted.
        folder: is made if it is not there; files of the same name are replaced.
        formats: some of `FORMATS`.
        executor: writes figures; None: this process.

    Raises:
        UsageError: an unknown format, or a file cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(
            f"There is no format {', '.join(map(repr, unknown)) or 'asked for'}; allowed: "
            f"{', '.join(FORMATS)}."
        )
    figures = folder / "figures"
    pictures: dict[str, str] = {}
    evaluations: list[Path] = []
    try:
        (figures if {"png", "pdf"} & set(formats) else folder).mkdir(parents=True, exist_ok=True)
        started = _start_figures(report, figures, formats, executor or Here())
        if "csv" in formats:  # while others draw
            evaluations.append(_write_evaluations(study, folder / "evaluations.csv"))
        drawn: list[Path] = []
        for name, paths, future in started:
            svg = future.result()
            drawn += paths
            if svg is not None:
                pictures[name] = svg
        texts = [
            _write(folder / name, content)
            for name, content in _texts(study, report, pictures, formats)
        ]
    except OSError as error:
        raise UsageError(f"Cannot write the report to {folder}: {error.strerror}.") from None
    return [*texts, *evaluations, *drawn]


def _start_figures(
    report: Report, folder: Path, formats: Sequence[str], executor: Executor
) -> list[tuple[str, list[Path], Future[str | None]]]:
    """Have every figure written; return its name, its files, and what returns its SVG."""
    kinds = [name for name in ("png", "pdf") if name in formats]
    started = []
    for drawing in (*report.drawings, *(d for s in report.sections for d in s.drawings)):
        if drawing.figure is None or not (kinds or "html" in formats):
            continue
        paths = [folder / f"{drawing.name}.{kind}" for kind in kinds]
        label = f"{drawing.title}. {drawing.caption}" if "html" in formats else None
        started.append(
            (drawing.name, paths, executor.submit(save_all, drawing.figure, paths, label))
        )
    return started


def _texts(
    study: Study, report: Report, pictures: Mapping[str, str], formats: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """Yield the name and content of every file but evaluations and figures."""
    if "html" in formats:
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
