"""Progress of runs: a bar with time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepobs_runner.training import Record

SECONDS_BETWEEN_LINES = 10.0


class Reporter(Protocol):
    """Told about runs and their records."""

    def start(self, label: str) -> None:
        """A run begins."""

    def record(self, record: Record) -> None:
        """The run was evaluated."""

    def finish(self) -> None:
        """The run ended."""


def describe_metrics(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """Return the metrics of a record in one short line.

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


class _Silent:
    def start(self, label: str) -> None:
        pass

    def record(self, record: Record) -> None:
        pass

    def finish(self) -> None:
        pass


class _Lines:
    """A plain line now and then, and one at the end of every run."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._label = ""
        self._line = ""
        self._seconds = 0.0
        self._printed = time.monotonic()

    def start(self, label: str) -> None:
        self._label, self._line, self._seconds = label, "", 0.0

    def record(self, record: Record) -> None:
        self._seconds += sum(record.clocks.values())
        self._line = (
            f"{self._label}  epoch {record.epoch}  {describe_metrics(record.metrics)}  "
            f"({self._seconds:.1f} s)"
        )
        if time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self.finish()

    def finish(self) -> None:
        if self._line:
            self._console.print(self._line, highlight=False, markup=False, soft_wrap=True)
        self._line, self._printed = "", time.monotonic()


class _Bar:
    """A bar over all evaluations of all runs."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total, metrics="")

    def start(self, label: str) -> None:
        self._progress.update(self._task, description=label)

    def record(self, record: Record) -> None:
        shown = {"test": record.metrics["test"]}
        self._progress.update(self._task, advance=1, metrics=describe_metrics(shown))

    def finish(self) -> None:
        pass


@contextmanager
def report_progress(console: Console, total: int, *, quiet: bool) -> Iterator[Reporter]:
    """Yield what shows the progress of `total` evaluations.

    Args:
        console: to print to; a bar if it is a terminal.
        total: number of records of all runs together.
        quiet: show nothing.
    """
    if quiet:
        yield _Silent()
    elif not console.is_terminal:
        yield _Lines(console)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[metrics]}"),
        )
        with Progress(*columns, console=console) as progress:
            yield _Bar(progress, total)
