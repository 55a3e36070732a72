"""Compare our runs on fmnist_2c2d and tolstoi_char_rnn with the official ones, epoch by epoch.

Reads three packed sets of `docs/evidence`: `fmnist_2c2d_adam`, ten epochs of Adam on a CPU;
`fmnist_2c2d_gpu`, the whole 100 epochs of three optimizers on a GPU in CUDA graphs; and
`tolstoi_char_rnn`, five epochs of three optimizers with three seeds each. Prints how many
official standard deviations ours are from the official mean, and draws a figure of each set.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepobs_runner.results.baselines import unpacked_results
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult

EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence"
ADAM = EVIDENCE / "fmnist_2c2d_adam"
WHOLE = EVIDENCE / "fmnist_2c2d_gpu"
TEXT = EVIDENCE / "tolstoi_char_rnn"
EPOCHS = 10
"""Of the first set."""

TEXT_EPOCHS = 5

PANELS = {("train_eval", "objective"): "train objective", ("test", "accuracy"): "test accuracy"}
COLORS = {"2019": "#0072B2", "standard": "#D55E00"}
OPTIMIZERS = ("SGD", "Momentum", "Adam")


def table_of(
    runs: Sequence[RunResult], split: str, metric: str, epochs: int | None = None
) -> np.ndarray:
    """Return a metric after each epoch from 0 on, `(runs, epochs + 1)`; None: of all epochs."""
    stop = None if epochs is None else epochs + 1
    return np.array([run.series(split, metric)[:stop] for run in runs])


def official_table(
    optimizer: str,
    split: str,
    metric: str,
    epochs: int | None = None,
    problem: str = "fmnist_2c2d",
) -> np.ndarray:
    """Return a metric of the ten official seeds, as `table_of`."""
    runs = [run for run in official_results(problem) if run.config.optimizer == optimizer]
    return table_of(runs, split, metric, epochs)


def mean_and_std(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (ddof 1) over the runs of a table, after each epoch."""
    return table.mean(axis=0), table.std(axis=0, ddof=1)


def our_text_runs(optimizer: str) -> list[RunResult]:
    """Return our runs of the third set with an optimizer."""
    return [run for run in unpacked_results(TEXT) if run.config.optimizer == optimizer]


def of_recipe(recipe: str) -> list[RunResult]:
    """Return our runs of the first set of a recipe."""
    return [run for run in unpacked_results(ADAM) if run.config.recipe == recipe]


def deviations(
    runs: Sequence[RunResult], split: str, metric: str, epochs: int | None = None
) -> np.ndarray:
    """Return how far the mean of our runs is from the official one, in standard deviations.

    NaN where all official seeds agree.
    """
    config = runs[0].config
    table = official_table(config.optimizer, split, metric, epochs, config.problem)
    mean, std = mean_and_std(table)
    distance = table_of(runs, split, metric, epochs).mean(axis=0) - mean
    return distance / np.where(std > 0, std, np.nan)


def table_of_whole_runs() -> list[str]:
    """Return the lines of a table of the second set's ends, as docs/baselines.md has it."""
    panels = {("test", "accuracy"): ".4f", ("test", "objective"): ".3f"}
    panels[("train_eval", "objective")] = ".2g"
    names = [f"{split.partition('_')[0]} {metric}" for split, metric in panels]
    columns = [f"{name}, ours | official" for name in names]
    lines = [f"| at the end | {' | '.join(columns)} |", f"| --- |{' ---: |' * 6}"]
    for run in sorted(
        unpacked_results(WHOLE), key=lambda run: OPTIMIZERS.index(run.config.optimizer)
    ):
        cells = [run.config.optimizer]
        for panel, form in panels.items():
            mean, std = mean_and_std(official_table(run.config.optimizer, *panel))
            cells += [f"{run.series(*panel)[-1]:{form}}", f"{mean[-1]:{form}} ± {std[-1]:.2g}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table_of_text() -> list[str]:
    """Return the lines of a table of the third set, as docs/baselines.md has it."""
    numbers = range(1, TEXT_EPOCHS + 1)
    lines = [
        f"| test objective after epoch | {' | '.join(map(str, numbers))} |",
        f"| --- |{' ---: |' * TEXT_EPOCHS}",
    ]
    for optimizer in OPTIMIZERS:
        panel = ("test", "objective", TEXT_EPOCHS)
        ours = mean_and_std(table_of(our_text_runs(optimizer), *panel))
        official = mean_and_std(official_table(optimizer, *panel, TEXT.name))
        for who, (mean, std) in {"ours": ours, "official": official}.items():
            cells = [f"{mean[n]:.3f} ± {std[n]:.3f}" for n in numbers]
            lines.append(f"| {optimizer}, {who} | {' | '.join(cells)} |")
    return lines


def draw_band(axes: Axes, low: np.ndarray, high: np.ndarray, label: str) -> None:
    """Draw what the official seeds span after each epoch but the 0th."""
    numbers = np.arange(1, len(low))
    axes.fill_between(numbers, low[1:], high[1:], color="0.85", label=label, linewidth=0)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def draw_adam() -> Figure:
    """Return the figure of the first set: the official band, and ours in front."""
    figure = Figure(figsize=(6.9, 2.6), layout="constrained")
    epochs = np.arange(1, EPOCHS + 1)
    for axes, (panel, title) in zip(figure.subplots(1, 2), PANELS.items(), strict=True):
        mean, std = mean_and_std(official_table("Adam", *panel, EPOCHS))
        draw_band(axes, mean - 3 * std, mean + 3 * std, "official, 10 seeds: mean ± 3 std")
        for recipe, color in COLORS.items():
            table = table_of(of_recipe(recipe), *panel, EPOCHS)[:, 1:]
            label = f"recipe {recipe}, {len(table)} seed{'s' if len(table) > 1 else ''}"
            axes.plot(epochs, table.mean(axis=0), color=color, marker="o", ms=3, label=label)
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_title(title, fontsize=9)
    figure.axes[0].legend(fontsize=7, frameon=False)
    return figure


def draw_whole() -> Figure:
    """Return the figure of the second set: a column for each optimizer."""
    figure = Figure(figsize=(6.9, 3.8), layout="constrained")
    runs = {run.config.optimizer: run for run in unpacked_results(WHOLE)}
    grid = figure.subplots(len(PANELS), len(OPTIMIZERS), sharex=True, sharey="row")
    for row, (panel, title) in zip(grid, PANELS.items(), strict=True):
        row[0].set_ylabel(title, fontsize=8)
        for axes, optimizer in zip(row, OPTIMIZERS, strict=True):
            table = official_table(optimizer, *panel)
            draw_band(axes, table.min(axis=0), table.max(axis=0), "official, range of 10 seeds")
            ours = runs[optimizer].series(*panel)[1:]
            epochs = np.arange(1, len(ours) + 1)
            axes.plot(epochs, ours, color=COLORS["2019"], linewidth=1, label="ours, one seed")
    for axes, optimizer in zip(grid[0], OPTIMIZERS, strict=True):
        axes.set_title(optimizer, fontsize=9)
        axes.set_yscale("log")
        axes.set_ylim(1e-5, 1)
    for axes in grid[1]:
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_ylim(0.85, 0.94)
    grid[1][1].legend(fontsize=7, frameon=False, loc="lower right")
    return figure


def draw_text() -> Figure:
    """Return the figure of the third set: a panel for each optimizer."""
    figure = Figure(figsize=(6.9, 2.4), layout="constrained")
    epochs = np.arange(1, TEXT_EPOCHS + 1)
    for axes, optimizer in zip(figure.subplots(1, 3), OPTIMIZERS, strict=True):
        panel = ("test", "objective", TEXT_EPOCHS)
        table = official_table(optimizer, *panel, TEXT.name)
        draw_band(axes, table.min(axis=0), table.max(axis=0), "official, range of 10 seeds")
        for number, row in enumerate(table_of(our_text_runs(optimizer), *panel)):
            label = "" if number else "ours, three seeds"
            axes.plot(epochs, row[1:], color=COLORS["2019"], linewidth=0.8, label=label)
        axes.set_title(optimizer, fontsize=9)
        axes.set_xlabel("epoch", fontsize=8)
    figure.axes[0].set_ylabel("test objective", fontsize=8)
    figure.axes[0].legend(fontsize=7, frameon=False)
    return figure


def main() -> None:
    """Print the deviations and draw the figures."""
    for recipe in COLORS:
        for panel in PANELS:
            found = deviations(of_recipe(recipe), *panel, EPOCHS)
            print(f"{recipe:8} {panel[0]:10} {panel[1]:9} " + " ".join(f"{z:+.2f}" for z in found))
    for run in unpacked_results(WHOLE):
        name = run.config.optimizer
        for panel in (*PANELS, ("test", "objective")):
            mean, std = mean_and_std(official_table(name, *panel))
            found = deviations([run], *panel)[1:]
            print(
                f"{name:8} {panel[0]:10} {panel[1]:9} {run.series(*panel)[-1]:.4g} official "
                f"{mean[-1]:.4g} ± {std[-1]:.2g} ({found[-1]:+.2f}); over epochs a mean of "
                f"{np.nanmean(found):+.2f}, {np.sum(np.abs(found) > 3)} of {len(found)} beyond 3"
            )
    for optimizer in OPTIMIZERS:
        for panel in (("test", "objective"), ("test", "accuracy")):
            found = deviations(our_text_runs(optimizer), *panel, TEXT_EPOCHS)
            print(f"{optimizer:8} {' '.join(panel)} " + " ".join(f"{z:+.2f}" for z in found))
    print("\n".join([*table_of_whole_runs(), *table_of_text()]))
    draw_adam().savefig(ADAM.with_suffix(".png"), dpi=200)
    draw_whole().savefig(WHOLE.with_suffix(".png"), dpi=200)
    draw_text().savefig(TEXT.with_suffix(".png"), dpi=200)


if __name__ == "__main__":
    main()
