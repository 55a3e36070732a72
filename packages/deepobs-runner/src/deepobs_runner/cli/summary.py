"""The summary of settings for the terminal, in whatever width there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deepobs_runner.analysis import Metric, summarize_end
from deepobs_runner.analysis.metrics import TEST_ACCURACY, TEST_OBJECTIVE, counted, own_metric
from deepobs_runner.cli.encoding import encodable
from deepobs_runner.cli.terminal_table import CAPTION_STYLE, same_in_all_rows, table_box
from deepobs_runner.report.notes import describe_range, describe_statuses, steps_of
from deepobs_runner.report.table import NOTHING, longest_word, spread_text
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count

CAPTION = "Mean ± standard deviation over seeds (ddof 1); objective = loss + L2"

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

    @property
    def is_constant(self) -> bool:
        """Whether several settings have the same text."""
        return len(self.texts) > 1 and len(set(self.texts)) == 1

    def spelled(self, spell: Callable[[str], str]) -> Column:
        """Column with other characters."""
        return Column(self.heading, [spell(text) for text in self.texts])

    def stacked(self) -> Column:
        """Column with spreads and numbers of steps below the number before them."""
        return Column(self.heading, [re.sub(r" (?=±|\+/-|\()", "\n", t) for t in self.texts])


class Layout(NamedTuple):
    """How a table uses the width there is.

    Attributes:
        words: columns of words, that of the settings first.
        widths: widths of these columns.
        numbers: columns that are as wide as they need.
        shared: heading and text of columns that are left out, as all rows have it.
    """

    words: list[Column]
    widths: list[int]
    numbers: list[Column]
    shared: list[tuple[str, str]]


@dataclass(frozen=True)
class Summary:
    """The summary of settings, laid out when it is printed.

    A problem has a line of its own above its settings. Where there is little room, columns with one
    value in all rows become a line above the table. Numbers are never cut: a table that does not
    fit however it is laid out is wider than the terminal.
    """

    problems: Mapping[str, Sequence[Setting]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        spell = partial(encodable, encoding=options.encoding)
        layout = _lay_out(self.problems, options.max_width, spell)
        if layout.shared:
            yield same_in_all_rows(layout.shared)
        table = Table(box=table_box(options), pad_edge=False, padding=0)
        for column, fixed in zip(layout.words, layout.widths, strict=True):
            table.add_column(column.heading, overflow="fold", min_width=fixed, max_width=fixed)
        for column in layout.numbers:
            table.add_column(column.heading, justify="right", no_wrap=True, min_width=column.width)
        columns = (*layout.words, *layout.numbers)
        rows = zip(*(column.texts for column in columns), strict=True)
        for number, (problem, settings) in enumerate(self.problems.items()):
            if number:
                table.add_row()
            table.add_row(Text(spell(problem), style="bold"))
            for _ in settings:
                label, *cells = next(rows)
                table.add_row(Padding(Text(label), (0, 0, 0, INDENT)), *map(Text, cells))
        yield table
        yield Text(spell(CAPTION), style=CAPTION_STYLE)


def _lay_out(
    problems: Mapping[str, Sequence[Setting]], width: int, spell: Callable[[str], str]
) -> Layout:
    """Columns for a width.

    If words would break, columns with one value are left out. If that is not enough, origin and
    status stand below the setting, and at last the spread of a number below it.

    Args:
        problems: settings by problem.
        width: width of the terminal.
        spell: replaces characters that the output lacks.
    """
    shown = [setting for settings in problems.values() for setting in settings]
    labels, *beside = (column.spelled(spell) for column in (_labels(shown), *_beside(shown)))
    numbers = [column.spelled(spell) for column in _numbers(shown)]
    least = min(max(labels.least + INDENT, longest_word(problems)), LONGEST_WORD)
    wanted = max(labels.width + INDENT, *map(len, problems))

    def spare() -> int:
        return _room(width, numbers) - sum(column.least + 1 for column in beside) - least

    shared: list[tuple[str, str]] = []
    if spare() < 0:
        constant = [column for column in (*beside, *numbers) if column.is_constant]
        shared = [(column.heading.replace("\n", " "), column.texts[0]) for column in constant]
        beside = [column for column in beside if not column.is_constant]
        numbers = [column for column in numbers if not column.is_constant]
    if (left := spare()) >= 0:
        widths = []
        for column in beside:
            widths.append(min(column.least + left, column.width))
            left -= widths[-1] - column.least
        return Layout([labels, *beside], [min(least + left, wanted), *widths], numbers, shared)
    texts = labels.texts
    if beside:
        below = ["; ".join(row) for row in zip(*(c.texts for c in beside), strict=True)]
        texts = [f"{label}\n{more}" for label, more in zip(texts, below, strict=True)]
        wanted = max(wanted, INDENT + max(map(len, below)))
    if _room(width, numbers) < NARROW_LABEL:
        numbers = [column.stacked() for column in numbers]
    room = max(_room(width, numbers), LEAST_LABEL)
    return Layout([Column(labels.heading, texts)], [min(room, wanted)], numbers, shared)


def _room(width: int, numbers: Sequence[Column]) -> int:
    """Width that is left for the settings beside some columns and all borders."""
    return width - 2 - sum(column.width + 1 for column in numbers)


def _labels(shown: Sequence[Setting]) -> Column:
    """Labels without recipe and epochs, which have columns."""
    texts = [
        " ".join(
            word for word in setting.label.split(" ") if not word.startswith(("recipe=", "epochs="))
        )
        for setting in shown
    ]
    return Column("Setting", texts)


def _beside(shown: Sequence[Setting]) -> list[Column]:
    """Origin of the runs, and their status unless all are done."""
    columns = [Column("Runs", [f"{s.source}, {s.runs[0].config.recipe}" for s in shown])]
    statuses = [describe_statuses(setting.every_run) for setting in shown]
    if set(statuses) != {"done"}:
        columns.append(Column("Status", statuses))
    return columns


def _numbers(shown: Sequence[Setting]) -> list[Column]:
    """Columns of numbers, without empty ones."""
    columns = [Column("Seeds", [_seeds(setting) for setting in shown])]
    ends = [_length(setting.runs) for setting in shown]
    named = any(" epochs=" in setting.label for setting in shown)
    if named or len(set(ends)) > 1 or any("step" in end for end in ends):
        columns.append(Column("Epochs", ends))
    columns.append(_ends("Test\nobjective", shown, TEST_OBJECTIVE))
    accuracies = _ends("Test\naccuracy", shown, TEST_ACCURACY)
    if set(accuracies.texts) != {NOTHING}:
        columns.append(accuracies)
    own = [own_metric(setting.runs) for setting in shown]
    for metric in dict.fromkeys(metric for metric in own if metric is not None):
        heading = f"Test\n{metric.name.replace('_', ' ')}"
        columns.append(_ends(heading, shown, metric))
    return columns


def _ends(heading: str, shown: Sequence[Setting], metric: Metric) -> Column:
    """Mean and spread of a metric at the end of the runs that count."""
    found = (summarize_end(setting.runs, metric) for setting in shown)
    texts = [NOTHING if end is None else spread_text(end.mean, end.std) for end in found]
    return Column(heading, texts)


def _seeds(setting: Setting) -> str:
    """Number of runs, and of those behind the numbers if they are fewer."""
    averaged, runs = len(counted(setting.runs)), len(setting.every_run)
    return str(averaged) if averaged == runs else f"{averaged} of {runs}"


def _length(runs: Sequence[RunResult]) -> str:
    """Epochs of the runs at their end; with the steps if the end is or may be within an epoch."""
    ends = [float(run.epochs()[-1]) for run in runs]
    text = describe_range(ends)
    unknown = any(run.ends_in_unknown_epoch for run in runs)
    if unknown:
        text = f"at most {text}"
    if unknown or not all(map(float.is_integer, ends)):
        return f"{text} ({count(describe_range(steps_of(runs)), 'step')})"
    return text
