"""Tables as data: rows of raw values for files, and columns with their formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deepobs_runner.errors import UsageError
from deepobs_runner.report.booktabs import booktabs, escape

if TYPE_CHECKING:
    import pandas  # type: ignore[import-untyped,unused-ignore]

Row = Mapping[str, Any]

NOTHING = "\N{EN DASH}"
"""Shown for a missing value."""

DIGITS = 4
"""Significant digits of a number that has no spread."""

MOST_DECIMALS = 10
"""Of a mean, however small its spread."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table as it is shown.

    Attributes:
        title: its heading.
        key: key of the raw value by which rows are sorted.
        show: turns a row into the text of its cell; None: the value itself, see `value_text`.
        numeric: whether it is aligned to the right and sorted by size.
    """

    title: str
    key: str
    show: Callable[[Row], str] | None = None
    numeric: bool = True

    def text(self, row: Row) -> str:
        """Text of the cell of a row."""
        return value_text(row.get(self.key)) if self.show is None else self.show(row)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        kind: names its files, and asks for it on the command line.
        title: its heading.
        caption: what a reader must know to read it.
        columns: shown to people, in this order.
        rows: every value, with full precision.
    """

    kind: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    def cells(self) -> list[list[str]]:
        """Texts of all rows."""
        return [[column.text(row) for column in self.columns] for row in self.rows]

    def to_frame(self) -> pandas.DataFrame:
        """All values with full precision as a frame.

        Raises:
            UsageError: pandas is not installed.
        """
        try:
            import pandas  # type: ignore[import-untyped,unused-ignore]
        except ImportError:
            raise UsageError(
                "A frame needs pandas: pip install pandas. `rows` has the same values without."
            ) from None
        return pandas.DataFrame([dict(row) for row in self.rows])

    def to_latex(self) -> str:
        """Table as a `table` environment with the rules of the package booktabs."""
        columns = "".join("r" if column.numeric else "l" for column in self.columns)
        head = " & ".join(escape(column.title) for column in self.columns)
        rows = [" & ".join(map(escape, cells)) for cells in self.cells()]
        caption = f"{self.title}. {self.caption}"
        return booktabs(columns, [head], rows, caption, f"tab:{self.kind}")


def make_table(
    kind: str, title: str, caption: str, columns: Iterable[Column], rows: Iterable[Row]
) -> Table:
    """Table without the columns in which no row has anything."""
    rows = tuple(rows)
    kept = tuple(c for c in columns if any(c.text(row) not in (NOTHING, "") for row in rows))
    return Table(kind=kind, title=title, caption=caption, columns=kept, rows=rows)


def words(title: str, key: str, show: Callable[[Row], str] | None = None) -> Column:
    """Column of words."""
    return Column(title=title, key=key, show=show, numeric=False)


def number(title: str, key: str, show: Callable[[Row], str] | None = None) -> Column:
    """Column of numbers."""
    return Column(title=title, key=key, show=show)


PROBLEM, OPTIMIZER = words("Problem", "problem"), words("Optimizer", "optimizer")
SETTING, METRIC = words("Setting", "setting"), words("Metric", "metric")
AGAINST = words("Against", "reference")


def interval(percent: str) -> Column:
    """Column of the interval from `low` to `high`."""
    return number(f"{percent} interval", "low", lambda row: interval_text(row["low"], row["high"]))


def value_text(value: Any) -> str:
    """Text of a value.

    >>> [value_text(x) for x in (None, 3, True, 0.123456, float("inf"), float("nan"), (42, 43))]
    ['–', '3', 'yes', '0.1235', '∞', '–', '42, 43']
    """
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number_text(value)
    if isinstance(value, list | tuple):
        return ", ".join(map(value_text, value)) or NOTHING
    return str(value)


def number_text(value: float, digits: int = DIGITS) -> str:
    """Number with some significant digits.

    >>> number_text(87.39754), number_text(1.0), number_text(2.5e-7), number_text(12345.6)
    ('87.40', '1', '2.5e-07', '12346')
    """
    if math.isnan(value):
        return NOTHING
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:.0f}"
    size = math.floor(math.log10(abs(value)))
    if not -4 <= size < 6:
        return f"{value:.{digits - 1}g}"
    return f"{value:.{max(digits - 1 - size, 0)}f}"


def spread_text(mean: float, std: float) -> str:
    """Mean with its spread, which has two significant digits.

    >>> spread_text(87.397543, 0.1603), spread_text(0.92271, 0.0017), spread_text(3.0, math.nan)
    ('87.40 ± 0.16', '0.9227 ± 0.0017', '3')
    >>> spread_text(2.34e-7, 1.2e-8), spread_text(59.2, 17.4217)
    ('2.34e-07 ± 1.2e-08', '59 ± 17')
    >>> spread_text(0.39788736, 8.1e-7)
    '0.39788736 ± 8.1e-07'
    """
    if not math.isfinite(mean):
        return "not finite"
    if not math.isfinite(std) or std == 0:
        return number_text(mean) + (" ± 0" if std == 0 else "")
    if abs(mean) < 1e-4:
        return f"{mean:.3g} ± {std:.2g}"
    decimals = min(max(1 - math.floor(math.log10(std)), 0), MOST_DECIMALS)
    return f"{mean:.{decimals}f} ± " + (f"{std:.{decimals}f}" if decimals <= 7 else f"{std:.2g}")


def longest_word(texts: Iterable[str]) -> int:
    """Length of the longest word of some texts.

    >>> longest_word(["SGD lr=0.1", "Adam"])
    6
    """
    return max((len(word) for text in texts for word in text.split()), default=0)


def decimals_for(value: float, width: float) -> int:
    """Decimals that give the width of an interval two digits, or the value three.

    >>> decimals_for(0.0691, 0.464), decimals_for(-35.4, 26.2), decimals_for(0.0123, math.inf)
    (2, 0, 4)
    """
    if math.isfinite(width) and width > 0:
        return max(1 - math.floor(math.log10(width)), 0)
    return max(2 - math.floor(math.log10(abs(value))), 0) if value and math.isfinite(value) else 0


def interval_text(low: float | None, high: float | None) -> str:
    """Interval, with as many decimals as its width is worth; nothing without one.

    >>> interval_text(0.92134, 0.92371), interval_text(39.0, 41.5), interval_text(2, math.inf)
    ('[0.9213, 0.9237]', '[39.0, 41.5]', '[2, ∞]')
    >>> interval_text(-0.001, 0.12)
    '[0.00, 0.12]'
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return NOTHING
    width = high - low
    if not math.isfinite(width) or width == 0:
        return f"[{number_text(low)}, {number_text(high)}]"
    decimals = 1 - math.floor(math.log10(width))
    if decimals > 7:
        return f"[{low:.3g}, {high:.3g}]"
    decimals = max(decimals, 0)
    return f"[{low:z.{decimals}f}, {high:z.{decimals}f}]"
