"""The curves of one problem: a panel for each metric, a line for each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from deepobs_runner.analysis import Metric, choose, is_diverged
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Target
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import fit_beside, legend_unless, new_figure, style_axes
from deepobs_runner.figures.lines import (
    LEAST_BAND,
    Curve,
    check_scale,
    curve_of,
    draw_lines,
    metric_at,
    name_lines,
    value_title,
)
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    COLUMN,
    PAGE,
    PLAIN,
    Look,
    Palette,
    Paper,
    Scale,
    Subject,
    looks_of,
    paper_style,
)
from deepobs_runner.results.settings import PANELS, Setting
from deepobs_runner.text import count

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

MOST_LINES = 8
"""Settings of yours, or of baselines, that are all drawn; beyond this number, the best of each
optimizer."""

HEIGHT = 1.75
"""Of a panel with its labels, in inches."""

LINES_AND_BANDS = (
    "Lines are medians over seeds. A band is the {level} bootstrap interval of the median at each "
    f"epoch, from {LEAST_BAND} seeds on; the runs of fewer seeds are thin lines. The dashed black "
    "line is the target."
)


def curves(material: Material) -> Iterator[Drawing]:
    """Yield the curves of every problem."""
    for problem, settings in material.settings.items():
        yield material.draw(
            "curves",
            problem,
            f"Training curves on {problem}",
            f"{scale_text(material.scale)} "
            f"{LINES_AND_BANDS.format(level=percent(material.level))}{material.thin_text}"
            f"{seeds_text(leading(settings))} A cross is where half of the runs had diverged.",
            plot_curves,
            problem,
            settings,
            metric=material.metric,
            level=material.level,
            palette=material.palette,
            target=material.targets.get(problem),
            scale=material.scale,
            paper=material.paper,
        )


FIGURE = curves


def scale_text(scale: Scale) -> str:
    """Meaning of the vertical axis of curves, for a caption."""
    if scale == "gap":
        return "Distance to the best value of any run shown, on a logarithmic axis."
    return "Values after each epoch; the first tenth of the epochs may lie beyond the edge."


def plot_curves(
    problem: str,
    settings: Sequence[Setting],
    *,
    metric: str | None = None,
    center: Literal["mean", "median"] = "median",
    level: float = 0.95,
    palette: Palette | None = None,
    target: Target | None = None,
    scale: Scale = "gap",
    paper: Paper = PLAIN,
) -> Figure:
    """Training curves of a problem: median over seeds, with a bootstrap band.

    A setting of fewer than five seeds has a thin line for each run instead of a band. Baselines
    behind results of yours are thin dashed lines. Of more than eight settings of yours, or of
    baselines, those are drawn that stand for their optimizers, see `analysis.choose`.

    Args:
        problem: its name, the title.
        settings: settings of the problem.
        metric: such as `accuracy`, in training and test; None: objective and accuracy.
        center: statistic over seeds.
        level: confidence level of the bands.
        palette: palette of all figures that are shown together.
        target: drawn in the panel of its metric.
        scale: `gap`: distance to the best value of any run, logarithmic; `log`: values, logarithmic
            where a loss spans a factor of eight; `linear`: values.
        paper: width and font; the usual width is that of a page for several panels.

    Raises:
        UsageError: no finite number to draw, or no such scale.
    """
    check_scale(scale)
    shown = leading(settings)
    looks = looks_of([Subject(s.config.optimizer_id.name, s.baseline) for s in shown], palette)
    names = labels_of(shown)
    found = {m: _curves(shown, looks, names, m, center, level) for m in metrics_of(metric)}
    panels = {m: drawn for m, drawn in found.items() if drawn}
    if not panels:
        raise UsageError(f"{problem}: no run has a finite {metric or 'objective or accuracy'}.")
    width = paper.inches(PAGE if len(panels) > 1 else COLUMN)
    columns = min(2, len(panels)) if width > COLUMN else 1
    rows = -(-len(panels) // columns)
    beside = fit_beside(names)
    with paper_style(paper):
        figure = new_figure(width, 1.0)
        handles: dict[str, Artist] = {}
        for index, (panel, drawn) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(rows, columns, index)
            last = index > len(panels) - columns
            style_axes(
                axes, paper, xlabel="Epoch" if last else "", title="" if index > 1 else problem
            )
            lines = draw_lines(axes, drawn, scale=scale, target=target)
            axes.set_ylabel(value_title(axes, panel), labelpad=3)
            handles |= zip((entry.label for entry in drawn), lines, strict=True)
            if (beside and index % columns == 0) or index == len(panels):
                name_lines(axes, lines, HEIGHT - 0.45)
        legend, samples = legend_unless(beside, names, handles, width)
        figure.set_size_inches(width, HEIGHT * rows + 0.15 + legend.height)
        legend.draw(figure, samples)
    return figure


def metrics_of(name: str | None) -> list[Metric]:
    """Metrics of the panels: all of the table, or those of one name."""
    names = PANELS if name is None else [("train_eval", name), ("test", name)]
    return [metric_at(split, metric) for split, metric in names]


def leading(settings: Sequence[Setting]) -> list[Setting]:
    """Settings to draw: all, or of too many those that stand for their optimizers."""
    kept: list[Setting] = []
    for baseline in (False, True):
        group = [setting for setting in settings if setting.baseline is baseline]
        if len(group) > MOST_LINES:
            chosen = {s.key for listed in choose(group).values() for s in listed}
            group = [setting for setting in group if setting.key in chosen]
        kept += group
    return kept


def labels_of(settings: Sequence[Setting]) -> list[str]:
    """Labels of settings beside their lines: the optimizer, and what tells two apart.

    That is the whole setting where an optimizer has several, the number of seeds where it is not
    the same for all of yours, or all baselines, and how many runs diverged.
    """
    optimizers = [setting.optimizer for setting in settings]
    seeds = {
        baseline: {len(s.runs) for s in settings if s.baseline is baseline}
        for baseline in (False, True)
    }
    labels = []
    for setting in settings:
        alone = optimizers.count(setting.optimizer) == 1
        label = setting.optimizer if alone else setting.label
        diverged = sum(map(is_diverged, setting.runs))
        remarks = [count(len(setting.runs), "seed")] if len(seeds[setting.baseline]) > 1 else []
        remarks += [f"{diverged} diverged"] if diverged else []
        labels.append("\n".join([label, *([", ".join(remarks)] if remarks else [])]))
    return labels


def seeds_text(settings: Sequence[Setting]) -> str:
    """Number of seeds behind each line, for a caption.

    >>> seeds_text([])
    ''
    """
    words = []
    for baseline, name in ((False, "yours"), (True, "baselines")):
        found = sorted({len(s.runs) for s in settings if s.baseline is baseline})
        if found:
            words.append(f"{count(found[0], 'seed') if len(found) == 1 else 'seeds'} ({name})")
    plain = [word for word in words if not word.startswith("seeds")]
    return f" Lines stand for {' and '.join(plain)}." if plain else ""


def _curves(
    settings: Sequence[Setting],
    looks: Sequence[Look],
    labels: Sequence[str],
    metric: Metric,
    center: Literal["mean", "median"],
    level: float,
) -> list[Curve]:
    found = (
        curve_of(setting, metric, look, label, center=center, level=level)
        for setting, look, label in zip(settings, looks, labels, strict=True)
    )
    return [curve for curve in found if curve is not None]
