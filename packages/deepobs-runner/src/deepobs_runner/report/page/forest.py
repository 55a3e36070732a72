"""A small picture of an interval on a logarithmic scale, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable

from deepobs_runner.comparison import Estimate
from deepobs_runner.report.page.markup import Markup, element

WIDTH, HEIGHT = 240, 22
MARGIN = 8
LEAST, MOST = math.log(2), math.log(16)
"""How far the scale reaches from 1 to either side, at least and at most."""


def reach_of(ratios: Iterable[float]) -> float:
    """Return how far the scale must reach from 1, as a logarithm, for some ratios to be on it."""
    logs = [abs(math.log(r)) for r in ratios if math.isfinite(r) and r > 0]
    return min(max([LEAST, *logs]), MOST)


def interval_picture(estimate: Estimate | None, reach: float) -> Markup:
    """Return a line from low to high with a dot at the ratio, over a mark at 1.

    An end beyond the scale is an arrow. What it shows stands beside it in words, so a screen
    reader passes it over. Without an estimate the mark is alone. Only an estimate whose corrected
    p-value decides has the color of a claim.
    """
    middle = HEIGHT / 2
    ratio, low, high = (math.nan,) * 3
    kind = "open"
    if estimate is not None:
        ratio, low, high = estimate.value, estimate.low, estimate.high
        if estimate.decided:
            kind = "faster" if low >= 1 else "slower"
    parts = [_line(_place(1.0, reach), 1, _place(1.0, reach), HEIGHT - 1, "one")]
    if not math.isnan(ratio):
        if not (math.isnan(low) or math.isnan(high)):
            start, end = _place(low, reach), _place(high, reach)
            parts.append(_line(start, middle, end, middle, kind))
            parts += [_end(x, value, reach, kind) for x, value in ((start, low), (end, high))]
        parts.append(
            element("circle", cx=f"{_place(ratio, reach):.1f}", cy=f"{middle:g}", r=4, class_=kind)
        )
    return _picture(parts)


def scale_picture(reach: float) -> Markup:
    """Return the scale of the pictures: powers of two."""
    parts = []
    for power in range(-4, 5):
        if abs(power) * math.log(2) <= reach + 1e-9:
            x = _place(2.0**power, reach)
            text = f"{2**power}" if power >= 0 else f"1/{2**-power}"
            parts.append(element("text", text, x=f"{x:.1f}", y=HEIGHT - 6, text_anchor="middle"))
    return _picture(parts)


def _picture(parts: list[Markup]) -> Markup:
    return element(
        "svg", parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="interval", aria_hidden="true"
    )


def _place(ratio: float, reach: float) -> float:
    """Return where a ratio lies on the picture."""
    log = math.log(ratio) if ratio > 0 else -math.inf
    share = (max(-reach, min(reach, log)) / reach + 1) / 2
    return MARGIN + share * (WIDTH - 2 * MARGIN)


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    return element("line", x1=f"{x1:.1f}", y1=f"{y1:g}", x2=f"{x2:.1f}", y2=f"{y2:g}", class_=kind)


def _end(x: float, value: float, reach: float, kind: str) -> Markup:
    """Return the end of an interval: a bar, or an arrow where it goes on."""
    middle = HEIGHT / 2
    if value > 0 and abs(math.log(value)) <= reach if math.isfinite(value) else False:
        return _line(x, middle - 4, x, middle + 4, kind)
    back = -5 if x > WIDTH / 2 else 5
    path = f"M{x + back:.1f} {middle - 4:g}L{x:.1f} {middle:g}L{x + back:.1f} {middle + 4:g}"
    return element("path", d=path, class_=kind)
