"""Progress of runs, several at once: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from deepobs_runner.config import RunConfig
from deepobs_runner.results.labels import label_run

if TYPE_CHECKING:
    from deepobs_runner.training.record import Record

SECONDS_BETWEEN_LINES = 10.0

DRAWINGS_PER_SECOND = 2.0
"""Of the bar, by a thread that Python runs in place of the training: rich's own 10 a second took a
tenth of the time of small problems."""

Metrics = Mapping[str, Mapping[str, float]]


class Reporter(Protocol):
    """Shows the progress of runs, which it knows by their ids."""

    def start(self, run: str, label: str, evaluations: int) -> None:
        """A run begins that plans this many evaluations."""

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        """The run was evaluated, `seconds` after the evaluation before; see `epochs_reached`."""

    def finish(self, run: str) -> None:
        """The run ended."""


def epochs_reached(epoch: int, steps: int, steps_per_epoch: int | None) -> float:
    """Number of epochs before a record; a limit of steps may end the last one early.

    >>> epochs_reached(2, 8, 4), epochs_reached(3, 10, 4)
    (2, 2.5)
    """
    if not steps_per_epoch or steps >= epoch * steps_per_epoch:
        return epoch
    return steps / steps_per_epoch


def pass_on(reporter: Reporter, run: str, record: Record) -> None:
    """Report a record of training."""
    epoch = epochs_reached(record.epoch, record.steps, record.steps_per_epoch)
    reporter.record(run, epoch, record.metrics, sum(record.clocks.values()))


@contextmanager
def reported(reporter: Reporter, config: RunConfig) -> Iterator[Callable[[Record], None]]:
    """Report the start and the end of a run; yield the function that reports its records."""
    reporter.start(config.id, label_run(config), evaluations_of(config))
    try:
        yield partial(pass_on, reporter, config.id)
    finally:
        reporter.finish(config.id)


def describe_metrics(metrics: Metrics) -> str:
    """Metrics of a record in one short line.

    >>> describe_metrics({"test": {"loss": 0.5, "objective": 0.5, "accuracy": 0.9}})
    'test objective 0.5000 accuracy 90.00%'
    """
    parts = []
    for split, values in metrics.items():
        shown = [f"{split} objective {values['objective']:.4f}"]
        if "accuracy" in values:
            shown.append(f"accuracy {values['accuracy']:.2%}")
        parts.append(" ".join(shown))
    return ", ".join(parts)


def evaluations_of(config: RunConfig) -> int:
    """Number of records of a run that is not stopped early."""
    return (config.epochs or 0) + 1


class Silent:
    """Shows nothing."""

    def start(self, run: str, label: str, evaluations: int) -> None:
        """Do nothing."""

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        """Do nothing."""

    def finish(self, run: str) -> None:
        """Do nothing."""


class _Lines:
    """A plain line now and then, and one at the end of every run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._labels: dict[str, str] = {}
        self._lines: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._printed = time.monotonic()

    def start(self, run: str, label: str, evaluations: int) -> None:
        self._labels[run], self._lines[run], self._seconds[run] = label, "", 0.0

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        self._seconds[run] += seconds
        self._lines[run] = (
            f"{self._labels[run]}  epoch {round(epoch, 2)}  {describe_metrics(metrics)}  "
            f"({self._seconds[run]:.1f} s)"
        )
        if time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._print(run)

    def finish(self, run: str) -> None:
        self._print(run)

    def _print(self, run: str) -> None:
        if self._lines[run]:
            in_file = not self._console.is_terminal  # a terminal breaks lines between words
            line = self._lines[run]
            with suppress(OSError):  # a full disk or a closed terminal must not end the runs
                self._console.print(line, highlight=False, markup=False, soft_wrap=in_file)
        self._lines[run], self._printed = "", time.monotonic()


class _TimeLeft(TimeRemainingColumn):
    """Time left, with a word that sets it apart from the time that has passed."""

    def render(self, task: Task) -> Text:
        return Text.assemble("left ", super().render(task))


FIELDS: Mapping[str, ProgressColumn] = MappingProxyType(
    {
        "label": TextColumn("{task.description}", markup=False),
        "bar": BarColumn(bar_width=20),
        "count": MofNCompleteColumn(),
        "elapsed": TimeElapsedColumn(),
        "left": _TimeLeft(),
        "metrics": TextColumn("{task.fields[metrics]}", markup=False),
    }
)
"""Fields of the progress, from left to right."""

PRIORITY = ("count", "left", "label", "metrics", "bar", "elapsed")
"""The same fields, the most important first."""

LEAST_LABEL, LONGEST_LABEL = 16, 40
"""Columns that a label needs, and that it gets at most."""


def fields_that_fit(wanted: Mapping[str, int], width: int) -> dict[str, int]:
    """Width of each field that has room in a line, from left to right; a label is shortened.

    Args:
        wanted: width of every field.
        width: width of the line; fields are a space apart.

    >>> fields_that_fit({"label": 30, "count": 5, "left": 12, "metrics": 37}, 40)
    {'label': 21, 'count': 5, 'left': 12}
    """
    least = {**wanted, "label": min(wanted["label"], LEAST_LABEL)}
    kept: dict[str, int] = {}
    for name in (name for name in PRIORITY if name in wanted):
        if sum(kept.values()) + len(kept) + least[name] <= width:
            kept[name] = least[name]
    if "label" in kept:
        spare = width - sum(kept.values()) - len(kept) + 1
        kept["label"] = min(wanted["label"], kept["label"] + spare, LONGEST_LABEL)
    return {name: kept[name] for name in FIELDS if name in kept}


class _Line(Progress):
    """Progress in one line, which drops the least important fields where it has no room."""

    _widest: Mapping[str, int] = dict.fromkeys(FIELDS, 0)

    def get_renderables(self) -> Iterator[RenderableType]:
        for task in self.tasks:
            cells = {name: field(task) for name, field in FIELDS.items()}
            # The widest so far, so that no field comes and goes with the metrics.
            self._widest = {
                name: max(self._widest[name], self.console.measure(cell).maximum)
                for name, cell in cells.items()
            }
            fitting = fields_that_fit(self._widest, self.console.width)
            line = Table.grid(padding=(0, 1), pad_edge=False)
            for width in fitting.values():
                line.add_column(width=width, no_wrap=True)
            line.add_row(*(cells[name] for name in fitting))
            yield line


class _Bar:
    """A bar over all evaluations of all runs."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, metrics="")
        self._left: dict[str, int] = {}
        self._labels: dict[str, str] = {}

    def start(self, run: str, label: str, evaluations: int) -> None:
        self._left[run], self._labels[run] = evaluations, label
        self._describe()

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        split = next(reversed(list(metrics)))  # the test split, but for trials of a study
        shown = describe_metrics({split: metrics[split]})
        advance = min(1, self._left[run])
        self._left[run] -= advance
        self._progress.update(self._task, advance=advance, metrics=shown)

    def finish(self, run: str) -> None:
        # A run that diverged or stopped early leaves the rest of its evaluations out.
        self._progress.update(self._task, advance=self._left.pop(run), metrics="")
        self._describe()

    def _describe(self) -> None:
        running = [self._labels[run] for run in self._left]
        text = running[0] if len(running) == 1 else f"{len(running)} runs at once"
        self._progress.update(self._task, description=text if running else "")


@contextmanager
def report_progress(console: Console, total: int, *, quiet: bool) -> Iterator[Reporter]:
    """Yield what shows the progress of `total` evaluations.

    Args:
        console: console to print to; a bar if it is a terminal that can redraw a line.
        total: number of records of all runs together.
        quiet: show nothing.
    """
    if quiet:
        yield Silent()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
    else:
        progress = _Line(console=console, refresh_per_second=DRAWINGS_PER_SECOND)
        progress.start()
        try:
            yield _Bar(progress, total)
        finally:
            with suppress(OSError):  # a terminal that was closed must not hide how the runs ended
                progress.stop()
