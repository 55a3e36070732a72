"""Progress of runs, several at once: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

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
    """Told about runs and their evaluations; a run is addressed by its id."""

    def start(self, run: str, label: str, evaluations: int) -> None:
        """A run begins that plans this many evaluations."""

    def record(self, run: str, epoch: float, metrics: Metrics, seconds: float) -> None:
        """The run was evaluated, `seconds` after the evaluation before; see `epochs_reached`."""

    def finish(self, run: str) -> None:
        """The run ended."""


def epochs_reached(epoch: int, steps: int, steps_per_epoch: int | None) -> float:
    """Return after how many epochs a record was made: a limit of steps may cut the last one short.

    >>> epochs_reached(2, 8, 4), epochs_reached(3, 10, 4)
    (2, 2.5)
    """
    if not steps_per_epoch or steps >= epoch * steps_per_epoch:
        return epoch
    return steps / steps_per_epoch


def pass_on(reporter: Reporter, run: str, record: Record) -> None:
    """Tell a reporter about a record of training."""
    epoch = epochs_reached(record.epoch, record.steps, record.steps_per_epoch)
    reporter.record(run, epoch, record.metrics, sum(record.clocks.values()))


@contextmanager
def reported(reporter: Reporter, config: RunConfig) -> Iterator[Callable[[Record], None]]:
    """Tell a reporter about a run that is made meanwhile; yield what takes its records."""
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
    """Return how many records a run makes if it runs to its end, as far as one can know."""
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
            self._console.print(self._lines[run], highlight=False, markup=False, soft_wrap=True)
        self._lines[run], self._printed = "", time.monotonic()


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
        console: to print to; a bar if it is a terminal.
        total: number of records of all runs together.
        quiet: show nothing.
    """
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        yield _Lines(console)
    else:
        columns = (
            # A long label must not push the time left off the screen.
            TextColumn("{task.description}", table_column=Column(no_wrap=True, max_width=40)),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
        )
        with Progress(
            *columns, console=console, refresh_per_second=DRAWINGS_PER_SECOND
        ) as progress:
            yield _Bar(progress, total)
