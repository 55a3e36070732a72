"""The ways of optimizers over the contours of a function of two parameters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from deepobs_problems import load_problem
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.style import (
    COLUMN,
    SMALL,
    Look,
    dress,
    legend_below,
    mark,
    new_figure,
    paper_style,
)
from deepobs_runner.figures.trajectories import MINIMA, Trajectory, surface

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Area = tuple[tuple[float, float], tuple[float, float]]

AREAS: Mapping[str, Area] = MappingProxyType(
    {
        "two_d_rosenbrock": ((-2.0, 2.0), (-1.0, 3.0)),
        "two_d_beale": ((-5.0, 5.0), (-5.0, 5.0)),
        "two_d_branin": ((-5.0, 12.0), (-1.0, 15.0)),
    }
)
"""What is shown of u and of v; start and minima lie within."""

GRID = 200
"""Points a side at which a function is evaluated."""

LEVELS = 12
"""Contours."""


def plot_trajectory(
    problem: str, ways: Mapping[str, Trajectory], looks: Mapping[str, Look]
) -> Figure:
    """Return the ways of optimizers over the contours of the noise-free function.

    The contours are equally spaced in the logarithm of the distance from the minimum. Stars are
    minima, a ring is the start, and the marker of an optimizer is the last step that is shown,
    hollow where its run goes on; a cross is where it leaves the picture, if it does not come back.

    Args:
        problem: one of `AREAS`.
        ways: by label.
        looks: of the labels.

    Raises:
        UsageError: another problem, or nothing to draw.
    """
    if problem not in AREAS or not ways:
        raise UsageError(f"{problem}: there is no trajectory to draw.")
    names = {label: f"{label}: {end_of(way)}" for label, way in ways.items()}
    with paper_style():
        title = "value without noise after the last step shown"
        title += "" if all(way.complete for way in ways.values()) else "; hollow: the run goes on"
        legend = legend_below(list(names.values()), COLUMN, title)
        figure = new_figure(COLUMN, 2.9 + legend.height)
        axes = dress(figure.add_subplot(), xlabel="u", ylabel="v", title=problem)
        axes.grid(False)
        axes.set(xlim=AREAS[problem][0], ylim=AREAS[problem][1])
        _draw_contours(axes, problem)
        handles = [_draw_way(axes, way, looks[label], names[label]) for label, way in ways.items()]
        start = next(iter(ways.values())).points[0]
        mark(
            axes,
            start[:1],
            start[1:],
            "black",
            "o",
            markersize=6.0,
            fillstyle="none",
            label="_start",
        )
        axes.annotate(
            "start", start, xytext=(5, 4), textcoords="offset points", fontsize=SMALL, zorder=5.0
        )
        u, v = np.array(MINIMA[problem]).T
        mark(axes, u, v, "black", "*", markersize=9.0, markeredgewidth=0.5,
             markeredgecolor="white", label="_minima", zorder=2.5)  # fmt: skip
        legend.draw(figure, handles)
    return figure


def end_of(way: Trajectory) -> str:
    """Return the value at the end of a way and the number of its steps, in words."""
    steps, value = f"{len(way.points) - 1:,}", way.values[-1]
    if not np.isfinite(value):
        return f"lost in {steps} steps"
    return f"{value:.3g} after {'' if way.complete else 'the first '}{steps} steps"


def _draw_contours(axes: Axes, problem: str) -> None:
    (left, right), (bottom, top) = AREAS[problem]
    u, v = np.meshgrid(np.linspace(left, right, GRID), np.linspace(bottom, top, GRID))
    found = load_problem(problem)
    lowest = surface(found, *np.array(MINIMA[problem]).T).min()
    above = surface(found, u, v) - lowest
    levels = np.geomspace(max(above.max() * 1e-5, 1e-3), above.max() * 1.001, LEVELS)
    shades = [str(shade) for shade in np.linspace(0.78, 0.98, LEVELS)]
    axes.contourf(u, v, above, [0.0, *levels], colors=shades, zorder=0.2)
    axes.contour(u, v, above, levels, colors="0.6", linewidths=0.4, zorder=0.4)


def _draw_way(axes: Axes, way: Trajectory, look: Look, name: str) -> Artist:
    """Draw a way and its end; return a line as it should stand in the legend."""
    color = look.ink.color
    finite = np.isfinite(way.points).all(axis=1)
    points = way.points[: int(np.argmin(finite)) if not finite.all() else None]
    (line,) = axes.plot(
        *points.T,
        color=color, linestyle=look.line, linewidth=1.0, marker=look.ink.marker,
        markevery=[len(points) - 1], markersize=5.0, zorder=3.0, label=name,
        markeredgecolor="white" if way.complete else color,
        markerfacecolor=color if way.complete else "white",
    )  # fmt: skip
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    inside = ((points >= low) & (points <= high)).all(axis=1)
    if not inside[-1]:
        last = np.clip(points[int(np.flatnonzero(inside)[-1]) + 1], low, high)
        mark(
            axes, last[:1], last[1:], color, "x", markersize=6.0, markeredgewidth=1.4, label="_left"
        )
    return line
