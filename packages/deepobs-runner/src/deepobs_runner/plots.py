"""Figures of training curves; matplotlib is imported when the first is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.curves import PANELS, Curve, Setting, curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, told apart with every kind of colour vision; black is left for text.
FIXED_COLORS = {"SGD": "#0072B2", "Momentum": "#009E73", "Adam": "#D55E00"}
FREE_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#999999")

TITLES = {
    ("train_eval", "objective"): "Training objective",
    ("test", "objective"): "Test objective",
    ("train_eval", "accuracy"): "Training accuracy",
    ("test", "accuracy"): "Test accuracy",
}


def color_of(optimizer: str, optimizers: Sequence[str]) -> str:
    """Return an optimizer's colour: the same in every figure for SGD, Momentum and Adam."""
    if optimizer in FIXED_COLORS:
        return FIXED_COLORS[optimizer]
    others = [name for name in dict.fromkeys(optimizers) if name not in FIXED_COLORS]
    return FREE_COLORS[others.index(optimizer) % len(FREE_COLORS)]


def plot_curve(drawn: Curve, axes: Axes, *, color: str, label: str, official: bool = False) -> Axes:
    """Draw a curve, mean ± standard deviation; official results broad and pale, without a band."""
    width, alpha = (5.0, 0.3) if official else (1.4, 1.0)
    axes.plot(drawn.epochs, drawn.mean, color=color, label=label, linewidth=width, alpha=alpha)
    if not official and np.isfinite(drawn.std).any():
        low, high = drawn.mean - drawn.std, drawn.mean + drawn.std
        axes.fill_between(drawn.epochs, low, high, color=color, alpha=0.2, linewidth=0)
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
    figure = Figure(figsize=(4.2 * columns, 2.9 * rows + 0.7), layout="constrained")
    figure.suptitle(problem, fontweight="bold")
    optimizers = [setting.optimizer for setting in settings]
    for index, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, index)
        for setting, drawn in curves[panel]:
            color = color_of(setting.optimizer, optimizers)
            label = f"{setting.label} ({drawn.runs} seed{'s' if drawn.runs > 1 else ''})"
            if setting.official:
                label += ", official 2019"
            elif setting.source != "yours":
                label += f", {setting.source}"
            plot_curve(drawn, axes, color=color, label=label, official=setting.official)
        _finish_panel(axes, panel, [drawn for _, drawn in curves[panel]])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=2, fontsize="small", frameon=False
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
