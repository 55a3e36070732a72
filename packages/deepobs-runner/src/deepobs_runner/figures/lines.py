"""Curves over the epochs in one panel: lines, bands, and the part of the axis worth showing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from deepobs_runner.analysis import Band, Metric, curve_band
from deepobs_runner.analysis.curves import values_by_epoch
from deepobs_runner.comparison import Target
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import End, label_ends, mark, set_limits, use_log_scale
from deepobs_runner.figures.style import SCALES, SMALL, Look, Scale
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

SPLITS = {"train_eval": "Training", "valid": "Validation", "test": "Test"}
MARKERS = 5
"""Markers along a line, about."""

LEAST_BAND = 5
"""Seeds from which on a band is drawn; the runs of fewer are thin lines."""

UNSEEN = 0.1
"""Share of the epochs, at the beginning, that does not decide which values a linear axis shows.

It is a share of the longest curve, but of a shorter one that would else not be shown at all.
"""

DEEPEST = 0.02
"""Share of the values of a curve that may lie below the lower edge of a gap axis.

At its best evaluation the gap of a noisy curve is close to 0, by construction.
"""

ROOM = 1.35
"""Factor of a logarithmic axis beyond what is shown."""


class Curve(NamedTuple):
    """A setting over the epochs, how it looks, and what it is called.

    Attributes:
        band: center and interval over seeds.
        runs: each run at the epochs of the band, `(n, E)`; not finite where it diverged.
        look: look of its lines.
        label: beside its line or in the legend.
    """

    band: Band
    runs: np.ndarray
    look: Look
    label: str

    @property
    def has_band(self) -> bool:
        """Whether it is drawn with its interval."""
        enough = int(self.band.runs.max()) >= LEAST_BAND
        return enough and not self.look.thin and bool(np.isfinite(self.band.low).any())


def metric_at(split: str, name: str) -> Metric:
    """Metric by its split and name."""
    return Metric(split, name, higher_is_better=name == "accuracy")


def metric_title(metric: Metric) -> str:
    """Name of a metric in a figure.

    >>> metric_title(metric_at("train_eval", "objective"))
    'Training objective'
    """
    return f"{SPLITS.get(metric.split, metric.split)} {metric.name}"


def gap_title(metric: Metric) -> str:
    """Name of the distance of a metric to its best value.

    >>> gap_title(metric_at("test", "objective")), gap_title(metric_at("test", "accuracy"))
    ('Test objective − best', 'Best − test accuracy')
    """
    title = metric_title(metric)
    if metric.higher_is_better:
        return f"Best − {title[0].lower()}{title[1:]}"
    return f"{title} − best"


def gaps_of(values: np.ndarray, best: float, metric: Metric) -> np.ndarray:
    """Distance of values to the best, elementwise: above 0 is worse."""
    return metric.sign * (best - values)


def curve_of(
    setting: Setting,
    metric: Metric,
    look: Look,
    label: str,
    *,
    center: Literal["mean", "median"] = "median",
    level: float = 0.95,
) -> Curve | None:
    """Curve of a setting, None if its runs do not have the metric."""
    few = len(setting.runs) < LEAST_BAND or look.thin
    resamples = None if few else 1000
    band = curve_band(setting.runs, metric, center=center, level=level, resamples=resamples)
    if band is None:
        return None
    return Curve(band, values_by_epoch(setting.runs, metric)[1], look, label)


def center_of(band: Band) -> np.ndarray:
    """Values of the line of a band, `(E,)`; NaN where they are not finite."""
    center = band.mean if band.center == "mean" else band.median
    return np.where(np.isfinite(center), center, np.nan)


def best_of(curves: Sequence[Curve]) -> float:
    """Best value of any run at any evaluation."""
    values = np.concatenate([curve.runs.ravel() for curve in curves])
    values = values[np.isfinite(values)]
    return float(values.max() if curves[0].band.metric.higher_is_better else values.min())


def check_scale(scale: str) -> None:
    """Raise a UsageError unless a vertical axis has this name."""
    if scale not in SCALES:
        raise UsageError(f"scale is {scale!r}; allowed: {', '.join(SCALES)}.")


def draw_lines(
    axes: Axes, curves: Sequence[Curve], *, scale: Scale = "gap", target: Target | None = None
) -> list[Line2D]:
    """Draw curves of one metric, choose the ends of the axes, and return the center lines.

    A curve of five seeds or more has the band of its interval; the runs of one with fewer are thin
    lines. Baselines behind results of yours have neither. A cross is where a line ends early: from
    there on its center is not finite, because runs diverged. The target is a dashed line, if it is
    one of this metric.

    Raises:
        UsageError: no such scale.
    """
    check_scale(scale)
    metric = curves[0].band.metric
    best = best_of(curves)
    gap = scale == "gap" and _has_gaps(curves, best)

    def shown(values: np.ndarray) -> np.ndarray:
        """Values as the axis shows them; NaN where they are not finite."""
        found = gaps_of(values, best, metric) if gap else values
        return np.where(np.isfinite(found), found, np.nan)

    lines = []
    for index, curve in enumerate(curves):
        band, look = curve.band, curve.look
        step = max(1, len(band.epochs) // MARKERS)
        (line,) = axes.plot(
            band.epochs,
            shown(center_of(band)),
            **look.options() | ({"marker": ""} if look.thin else {}),
            markevery=(index * step // len(curves), step),
            zorder=2.0 if look.thin else 3.0,
            label=curve.label,
        )
        lines.append(line)
        if curve.has_band:
            axes.fill_between(
                band.epochs, shown(band.low), shown(band.high),
                color=look.color, alpha=0.2, linewidth=0, zorder=1.5,
            )  # fmt: skip
        elif len(curve.runs) > 1 and not look.thin:
            axes.plot(
                band.epochs, shown(curve.runs).T,
                color=look.color, linewidth=0.5, alpha=0.55, zorder=2.5, label="_run",
            )  # fmt: skip
    bar = None if target is None or target.metric != metric else target.value
    _set_view(axes, curves, best if gap else None, scale, bar)
    if gap:
        _end_at_the_edge(axes)
    for curve in curves:
        _mark_end(axes, curve, shown(center_of(curve.band)))
    return lines


def _end_at_the_edge(axes: Axes) -> None:
    """Let lines reach the lower edge where their gap is 0, not minus infinity beside it."""
    edge = axes.get_ylim()[0] / ROOM
    for line in axes.lines:
        values = np.asarray(line.get_ydata(), dtype=float)
        if not str(line.get_label()).startswith("_target") and (values <= 0).any():
            line.set_ydata(np.where(values <= 0, edge, values))


def value_title(axes: Axes, metric: Metric) -> str:
    """Label of the vertical axis of drawn curves."""
    return gap_title(metric) if getattr(axes, "shows_gap", False) else metric_title(metric)


def ends_of(axes: Axes, lines: Sequence[Line2D]) -> list[End]:
    """Ends of the lines that have a finite value."""
    ends = []
    for line in lines:
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        finite = np.flatnonzero(np.isfinite(y) & (y > 0 if axes.get_yscale() == "log" else True))
        if len(finite):
            at = finite[-1]
            ends.append(End(x[at], y[at], str(line.get_label()), str(line.get_color())))
    return ends


def name_lines(axes: Axes, lines: Sequence[Line2D], height: float) -> None:
    """Write the name of each line at its end; the panel has about this height in inches."""
    label_ends(axes, ends_of(axes, lines), height)


def _has_gaps(curves: Sequence[Curve], best: float) -> bool:
    """Whether a center is worse than the best at an evaluation, so that there is a gap to show."""
    metric = curves[0].band.metric
    centers = np.concatenate([center_of(curve.band) for curve in curves])
    gaps = gaps_of(centers, best, metric)
    return bool((gaps[np.isfinite(gaps)] > 0).any())


def _set_view(
    axes: Axes, curves: Sequence[Curve], best: float | None, scale: Scale, target: float | None
) -> None:
    """Set the scale and the ends of both axes to what is worth showing, and draw the target.

    The centers alone decide, so that the view does not depend on their intervals.
    """
    from matplotlib.ticker import MaxNLocator

    bands = [curve.band for curve in curves]
    metric = bands[0].metric
    last = max(float(band.epochs[-1]) for band in bands)
    axes.set_xlim(0, last or 1.0)
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=last >= 1, steps=[1, 2, 2.5, 5, 10]))
    axes.shows_gap = best is not None  # type: ignore[attr-defined]
    if best is not None:
        view = _gap_view(bands, best)
        bar = None if target is None else float(gaps_of(np.array(target), best, metric))
        if bar is not None and bar > 0:
            view = min(view[0], bar / ROOM), max(view[1], bar * ROOM)
        use_log_scale(axes)
        axes.set_ylim(*view)
    else:
        bar = target
        if (found := view_of(bands)) is None:
            return
        low, high = found
        if bar is not None:
            low, high = min(low, bar), max(high, bar)
        set_limits(axes, low, high, 0.05, log=scale != "linear" and not metric.higher_is_better)
    if bar is not None:
        draw_target(axes, bar)


def draw_target(axes: Axes, value: float) -> None:
    """Draw the target as a dashed line across the panel, or a note if it is beyond the edge."""
    low, high = axes.get_ylim()
    # At the left, where curves are still far above it, and below the line where there is room.
    text: dict[str, Any] = {"fontsize": SMALL, "color": "black", "ha": "left", "zorder": 5.0}
    if low <= value <= high:
        axes.axhline(
            value, color="black", linewidth=0.8, linestyle=(0, (4.0, 2.0)), zorder=2.8,
            label="_target",
        )  # fmt: skip
        transform: Any = axes.transData - axes.transAxes
        below = transform.transform((axes.get_xlim()[0], value))[1] > 0.1
        axes.annotate(
            "target", (0.0, value), xycoords=("axes fraction", "data"),
            xytext=(3, -2 if below else 2), textcoords="offset points",
            va="top" if below else "bottom", **text,
        )  # fmt: skip
    elif value < low:  # also a gap below 0: better than every run
        axes.annotate(
            "target ↓", (0.0, 0.0), xycoords="axes fraction", xytext=(3, 2),
            textcoords="offset points", va="bottom", **text,
        )  # fmt: skip


def _gap_view(bands: Sequence[Band], best: float) -> tuple[float, float]:
    """Ends of a logarithmic axis of gaps.

    They hold every center and its end, but not the deepest of its values, see `DEEPEST`, and of a
    loss nothing worse than untrained.
    """
    metric = bands[0].metric
    found, untrained = [], []
    for band in bands:
        gaps = gaps_of(center_of(band), best, metric)
        positive = np.isfinite(gaps) & (gaps > 0)
        if positive.any():
            lowest = min(np.quantile(gaps[positive], DEEPEST), gaps[positive][-1])
            found.append((lowest, gaps[positive].max()))
        untrained += gaps[positive & (band.epochs == 0)].tolist()
    low, high = min(low for low, _ in found), max(high for _, high in found)
    if untrained:
        high = max(min(high, max(untrained)), low)
    return float(low) / ROOM, float(high) * ROOM


def view_of(bands: Sequence[Band]) -> tuple[float, float] | None:
    """Range of values to show, None without a finite one.

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
    """Mask of the evaluations that decide what is shown, `(E,)`: from an epoch on, see `UNSEEN`."""
    last = float(band.epochs[-1])
    if last < first and np.isfinite(center_of(band)[-1]):  # one that diverged is no end to show
        first = last * UNSEEN
    decide: np.ndarray = (band.epochs > 0) & (band.epochs >= first)
    return decide


def _mark_end(axes: Axes, curve: Curve, center: np.ndarray) -> None:
    """Put a cross where a curve stops being finite, or at the edge where it was seen last."""
    lost = np.flatnonzero(~np.isfinite(center))
    if not len(lost) or lost[0] == 0:
        return
    at = lost[0] - 1
    low, high = axes.get_ylim()
    value = min(max(center[at], low), high)
    color = curve.look.color
    mark(axes, [curve.band.epochs[at]], [value], color, "x", markersize=5.0, label="_diverged")
