"""The summary of settings for the terminal, in whatever width there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deepobs_runner.analysis import Metric, summarize_end
from deepobs_runner.analysis.metrics import TEST_ACCURACY, TEST_OBJECTIVE, counted
from deepobs_runner.report.notes import describe_range, describe_statuses, steps_of
from deepobs_runner.report.table import NOTHING, longest_word, spread_text
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count

INDENT = 2
"""Of a setting below its problem."""

LONGEST_WORD = 40
"""A longer one is broken, for which no other column need make room."""

NARROW_LABEL = 24
"""Where there is less room for labels, numbers take two lines."""

LEAST_LABEL = 12
"""Where there is less, the table is wider than the terminal."""


class Column(NamedTuple):
    """A column: its heading, and the text of every setting."""

    heading: str
    texts: list[str]

    @property
    def width(self) -> int:
        """Of the longest line."""
        lines = (line for text in (self.heading, *self.texts) for line in text.split("\n"))
        return max(map(len, lines))

    @property
    def least(self) -> int:
        """Width in which no word is broken."""
        return longest_word((self.heading, *self.texts))

    def stacked(self) -> Column:
        """Return it with what stands beside the number of a cell below it."""
        texts = [text.replace(" ± ", "\n± ").replace(" (", "\n(") for text in self.texts]
        return Column(self.heading, texts)


class Layout(NamedTuple):
    """How a table uses the width there is.

    Attributes:
        words: columns of words, that of the settings first.
        widths: of these columns.
        numbers: columns that are as wide as they need.
    """

    words: list[Column]
    widths: list[int]
    numbers: list[Column]


def summary_table(problems: Mapping[str, Sequence[Setting]], width: int = 120) -> Table:
    """Return the summary as a table for the terminal; columns nobody needs are left out.

    A problem has a line of its own above its settings. Numbers are never cut: a table that does
    not fit however it is laid out is wider than the terminal.
    """
    words, widths, numbers = _lay_out(problems, width)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        caption="mean ± standard deviation over seeds (ddof 1); objective = loss + L2",
    )
    for column, fixed in zip(words, widths, strict=True):
        table.add_column(column.heading, overflow="fold", min_width=fixed, max_width=fixed)
    for column in numbers:
        table.add_column(column.heading, justify="right", no_wrap=True, min_width=column.width)
    rows = zip(*(column.texts for column in (*words, *numbers)), strict=True)
    for number, (problem, settings) in enumerate(problems.items()):
        if number:
            table.add_row()
        table.add_row(Text(problem, style="bold"))
        for _ in settings:
            label, *cells = next(rows)
            table.add_row(Padding(Text(label), (0, 0, 0, INDENT)), *map(Text, cells))
    return table


def _lay_out(problems: Mapping[str, Sequence[Setting]], width: int) -> Layout:
    """Return the columns for a width.

    If words would break, origin and status stand below the setting, and if that is not enough, the
    spread of a number below it.
    """
    shown = [setting for settings in problems.values() for setting in settings]
    labels, beside, numbers = _labels(shown), _beside(shown), _numbers(shown)
    least = min(max(labels.least + INDENT, longest_word(problems)), LONGEST_WORD)
    wanted = max(labels.width + INDENT, *map(len, problems))
    spare = _room(width, numbers) - sum(column.least + 1 for column in beside) - least
    if spare >= 0:
        widths = []
        for column in beside:
            widths.append(min(column.least + spare, column.width))
            spare -= widths[-1] - column.least
        return Layout([labels, *beside], [min(least + spare, wanted), *widths], numbers)
    below = ["; ".join(texts) for texts in zip(*(column.texts for column in beside), strict=True)]
    both = [f"{label}\n{more}" for label, more in zip(labels.texts, below, strict=True)]
    if _room(width, numbers) < NARROW_LABEL:
        numbers = [column.stacked() for column in numbers]
    wanted = max(wanted, INDENT + max(map(len, below)))
    room = max(_room(width, numbers), LEAST_LABEL)
    return Layout([Column(labels.heading, both)], [min(room, wanted)], numbers)


def _room(width: int, numbers: Sequence[Column]) -> int:
    """Return the width that is left for the settings beside some columns and all borders."""
    return width - 2 - sum(column.width + 1 for column in numbers)


def _labels(shown: Sequence[Setting]) -> Column:
    """Return the labels without recipe and epochs, which have columns."""
    texts = [
        " ".join(
            word for word in setting.label.split(" ") if not word.startswith(("recipe=", "epochs="))
        )
        for setting in shown
    ]
    return Column("setting", texts)


def _beside(shown: Sequence[Setting]) -> list[Column]:
    """Origin of the runs, and their status unless all are done."""
    columns = [Column("runs", [f"{s.source}, {s.runs[0].config.recipe}" for s in shown])]
    statuses = [describe_statuses(setting.runs) for setting in shown]
    if set(statuses) != {"done"}:
        columns.append(Column("status", statuses))
    return columns


def _numbers(shown: Sequence[Setting]) -> list[Column]:
    """Return the columns of numbers that somebody needs."""
    columns = [Column("seeds", [_seeds(setting.runs) for setting in shown])]
    ends = [_length(setting.runs) for setting in shown]
    named = any(" epochs=" in setting.label for setting in shown)
    if named or len(set(ends)) > 1 or any("step" in end for end in ends):
        columns.append(Column("epochs", ends))
    columns.append(_ends("test\nobjective", shown, TEST_OBJECTIVE))
    accuracies = _ends("test\naccuracy", shown, TEST_ACCURACY)
    if set(accuracies.texts) != {NOTHING}:
        columns.append(accuracies)
    return columns


def _ends(heading: str, shown: Sequence[Setting], metric: Metric) -> Column:
    """Return mean and spread of a metric at the end of the runs that count."""
    found = (summarize_end(setting.runs, metric) for setting in shown)
    texts = [NOTHING if end is None else spread_text(end.mean, end.std) for end in found]
    return Column(heading, texts)


def _seeds(runs: Sequence[RunResult]) -> str:
    """Return how many runs there are, and how many of them the numbers are of."""
    averaged = len(counted(runs))
    return str(averaged) if averaged == len(runs) else f"{averaged} of {len(runs)}"


def _length(runs: Sequence[RunResult]) -> str:
    """Return after how many epochs the runs end; with the steps if it is or may be within one."""
    ends = [float(run.epochs()[-1]) for run in runs]
    text = describe_range(ends)
    unknown = any(run.ends_in_unknown_epoch for run in runs)
    if unknown:
        text = f"at most {text}"
    if unknown or not all(map(float.is_integer, ends)):
        return f"{text} ({count(describe_range(steps_of(runs)), 'step')})"
    return text
