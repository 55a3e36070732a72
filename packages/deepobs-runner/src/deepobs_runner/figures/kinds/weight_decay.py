"""How learning rate and weight decay act together: a map of the final value over both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs_runner.analysis import Metric, candidates, metric_of, sensitivity_of
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import name_ticks, new_figure, style_axes
from deepobs_runner.figures.lines import gaps_of, metric_title
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PAGE, PLAIN, SMALL, Paper, paper_style
from deepobs_runner.results.labels import RATES
from deepobs_runner.results.result import RunResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DECAY = "weight_decay"
"""The hyperparameter."""

LEAST = 3
"""Learning rates, and weight decays, that make a map."""

MOST = 3
"""Optimizers side by side."""


def weight_decay(material: Material) -> Iterator[Drawing]:
    """Yield the maps of learning rate and weight decay of every problem."""
    for problem, listed in material.tuned.items():
        grids = {s.optimizer: candidates(s, material.results[problem]) for s in listed}
        yield material.draw(
            "weight-decay",
            problem,
            f"Learning rate and weight decay on {problem}",
            "Distance of the final value to the best of all cells, for the seed that all rates of "
            "a weight decay have, else the median over seeds. A ring is the best cell of an "
            "optimizer, a cross one of which a run diverged.",
            plot_weight_decay,
            problem,
            grids,
            metric=material.test_metric,
            paper=material.paper,
        )


FIGURE = weight_decay


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The final value of one optimizer at each learning rate and weight decay.

    Attributes:
        rates: learning rates in increasing order, `(R,)`.
        decays: weight decays in increasing order, `(W,)`.
        values: median over seeds; NaN where nothing was run, infinite where a run diverged and the
            median with it, `(W, R)`.
        diverged: whether a run did, `(W, R)`.
    """

    rates: np.ndarray
    decays: np.ndarray
    values: np.ndarray
    diverged: np.ndarray


def plot_weight_decay(
    problem: str,
    grids: Mapping[str, Sequence[RunResult]],
    *,
    metric: Metric | None = None,
    paper: Paper = PLAIN,
) -> Figure:
    """Maps of the gap to the best final value over learning rate and weight decay.

    Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, figure 2.

    Args:
        problem: its name, the title.
        grids: runs of each optimizer, by label; the first three that were run at three learning
            rates and three weight decays are shown.
        metric: that is compared; None: the one by which the problem is judged.
        paper: width and font.

    Raises:
        UsageError: no optimizer was run at three learning rates and three weight decays.
    """
    metric = metric or metric_of(run for runs in grids.values() for run in runs)
    found = {} if metric is None else {label: grid_of(r, metric) for label, r in grids.items()}
    shown = {
        label: grid
        for label, grid in found.items()
        if min(grid.values.shape) >= LEAST and np.isfinite(grid.values).any()
    }
    if metric is None or not shown:
        raise UsageError(
            f"{problem}: no optimizer was run at {LEAST} learning rates and {LEAST} weight decays "
            f"({DECAY}=…)."
        )
    shown = dict(list(shown.items())[:MOST])
    finite = np.concatenate([g.values[np.isfinite(g.values)] for g in shown.values()])
    best = float(finite.max() if metric.higher_is_better else finite.min())
    width = paper.inches(COLUMN if len(shown) == 1 else PAGE)
    beside = width > COLUMN
    rows, columns = (1, len(shown)) if beside else (len(shown), 1)
    with paper_style(paper):
        figure = new_figure(width, 0.45 + 1.75 * rows)
        panels = list(figure.subplots(rows, columns, squeeze=False).flat)
        gaps = {label: gaps_of(grid.values, best, metric) for label, grid in shown.items()}
        norm = _norm(np.concatenate([g.ravel() for g in gaps.values()]))
        for index, (axes, (label, grid)) in enumerate(zip(panels, shown.items(), strict=True)):
            style_axes(
                axes,
                paper,
                xlabel="Learning rate" if beside or index == len(shown) - 1 else "",
                ylabel="Weight decay" if index == 0 or not beside else "",
                title=f"{problem}: {label}" if index == 0 else label,
                grid="",
            )
            image = _draw(axes, grid, gaps[label], norm)
        _add_bar(figure, panels, image, metric, paper)
    return figure


def grid_of(runs: Sequence[RunResult], metric: Metric) -> Grid:
    """Final values at each learning rate and weight decay.

    Of runs that also differ in something else those are taken that share it with most others.
    """
    families: dict[str, list[RunResult]] = {}
    for run in runs:
        if DECAY in run.config.hyperparams:
            families.setdefault(_family(run.config), []).append(run)
    family = max(families.values(), key=len, default=[])
    curves = {
        decay: sensitivity_of([r for r in family if _decay(r) == decay], metric)
        for decay in sorted({_decay(run) for run in family})
    }
    rates = np.unique(np.concatenate([np.array([]), *(c.rates for c in curves.values())]))
    values = np.full((len(curves), len(rates)), np.nan)
    diverged = np.zeros(values.shape, dtype=bool)
    for row, curve in enumerate(curves.values()):
        at = np.searchsorted(rates, curve.rates)
        values[row, at] = curve.medians
        diverged[row, at] = curve.diverged > 0
    return Grid(rates=rates, decays=np.array(list(curves)), values=values, diverged=diverged)


def _decay(run: RunResult) -> float:
    return float(run.config.hyperparams[DECAY])


def _family(config: RunConfig) -> str:
    """Key of runs that differ in rate, weight decay and seed alone."""
    kept = {n: v for n, v in config.hyperparams.items() if n not in RATES and n != DECAY}
    return replace(config, hyperparams=kept, seed=0).id


def _norm(gaps: np.ndarray) -> Any:
    """Logarithmic scale of colours from the smallest gap above 0 to the median times ten.

    What is further from the best than that is no candidate, whatever its value.
    """
    from matplotlib.colors import LogNorm

    positive = gaps[np.isfinite(gaps) & (gaps > 0)]
    if not len(positive):
        return LogNorm(1.0, 10.0, clip=True)
    low, high = float(positive.min()), float(positive.max())
    return LogNorm(low, max(min(high, 10 * float(np.median(positive))), 1.01 * low), clip=True)


def _draw(axes: Axes, grid: Grid, gaps: np.ndarray, norm: Any) -> Any:
    """Draw one map; return what its colours belong to."""
    from deepobs_runner.figures.log_numbers import number_text

    shown = np.where(np.isfinite(gaps), np.maximum(gaps, norm.vmin), np.nan)
    image = axes.pcolormesh(shown, cmap="cividis", norm=norm, edgecolors="white", linewidth=0.6)
    image.set_rasterized(False)
    step = -(-len(grid.rates) // 5)
    for axis, values, every in ((axes.xaxis, grid.rates, step), (axes.yaxis, grid.decays, 1)):
        names = [number_text(value) for value in _short(values)]
        name_ticks(axis, (np.arange(len(names)) + 0.5)[::every], names[::every])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    rows, columns = np.nonzero(grid.diverged)
    axes.plot(columns + 0.5, rows + 0.5, linestyle="none", marker="x", markersize=4.0,
              color="#B84700", label="_beyond")  # fmt: skip
    row, column = np.unravel_index(
        np.nanargmin(np.where(np.isfinite(gaps), gaps, np.nan)), gaps.shape
    )
    axes.plot([column + 0.5], [row + 0.5], linestyle="none", marker="o", markersize=7.0,
              color="white", fillstyle="none", markeredgewidth=1.3, label="_best")  # fmt: skip
    return image


def _short(values: np.ndarray) -> list[float]:
    """Numbers with two digits, which are enough to tell the cells of a grid."""
    return [float(f"{value:.2g}") for value in values]


def _add_bar(
    figure: Figure, panels: Sequence[Axes], image: Any, metric: Metric, paper: Paper
) -> None:
    """Add the colours of the gaps at the right of the panels."""
    from deepobs_runner.figures.log_numbers import LogNumbers

    title = metric_title(metric).lower()
    bar = figure.colorbar(image, ax=panels, aspect=25, pad=0.02, fraction=0.06)
    bar.ax.set_ylabel(
        f"best − {title}" if metric.higher_is_better else f"{title} − best", labelpad=2
    )
    bar.ax.yaxis.set_major_formatter(LogNumbers())
    bar.ax.yaxis.set_minor_formatter(LogNumbers(minor_thresholds=(1.2, 0.5)))
    bar.ax.tick_params(which="both", labelsize=SMALL, length=2.0, width=0.6, pad=2,
                       labelfontfamily=paper.fonts)  # fmt: skip
    bar.outline.set_visible(False)
