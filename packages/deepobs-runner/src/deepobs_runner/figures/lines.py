"""Curves over the epochs in one panel: lines, bands, and the part of the axis worth showing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from deepobs_runner.analysis import Band, Metric
from deepobs_runner.figures.style import Look, mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Spread = Literal["interval", "std"]
"""What a band shows: the bootstrap interval of the center, or the standard deviation."""

SPLITS = {"train_eval": "Training", "valid": "Validation", "test": "Test"}
MARKERS = 7
"""Markers along a line, about."""

LOG_RATIO = 8.0
"""An axis is logarithmic if its ends are further apart than this."""

UNSEEN = 0.1
"""Share of the epochs, at the beginning, that does not decide which values are shown."""


class Drawn(NamedTuple):
    """A curve and how it looks."""

    band: Band
    look: Look
    label: str


def metric_at(split: str, name: str) -> Metric:
    """Return a metric by its split and name."""
    return Metric(split, name, higher_is_better=name == "accuracy")


def metric_title(metric: Metric) -> str:
    """Return what a metric is called in a figure.

    >>> metric_title(metric_at("train_eval", "objective"))
    'Training objective'
    """
    return f"{SPLITS.get(metric.split, metric.split)} {metric.name}"


def center_of(band: Band) -> np.ndarray:
    """Return what the line of a band shows, `(E,)`; NaN where it is not finite."""
    center = band.mean if band.center == "mean" else band.median
    return np.where(np.isfinite(center), center, np.nan)


def edges_of(band: Band, spread: Spread) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper edge of a band, `(E,)` each; NaN where there is none."""
    if spread == "interval":
        low, high = band.low, band.high
        return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)
    return band.mean - band.std, band.mean + band.std


def draw_lines(axes: Axes, drawn: Sequence[Drawn], spread: Spread) -> list[Line2D]:
    """Draw curves with their bands, choose the scale, and return the lines.

    A pale one has no band. A cross is where a line ends early: from there on its center is not
    finite, because runs diverged.
    """
    lines = []
    for index, (band, look, label) in enumerate(drawn):
        center = center_of(band)
        step = max(1, len(center) // MARKERS)
        (line,) = axes.plot(
            band.epochs,
            center,
            color=look.ink.color,
            linestyle=look.line,
            linewidth=4.5 if look.pale else None,
            alpha=0.3 if look.pale else 1.0,
            marker="" if look.pale else look.ink.marker,
            markevery=(index * step // len(drawn), step),
            zorder=2.0 if look.pale else 3.0,
            label=label,
        )
        lines.append(line)
        low, high = edges_of(band, spread)
        if not look.pale and np.isfinite(low).any():
            axes.fill_between(
                band.epochs, low, high, color=look.ink.color, alpha=0.2, linewidth=0, zorder=1.5
            )
    set_view(axes, [entry.band for entry in drawn], spread)
    for entry in drawn:
        _mark_end(axes, entry)
    return lines


def set_view(axes: Axes, bands: Sequence[Band], spread: Spread) -> None:
    """Set the scale and the ends of both axes to what is worth showing."""
    from matplotlib.ticker import MaxNLocator

    last = max(float(band.epochs[-1]) for band in bands)
    axes.set_xlim(0, last or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=last >= 1, steps=[1, 2, 2.5, 5, 10]))
    view = view_of(bands)
    if view is None:
        return
    low, high = view
    # A mean less its deviation can be negative, and has no place on a logarithmic axis then.
    positive = low > 0 and all(np.nanmin(edges_of(b, spread)[0], initial=low) > 0 for b in bands)
    if positive and not bands[0].metric.higher_is_better and high / low > LOG_RATIO:
        use_log_scale(axes)
        margin = (high / low) ** 0.05
        axes.set_ylim(low / margin, high * margin)
        return
    margin = 0.05 * (high - low)
    axes.set_ylim(low - margin, high + margin)


def use_log_scale(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """Make an axis logarithmic."""
    from matplotlib.ticker import NullLocator

    from deepobs_runner.figures.ticks import LogNumbers

    if which == "x":
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(LogNumbers())
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogNumbers())
        axes.yaxis.set_minor_formatter(LogNumbers(minor_thresholds=(1.5, 0.5)))


def view_of(bands: Sequence[Band]) -> tuple[float, float] | None:
    """Return the range of values to show, None without a finite one.

    It holds every center after the first tenth of the epochs, but of a loss nothing that is worse
    than untrained: the first steps, or a curve that diverges, would otherwise press all others into
    a line.
    """
    centers = [center_of(band) for band in bands]
    first = max(float(band.epochs[-1]) for band in bands) * UNSEEN
    trained = np.concatenate(
        [c[(b.epochs > 0) & (b.epochs >= first)] for c, b in zip(centers, bands, strict=True)]
    )
    trained = trained[np.isfinite(trained)]
    untrained = np.concatenate([c[b.epochs == 0] for c, b in zip(centers, bands, strict=True)])
    untrained = untrained[np.isfinite(untrained)]
    if not len(trained):
        trained = untrained
    if not len(trained):
        return None
    low, high = float(trained.min()), float(trained.max())
    if not bands[0].metric.higher_is_better and len(untrained):
        high = max(min(high, float(untrained.max())), low)
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-12):
        low, high = low - 0.05 * abs(low or 1.0), high + 0.05 * abs(high or 1.0)
    return low, high


def _mark_end(axes: Axes, drawn: Drawn) -> None:
    """Put a cross where a curve stops being finite, or at the edge where it was seen last."""
    center = center_of(drawn.band)
    lost = np.flatnonzero(~np.isfinite(center))
    if not len(lost) or lost[0] == 0:
        return
    at = lost[0] - 1
    low, high = axes.get_ylim()
    value = min(max(center[at], low), high)
    color = drawn.look.ink.color
    mark(axes, [drawn.band.epochs[at]], [value], color, "x", markersize=5.0, label="_diverged")
