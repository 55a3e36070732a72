"""`deepobs report`: report on a results folder or baseline set."""

from __future__ import annotations

import argparse
import json
import webbrowser
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import (
    add,
    add_flag,
    add_import_code,
    add_json,
    add_list,
    add_references,
    add_results,
)
from deepobs_runner.cli.threads import use_one_thread
from deepobs_runner.report.formats import FORMATS, PAPER_FORMATS, USUAL_FORMATS
from deepobs_runner.text import count

WORTH_A_POOL = 20
"""Number of runs above which a worker pool draws the figures."""

DRAWING = (
    "deepobs_runner.figures.kinds.trajectory",
    "deepobs_runner.figures.defaults",
    "matplotlib.backends.backend_pdf",
)
"""Modules that each worker imports, in this order."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the comparison and the output."""
    parser.description = (
        "Write one HTML file that opens without a network, tables as CSV and a methods paragraph; "
        "with --paper figures as PNG and PDF, and LaTeX, too (docs/report.md)."
    )
    add_list(parser, "--problem", "only this problem; repeatable; default: all")
    add_results(parser)
    add_references(parser)
    add(parser, "--out", "report folder; default: RESULTS/report or report-SET", Path)
    add_flag(parser, "--paper", f"also write {', '.join(PAPER_FORMATS)}")
    usual = ",".join(USUAL_FORMATS)
    add(parser, "--formats A,B", f"formats out of {','.join(FORMATS)}; default: {usual}")
    add_flag(parser, "--open", "open the page in a browser")
    add_json(parser)
    add_import_code(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print a table of results, and write the report with its figures and tables.

    A warning names each file that cannot be read.
    """
    use_one_thread()
    from deepobs_runner.backend.worker_pool import worker_pool
    from deepobs_runner.cli.console import make_console, print_summary
    from deepobs_runner.cli.messages import print_json
    from deepobs_runner.cli.read import read_data, warn_of_left_out
    from deepobs_runner.report.notes import notes_on_missing
    from deepobs_runner.report.sections import assemble
    from deepobs_runner.report.sentences import overall_sentence
    from deepobs_runner.report.tables import TABLES
    from deepobs_runner.report.tables.equivalence import equivalence_sentence
    from deepobs_runner.report.text import json_table
    from deepobs_runner.report.write import (
        check_formats,
        figure_formats,
        report_folder,
        save_figures,
        write_report,
    )
    from deepobs_runner.results.outputs import refuse_links
    from deepobs_runner.results.store import collector_paused

    console = make_console(quiet=arguments.json)
    words = USUAL_FORMATS if arguments.formats is None else arguments.formats.split(",")
    formats = check_formats([*words, *(PAPER_FORMATS if arguments.paper else ())])
    draw = bool(figure_formats(formats))
    out = arguments.out or default_folder(arguments.results)
    if arguments.out is None and arguments.results.is_dir():
        refuse_links(out, arguments.results)
    workers = None if draw and _is_large(arguments.results) else 1
    with (
        ExitStack() as held,
        collector_paused(),
        worker_pool(workers, modules=DRAWING) as executor,
    ):
        data = read_data(arguments)
        # Fail before drawing anything. It ends after the pool, which may still write.
        held.enter_context(report_folder(out, formats))
        # Workers start while the summary is computed.
        drawn = data.drawings(import_code=arguments.import_code, executor=executor) if draw else ()
        warn_of_left_out(data)
        print_summary(console, {name: data.shown(name) for name in data.settings})
        for note in notes_on_missing(data.own, data.every):
            console.print_line(f"note: {note}")
        for verdict in data.verdicts:
            console.print_line(overall_sentence(verdict))
        if data.equivalences:
            console.print_line(equivalence_sentence(data.equivalences))
        figures = save_figures(drawn, out, formats, executor)
        written = write_report(data, assemble(data), out, formats, figures=figures)
    for line in _written_lines(written, out):
        console.print_line(line)
    if arguments.json:
        rows = json.loads(json_table(TABLES.load("verdict")(data)))
        print_json({"verdict": rows, "files": [str(path) for path in written]})
    pages = [path for path in written if path.suffix == ".html"]
    if arguments.open and pages:
        webbrowser.open(pages[0].resolve().as_uri())
    return 0


def default_folder(place: Path) -> Path:
    """The default folder of a report."""
    return place / "report" if place.is_dir() else Path(f"report-{place}")


def _is_large(place: Path) -> bool:
    """Whether drawing takes longer than starting a worker pool."""
    from deepobs_runner.results.baselines import DESCRIPTION, baseline_sets

    if place.is_dir():
        runs = sum(1 for _ in place.glob("*.json"))
        return (place / DESCRIPTION).exists() or runs >= WORTH_A_POOL
    return str(place) in baseline_sets()


def _written_lines(written: Sequence[Path], folder: Path) -> Iterator[str]:
    """Lines about the page, if written, and the kinds of the other files."""
    pages = [path for path in written if path.suffix == ".html"]
    for page in pages:
        yield f"wrote {page}, which opens in any browser"
    kinds = {".csv": "tables", ".png": "figures", ".pdf": "figures", ".tex": "LaTeX"}
    there = {path.suffix for path in written}
    named = [*dict.fromkeys(kind for suffix, kind in kinds.items() if suffix in there), "methods"]
    place = "beside it" if pages else f"to {folder}"
    yield f"wrote {count(len(written) - len(pages), 'file')} {place}: {', '.join(named)}"


COMMAND = Command(
    "write an HTML report, figures and LaTeX tables",
    add_arguments,
    execute,
)
