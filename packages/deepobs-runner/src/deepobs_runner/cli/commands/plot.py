"""`deepobs plot`: draw one kind of figure, into a file or the terminal."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import (
    add,
    add_flag,
    add_import_code,
    add_list,
    add_references,
    add_results,
    list_of_names,
)
from deepobs_runner.cli.threads import use_one_thread
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.kinds import CONTENTS, FIGURES
from deepobs_runner.figures.style import SCALES, WIDTHS, Paper

if TYPE_CHECKING:
    from deepobs_runner.figures import Drawing
    from deepobs_runner.report.data import ReportData


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the kind of figure, the results and the output."""
    parser.description = (
        "Draw one kind of figure from results and baselines. docs/figures.md shows them all."
    )
    parser.epilog = list_of_names("figures", CONTENTS)
    add_results(parser)
    add(parser, "figure FIGURE", "a figure of the list below, or file.py:name")
    add_list(parser, "--problem", "only this problem; repeatable; default: all")
    add(parser, "--metric", "e.g. accuracy, for curves, sensitivity and tuning")
    add(parser, "--out FILE", "a .pdf, .png or .svg file; default: print as text", Path)
    add_flag(parser, "--terminal", "print as text, too")
    add(parser, "--width", "3.3 or 6.9 inches wide; default: fits the figure", choices=WIDTHS)
    add_flag(parser, "--serif", "use a serif font like Times")
    add(
        parser,
        "--scale",
        "curves: log distance to the best, or values; default: %(default)s",
        choices=SCALES,
        default=SCALES[0],
    )
    add_import_code(parser)
    add_references(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Draw the figures of one kind; return 1 without a figure.

    A warning names each result file that cannot be read.
    """
    use_one_thread()
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.read import check_order, read_data, warn_of_left_out
    from deepobs_runner.figures.saving import format_of
    from deepobs_runner.figures.terminal import WIDTH, to_text
    from deepobs_runner.results.store import collector_paused

    check_order("plot", arguments.results, arguments.figure, FIGURES.built_in())
    FIGURES.load(arguments.figure)
    if arguments.out is not None:
        format_of(arguments.out)
    console = make_console()
    with collector_paused():
        data = read_data(arguments)
        warn_of_left_out(data)
        if arguments.metric is not None:
            _check_metric(data, arguments.metric)
        found = data.drawings(
            [arguments.figure],
            metric=arguments.metric,
            scale=arguments.scale,
            paper=Paper(arguments.width, arguments.serif),
            import_code=arguments.import_code,
        )
        drawn = list(_with_figure(found))
        if not drawn:
            return 1
        for path in write(drawn, arguments.out) if arguments.out is not None else ():
            console.print_line(f"wrote {path}")
        if arguments.out is None or arguments.terminal:
            width = max(min(console.width, 120) if console.is_terminal else WIDTH, 40)
            for drawing in drawn:
                if drawing.figure is not None:
                    console.print(to_text(drawing.figure, width=width), soft_wrap=True)
        for caption in dict.fromkeys(drawing.caption for drawing in drawn):
            console.print_line(caption)
    return 0


def _check_metric(data: ReportData, name: str) -> None:
    """Raise a UsageError unless a run has a metric of this name."""
    from deepobs_problems.errors import nearest

    runs = (run for listed in data.settings.values() for s in listed for run in s.runs)
    splits = (values for run in runs for values in run.records[0]["metrics"].values())
    known = list(dict.fromkeys(metric for values in splits for metric in values))
    if name not in known:
        raise UsageError(
            f"No run has the metric {name!r}.{nearest(name, known)} Metrics: {', '.join(known)}."
        )


def _with_figure(found: Iterable[Drawing]) -> Iterator[Drawing]:
    """Yield drawings that have a figure; print why others have none."""
    from deepobs_runner.cli.messages import warn

    nothing = True
    for drawing in found:
        nothing = False
        if drawing.figure is None:
            warn(drawing.caption)
        else:
            yield drawing
    if nothing:  # trajectories need a function of two parameters
        warn("no problem has a figure of this kind.")


def write(drawn: Sequence[Drawing], path: Path) -> list[Path]:
    """Write figures into one PDF with pages, or into one image file each.

    Raises:
        UsageError: unknown format, or a file cannot be written.
    """
    from deepobs_runner.figures.saving import format_of, save, save_pages

    figures = [drawing.figure for drawing in drawn if drawing.figure is not None]
    if len(figures) == 1 or format_of(path) == "pdf":
        return [save_pages(figures, path)]
    names = [drawing.name for drawing in drawn]
    return [
        save(figure, path.with_name(f"{path.stem}-{name}{path.suffix}"))
        for name, figure in zip(names, figures, strict=True)
    ]


COMMAND = Command("draw a figure, into a file or the terminal", add_arguments, execute)
