"""Numbers along an axis; imports matplotlib, so it is imported where it is drawn.

Figures travel between processes, so the formatters are classes of a module. None uses matplotlib's
mathematics, in which a "$" is no text.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from matplotlib.ticker import Formatter, LogFormatter

FRACTIONS = MappingProxyType({0.5: "½", 0.25: "¼", 0.125: "⅛"})
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number_text(value: float) -> str:
    """Number as a reader writes it.

    >>> number_text(300), number_text(0.02), number_text(1e-5), number_text(2e7)
    ('300', '0.02', '10⁻⁵', '2×10⁷')
    """
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        return f"{value:g}".replace("-", "−")
    exponent = math.floor(math.log10(abs(value)) + 1e-9)
    power = f"10{str(exponent).translate(SUPERSCRIPTS)}"
    mantissa = f"{value / 10.0**exponent:.3g}".replace("-", "−")
    return power if mantissa == "1" else f"{mantissa}×{power}"


class LogNumbers(LogFormatter):
    """Writes those ticks of a logarithmic axis that matplotlib labels."""

    def __call__(self, x: float, pos: Any = None) -> str:
        """Label of a tick, "" for one that has none."""
        return number_text(x) if str(super().__call__(x, pos)) else ""


class Numbers(Formatter):
    """Writes every tick, with a text behind it, such as "×"."""

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix

    def __call__(self, x: float, pos: Any = None) -> str:
        """Label of a tick."""
        return f"{number_text(x)}{self.suffix}"


class Ratios(Formatter):
    """Writes ratios: ½×, 1×, 2×."""

    def __call__(self, x: float, pos: Any = None) -> str:
        """Label of a tick."""
        return f"{FRACTIONS.get(x, number_text(x))}×"
