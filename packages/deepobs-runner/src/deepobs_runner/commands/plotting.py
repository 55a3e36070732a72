"""`deepobs plot`: single figures of a folder of results, as files or as text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from deepobs_problems.errors import nearest
from deepobs_runner.commands.reporting import read_results
from deepobs_runner.commands.terminal import make_console, say
from deepobs_runner.curves import Setting
from deepobs_runner.errors import UsageError
from deepobs_runner.figures import Drawing, drawings, save, save_pages
from deepobs_runner.figures.saving import format_of
from deepobs_runner.figures.terminal import WIDTH, to_text
from deepobs_runner.report import settings_by_problem


def plot(arguments: argparse.Namespace) -> int:
    """Draw the figures of one kind; return 1 if there is none.

    A file of results that cannot be read is named and left out.
    """
    if arguments.out is not None:
        format_of(arguments.out)
    left_out: list[str] = []
    results, is_set = read_results(arguments.results, left_out)
    for sentence in left_out:
        print(f"deepobs: {sentence}", file=sys.stderr)
    alone = is_set or arguments.no_baselines
    settings = settings_by_problem(results, baselines=[] if alone else None)
    found = drawings(
        choose_problems(settings, arguments.problem),
        [arguments.figure],
        metric=arguments.metric,
        unit=arguments.unit,
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


def choose_problems(
    settings: dict[str, list[Setting]], names: list[str]
) -> dict[str, list[Setting]]:
    """Return the settings of the problems that are named; of all, if none is.

    Raises:
        UsageError: there are no results of one.
    """
    for name in names:
        if name not in settings:
            raise UsageError(
                f"There are no results of {name!r}.{nearest(name, list(settings))} "
                f"Problems: {', '.join(settings)}."
            )
    return {name: settings[name] for name in names or settings}


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
