"""`deepobs plot`: single figures of a folder of results, as files or as text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from deepobs_problems.errors import nearest
from deepobs_runner.cli.commands.report import read_study, say_left_out
from deepobs_runner.cli.console import make_console, say
from deepobs_runner.errors import UsageError
from deepobs_runner.figures import Drawing, save, save_pages
from deepobs_runner.figures.saving import format_of
from deepobs_runner.figures.terminal import WIDTH, to_text
from deepobs_runner.report.data import Study
from deepobs_runner.report.figures import drawings
from deepobs_runner.results.store import collector_paused


@collector_paused()
def plot(arguments: argparse.Namespace) -> int:
    """Draw the figures of one kind; return 1 if there is none.

    A file of results that cannot be read is named and left out.
    """
    if arguments.out is not None:
        format_of(arguments.out)
    study = read_study(arguments, problems=arguments.problem)
    say_left_out(study)
    if arguments.metric is not None:
        _check_metric(study, arguments.metric)
    found = drawings(
        study,
        [arguments.figure],
        metric=arguments.metric,
        import_code=arguments.import_code,
    )
    drawn = list(_drawn(found))
    if not drawn:
        return 1
    if arguments.out is not None:
        for path in write(drawn, arguments.out):
            say(make_console(), f"wrote {path}")
    if arguments.out is None or arguments.terminal:
        console = make_console()
        width = max(min(console.width, 120) if console.is_terminal else WIDTH, 40)
        for drawing in drawn:
            if drawing.figure is not None:
                console.print(to_text(drawing.figure, width=width), soft_wrap=True)
    return 0


def _check_metric(study: Study, name: str) -> None:
    """Raise a UsageError unless a run has a metric of this name."""
    runs = (run for listed in study.settings.values() for s in listed for run in s.runs)
    splits = (values for run in runs for values in run.records[0]["metrics"].values())
    known = list(dict.fromkeys(metric for values in splits for metric in values))
    if name not in known:
        raise UsageError(
            f"No run has a metric {name!r}.{nearest(name, known)} Metrics: {', '.join(known)}."
        )


def _drawn(found: Iterable[Drawing]) -> Iterable[Drawing]:
    """Yield those that have a figure; say why of the others."""
    nothing = True
    for drawing in found:
        nothing = False
        if drawing.figure is None:
            print(f"deepobs: {drawing.caption}", file=sys.stderr)
        else:
            yield drawing
    if nothing:  # of trajectories, where there is no function of two parameters
        print("deepobs: there is no problem with a figure of this kind.", file=sys.stderr)


def write(drawn: list[Drawing], path: Path) -> list[Path]:
    """Write figures into one file; of several, a PDF has pages, and pictures get their names.

    Raises:
        UsageError: no such format, or a file cannot be written.
    """
    figures = [drawing.figure for drawing in drawn if drawing.figure is not None]
    if len(figures) == 1 or format_of(path) == "pdf":
        return [save_pages(figures, path)]
    names = [drawing.name for drawing in drawn]
    return [
        save(figure, path.with_name(f"{path.stem}-{name}{path.suffix}"))
        for name, figure in zip(names, figures, strict=True)
    ]
