"""Draw docs/problems/pictures: what the data of each problem look like, and curves of shipped runs.

    python tools/draw_problem_pictures.py --fmnist FOLDER
    python tools/draw_problem_pictures.py two_d_branin curves-fmnist_2c2d

FOLDER holds the files of Fashion-MNIST, the one downloaded set with a licence that allows to show
its images. Images and texts of other sets are generated ones. `digests.json` beside the pictures
has a digest of what each was made from: the tests compare it, and do not draw.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from draw_figures import shrink
from generate_catalog import stand_in_of
from matplotlib.figure import Figure
from torch import Tensor

import deepobs_runner
from deepobs_data import fmnist, info
from deepobs_problems import CATALOG
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.figures import plot_curves, save
from deepobs_runner.figures.axes import new_figure, style_axes, use_log_scale
from deepobs_runner.figures.kinds.trajectory import AREAS, MINIMA, surface
from deepobs_runner.figures.style import COLUMN, PLAIN, Paper, paper_style
from deepobs_runner.results.baselines import baseline_results, baseline_sets, unpacked_results
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult

DOCS = Path(__file__).resolve().parents[1] / "docs"
FOLDER = DOCS / "problems" / "pictures"
DIGESTS = FOLDER / "digests.json"
MODERN = DOCS / "evidence" / "modern"
SHIPPED = Path(deepobs_runner.__file__).parent
OFFICIAL, TUNED = SHIPPED / "baselines_2019", SHIPPED / "baseline_sets" / "tuned-2026"
INK = "#0072B2"
MOST_BYTES = 40_000
"""Of a picture."""


class Picture(NamedTuple):
    """A picture of the data of some problems.

    Attributes:
        draw: makes the figure.
        caption: what it shows.
        argument: of `draw`, such as the name of a data set.
    """

    draw: Callable[[str], Figure]
    caption: str
    argument: str


class Curves(NamedTuple):
    """Training curves of a problem.

    Attributes:
        path: of the packed results.
        caption: which runs they are of.
        optimizer: the only one that is drawn; empty for all.
    """

    path: Path
    caption: str
    optimizer: str = ""


def examples_of(problem: str, count: int) -> Any:
    """Return the first training examples of a problem's generated data, prepared for its model."""
    data = stand_in_of(CATALOG[problem])
    return next(data.train.batches(torch.arange(min(count, len(data.train))), count))


def problem_with(dataset: str) -> str:
    """Return the first problem of the catalog on a data set."""
    return next(name for name, problem in CATALOG.items() if dataset_of(name) == dataset)


def dataset_of(problem: str) -> str:
    """Return the name of a problem's data set."""
    return stand_in_of(CATALOG[problem]).name


def draw_images(images: Tensor, titles: Iterable[str] = ()) -> Figure:
    """Draw images side by side.

    Args:
        images: `(n, channels, height, width)`, of any range.
        titles: of the images.
    """
    low, high = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
    scaled = ((images - low) / (high - low)).permute(0, 2, 3, 1).squeeze(-1)
    figure = new_figure(COLUMN, COLUMN / len(images) + 0.2)
    for axes, image in zip(figure.subplots(1, len(images)), scaled, strict=True):
        axes.imshow(image, cmap="gray", interpolation="nearest")
        axes.axis("off")
    for axes, title in zip(figure.axes, titles, strict=False):
        axes.set_title(title, fontsize=6, pad=2)
    return figure


def real_fashion(folder: str) -> Figure:
    """Draw the first Fashion-MNIST image of each class."""
    data = fmnist(folder)
    labels = torch.tensor([int(data.train[i].y) for i in range(100)])
    firsts = [int((labels == label).nonzero()[0]) for label in range(10)]
    images = next(data.train.batches(torch.tensor(firsts), 10)).x
    return draw_images(images, [str(label) for label in range(10)])


def generated_images(dataset: str) -> Figure:
    """Draw five generated images; ImageNet's are reduced to a quarter."""
    images = examples_of(problem_with(dataset), 5).x
    return draw_images(images[:, :, ::4, ::4] if images.shape[-1] > 100 else images)


def generated_text(dataset: str) -> Figure:
    """Draw windows of a generated text, a colour for each character."""
    x = examples_of(problem_with(dataset), 12).x[:, :50]
    figure = new_figure(COLUMN, 1.3)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="Character", ylabel="Window", grid="")
    figure.colorbar(axes.imshow(x, cmap="viridis", aspect="auto"), label="number")
    return figure


def contours(problem: str) -> Figure:
    """Draw a function of two parameters, its minima and the start."""
    (left, right), (bottom, top) = AREAS[problem]
    u, v = np.meshgrid(np.linspace(left, right, 150), np.linspace(bottom, top, 150))
    lowest = surface(CATALOG[problem], *np.array(MINIMA[problem]).T).min()
    above = surface(CATALOG[problem], u, v) - lowest
    levels = np.geomspace(max(above.max() * 1e-5, 1e-3), above.max() * 1.001, 12)
    figure = new_figure(COLUMN, 2.4)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="u", ylabel="v", grid="")
    shades = [str(shade) for shade in np.linspace(0.72, 0.98, 12)]
    axes.contourf(u, v, above, [0.0, *levels], colors=shades)
    axes.contour(u, v, above, levels, colors="0.6", linewidths=0.4)
    axes.plot(*np.array(MINIMA[problem]).T, "*", color=INK, markersize=8, label="minimum")
    start = [parameter.item() for parameter in CATALOG[problem].model().parameters()]
    axes.plot(*[[value] for value in start], "o", color="black", label="start")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure


def curvature(problem: str) -> Figure:
    """Draw the eigenvalues of the Hessian of a quadratic problem."""
    model: Any = CATALOG[problem].model()
    diagonal = problem == "quadratic_nqm"
    values = model.curvature if diagonal else torch.linalg.eigvalsh(model.hessian)
    values = values.sort(descending=True).values
    figure = new_figure(COLUMN, 1.7)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="Direction", ylabel="Curvature")
    axes.plot(range(1, len(values) + 1), values, ".", markersize=3, color=INK)
    use_log_scale(axes)
    if diagonal:
        use_log_scale(axes, "x")
    return figure


def token_probabilities(problem: str) -> Figure:
    """Draw how often each token of the language occurs, and which tokens follow the frequent."""
    batch = examples_of("bigram_zipf", 1000)
    order = batch.x.argsort()
    joint = batch.y[order, 0]  # (token, next token)
    joint = joint / joint.sum()
    figure = new_figure(COLUMN, 1.7)
    left, right = figure.subplots(1, 2)
    style_axes(left, PLAIN, xlabel="Rank of the token", ylabel="Probability")
    left.plot(range(1, 1001), joint.sum(1), color=INK)
    use_log_scale(left)
    use_log_scale(left, "x")
    style_axes(right, PLAIN, xlabel="Next token", ylabel="Token", grid="")
    right.imshow(joint[:40, :40].log(), cmap="Greys")
    return figure


def signals(problem: str) -> Figure:
    """Draw one signal of each class."""
    batch = examples_of(problem, 200)
    figure = new_figure(COLUMN, 1.4)
    for label, axes in enumerate(figure.subplots(2, 5).flat):
        axes.plot(batch.x[int((batch.y == label).nonzero()[0])], color=INK, linewidth=1)
        axes.set_title(str(label), pad=1, fontsize=6)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    return figure


def solution(problem: str) -> Figure:
    """Draw the points of the square, coloured by the solution."""
    batch = examples_of(problem, 10_000)
    figure = new_figure(COLUMN, 2.2)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="x", ylabel="y", grid="")
    points = axes.scatter(*batch.x.T, c=batch.y[:, 2], s=8, cmap="viridis")
    axes.set_aspect("equal")
    figure.colorbar(points, label="solution u")
    return figure


def wave(problem: str) -> Figure:
    """Draw the points in space and time, coloured by the solution; known values have an edge."""
    batch = examples_of(problem, 20_000)
    figure = new_figure(COLUMN, 2.0)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="t", ylabel="x", grid="")
    place, time = batch.x.T
    points = axes.scatter(time, place, c=batch.y[:, 2], s=2, cmap="coolwarm", rasterized=True)
    known = batch.y[:, 1] > 0
    axes.scatter(time[known], place[known], s=9, facecolors="none", edgecolors="black", lw=0.5)
    figure.colorbar(points, label="solution u")
    return figure


def sums(problem: str) -> Figure:
    """Draw the sums modulo 113 of the training pairs; pairs of the test are white."""
    batch = examples_of(problem, 10_000)
    table = np.full((113, 113), np.nan)
    table[batch.x[:, 0], batch.x[:, 1]] = batch.y
    figure = new_figure(COLUMN, 2.3)
    axes = style_axes(figure.subplots(), PLAIN, xlabel="b", ylabel="a", grid="")
    figure.colorbar(axes.imshow(table, cmap="viridis"), label="(a + b) mod 113")
    return figure


def matrices(problem: str) -> Figure:
    """Draw the input and the target of one example."""
    batch = examples_of(problem, 1)
    figure = new_figure(COLUMN, 1.3)
    parts = {"Input": batch.x[0, :32, :32], "Target": batch.y[0, :32, :32]}
    for axes, (title, part) in zip(figure.subplots(1, 2), parts.items(), strict=True):
        style_axes(axes, PLAIN, xlabel="Entry", ylabel="Position", title=title, grid="")
        axes.imshow(part, cmap="Greys", aspect="auto")
    return figure


GENERATED = (
    "Generated images in the shape of {}, as `--data synthetic` takes them; not the real set."
)
TEXT = "Generated windows in the shape of {}, a colour for each character; not the real text."
FUNCTION = "The function without noise: darker is lower, contours on a logarithmic scale."

DATA: Mapping[str, Picture] = {
    **{
        name: Picture(generated_images, GENERATED.format(info(name).title), name)
        for name in ("mnist", "cifar10", "cifar100", "svhn", "imagenet")
    },
    **{
        name: Picture(generated_text, TEXT.format(info(name).title), name)
        for name in ("tolstoi", "shakespeare")
    },
    **{name: Picture(contours, FUNCTION, name) for name in AREAS},
    "fmnist": Picture(real_fashion, "The first image of each class in the training set.", ""),
    "quadratic": Picture(
        curvature, "Eigenvalues of the Hessian; the data shift the minimum.", "quadratic_deep"
    ),
    "nqm": Picture(
        curvature, "Curvature in each direction; the noise has the same.", "quadratic_nqm"
    ),
    "bigram": Picture(
        token_probabilities,
        "Probability of each token, and of the pairs of the 40 most frequent (darker is more).",
        "",
    ),
    "mnist1d": Picture(
        signals, "A signal of each class, generated as by the authors.", "mnist1d_mlp"
    ),
    "poisson": Picture(solution, "The training points and the solution there.", "poisson_pinn"),
    "burgers": Picture(
        wave,
        "The training points and the solution; circles: points of known value.",
        "burgers_pinn",
    ),
    "modular_addition": Picture(
        sums, "Sums of the training pairs; white pairs are for testing.", "modadd_transformer"
    ),
    "attention_teacher": Picture(
        matrices,
        "The first 32 positions and entries of a training input and its target.",
        "attention_teacher",
    ),
}
"""By the name of a data set, or of a problem that has a picture of its own."""

SAME = {"bigram_pairs": "bigram"}
"""Data sets with the picture of another."""


def picture_of(problem: str) -> str:
    """Return the key of the picture of a problem's data."""
    if problem in DATA:
        return problem
    dataset = dataset_of(problem)
    return SAME.get(dataset, dataset)


def curves_of() -> dict[str, Curves]:
    """Return the curves of all problems that have shipped results, official ones before others."""
    official = "Official runs of 2019 at the tuned learning rates: medians of ten seeds."
    tuned = "Runs of the baseline set `tuned-2026`: medians of ten seeds."
    found = {
        packed.name.partition(".")[0]: Curves(packed, caption)
        for folder, caption in ((TUNED, tuned), (OFFICIAL, official))
        for packed in sorted(folder.glob("*.jsonl.*"))
    }
    for name in ("mnist1d_mlp", "mnist1d_conv", "mnist1d_gru"):
        (packed,) = MODERN.glob(f"{name}.jsonl.*")
        found[name] = Curves(packed, "Runs of Adam with lr 0.01, five seeds, as published.", "Adam")
    return found


CURVES = curves_of()


def draw_curves(problem: str) -> Figure:
    """Draw the tuned settings of shipped results, training above test."""
    source = CURVES[problem]
    settings = tuned_settings(runs_of(problem, source))[problem]
    metric = "accuracy" if "accuracy" in CATALOG[problem].metrics else "objective"
    return plot_curves(problem, settings, metric=metric, scale="log", paper=Paper("column"))


def runs_of(problem: str, source: Curves) -> list[RunResult]:
    """Return the shipped runs of a problem."""
    folder = source.path.parent
    if folder == OFFICIAL:
        return official_results(problem)
    if folder == TUNED:
        return baseline_results(baseline_sets()[folder.name], problem)
    return [
        run
        for run in unpacked_results(folder)
        if run.config.problem == problem and run.config.optimizer == source.optimizer
    ]


def digests() -> dict[str, str]:
    """Return a digest of the code and the shipped results that each picture is made from."""
    found = {
        f"data-{name}": digest(inspect.getsource(picture.draw).encode(), picture.argument.encode())
        for name, picture in DATA.items()
    }
    code = inspect.getsource(draw_curves).encode()
    found |= {
        f"curves-{name}": digest(code, curves.path.read_bytes()) for name, curves in CURVES.items()
    }
    return dict(sorted(found.items()))


def digest(*parts: bytes) -> str:
    """Return a short digest of some bytes."""
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def draw(name: str, fashion: str | None) -> Figure:
    """Draw the picture of a name, `data-…` or `curves-…`."""
    kind, _, key = name.partition("-")
    with paper_style():
        if kind == "curves":
            return draw_curves(key)
        return DATA[key].draw(fashion if key == "fmnist" and fashion else DATA[key].argument)


def main() -> int:
    """Draw what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description="Draw docs/problems/pictures.")
    parser.add_argument("names", nargs="*", help="such as curves-fmnist_2c2d (default: all)")
    parser.add_argument("--fmnist", help="folder with the files of Fashion-MNIST")
    options = parser.parse_args()
    current = digests()
    kept = json.loads(DIGESTS.read_text("utf-8")) if DIGESTS.exists() else {}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.names or current:
        if name == "data-fmnist" and not options.fmnist:
            print("data-fmnist is kept: name its files with --fmnist FOLDER.")
            continue
        path = save(draw(name, options.fmnist), FOLDER / f"{name}.png")
        for colors in (48, 32, 16):
            shrink(path, colors)
            if path.stat().st_size <= MOST_BYTES:
                break
        kept[name] = current[name]
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    text = json.dumps({name: kept[name] for name in current if name in kept}, indent=1)
    DIGESTS.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
