"""The curves of one problem: a panel for each metric, a line for each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from deepobs_runner.analysis import Metric, choose, curve_band, is_diverged
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import label_axes, legend_below, new_figure
from deepobs_runner.figures.lines import (
    BEYOND,
    Curve,
    draw_lines,
    legend_title,
    metric_at,
    metric_title,
)
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import COLUMN, PAGE, Look, Palette, Subject, looks_of, paper_style
from deepobs_runner.results.result import YOURS
from deepobs_runner.results.settings import PANELS, Setting
from deepobs_runner.text import count

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MOST_LINES = 8
"""Settings of yours, or of baselines, that are all drawn; of more, the best of each optimizer."""


def curves(material: Material) -> Iterator[Drawing]:
    """Yield the curves of every problem."""
    for problem, settings in material.settings.items():
        yield material.draw(
            "curves",
            problem,
            f"Training curves on {problem}",
            f"Median over seeds; the band is its {percent(material.level)} bootstrap interval at "
            f"each epoch, where there are three seeds{material.but_for_pale}. {BEYOND} a cross "
            "is where half of the runs had diverged.",
            plot_curves,
            problem,
            settings,
            metric=material.metric,
            level=material.level,
            palette=material.palette,
        )


FIGURE = curves


def plot_curves(
    problem: str,
    settings: Sequence[Setting],
    *,
    metric: str | None = None,
    center: Literal["mean", "median"] = "median",
    level: float = 0.95,
    palette: Palette | None = None,
) -> Figure:
    """Return the training curves of a problem, with a bootstrap band over seeds.

    Baselines lie behind yours, broad and pale, without a band.

    Of more than eight settings of yours, or of baselines, those are drawn that stand for their
    optimizers, see `analysis.choose`. Without a metric, such as `accuracy`, there are panels of the
    objective and of the accuracy.

    Raises:
        UsageError: there is no finite number to draw.
    """
    shown = leading(settings)
    looks = looks_of([Subject(s.config.optimizer_id.name, s.baseline) for s in shown], palette)
    found = {m: _curves(shown, looks, m, center, level) for m in metrics_of(metric)}
    panels = {m: drawn for m, drawn in found.items() if drawn}
    if not panels:
        raise UsageError(f"{problem}: no run has a finite {metric or 'objective or accuracy'}.")
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    width = PAGE if columns > 1 else COLUMN
    there = {entry.label for drawn in panels.values() for entry in drawn}
    labels = [name for name in map(legend_entry, shown) if name in there]
    with paper_style():
        every = [entry for drawn in panels.values() for entry in drawn]
        legend = legend_below(labels, width, legend_title(every, "interval"))
        figure = new_figure(width, 1.9 * rows + 0.3 + legend.height)
        figure.suptitle(problem)
        handles: dict[str, Artist] = {}
        for index, (panel, drawn) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(rows, columns, index)
            label_axes(axes, xlabel="Epoch", title=metric_title(panel))
            lines = draw_lines(axes, drawn, "interval")
            handles |= zip((entry.label for entry in drawn), lines, strict=True)
        legend.draw(figure, [handles[label] for label in labels])
    return figure


def metrics_of(name: str | None) -> list[Metric]:
    """Return the metrics of the panels: all of the table, or those of one name."""
    names = PANELS if name is None else [("train_eval", name), ("test", name)]
    return [metric_at(split, metric) for split, metric in names]


def leading(settings: Sequence[Setting]) -> list[Setting]:
    """Return the settings to draw: all, or of too many those that stand for their optimizers."""
    kept: list[Setting] = []
    for baseline in (False, True):
        group = [setting for setting in settings if setting.baseline is baseline]
        if len(group) > MOST_LINES:
            chosen = {s.key for listed in choose(group).values() for s in listed}
            group = [setting for setting in group if setting.key in chosen]
        kept += group
    return kept


def legend_entry(setting: Setting) -> str:
    """Return what a setting is called in a legend: label, seeds, diverged ones, and source."""
    seeds = len(setting.runs)
    diverged = sum(map(is_diverged, setting.runs))
    words = count(seeds, "seed")
    if diverged:
        words += ", diverged" if seeds == 1 else f", {diverged} diverged"
    source = "official 2019" if setting.official else setting.source
    return f"{setting.label} ({words})" + ("" if setting.source == YOURS else f", {source}")


def _curves(
    settings: Sequence[Setting],
    looks: Sequence[Look],
    metric: Metric,
    center: Literal["mean", "median"],
    level: float,
) -> list[Curve]:
    found = []
    for setting, look in zip(settings, looks, strict=True):
        band = curve_band(setting.runs, metric, center=center, level=level)
        if band is not None:
            found.append(Curve(band, look, legend_entry(setting)))
    return found
