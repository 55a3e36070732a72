"""Numbers along a logarithmic axis; imports matplotlib, so it is imported where it is drawn."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import LogFormatterMathtext


class LogNumbers(LogFormatterMathtext):
    """Writes 0.01, 1 and 300 as they are, and powers of ten only where they are shorter.

    Figures travel between processes, so it is a class of a module.
    """

    def __call__(self, x: float, pos: Any = None) -> str:
        """Return the label of a tick, "" for one that has none."""
        text = str(super().__call__(x, pos))
        return f"{x:g}" if text and 1e-3 <= abs(x) < 1e4 else text
