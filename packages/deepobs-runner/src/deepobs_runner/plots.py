"""Figures of training curves; matplotlib is imported when the first is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from deepobs_runner.curves import PANELS, Curve, Setting, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every kind of colour vision; black is left for text.
FIXED_COLORS = {"SGD": "#0072B2", "Momentum": "#009E73", "Adam": "#D55E00"}
FREE_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#999999")

LineStyle = str | tuple[float, tuple[float, ...]]
LINES: tuple[LineStyle, ...] = ("-", (0, (6.0, 2.0)), (0, (1.0, 1.5)))
LONG_LABEL = 40
"""Characters that fit into the legend below a panel."""

TITLES = {
    ("train_eval", "objective"): "Training objective",
    ("test", "objective"): "Test objective",
    ("train_eval", "accuracy"): "Training accuracy",
    ("test", "accuracy"): "Test accuracy",
}


class Style(NamedTuple):
    """How a setting is drawn."""

    color: str
    line: LineStyle


def line_style(number: int) -> LineStyle:
    """Return the line style of a number: solid, dashed, dotted, then a dash and ever more dots."""
    if number < len(LINES):
        return LINES[number]
    return (0, (5.0, 1.5, *(1.0, 1.5) * (number - len(LINES) + 1)))


def styles_of(settings: Sequence[Setting]) -> list[Style]:
    """Return a style for each setting; no two of yours, and no two official ones, are the same.

    The first setting of SGD, Momentum and Adam is solid and has the same colour in every figure.
    Further settings of an optimizer keep its colour and change the line. The official ones, which
    are told from yours by their breadth, have the colour of their optimizer.
    """
    optimizers = dict.fromkeys(setting.optimizer for setting in settings)
    free = [name for name in optimizers if name not in FIXED_COLORS]
    colors = {name: FREE_COLORS[i % len(FREE_COLORS)] for i, name in enumerate(free)}
    colors |= FIXED_COLORS
    seen: set[tuple[str, bool]] = set()
    first: list[int] = []
    later: list[int] = []
    for index, setting in enumerate(settings):
        kind = setting.optimizer, setting.official
        (later if kind in seen else first).append(index)
        seen.add(kind)
    styles: dict[int, Style] = {}
    used: set[tuple[Style, bool]] = set()
    for index in [*first, *later]:
        setting = settings[index]
        candidates = (Style(colors[setting.optimizer], line_style(i)) for i in count())
        style = next(s for s in candidates if (s, setting.official) not in used)
        used.add((style, setting.official))
        styles[index] = style
    return [styles[index] for index in range(len(settings))]


def plot_curve(
    drawn: Curve, axes: Axes, *, style: Style, label: str, official: bool = False
) -> Axes:
    """Draw a curve, mean ± standard deviation; official results broad and pale, without a band."""
    width, alpha = (5.0, 0.3) if official else (1.4, 1.0)
    axes.plot(
        drawn.epochs, drawn.mean,
        color=style.color, linestyle=style.line, label=label, linewidth=width, alpha=alpha,
    )  # fmt: skip
    if not official and np.isfinite(drawn.std).any():
        low, high = drawn.mean - drawn.std, drawn.mean + drawn.std
        axes.fill_between(drawn.epochs, low, high, color=style.color, alpha=0.2, linewidth=0)
    return axes


def plot_problem(problem: str, settings: Sequence[Setting]) -> Figure:
    """Return the figure of a problem: a panel for each metric, a line for each setting.

    Args:
        problem: its name, the title.
        settings: with results of this problem; the official ones lie behind, broad and pale.
    """
    from matplotlib.figure import Figure

    curves = {panel: _curves_of(settings, panel) for panel in PANELS}
    panels = [panel for panel in PANELS if curves[panel]]
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    breadth = columns * LONG_LABEL
    lines = sum(len(fill(setting.label, breadth).splitlines()) for setting in settings)
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows + 0.16 * lines + 0.3), layout="constrained")
    figure.suptitle(problem, fontweight="bold")
    styles = {id(s): style for s, style in zip(settings, styles_of(settings), strict=True)}
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, index)
        for setting, drawn in curves[panel]:
            label = f"{setting.label} ({drawn.runs} seed{'s' if drawn.runs > 1 else ''})"
            if setting.official:
                label += ", official 2019"
            elif setting.source != "yours":
                label += f", {setting.source}"
            style = styles[id(setting)]
            plot_curve(drawn, axes, style=style, label=label, official=setting.official)
        _finish_panel(axes, panel, [drawn for _, drawn in curves[panel]])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    long = max(map(len, labels)) > LONG_LABEL
    figure.legend(
        handles,
        [fill(label, breadth) for label in labels],
        loc="outside lower center",
        ncols=1 if long or columns == 1 else 2,
        fontsize="small",
        frameon=False,
        handlelength=4.0,  # shows the dashes
    )
    return figure


def has_curves(settings: Sequence[Setting]) -> bool:
    """Whether there is a finite number to draw."""
    return any(curve(setting.runs, *panel) for setting in settings for panel in PANELS)


def _curves_of(settings: Sequence[Setting], panel: tuple[str, str]) -> list[tuple[Setting, Curve]]:
    drawn = [(setting, curve(setting.runs, *panel)) for setting in settings]
    # Ours last, so that they lie over the official ones.
    drawn.sort(key=lambda pair: not pair[0].official)
    return [(setting, line) for setting, line in drawn if line is not None]


def _finish_panel(axes: Axes, panel: tuple[str, str], drawn: Sequence[Curve]) -> None:
    from matplotlib.ticker import LogFormatter

    axes.set_title(TITLES[panel], fontsize="medium")
    axes.set_xlabel("Epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    means = np.concatenate([line.mean[np.isfinite(line.mean)] for line in drawn])
    if panel[1] == "objective" and len(means) and means.min() > 0:
        axes.set_yscale("log")
        for axis_formatter in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis_formatter(LogFormatter(minor_thresholds=(2, 0.5)))  # 300, not 3 x 10^2


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure at print resolution; the format follows the suffix."""
    figure.savefig(path, dpi=150)
    return path
