"""How fast and how good: the time to the target and the final value of every optimizer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis import End, Metric, summarize_end
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Target, Times, Unit, comparable_times
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import (
    LOG_RATIO,
    NUMBER,
    name_rows,
    new_figure,
    style_axes,
    use_log_scale,
)
from deepobs_runner.figures.lines import metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import PAGE, PLAIN, SMALL, Look, Paper, paper_style
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 4.0
"""Times the spread of those that reach the target: a value further off is beyond the panel."""

ROW = 0.2
"""Height of a row, in inches."""


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
            "five seeds on, and mean final value, with Student's interval from two seeds on; the "
            "fastest first. An arrow is a time that is longer than the runs. "
            f"Baselines are hollow beside results of yours.{goal}",
            plot_speed,
            problem,
            listed,
            target,
            material.looks,
            unit=material.unit,
            level=material.level,
            paper=material.paper,
        )


FIGURE = speed


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where an optimizer stands; an interval that is not known is NaN.

    Attributes:
        label: label of the optimizer.
        time: median time to the target; inf if fewer than half of the runs reach it.
        times: its interval.
        longest: time of the longest run, after which nothing is known.
        reached: how many of how many runs reach the target.
        value: mean final value; the median where some runs diverged; NaN where half did.
        values: its interval; quartiles where it is the median.
        note: what the row adds, about runs that diverged.
    """

    label: str
    time: float
    times: tuple[float, float]
    longest: float
    reached: tuple[int, int]
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
    paper: Paper = PLAIN,
) -> Figure:
    """Median time to the target beside the mean final value, a row for each optimizer.

    Dots with intervals, the fastest optimizer first. One of which fewer than half of the runs reach
    the target has an arrow at the end of its longest run, with their number.

    Raises:
        UsageError: no target, no optimizer reaches it, or the records do not hold the unit.
    """
    if target is None:
        raise UsageError(f"{problem}: no target: no official value, and no runs of Adam.")
    spots, counted = spots_of(listed, target, unit, level)
    if not any(math.isfinite(spot.time) for spot in spots):
        known = [spot for spot in spots if not math.isnan(spot.time)]
        why = "no optimizer reaches" if known else f"the runs do not record the {unit} to"
        raise UsageError(f"{problem}: {why} the target, {target}.")
    spots = sorted(spots, key=lambda s: _order(s, target))
    width = paper.inches(PAGE * 0.75)
    with paper_style(paper):
        figure = new_figure(width, ROW * len(spots) + 0.75)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.2, 1.0))
        noun = counted.replace("_", " ").capitalize()
        style_axes(left, paper, xlabel=f"{noun} to the target", title=problem, grid="x")
        style_axes(right, paper, xlabel=f"Final {metric_title(target.metric).lower()}", grid="x")
        colors = [looks[spot.label].color for spot in spots]
        name_rows(left, [spot.label for spot in spots], colors)
        right.tick_params(axis="y", length=0, labelleft=False)
        right.spines["left"].set_visible(False)
        _draw_times(left, spots, looks)
        _draw_values(right, spots, looks, target)
    return figure


def spots_of(
    listed: Sequence[Setting], target: Target, unit: Unit, level: float = 0.95
) -> tuple[list[Spot], Unit]:
    """Time and final value of each optimizer, and the unit of all times."""
    found = comparable_times(listed, target, unit)
    spots = []
    for setting, times in zip(listed, found, strict=True):
        end = summarize_end(setting.runs, target.metric, level=level)
        if end is not None and times is not None:
            spots.append(_spot(setting.optimizer, times, end, level, target.metric))
    return spots, next((times.counted for times in found if times and len(times.times)), unit)


def _order(spot: Spot, target: Target) -> tuple[float, float]:
    """Sort key: the fastest first, and among those that do not reach the target, the best."""
    time = math.inf if math.isnan(spot.time) else spot.time
    value = target.metric.worst if math.isnan(spot.value) else spot.value
    return time, -target.metric.sign * value


def _spot(label: str, times: Times, end: End, level: float, metric: Metric) -> Spot:
    value, values, note = end.mean, (metric.clip(end.low), metric.clip(end.high)), ""
    if end.diverged:
        note = f"{end.diverged} of {end.runs} diverged"
    if not math.isfinite(value):
        value, values = end.median, (end.lower_quartile, end.upper_quartile)
    if not math.isfinite(value):
        value = math.nan
    return Spot(
        label=label,
        time=times.median,
        times=times.median_interval(level=level),
        longest=float(times.times.max()) if len(times.times) else math.nan,
        reached=(int(times.reached.sum()), len(times.times)),
        value=value,
        values=values,
        note=note,
    )


def _draw_times(axes: Axes, spots: Sequence[Spot], looks: Mapping[str, Look]) -> None:
    """Draw the times with their intervals; those that are not known as arrows."""
    known = np.array([v for s in spots for v in (s.time, *s.times)])
    known = known[np.isfinite(known)]
    bounds = [s.longest for s in spots if math.isinf(s.time)]
    last = max(float(known.max()), *bounds, 0.0) or 1.0  # 0: reached before training
    if known.min() > 0 and last / known.min() > LOG_RATIO:
        use_log_scale(axes, "x")
        axes.set_xlim(known.min() / 1.3, last * 1.5)
    else:
        axes.set_xlim(0, last * 1.12)
    for row, spot in enumerate(spots):
        look = looks[spot.label]
        reached, runs = spot.reached
        if math.isfinite(spot.time):
            _dot(axes, row, spot.time, spot.times, look, spot.label)
            if math.isinf(spot.times[1]):  # the interval is open
                axes.plot([spot.time, spot.longest], [row, row], color=look.color, linewidth=1.4,
                          label="_interval")  # fmt: skip
                axes.plot([last * 1.03], [row], linestyle="none", marker=">", markersize=4.0,
                          color=look.color, label="_bound")  # fmt: skip
            if reached < runs:
                _remark(axes, row, max(spot.time, _finite(spot.times[1])), f"{reached} of {runs}")
        elif runs:
            axes.plot(
                [spot.longest], [row], linestyle="none", marker=">", markersize=4.5,
                color=look.color, markerfacecolor="white", clip_on=False, label="_bound",
            )  # fmt: skip
            text = f"{reached} of {runs} reach it"
            _remark(axes, row, spot.longest, text, left=True)
        else:
            _remark(axes, row, axes.get_xlim()[0], "not recorded")


def _draw_values(
    axes: Axes, spots: Sequence[Spot], looks: Mapping[str, Look], target: Target
) -> None:
    """Draw the final values with their intervals, and the target."""
    from matplotlib.ticker import MaxNLocator

    low, high = _view_of(spots, target)
    room = 0.08 * ((high - low) or abs(high) or 1.0)
    axes.set_xlim(low - room, high + room)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.axvline(
        target.value, color="black", linewidth=0.8, linestyle=(0, (4.0, 2.0)), zorder=1.0,
        label="_target",
    )  # fmt: skip
    axes.annotate(
        "target", (target.value, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
        textcoords="offset points", fontsize=SMALL, ha="center",
    )  # fmt: skip
    for row, spot in enumerate(spots):
        if math.isnan(spot.value):
            _remark(axes, row, low - room, spot.note)
        elif not low - room <= spot.value <= high + room:
            above = spot.value > high
            text = f"{spot.value:.3g} →" if above else f"← {spot.value:.3g}"
            text = f"{spot.note}, {text}" if spot.note else text
            _remark(axes, row, high + room if above else low - room, text, left=above)
        else:
            _dot(axes, row, spot.value, spot.values, looks[spot.label], spot.label)
            if spot.note:
                _remark(axes, row, max(spot.value, _finite(spot.values[1])), spot.note)


def _dot(
    axes: Axes, row: int, value: float, ends: tuple[float, float], look: Look, label: str
) -> None:
    """Draw a value with its interval, as far as it is known; that of a baseline is hollow."""
    low, high = (end if math.isfinite(end) else value for end in ends)
    axes.plot([low, high], [row, row], color=look.color, linewidth=1.4, label="_interval")
    axes.plot(
        [value], [row], linestyle="none", marker=look.ink.marker, markersize=5.0, color=look.color,
        markerfacecolor="white" if look.thin else look.color, zorder=4.0, label=label,
    )  # fmt: skip


def _remark(axes: Axes, row: int, x: float, text: str, *, left: bool = False) -> None:
    """Write a remark beside what is drawn in a row."""
    axes.annotate(
        text, (x, row), xytext=(-6 if left else 5, 0), textcoords="offset points", fontsize=SMALL,
        color=NUMBER, va="center", ha="right" if left else "left",
    )  # fmt: skip


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _view_of(spots: Sequence[Spot], target: Target) -> tuple[float, float]:
    """Range of values to show: of those that reach the target, and of others near it.

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
