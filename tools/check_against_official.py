"""Compare our runs of Adam on fmnist_2c2d with the official ones, epoch by epoch.

Reads `docs/evidence/fmnist_2c2d_adam`, prints how many official standard deviations our mean is
from the official mean, and draws `docs/evidence/fmnist_2c2d_adam.png`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from deepobs_runner.baselines import baseline_results, read_set
from deepobs_runner.official import official_results
from deepobs_runner.results import RunResult

EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence" / "fmnist_2c2d_adam"
PROBLEM = "fmnist_2c2d"
EPOCHS = 10
PANELS = {("train_eval", "objective"): "train objective", ("test", "accuracy"): "test accuracy"}
COLORS = {"2019": "#0072B2", "standard": "#D55E00"}


def official_band(split: str, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation (ddof 1) of the ten official seeds, `(EPOCHS + 1,)`."""
    adam = [run for run in official_results(PROBLEM) if run.config.optimizer == "Adam"]
    table = first_epochs(adam, split, metric)
    return table.mean(axis=0), table.std(axis=0, ddof=1)


def our_runs(recipe: str) -> list[RunResult]:
    """Return our runs of a recipe."""
    runs = baseline_results(read_set(EVIDENCE), PROBLEM, tuned=False)
    return [run for run in runs if run.config.recipe == recipe]


def first_epochs(runs: Sequence[RunResult], split: str, metric: str) -> np.ndarray:
    """Return a metric after each of the first epochs, `(runs, EPOCHS + 1)`."""
    return np.array([run.series(split, metric)[: EPOCHS + 1] for run in runs])


def deviations(recipe: str, split: str, metric: str) -> np.ndarray:
    """Return how far our mean is from the official one, in its standard deviations."""
    mean, std = official_band(split, metric)
    return (first_epochs(our_runs(recipe), split, metric).mean(axis=0) - mean) / std


def draw() -> Figure:
    """Return the figure: the official band, and ours in front."""
    figure = Figure(figsize=(6.9, 2.6), layout="constrained")
    epochs = np.arange(EPOCHS + 1)
    for index, ((split, metric), title) in enumerate(PANELS.items(), start=1):
        axes = figure.add_subplot(1, 2, index)
        mean, std = official_band(split, metric)
        band = mean[1:] - 3 * std[1:], mean[1:] + 3 * std[1:]
        axes.fill_between(epochs[1:], *band, color="0.85", label="official, 10 seeds: mean ± 3 std")
        for recipe, color in COLORS.items():
            table = first_epochs(our_runs(recipe), split, metric)[:, 1:]
            label = f"recipe {recipe}, {len(table)} seed{'s' if len(table) > 1 else ''}"
            axes.plot(epochs[1:], table.mean(axis=0), color=color, marker="o", ms=3, label=label)
        axes.set_xlabel("epoch", fontsize=8)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(fontsize=7, frameon=False)
    return figure


def main() -> None:
    """Print the deviations and draw the figure."""
    for recipe in COLORS:
        for split, metric in PANELS:
            found = " ".join(f"{z:+.2f}" for z in deviations(recipe, split, metric))
            print(f"{recipe:8} {split:10} {metric:9} {found}")
    draw().savefig(EVIDENCE.with_suffix(".png"), dpi=200)


if __name__ == "__main__":
    main()
