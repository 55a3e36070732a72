"""The files of a report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from deepobs_runner.backend.worker_pool import InlineExecutor
from deepobs_runner.errors import UsageError
from deepobs_runner.figures import Drawing
from deepobs_runner.figures.saving import save_all
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.formats import FORMATS, USUAL_FORMATS
from deepobs_runner.report.page.render import render_page
from deepobs_runner.report.references import bibtex
from deepobs_runner.report.sections import Report
from deepobs_runner.report.table import Table
from deepobs_runner.report.text import csv_table, write_evaluations
from deepobs_runner.results.files import read_file, write_bytes
from deepobs_runner.results.outputs import locked, refuse_links
from deepobs_runner.results.result import provenance_of
from deepobs_runner.runs.interrupts import shielded
from deepobs_runner.text import file_names, printable

FOLDERS = ("tables", "figures", "latex")
"""Below the folder of a report."""

LIST = ".written"
"""File in the folder of a report: the names of the others, so that the next one can remove them."""

MOST_NAMES = 2**20
"""Bytes of `LIST` that are read."""

DRAFT = ".deepobs-draft"
"""Folder in that of a report: its files are complete before they replace those of an earlier one.
A disk that is full, or an interrupt, leaves the earlier report as it was."""

LOCK = ".deepobs-lock"
"""File in the folder of a report: two reports are never written there at once."""


@dataclass(frozen=True, kw_only=True)
class Saving:
    """A drawing with files being written, as drafts."""

    drawing: Drawing
    paths: tuple[Path, ...]
    done: Future[Any]


def check_formats(words: Iterable[str]) -> list[str]:
    """Formats of a report that are asked for.

    Raises:
        UsageError: an unknown format, or none.
    """
    formats = list(dict.fromkeys(word.strip() for word in words if word.strip()))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise UsageError(
            f"Unknown format {', '.join(map(repr, unknown)) or 'asked for'}; allowed: "
            f"{', '.join(FORMATS)}."
        )
    return formats


@contextmanager
def report_folder(folder: Path, formats: Sequence[str]) -> Iterator[None]:
    """Hold the folder of a report for files of these formats, which may be there, and its draft.

    Raises:
        UsageError: it cannot be made, holds files of these names that are not of a report, or
            another process is writing a report there.
    """
    try:
        if not (folder / LIST).exists():
            _refuse_others(folder)
            folder.mkdir(parents=True, exist_ok=True)
            write_bytes(folder / LIST, b"")
        for name in (LIST, DRAFT, *(("figures",) if figure_formats(formats) else ())):
            refuse_links(folder / name, folder)
    except OSError as error:
        raise _cannot_write(folder, error) from None
    other = f"is writing a report to {folder}"
    with locked(folder / LOCK, folder, other, "choose another folder with --out"):
        try:
            _discard_draft(folder)  # of a report that was killed
            (folder / DRAFT).mkdir()
        except OSError as error:
            raise _cannot_write(folder, error) from None
        try:
            yield
        finally:
            _discard_draft(folder)


def _discard_draft(folder: Path) -> None:
    shutil.rmtree(folder / DRAFT, ignore_errors=True)


def _cannot_write(folder: Path, error: OSError) -> UsageError:
    return UsageError(f"Cannot write the report to {folder}: {error.strerror}.")


def _refuse_others(folder: Path) -> None:
    """Refuse a folder without a list of what DeepOBS wrote there that has files of its names."""
    for name in ("report.html", "evaluations.csv", "methods.txt", *FOLDERS):
        if os.path.lexists(folder / name):
            raise UsageError(
                f"{folder / name} is there, and DeepOBS did not write it: {folder / LIST} is "
                "missing. Move it away, or choose another folder with --out."
            )


def save_figures(
    drawings: Iterable[Drawing],
    folder: Path,
    formats: Sequence[str],
    executor: Executor | None = None,
) -> list[Saving]:
    """Have every drawing written as soon as it is made, by an executor or this process."""
    executor = executor or InlineExecutor()
    started = []
    for drawing in drawings:
        if drawing.figure is not None:
            names = [f"figures/{drawing.name}.{kind}" for kind in figure_formats(formats)]
            paths = tuple(_draft_path(folder, name) for name in names)
            done = executor.submit(save_all, drawing.figure, paths, None)
            started.append(Saving(drawing=drawing, paths=paths, done=done))
    return started


def write_report(
    data: ReportData,
    report: Report,
    folder: Path,
    formats: Sequence[str] = USUAL_FORMATS,
    *,
    figures: Sequence[Saving] | None = None,
) -> list[Path]:
    """Write a report to a folder; return the paths, that of the page first.

    What an earlier report wrote there in these formats and this one does not is removed.

    Args:
        data: results that are reported.
        report: its parts.
        folder: where.
        formats: of the files.
        figures: those that are being written, in a folder that `report_folder` holds; without
            them, the folder is held and the figures are drawn here.

    Raises:
        UsageError: an unknown format, a file cannot be written, or another process is writing a
            report there.
    """
    if figures is None:
        with report_folder(folder, check_formats(formats)):
            drawings = data.drawings() if figure_formats(formats) else ()
            figures = save_figures(drawings, folder, formats)
            return write_report(data, report, folder, formats, figures=figures)
    written: list[Path] = []
    try:
        if "csv" in formats:  # while others draw
            written.append(_write_evaluations(data, folder))
        texts = [_write(folder, name, text) for name, text in _texts(data, report, formats)]
        for saving in figures:
            saving.done.result()
            written += saving.paths
        return _publish(folder, [*texts, *written])
    except OSError as error:
        raise _cannot_write(folder, error) from None


def figure_formats(formats: Sequence[str]) -> list[str]:
    """Formats that figures are written in."""
    return [name for name in ("png", "pdf") if name in formats]


def _publish(folder: Path, drafts: Sequence[Path]) -> list[Path]:
    """Move the files of a draft to their places, which takes no room; return their paths.

    What an earlier report left of the same kinds is removed, and what is there is listed. An
    interrupt waits; a kill leaves a list of all that may be there, so that the next report can
    remove it.
    """
    written = [folder / path.relative_to(folder / DRAFT) for path in drafts]
    for path in written:
        refuse_links(path, folder)
    left = _left_of_earlier(folder, written)
    names = {path.relative_to(folder).as_posix() for path in written} | left.kept
    removed = {path.relative_to(folder).as_posix() for path in left.removed}
    before = _write_list(folder, names | removed)
    after = _write_list(folder, names, f"{LIST}-after")
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
    with shielded():
        os.replace(before, folder / LIST)
        for draft, path in zip(drafts, written, strict=True):
            os.replace(draft, path)
        for path in left.removed:
            path.unlink(missing_ok=True)
        os.replace(after, folder / LIST)
    return written


def _write_list(folder: Path, names: Iterable[str], draft: str = LIST) -> Path:
    return _write(folder, draft, "".join(f"{name}\n" for name in sorted(names)))


class _Left(NamedTuple):
    """Files of an earlier report: names that stay listed, and paths to remove."""

    kept: set[str]
    removed: list[Path]


def _left_of_earlier(folder: Path, written: Sequence[Path]) -> _Left:
    """Look what an earlier report left that this one does not write."""
    kinds = {path.suffix for path in written}
    left = _Left(set(), [])
    for path in {folder / name for name in _listed(folder)} - set(written):
        if not path.resolve().is_relative_to(folder.resolve()):  # the list was edited
            continue
        if path.suffix in kinds:
            left.removed.append(path)
        else:
            left.kept.add(path.relative_to(folder).as_posix())
    return left


def _listed(folder: Path) -> set[str]:
    """Names that the list in a folder holds, as far as they can be those of files of a report."""
    try:
        names = read_file(folder / LIST, MOST_NAMES).decode(errors="replace").splitlines()
    except OSError:
        return set()
    return {name for name in names if _is_ours(folder, name)}


def _is_ours(folder: Path, name: str) -> bool:
    """Whether a name of the list, which may be foreign, is that of a file of a report."""
    *above, last = name.split("/")
    if "\0" in name or last in ("", ".", "..") or above not in ([], *([name] for name in FOLDERS)):
        return False
    with suppress(OSError):  # a name can be too long
        return (folder / name).is_file() or (folder / name).is_symlink()
    return False


def _texts(data: ReportData, report: Report, formats: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name and content of every file but evaluations and figures."""
    if "html" in formats:
        yield "report.html", render_page(report, data)
    tables = {kind: table for kind, table in report.tables.items() if table.rows}
    if "csv" in formats:
        yield from ((f"tables/{kind}.csv", csv_table(table)) for kind, table in tables.items())
    if "latex" in formats:
        yield from _latex(data, report, tables)
    yield "methods.txt", report.methods.plain() + "\n"


def _latex(
    data: ReportData, report: Report, tables: Mapping[str, Table]
) -> Iterator[tuple[str, str]]:
    """Yield the name and content of every file of LaTeX."""
    from deepobs_runner.report.latex import (
        latex_curves,
        latex_forest,
        latex_methods,
        latex_results,
    )

    yield from ((f"latex/{kind}.tex", table.to_latex()) for kind, table in tables.items())
    yield from ((f"latex/{name}.tex", text) for name, text in latex_results(data).items())
    if data.verdicts:
        yield "latex/forest.tex", latex_forest(data)
    yield "latex/methods.tex", latex_methods(report.methods)
    yield "latex/references.bib", bibtex(report.methods.keys)
    for problem, name in file_names(data.settings).items():
        if curves := latex_curves(problem, data.shown(problem), level=data.level):
            yield f"latex/curves-{name}.tex", curves


def _draft_path(folder: Path, name: str) -> Path:
    """Path of the draft of a file, in a folder that exists."""
    path = folder / DRAFT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write(folder: Path, name: str, content: str) -> Path:
    path = _draft_path(folder, name)
    path.write_text(printable(content), encoding="utf-8", newline="\n")
    return path


def _write_evaluations(data: ReportData, folder: Path) -> Path:
    path = _draft_path(folder, "evaluations.csv")
    tuned = [run for s in data.tuned if not data.is_own(s) for run in s.runs]
    runs = [(run, provenance_of(run)) for run in (*data.own, *tuned)]
    with path.open("w", encoding="utf-8", newline="") as file:
        write_evaluations(runs, file)
    return path
