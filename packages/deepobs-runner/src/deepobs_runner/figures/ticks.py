"""Numbers along a logarithmic axis; imports matplotlib, so it is imported where it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axis import Axis
from matplotlib.ticker import (
    FixedLocator,
    LogFormatterMathtext,
    LogLocator,
    NullLocator,
    StrMethodFormatter,
)


class LogNumbers(LogFormatterMathtext):
    """Writes 0.01, 1 and 300 as they are, and powers of ten only where they are shorter."""

    def __call__(self, x: float, pos: Any = None) -> str:
        """Return the label of a tick, "" for one that has none."""
        text = str(super().__call__(x, pos))
        return f"{x:g}" if text and 1e-3 <= abs(x) < 1e4 else text


def plain_log_ticks(axis: Axis, steps: Sequence[float] = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0)) -> None:
    """Label a logarithmic axis of one decade or less at these steps."""
    axis.set_major_locator(LogLocator(subs=steps))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())


def whole_number_ticks(axis: Axis, numbers: Sequence[int]) -> None:
    """Label an axis at these numbers alone."""
    axis.set_major_locator(FixedLocator([float(number) for number in numbers]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_locator(NullLocator())
