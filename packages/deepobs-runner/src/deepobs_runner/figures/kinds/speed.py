"""How fast and how good: the time to the target and the final value of every optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs_runner.analysis import End, summarize_end
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Target, Times, Unit, comparable_times
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import one_panel, set_limits
from deepobs_runner.figures.lines import metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import SMALL, Look
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 4.0
"""Times the spread of those that reach the target: an optimizer further off is not in the view."""

BORDER = 0.12
"""Share of the panel, on the right, for those that do not reach the target."""


def speed(material: Material) -> Iterator[Drawing]:
    """Yield the time to the target and the final value on every problem."""
    for problem, listed in material.tuned.items():
        target = material.targets[problem]
        goal = f" The target, {target}, is the {target.source}." if target else ""
        yield material.draw(
            "speed",
            problem,
            f"Speed and final value on {problem}",
            f"Median time to the target, with a {percent(material.level)} bootstrap interval from "
            "five seeds on, and mean final value, with Student's interval from two seeds on."
            f"{goal}",
            plot_speed,
            problem,
            listed,
            target,
            material.looks,
            unit=material.unit,
            level=material.level,
        )


FIGURE = speed


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where an optimizer stands; an interval that is not known is NaN.

    Attributes:
        label: of the optimizer.
        time: median time to the target; inf if fewer than half of the runs reach it.
        times: its interval.
        value: mean final value; the median where some runs diverged; NaN where half did.
        values: its interval; quartiles where it is the median.
        note: what the legend adds.
    """

    label: str
    time: float
    times: tuple[float, float]
    value: float
    values: tuple[float, float]
    note: str


def plot_speed(
    problem: str,
    listed: Sequence[Setting],
    target: Target | None,
    looks: Mapping[str, Look],
    *,
    unit: Unit = "epochs",
    level: float = 0.95,
) -> Figure:
    """Return the median time to the target against the mean final value, with intervals.

    Optimizers of which fewer than half of the runs reach the target stand in a column on the right.

    Raises:
        UsageError: no target, no optimizer reaches it, or the records do not hold the unit.
    """
    if target is None:
        raise UsageError(f"{problem}: there is no target: no official value, and no runs of Adam.")
    spots, counted = spots_of(listed, target, unit, level)
    if not any(math.isfinite(spot.time) for spot in spots):
        known = [spot for spot in spots if not math.isnan(spot.time)]
        why = "no optimizer reaches" if known else f"the runs do not say the {unit} to"
        raise UsageError(f"{problem}: {why} the target, {target}.")
    view = _view_of(spots, target)
    names = [_name(spot, view) for spot in spots]
    with one_panel(
        names,
        f"median time, mean final value; bars: {percent(level)} intervals",
        2.3,
        xlabel=f"{counted.replace('_', ' ').capitalize()} to the target",
        ylabel=f"Final {metric_title(target.metric).lower()}",
    ) as (figure, axes, handles):
        axes.set_title(problem, loc="left", pad=4)
        edge = _set_view(axes, spots, target, view)
        for spot, name in zip(spots, names, strict=True):
            handles.append(_draw(axes, spot, looks[spot.label], name, edge))
    return figure


def spots_of(
    listed: Sequence[Setting], target: Target, unit: Unit, level: float = 0.95
) -> tuple[list[Spot], Unit]:
    """Return where each optimizer stands, and what was counted for all of them."""
    found = comparable_times(listed, target, unit)
    spots = []
    for setting, times in zip(listed, found, strict=True):
        end = summarize_end(setting.runs, target.metric, level=level)
        if end is not None and times is not None:
            spots.append(_spot(setting.optimizer, times, end, level))
    return spots, next((times.counted for times in found if times and len(times.times)), unit)


def _name(spot: Spot, view: tuple[float, float]) -> str:
    text = f"{spot.label}{spot.note}"
    if spot.value < view[0] or spot.value > view[1]:
        text += f": {spot.value:.3g}, beyond the panel"
    return text


def _spot(label: str, times: Times, end: End, level: float) -> Spot:
    value, values, note = end.mean, (end.low, end.high), ""
    if not math.isfinite(value):
        value, values = end.median, (end.lower_quartile, end.upper_quartile)
        note = f" ({end.diverged} of {end.runs} diverged: median)"
    if not math.isfinite(value):
        value, note = math.nan, f" ({end.diverged} of {end.runs} diverged: not shown)"
    return Spot(
        label=label,
        time=times.median,
        times=times.median_interval(level=level),
        value=value,
        values=values,
        note=note,
    )


def _set_view(
    axes: Axes, spots: Sequence[Spot], target: Target, view: tuple[float, float]
) -> float:
    """Set the ends of the axes, draw the target and the border; return where those beyond stand."""
    times = np.array([[spot.time, *spot.times] for spot in spots])
    last = float(times[np.isfinite(times)].max()) * 1.08 or 1.0  # reached before training
    beyond = any(math.isinf(spot.time) for spot in spots)
    width = last * BORDER / (1 - BORDER) if beyond else 0.0
    axes.set_xlim(0, last + width)
    set_limits(axes, *view, 0.08)
    axes.axhline(
        target.value, color="0.4", linewidth=0.8, linestyle="--", zorder=1.0, label="_target"
    )
    axes.annotate(
        "target", (0, target.value), xytext=(3, 2), textcoords="offset points",
        fontsize=SMALL, color="0.3",
    )  # fmt: skip
    if beyond:
        axes.axvspan(last, last + width, color="0.92", linewidth=0, zorder=0.5)
        axes.text(
            1.0, 1.02, "not reached", ha="right", fontsize=SMALL, color="0.4",
            transform=axes.transAxes,
        )  # fmt: skip
    return last + width / 2


def _view_of(spots: Sequence[Spot], target: Target) -> tuple[float, float]:
    """Return the range of values to show: of those that reach the target, and of others near it.

    One that fails by far would press all others together.
    """
    inside = [s for s in spots if math.isfinite(s.time)]
    values = np.array([target.value, *(v for s in inside for v in (s.value, *s.values))])
    values = values[np.isfinite(values)]
    low, high = float(values.min()), float(values.max())
    reach = FAR * ((high - low) or 0.1 * abs(target.value) or 1.0)
    others = np.array([v for s in spots for v in (s.value, *s.values)])
    near = others[np.isfinite(others) & (others >= low - reach) & (others <= high + reach)]
    return min(low, *near), max(high, *near)


def _draw(axes: Axes, spot: Spot, look: Look, name: str, edge: float) -> Artist:
    """Draw an optimizer, a baseline hollow; return its marker, which the legend shows."""
    reached = math.isfinite(spot.time)
    low, high = axes.get_ylim()
    beyond = spot.value < low or spot.value > high
    bars: dict[str, Any] = {}
    if reached and all(map(math.isfinite, spot.times)):
        bars["xerr"] = _lengths(spot.time, spot.times)
    if all(map(math.isfinite, spot.values)) and math.isfinite(spot.value) and not beyond:
        bars["yerr"] = _lengths(spot.value, spot.values)
    drawn = axes.errorbar(
        [spot.time if reached else edge],
        [min(max(spot.value, low), high)],
        **bars,
        clip_on=not beyond,
        color=look.ink.color,
        marker=look.ink.marker,
        markersize=5.5,
        markerfacecolor="white" if look.pale or look.line != "-" else look.ink.color,
        linestyle="none",
        elinewidth=1.0,
        capsize=2.0,
        label=name,
    )
    return drawn.lines[0]


def _lengths(center: float, ends: tuple[float, float]) -> list[list[float]]:
    """Return how far an interval reaches below and above its center."""
    return [[max(center - ends[0], 0.0)], [max(ends[1] - center, 0.0)]]
