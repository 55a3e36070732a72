"""Figures for papers: widths, fonts, and colours that everybody can tell apart."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from runner_builders import BAR, SPLITS, run_of

from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.figures import (
    FIGURES,
    Paper,
    drawings,
    plot_batch_size,
    plot_curves,
    plot_weight_decay,
)
from deepobs_runner.figures.axes import spread
from deepobs_runner.figures.style import (
    BETTER,
    FIXED_COLORS,
    FREE_COLORS,
    UNDECIDED,
    WORSE,
    contrast,
    looks_of_settings,
    text_color,
)
from deepobs_runner.results.settings import settings_of

# Machado, Oliveira and Fernandes, "A physiologically-based model for simulation of color vision
# deficiency", IEEE Transactions on Visualization and Computer Graphics 15 (2009), severity 1.0; for
# linear RGB.
VISION = {
    "normal": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
         [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
         [-0.003882, -0.048116, 1.051998]]
    ),
}  # fmt: skip

# From linear sRGB to CIE XYZ, white D65 (IEC 61966-2-1).
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip
WHITE = np.array([0.95047, 1.0, 1.08883])


def seen(color, vision):
    """Return the CIE L*a*b* coordinates of a colour as somebody sees it."""
    rgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    ratio = TO_XYZ @ np.clip(VISION[vision] @ linear, 0, 1) / WHITE
    f = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_colours_are_told_apart_by_everybody(vision):
    colors = [*FIXED_COLORS.values(), *FREE_COLORS]
    for one, other in combinations(colors, 2):
        distance = np.linalg.norm(seen(one, vision) - seen(other, vision))
        assert distance >= 17, (one, other)  # 2.3 is just noticeable
    fixed = FIXED_COLORS.values()
    for one, other in combinations(fixed, 2):
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) >= 22, (one, other)
    for one, other in combinations((BETTER, WORSE, UNDECIDED), 2):
        assert np.linalg.norm(seen(one, vision) - seen(other, vision)) >= 30, (one, other)


def test_the_old_colours_of_momentum_and_adamw_would_fail():
    old = [seen(color, "deuteranopia") for color in ("#009E73", "#CC79A7")]
    assert abs(old[0] - old[1])[0] < 8  # hardly lighter or darker


def test_labels_have_the_contrast_of_text():
    for color in (*FIXED_COLORS.values(), *FREE_COLORS):
        assert contrast(text_color(color)) >= 4.5
        assert contrast(color) >= 2.2


def runs_of(problem="p", optimizers=("SGD", "Adam"), seeds=2, **settings):
    return [
        run_of([9.0, 3.0, 1.0 + s / 10 + i], seed=s, problem=problem, optimizer=o, splits=SPLITS,
               **settings)
        for i, o in enumerate(optimizers)
        for s in range(seeds)
    ]  # fmt: skip


OPTIMIZERS = ("SGD", "A", "the $B^$")
HOSTILE = "cost $x_1$ & \\alpha $"


@pytest.mark.parametrize("paper", [Paper(), Paper("column"), Paper("page", serif=True)])
def test_every_figure_has_its_width_and_font_and_takes_dollars_for_text(paper):
    runs = [run for n in range(5) for run in runs_of(f"{HOSTILE}{n}", OPTIMIZERS)]
    tuned = tuned_settings(runs)
    targets = dict.fromkeys(tuned, replace(BAR, value=2.0))
    one = dict(list(tuned.items())[:1])
    found = [
        *drawings(tuned, ["forest", "heatmap", "ranks", "profile"], targets=targets, paper=paper),
        *drawings(one, ["comparison", "curves", "speed"], targets=targets, paper=paper),
    ]
    drawn = [drawing for drawing in found if drawing.figure is not None]
    assert len({drawing.kind for drawing in drawn}) == 7
    for drawing in drawn:
        figure = drawing.figure
        if paper.width is not None:
            assert figure.get_figwidth() == {"column": 3.3, "page": 6.9}[paper.width]
        figure.draw_without_rendering()  # raises for a formula that cannot be set
        for text in figure.findobj(lambda artist: hasattr(artist, "get_parse_math")):
            words = text.get_text() if text.get_visible() else ""
            assert not (text.get_parse_math() and "$" in words), words
            if words:
                fonts = text.get_fontfamily()
                assert fonts[0] == ("STIXGeneral" if paper.serif else "DejaVu Sans"), words
                assert 7 <= text.get_fontsize() <= 8, words


def test_a_width_that_is_none_has_no_figure():
    with pytest.raises(KeyError):
        plot_curves("p", settings_of(runs_of()), paper=Paper("poster"))


def test_names_that_would_overlap_are_moved_apart_and_no_further():
    assert spread([1.0, 20.0], [8.0, 8.0]).tolist() == [1.0, 20.0]
    moved = spread([10.0, 10.0, 12.0, 40.0], [8.0] * 4)
    assert np.diff(np.sort(moved)).min() == pytest.approx(8.0)
    assert moved[3] == 40.0
    assert moved[:3].mean() == pytest.approx(32 / 3)


def test_many_long_names_make_a_legend_whose_entries_are_unique():
    runs = [
        run_of([3.0, 2.0, 1.0 + n / 9], hyperparams={"lr": 0.1, "momentum": 0.123456 + n / 1e5})
        for n in range(4)
    ]
    figure = plot_curves("p", settings_of(runs))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(set(labels)) == len(labels) == 4


def test_every_kind_has_a_function_in_python():
    import deepobs_runner.figures as figures

    for kind in FIGURES.built_in():
        assert callable(getattr(figures, f"plot_{kind.replace('-', '_')}"))


def batch_runs(sizes, optimizer="SGD"):
    """Return runs that reach the bar after 64 / B epochs at lr 0.2, and never at lr 0.1."""
    runs = []
    for size in sizes:
        for lr in (0.1, 0.2):
            for seed in (1, 2):
                at = int(64 / size) if lr == 0.2 else None
                values = [2.0] * at + [0.5] * 4 if at is not None else [2.0] * 70
                runs.append(
                    run_of(values, seed, optimizer=optimizer, lr=lr, batch_size=size, per_epoch=3)
                )
    return runs


def test_steps_over_batch_sizes_are_those_of_the_fastest_setting():
    runs = {"SGD": batch_runs((4, 8, 16, 32))}
    looks = looks_of_settings(tuned_settings(runs["SGD"]))
    axes = plot_batch_size("p", runs, BAR, looks).axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    (line,) = [line for line in axes.lines if not line.get_label().startswith("_")]
    assert line.get_xdata().tolist() == [4, 8, 16, 32]
    assert line.get_ydata().tolist() == [48, 24, 12, 6]  # 3 steps per epoch
    (perfect,) = [line for line in axes.lines if line.get_label() == "_perfect"]
    assert np.prod(perfect.get_xydata(), axis=1) == pytest.approx(48 * 4)
    with pytest.raises(UsageError, match=r"at 3 batch sizes\. Run some with --batch-size"):
        plot_batch_size("p", {"SGD": batch_runs((4, 8))}, BAR, looks)
    with pytest.raises(UsageError, match="no target"):
        plot_batch_size("p", runs, None, looks)


def grid_runs(rates=(0.1, 0.2, 0.3), decays=(0.0, 0.01, 0.1)):
    return [
        run_of(
            [9.0, None] if lr == 0.3 and decay == 0.1 else [9.0, 1 + 10 * abs(lr - 0.2) + decay],
            hyperparams={"lr": lr, "weight_decay": decay},
            status="diverged" if lr == 0.3 and decay == 0.1 else "done",
        )
        for lr in rates
        for decay in decays
    ]


def test_the_map_of_weight_decay_has_its_best_cell_ringed_and_failures_crossed():
    axes = plot_weight_decay("p", {"SGD": grid_runs()}).axes[0]
    (mesh,) = axes.collections
    cells = np.ma.filled(mesh.get_array().reshape(3, 3), np.nan)
    assert np.isnan(cells[2, 2])
    np.testing.assert_allclose(cells[1:, 1], [0.01, 0.1])
    marks = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert marks["_best"] == [[1.5, 0.5]]
    assert marks["_beyond"] == [[2.5, 2.5]]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0.1", "0.2", "0.3"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["0", "0.01", "0.1"]
    few = grid_runs(decays=(0.0, 0.1))
    with pytest.raises(UsageError, match="at 3 learning rates and 3 weight decays"):
        plot_weight_decay("p", {"SGD": few})


def test_studies_are_missed_only_where_they_are_asked_for():
    settings = {"p": settings_of(runs_of())}
    kinds = {drawing.kind for drawing in drawings(settings)}
    assert not kinds & {"batch-size", "weight-decay"}
    asked = list(drawings(settings, ["batch-size", "weight-decay"]))
    assert [drawing.figure for drawing in asked] == [None, None]
    assert all("--batch-size" in d.caption or "weight_decay" in d.caption or "target" in d.caption
               for d in asked)  # fmt: skip
