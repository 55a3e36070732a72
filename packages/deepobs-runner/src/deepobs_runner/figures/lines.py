"""Curves over the epochs in one panel: lines, bands, and the part of the axis worth showing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from deepobs_runner.analysis import Band, Metric
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.figures.axes import mark, set_limits
from deepobs_runner.figures.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Spread = Literal["interval", "std"]
"""What a band shows: the interval of the center, or the standard deviation."""

SPLITS = {"train_eval": "Training", "valid": "Validation", "test": "Test"}
MARKERS = 7
"""Markers along a line, about."""

UNSEEN = 0.1
"""Share of the epochs, at the beginning, that does not decide which values are shown.

Of the longest curve; of one that ends within it, of its own, lest it be hidden whole.
"""

BEYOND = (
    "The first tenth of the epochs, unless a run ends there, and what is worse than untrained may "
    "lie beyond the edge;"
)
"""What curves may leave out, see `view_of`, for a caption."""


class Curve(NamedTuple):
    """A band over the epochs, how it looks, and what it is called."""

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


def draw_lines(axes: Axes, curves: Sequence[Curve], spread: Spread) -> list[Line2D]:
    """Draw curves with their bands, choose the scale, and return the lines.

    A pale one has no band. A cross is where a line ends early: from there on its center is not
    finite, because runs diverged.
    """
    lines = []
    for index, (band, look, label) in enumerate(curves):
        center = center_of(band)
        step = max(1, len(center) // MARKERS)
        (line,) = axes.plot(
            band.epochs,
            center,
            **look.options(pale=0.3) | ({"marker": ""} if look.pale else {}),
            markevery=(index * step // len(curves), step),
            zorder=2.0 if look.pale else 3.0,
            label=label,
        )
        lines.append(line)
        if has_band(curves[index], spread):
            low, high = edges_of(band, spread)
            axes.fill_between(
                band.epochs, low, high, color=look.ink.color, alpha=0.2, linewidth=0, zorder=1.5
            )
    set_view(axes, [curve.band for curve in curves])
    for curve in curves:
        _mark_end(axes, curve)
    return lines


def has_band(curve: Curve, spread: Spread) -> bool:
    """Whether a curve is drawn with its spread."""
    return not curve.look.pale and bool(np.isfinite(edges_of(curve.band, spread)[0]).any())


def legend_title(curves: Sequence[Curve], spread: Spread) -> str:
    """Return what lines and bands mean, the title of their legend."""
    band = curves[0].band
    center = "mean" if spread == "std" else band.center
    if any(has_band(curve, spread) for curve in curves):
        text = (
            "mean ± standard deviation over seeds"
            if spread == "std"
            else f"{center} over seeds, {percent(band.level)} interval where there are "
            f"{'two' if center == 'mean' else 'five'}"
        )
    elif max(int(curve.band.runs.max()) for curve in curves) < 2:
        return "one seed: no band"
    else:
        text = f"{center} over seeds, no band"
    return (
        f"{text}; pale: baselines, {center} alone"
        if any(curve.look.pale for curve in curves)
        else text
    )


def set_view(axes: Axes, bands: Sequence[Band]) -> None:
    """Set the scale and the ends of both axes to what is worth showing.

    The lines alone choose the scale, so that it does not depend on what their bands show. A mean
    less its deviation can be negative; on a logarithmic axis such a band reaches the lower edge.
    """
    from matplotlib.ticker import MaxNLocator

    last = max(float(band.epochs[-1]) for band in bands)
    axes.set_xlim(0, last or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=last >= 1, steps=[1, 2, 2.5, 5, 10]))
    if (view := view_of(bands)) is not None:
        set_limits(axes, *view, 0.05, log=not bands[0].metric.higher_is_better)


def view_of(bands: Sequence[Band]) -> tuple[float, float] | None:
    """Return the range of values to show, None without a finite one.

    It holds every center after the first tenth of the epochs, see `UNSEEN`, but of a loss nothing
    that is worse than untrained: the first steps, or a curve that diverges, would otherwise press
    all others into a line.
    """
    centers = [center_of(band) for band in bands]
    first = max(float(band.epochs[-1]) for band in bands) * UNSEEN
    trained = np.concatenate([c[_decide(b, first)] for c, b in zip(centers, bands, strict=True)])
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


def _decide(band: Band, first: float) -> np.ndarray:
    """Return which evaluations decide what is shown, `(E,)`: from an epoch on, see `UNSEEN`."""
    last = float(band.epochs[-1])
    if last < first and np.isfinite(center_of(band)[-1]):  # one that diverged is no end to show
        first = last * UNSEEN
    decide: np.ndarray = (band.epochs > 0) & (band.epochs >= first)
    return decide


def _mark_end(axes: Axes, curve: Curve) -> None:
    """Put a cross where a curve stops being finite, or at the edge where it was seen last."""
    center = center_of(curve.band)
    lost = np.flatnonzero(~np.isfinite(center))
    if not len(lost) or lost[0] == 0:
        return
    at = lost[0] - 1
    low, high = axes.get_ylim()
    value = min(max(center[at], low), high)
    color = curve.look.ink.color
    mark(axes, [curve.band.epochs[at]], [value], color, "x", markersize=5.0, label="_diverged")
