"""`deepobs report` and `deepobs table`: what a folder of results, or a baseline set, says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from deepobs_problems.errors import nearest
from deepobs_runner.backend.worker_pool import worker_pool
from deepobs_runner.cli.console import make_console, print_summary, say
from deepobs_runner.errors import UsageError
from deepobs_runner.report.data import Study, make_study
from deepobs_runner.report.figures import drawings, shown_settings
from deepobs_runner.report.latex import latex_table
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.table import Table
from deepobs_runner.report.tables.registry import TABLES
from deepobs_runner.report.text import (
    csv_table,
    json_table,
    markdown_table,
    terminal_table,
)
from deepobs_runner.report.write import (
    check_formats,
    make_folder,
    save_figures,
    write_report,
)
from deepobs_runner.results.baselines import (
    DESCRIPTION,
    all_results,
    baseline_results,
    baseline_sets,
    choose_sets,
    unpacked_results,
)
from deepobs_runner.results.files import write_bytes
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.store import collector_paused, load_results
from deepobs_runner.text import count
from deepobs_runner.tuning.ledger import damaged_studies

WORTH_A_POOL = 20
"""Runs from which on a pool of processes draws the figures."""

DRAWING = ("deepobs_runner.figures", "matplotlib.backends.backend_pdf")
"""Modules that each process of the pool needs."""

TEXTS: Mapping[str, Callable[[Table], str]] = {
    "csv": csv_table,
    "latex": latex_table,
    "markdown": markdown_table,
    "json": json_table,
}
"""A table as text in each format but `terminal`."""


@collector_paused()
def make_report(arguments: argparse.Namespace) -> int:
    """Print a table of results, and write the report with its figures and tables.

    A file that cannot be read is named and left out.
    """
    console = make_console()
    formats = check_formats(arguments.formats.split(","))
    draw = bool({"html", "png", "pdf"} & set(formats))
    out = arguments.out or default_folder(arguments.results)
    is_large = draw and _is_large(arguments.results)
    with worker_pool(None if is_large else 1, modules=DRAWING) as executor:
        study = read_study(
            arguments,
            references=arguments.reference,
            level=arguments.level,
            problems=arguments.problem,
        )
        make_folder(out, formats)  # before anything is drawn, if it cannot be made
        # The pool begins while the summary is made.
        pictures = (
            drawings(study, import_code=arguments.import_code, executor=executor) if draw else ()
        )
        _say_left_out(console, study)
        shown = {problem: shown_settings(study, problem) for problem in study.settings}
        print_summary(console, shown)
        for verdict in study.verdicts:
            say(console, verdict.overall)
        figures = save_figures(pictures, out, formats, executor)
        report = assemble(study, [saving.drawing for saving in figures])
        written = write_report(study, report, out, formats, figures=figures)
    _say_what_is_written(console, written, out)
    return 0


def _say_what_is_written(console: Console, written: Sequence[Path], folder: Path) -> None:
    """Name the page, if there is one, and the kinds of the other files."""
    pages = [path for path in written if path.suffix == ".html"]
    for page in pages:
        say(console, f"wrote {page}, which opens in any browser")
    kinds = {".csv": "tables", ".png": "figures", ".pdf": "figures", ".tex": "LaTeX"}
    there = {path.suffix for path in written}
    named = [*dict.fromkeys(kind for suffix, kind in kinds.items() if suffix in there), "methods"]
    place = "beside it" if pages else f"to {folder}"
    rest = len(written) - len(pages)
    say(console, f"wrote {count(rest, 'file')} {place}: {', '.join(named)}")


@collector_paused()
def print_table(arguments: argparse.Namespace) -> int:
    """Print one table, or write it to a file."""
    console = make_console()
    study = read_study(
        arguments,
        references=arguments.reference,
        level=arguments.level,
        problems=arguments.problem,
    )
    say_left_out(study)
    table = TABLES[arguments.kind](study)
    if not table.rows:
        raise UsageError(
            f"The table {arguments.kind!r} is empty for these results: {table.caption}"
        )
    if arguments.format == "terminal" and arguments.out is None:
        console.print(terminal_table(table))
        return 0
    kind = arguments.format if arguments.format != "terminal" else _format_of(arguments.out)
    text = TEXTS[kind](table)
    if arguments.out is None:
        print(text, end="")
    else:
        try:
            write_bytes(arguments.out, text.encode())
        except OSError as error:
            raise UsageError(f"Cannot write {arguments.out}: {error.strerror}.") from None
        say(console, f"wrote {arguments.out}")
    return 0


def _is_large(place: Path) -> bool:
    """Whether a report draws for longer than a pool takes to start."""
    if place.is_dir():
        runs = sum(1 for _ in place.glob("*.json"))
        return (place / DESCRIPTION).exists() or runs >= WORTH_A_POOL
    return str(place) in baseline_sets()


def _format_of(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises:
        UsageError: none.
    """
    formats = {".csv": "csv", ".tex": "latex", ".md": "markdown", ".json": "json"}
    if path.suffix not in formats:
        raise UsageError(
            f"{path.name!r} says no format. End it with {', '.join(formats)}, or give --format."
        )
    return formats[path.suffix]


def _check_names(names: Iterable[str], there: Iterable[str]) -> None:
    known = list(there)
    for name in names:
        if name not in known:
            raise UsageError(
                f"There are no results of {name!r}.{nearest(name, known)} "
                f"Problems: {', '.join(known)}."
            )


def read_study(
    arguments: argparse.Namespace,
    *,
    references: Sequence[str] = (),
    level: float = 0.95,
    problems: Sequence[str] = (),
) -> Study:
    """Return the study that the arguments of `report`, `table` or `plot` ask for.

    Args:
        arguments: results, baselines, unit and epochs.
        references: labels or optimizers to compare with.
        level: of all intervals.
        problems: to read; none: all there are.

    Raises:
        UsageError: no such folder or set, nothing to report, no such baselines or reference.
    """
    left_out: list[str] = []
    own, is_set = read_results(arguments.results, left_out)
    if problems:
        _check_names(problems, dict.fromkeys(run.config.problem for run in own))
        own = [run for run in own if run.config.problem in problems]
        evaluated = {run.config.problem for run in own if run.records}
        left_out += [
            f"{name}: no run has got as far as one evaluation"
            for name in dict.fromkeys(problems)
            if name not in evaluated
        ]
    baselines: list[RunResult] = []
    if not is_set and not arguments.no_baselines:
        names = arguments.baselines
        sets = choose_sets(names) if names else list(baseline_sets().values())
        baselines = [
            run
            for chosen in sets
            for problem in dict.fromkeys(run.config.problem for run in own)
            for run in baseline_results(chosen, problem)
        ]
    return make_study(
        own,
        baselines,
        references=references,
        unit=arguments.unit,
        level=level,
        epochs=arguments.epochs,
        left_out=left_out,
        chosen=problems,
    )


def read_results(place: Path, left_out: list[str]) -> tuple[list[RunResult], bool]:
    """Return the results in a folder, or of a baseline set, and whether it is one.

    Args:
        place: a folder of results or a packed set, or the name of a baseline set.
        left_out: what is wrong with files that were left out is added to it.

    Raises:
        UsageError: neither, or no result in it.
    """
    if not place.is_dir() and str(place) in baseline_sets():
        return all_results(baseline_sets()[str(place)]), True
    if (place / DESCRIPTION).exists():
        return unpacked_results(place), False
    results = load_results(place, on_error=lambda error: left_out.append(f"left out: {error}"))
    left_out += [f"left out: {sentence}" for sentence in damaged_studies(place)]
    if not results:
        raise UsageError(
            f"There is nothing to report: no result can be read in {place}. "
            + (" ".join(left_out) or '"deepobs run" and "deepobs bench" write some.')
        )
    return results, False


def default_folder(place: Path) -> Path:
    """Return where a report goes if nothing is said."""
    return place / "report" if place.is_dir() else Path(f"report-{place}")


def say_left_out(study: Study) -> None:
    """Say on standard error what of the results, or of their epochs, is left out."""
    for sentence in study.left_out:
        print(f"deepobs: {sentence}", file=sys.stderr)


def _say_left_out(console: Console, study: Study) -> None:
    say_left_out(study)
    empty = sum(not run.records for run in study.own)
    if empty:
        say(console, f"{count(empty, 'run')} without any evaluation left out of the tables")
