"""Figures: what is drawn, not how it looks."""

import json
import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from runner_builders import BAR, SPLITS, run_of, two_optimizers

from deepobs_problems import load_problem
from deepobs_runner import Execution, RunConfig, UsageError, run
from deepobs_runner.analysis import (
    curve_band,
    near_best,
    sensitivity_of,
    tuned_settings,
)
from deepobs_runner.cli import main
from deepobs_runner.comparison import Target, performance_profiles, target_of
from deepobs_runner.comparison.profiles import compared_labels
from deepobs_runner.figures import (
    drawings,
    palette_of,
    plot_comparison,
    plot_curves,
    plot_profile,
    plot_sensitivity,
    plot_speed,
    plot_trajectory,
    plot_tuning,
    save,
    to_svg,
)
from deepobs_runner.figures.kinds.sensitivity import grid_of
from deepobs_runner.figures.kinds.trajectory import MINIMA, MOST_STEPS, follow
from deepobs_runner.figures.lines import metric_at
from deepobs_runner.figures.style import FIXED_COLORS, Subject, looks_of, looks_of_settings
from deepobs_runner.figures.terminal import series_of, to_text
from deepobs_runner.results.official import official_results
from deepobs_runner.results.settings import settings_of

make = partial(run_of, splits=SPLITS)
TRAINING = ("train_eval", "objective")


def lines_of(axes):
    """Return the lines of a panel that stand for data, by colour."""
    return {line.get_color(): line for line in axes.lines if not line.get_label().startswith("_")}


def marks_of(axes, label):
    """Return the lines of a panel with a label such as `_diverged`."""
    return [line for line in axes.lines if line.get_label() == label]


def texts_of(axes):
    """Return all that is written within and beside a panel."""
    return [text.get_text() for text in axes.texts]


def gap(values, best, sign=-1):
    """Return how much worse than the best values are."""
    return sign * (best - np.asarray(values, dtype=float))


@pytest.mark.parametrize(("problem", "panels"), [("quadratic_deep", 2), ("fmnist_2c2d", 4)])
def test_the_curves_are_the_numbers_of_the_analysis(problem, panels):
    settings = settings_of(official_results(problem))
    figure = plot_curves(problem, settings, target=target_of(problem))
    assert len(figure.axes) == panels
    axes = figure.axes[0]
    assert axes.get_ylabel() == "Training objective − best"
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    lines = lines_of(axes)
    objective = metric_at("train_eval", "objective")
    best = min(run.series(*TRAINING).min() for setting in settings for run in setting.runs)
    for setting in settings:
        band = curve_band(setting.runs, objective, center="median")
        line = lines[FIXED_COLORS[setting.optimizer]]
        np.testing.assert_array_equal(line.get_xdata(), band.epochs)
        np.testing.assert_allclose(line.get_ydata(), gap(band.median, best))
    named = {text for axes in figure.axes for text in texts_of(axes)}
    assert {"SGD", "Momentum", "Adam", "target"} <= named
    assert not figure.legends
    judged = [axes for axes in figure.axes if marks_of(axes, "_target")]
    assert len(judged) == 1
    assert judged[0].get_ylabel() == (
        "Test objective − best" if panels == 2 else "Best − test accuracy"
    )


@pytest.mark.parametrize(
    ("scale", "yscale", "label"),
    [("gap", "log", "Test objective − best"), ("log", "log", "Test objective"),
     ("linear", "linear", "Test objective")],
)  # fmt: skip
def test_a_scale_is_what_its_name_says(scale, yscale, label):
    settings = settings_of(make([900.0, 30.0, 1.0], seed=seed) for seed in range(2))
    axes = plot_curves("p", settings, scale=scale).axes[1]
    assert (axes.get_yscale(), axes.get_ylabel()) == (yscale, label)
    with pytest.raises(UsageError, match="scale is 'square'; allowed: gap, log, linear"):
        plot_curves("p", settings, scale="square")


def test_the_comparison_shows_the_statistic_of_the_curves():
    names = ["quadratic_deep", "fmnist_2c2d"]
    found = tuned_settings(run for name in names for run in official_results(name))
    figure = plot_comparison(found, targets={name: target_of(name) for name in names})
    assert [axes.get_title("left") for axes in figure.axes if axes.get_title("left")] == names
    judged = {axes.get_ylabel(): axes for axes in figure.axes}["Best − test accuracy"]
    accuracy = metric_at("test", "accuracy")
    best = max(run.series("test", "accuracy").max() for s in found["fmnist_2c2d"] for run in s.runs)
    for setting in found["fmnist_2c2d"]:
        band = curve_band(setting.runs, accuracy, center="median")
        line = lines_of(judged)[FIXED_COLORS[setting.optimizer]]
        np.testing.assert_allclose(line.get_ydata(), gap(band.median, best, sign=1))
    assert len(figure.axes) == 4  # two for each problem: none is empty
    assert len(marks_of(judged, "_target")) == 1
    with pytest.raises(UsageError, match="1 to 4 problems; got 5"):
        plot_comparison({str(i): () for i in range(5)})


def test_no_band_reaches_below_what_a_logarithmic_axis_can_show():
    runs = [make([10.0, 10.0 - seed, 0.1], seed=seed) for seed in range(6)]
    for figure in (plot_curves("p", settings_of(runs)), plot_comparison(tuned_settings(runs))):
        for axes in figure.axes:
            bands = [path.vertices for band in axes.collections for path in band.get_paths()]
            assert bands
            assert axes.get_yscale() == "log"
            assert all((corners[:, 1] >= 0).all() for corners in bands)


def test_a_problem_without_accuracy_has_no_panel_for_it():
    runs = [make([3.0, 1.0], problem="p"), make([3.0, 1.0], problem="q", accuracy=[0.1, 0.9])]
    labels = [axes.get_ylabel() for axes in plot_comparison(tuned_settings(runs)).axes]
    assert labels == [
        "Test objective", "Training objective", "Test accuracy", "Training objective"
    ] or len(labels) == 4  # fmt: skip


def test_every_line_has_a_look_of_its_own():
    optimizers = ["Mine", "SGD", *(f"other.py:{letter}" for letter in "ABCDEFGH")]
    subjects = [
        Subject(name, baseline)
        for baseline in (False, True)
        for _ in range(5)
        for name in optimizers
    ]
    looks = looks_of(subjects)
    assert len(set(looks)) == len(looks)
    for name in optimizers:
        inks = {look.ink for s, look in zip(subjects, looks, strict=True) if s.optimizer == name}
        assert len(inks) == 1
    inks = palette_of(optimizers)
    assert len({inks[name] for name in optimizers}) == len(optimizers)


def test_known_optimizers_look_the_same_everywhere():
    alone = looks_of([Subject("Adam", False)])[0]
    assert (alone.ink.color, alone.line, alone.thin) == (FIXED_COLORS["Adam"], "-", False)
    mine = Subject("Mine", False)
    among = looks_of([mine, Subject("SGD", False), Subject("Adam", False), Subject("Adam", True)])
    assert among[2] == alone
    assert among[3].ink == alone.ink
    assert among[3].thin
    assert among[3].line != "-"
    palette = palette_of(["Yours", "Mine"])
    assert (
        looks_of([mine], palette)[0].ink == looks_of([Subject("Adam", True), mine], palette)[1].ink
    )


def test_baselines_are_thin_dark_and_dashed_each_in_its_own_pattern():
    own = [make([3.0, 2.0 + 0.1 * seed], seed=seed) for seed in (1, 2)]
    theirs = [baseline(make([3.0, 2.0], optimizer=o)) for o in ("SGD", "Momentum", "Adam")]
    axes = plot_curves("p", settings_of([*own, *theirs])).axes[0]
    lines = [line for line in axes.lines if not line.get_label().startswith("_")]
    (mine,) = [line for line in lines if line.get_linestyle() == "-"]
    thin = [line for line in lines if line is not mine]
    assert {line.get_alpha() for line in thin} == {None}
    assert max(line.get_linewidth() for line in thin) < mine.get_linewidth()
    assert len({str(line._unscaled_dash_pattern) for line in thin}) == 3
    assert len(marks_of(axes, "_run")) == 2  # of yours alone


def test_the_lines_drawn_differ_as_those_of_the_legend():
    settings = settings_of([make([3.0, 2.0, 1.0 + n], lr=0.1 + n) for n in range(5)])
    figure = plot_curves("p", settings)

    def looks(lines):
        return [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]

    drawn = looks(figure.axes[0].lines)
    assert len(set(drawn)) == 5
    assert len(set(texts_of(figure.axes[0]) or texts_of(figure.axes[1]))) == 5


def test_bands_from_five_seeds_on_else_a_line_for_each():
    def panel(seeds):
        runs = [make([3.0, 2.0 + 0.1 * seed, 1.0 + 0.1 * seed], seed=seed) for seed in range(seeds)]
        return plot_curves("p", settings_of(runs)).axes[0]

    for seeds, bands, lines in ((1, 0, 0), (2, 0, 2), (4, 0, 4), (5, 1, 0), (10, 1, 0)):
        axes = panel(seeds)
        assert len(axes.collections) == bands, seeds
        assert len(marks_of(axes, "_run")) == lines, seeds


def test_a_run_that_explodes_does_not_decide_what_is_shown():
    tame = make([4.0, 3.0, 2.0])
    wild = make([4.0, 1e30, None], optimizer="Adam", status="diverged")
    axes = plot_curves("p", settings_of([tame, wild])).axes[0]
    assert axes.get_ylim()[1] < 5
    assert "Adam\n1 diverged" in texts_of(plot_curves("p", settings_of([tame, wild])).axes[1])
    crosses = [line for line in axes.lines if line.get_label() == "_diverged"]
    assert [line.get_color() for line in crosses] == [FIXED_COLORS["Adam"]]
    assert crosses[0].get_ydata()[0] <= axes.get_ylim()[1]
    assert not np.isfinite(lines_of(axes)[FIXED_COLORS["Adam"]].get_ydata()[2])


def baseline(result):
    return replace(result, origin="theirs")


@pytest.mark.parametrize("scale", ["gap", "log", "linear"])
def test_a_run_that_ends_early_is_not_hidden(scale):
    long = [baseline(make([9.0, *[1.0] * 100], optimizer="Adam", seed=seed)) for seed in (1, 2)]
    short = [make([9.0, 7.0, 6.0]), make([9.0, 8.0, 5.0], seed=2)]
    for figure in (
        plot_curves("p", settings_of([*short, *long]), scale=scale),
        plot_comparison(tuned_settings([*short, *long]), scale=scale),
    ):
        low, high = figure.axes[0].get_ylim()
        shown = lines_of(figure.axes[0])[FIXED_COLORS["SGD"]].get_ydata()[1:]
        assert (low < shown).all()
        assert (shown < high).all()


def test_the_loss_of_a_lost_run_makes_no_room_on_a_linear_axis():
    long = [baseline(make([9.0, *[1.0] * 100], optimizer="Adam", seed=seed)) for seed in (1, 2)]
    lost = make([9.0, 8.0, float("inf")], status="diverged")
    figure = plot_curves("p", settings_of([lost, *long]), scale="linear")
    assert figure.axes[0].get_ylim()[1] < 2


def test_both_figures_of_curves_have_the_same_scale():
    runs = [make([10.0, 10.0, 0.1], seed=1), make([10.0, 0.1, 0.1], seed=2)]
    curves, comparison = plot_curves("p", settings_of(runs)), plot_comparison(tuned_settings(runs))
    assert {axes.get_yscale() for axes in (*curves.axes, *comparison.axes)} == {"log"}


def test_a_caption_speaks_of_thin_lines_only_where_there_are_some():
    own = [make([3.0, 2.0 + 0.1 * seed], seed=seed) for seed in (1, 2, 3)]
    theirs = [baseline(make([3.0, 2.0], optimizer="Adam", seed=seed)) for seed in (1, 2, 3)]
    for runs, said in ((own, False), (theirs, False), ([*own, *theirs], True)):
        for drawing in drawings({"p": settings_of(runs)}, ["curves", "comparison"], level=0.8):
            assert ("Baselines are thin dashed lines" in drawing.caption) == said
            assert "80 % bootstrap interval of the median" in drawing.caption


def test_every_figure_knows_the_level():
    settings = {
        problem: settings_of(official_results(problem, tuned=True))
        for problem in ("quadratic_deep", "fmnist_2c2d")
    }
    kinds = ["forest", "ranks", "comparison", "curves", "speed"]
    shapes = {}
    for level in (0.95, 0.8):
        for drawing in drawings(settings, kinds, level=level):
            if drawing.figure is None:
                assert drawing.kind == "ranks"
                continue
            assert set(re.findall(r"\d+ %", drawing.caption)) == {f"{100 * level:.0f} %"}
            axes = drawing.figure.axes
            bands = [p.vertices for a in axes for c in a.collections for p in c.get_paths()]
            bars = [line.get_xydata() for a in axes for line in marks_of(a, "_interval")]
            shapes[drawing.name, level] = str(bands) + str(bars)
    drawn = {name for name, _ in shapes if not name.startswith("ranks")}
    assert drawn == {
        "forest", "comparison",
        *(f"{kind}-{problem}" for kind in ("curves", "speed") for problem in settings),
    }  # fmt: skip
    assert all(shapes[name, 0.95] != shapes[name, 0.8] for name in drawn)


def test_of_many_settings_those_are_drawn_that_stand_for_their_optimizers():
    runs = [
        make([3.0, 2.0 + n], optimizer=name, lr=0.1 + n)
        for n in range(10)
        for name in ("SGD", "Adam")
    ]
    figure = plot_curves("p", settings_of(runs))
    named = [line.get_label() for line in lines_of(figure.axes[0]).values()]
    assert named == ["SGD", "Adam"]


def test_settings_of_one_optimizer_are_told_apart_by_what_they_are():
    runs = [make([3.0, 2.0 + n], lr=0.1 + n, seed=s) for n in range(2) for s in range(1 + n)]
    axes = plot_curves("p", settings_of(runs)).axes[0]
    named = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert named == ["SGD lr=0.1\n1 seed", "SGD lr=1.1\n2 seeds"]


BAD = {
    "one seed": [make([3.0, 2.0])],
    "one record": [make([3.0])],
    "no metrics": [replace(make([3.0]), records=({"epoch": 0, "metrics": {}},))],
    "diverged": [make([3.0, None], seed=s, status="diverged") for s in range(3)],
    "never finite": [make([None, None], status="diverged")],
    "unequal lengths": [make([3.0, 2.0, 1.0][: s + 1], seed=s) for s in range(3)],
    "constant": [make([0.0, 0.0], seed=s) for s in range(3)],
    "negative": [make([-1.0, -2.0], seed=s) for s in range(3)],
    "accuracies in some": [
        make([1.0, 0.5], accuracy=[0.1, 0.5]),
        make([2.0, 1.0], optimizer="Adam"),
    ],
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("error")
def test_every_figure_comes_out_or_says_why(kind, tmp_path):
    settings = {"p": settings_of(BAD[kind])}
    for drawing in drawings(settings):
        if drawing.figure is None:
            assert re.search(r"\.$", drawing.caption), drawing
        else:
            save(drawing.figure, tmp_path / f"{drawing.name}.png")


def test_inlined_pictures_share_no_id_and_are_the_same_every_time():
    def pictures():
        return [
            to_svg(
                plot_curves("p", settings_of([make([3.0, 2.0], optimizer=name)])), label='p < "q"'
            )
            for name in ("SGD", "Adam")
        ]

    first = pictures()
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in first]
    assert ids[0]
    assert not ids[0] & ids[1]
    for text, known in zip(first, ids, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert {name for pair in used for name in pair if name} <= known
        assert ElementTree.fromstring(text).get("aria-label") == 'p < "q"'
    assert pictures() == first


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_files_are_the_same_every_time(suffix, tmp_path):
    figures = [plot_curves("p", settings_of([make([3.0, 2.0])])) for _ in range(2)]
    first, second = (save(f, tmp_path / f"{i}.{suffix}") for i, f in enumerate(figures))
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(UsageError, match=r"end it with \.png, \.pdf or \.svg"):
        save(figures[0], tmp_path / "a.gif")


def test_settings_of_matplotlib_are_left_alone():
    before = dict(matplotlib.rcParams)
    to_svg(plot_curves("p", settings_of([make([3.0, 2.0])])))
    assert dict(matplotlib.rcParams) == before


def by_optimizer(runs):
    groups = {}
    for result in runs:
        groups.setdefault(result.config.optimizer, []).append(result)
    return groups


def test_the_sensitivity_is_that_of_the_analysis_and_marks_what_diverged():
    grids = by_optimizer(official_results("quadratic_deep", tuned=False))
    axes, windows = plot_sensitivity("quadratic_deep", grids).axes
    assert axes.get_ylabel() == "Final test objective − best"
    assert axes.get_yscale() == "symlog"  # the best has a place at 0
    objective = metric_at("test", "objective")
    found = {name: sensitivity_of(runs, objective) for name, runs in grids.items()}
    best = min(np.nanmin(curve.medians) for curve in found.values())
    for optimizer, curve in found.items():
        color = FIXED_COLORS[optimizer]
        drawn = lines_of(axes)[color]
        np.testing.assert_array_equal(drawn.get_xdata(), curve.rates)
        failed = curve.diverged > 0
        assert np.isnan(drawn.get_ydata()[failed]).all()  # no line leads to it
        np.testing.assert_allclose(drawn.get_ydata()[~failed], gap(curve.medians, best)[~failed])
        marks = {m.get_label(): m for m in axes.lines if m.get_color() == color}
        assert set(marks["_beyond"].get_xdata()) == set(curve.rates[failed])
        assert list(marks["_best"].get_xdata()) == [curve.rates[curve.best]]
        window = near_best(curve, 5)
        bars = [bar for bar in windows.lines if bar.get_color() == color]
        assert list(bars[0].get_xdata()) == [window.low, window.high]
    assert set(texts_of(windows)) == set(grids)
    target = target_of("quadratic_deep")
    with_target = plot_sensitivity("quadratic_deep", grids, target=target).axes[0]
    (line,) = marks_of(with_target, "_target")
    assert line.get_ydata()[0] == pytest.approx(target.value - best)
    assert found["SGD"].diverged.sum() > 5


def test_the_rates_of_another_momentum_are_no_part_of_the_grid():
    def run(lr, momentum):
        made = make([3.0, 2.0], lr=lr)
        return replace(
            made, config=replace(made.config, hyperparams={"lr": lr, "momentum": momentum})
        )

    runs = [run(lr, m) for lr in (0.1, 0.2, 0.3) for m in (0.0, 0.9)]
    (setting,) = tuned_settings(runs)["p"]
    grid = grid_of(setting, runs)
    assert [r.config.hyperparams["lr"] for r in grid] == [0.1, 0.2, 0.3]
    assert {r.config.hyperparams["momentum"] for r in grid} == {0.0}


def test_trials_that_held_out_examples_are_on_the_grid_of_the_retrained_winner():
    trials = [run_of(lr=lr, valid_size=100) for lr in (0.01, 0.1, 1.0)]
    winner = [run_of(seed=seed) for seed in (43, 44)]
    (setting,) = tuned_settings([*trials, *winner])["p"]
    assert len(setting.runs) == 2
    assert len(grid_of(setting, [*trials, *winner])) == 5


def profiles_of(problems):
    """Return profiles of SGD and of Adam, which takes as long on even problems, else twice."""
    runs = []
    for n in range(problems):
        slow = 4 if n % 2 else 2
        runs += two_optimizers([2, 2], [slow, slow], problem=f"p{n}")
    found = tuned_settings(runs)
    targets = {name: replace(BAR, problem=name) for name in found}
    return performance_profiles(found, targets, ["SGD", "Adam"], tau_max=8.0), found


def test_profiles_are_those_of_the_analysis_and_ties_are_apart():
    profiles, found = profiles_of(6)
    figure = plot_profile(profiles, looks_of_settings(found))
    axes = figure.axes[0]
    assert axes.get_xlim() == (1.0, 8.0)
    lines = [lines_of(axes)[FIXED_COLORS[name]] for name in ("SGD", "Adam")]
    for profile, line in zip(profiles.profiles, lines, strict=True):
        for tau, share in zip(profile.taus, profile.shares, strict=True):
            at = np.flatnonzero(line.get_xdata() == tau)[0]
            assert line.get_ydata()[at] == pytest.approx(share, abs=0.02)
        assert line.get_label() == f"{profile.label} {profile.integral:.2f}"
    ends = [line.get_ydata()[-1] for line in lines]
    assert ends[0] != ends[1]  # both reach all problems


def test_a_profile_takes_five_problems():
    profiles, found = profiles_of(4)
    with pytest.raises(UsageError, match=r"needs 5 problems .* got 4"):
        plot_profile(profiles, looks_of_settings(found))


def test_a_profile_leaves_out_who_has_too_few_problems():
    runs = [
        make([2.0, 1.0], optimizer=name, problem=p) for name in ("SGD", "Adam") for p in "pqrstu"
    ]
    found = tuned_settings([*runs, make([2.0, 1.0], optimizer="Mine", problem="p")])
    assert compared_labels(found) == ["SGD", "Adam"]
    assert compared_labels({"p": found["p"]}) == ["SGD", "Adam", "Mine"]


def test_the_rows_of_speed_are_sorted_and_who_does_not_arrive_has_an_arrow():
    metric = metric_at("test", "objective")
    target = Target(problem="p", metric=metric, value=1.5, source="a test")
    runs = [make([3.0, 2.5, 2.0], optimizer="Adam", seed=s) for s in range(3)]
    runs += [make([3.0, None], optimizer="AdamW", seed=s, status="diverged") for s in range(3)]
    runs += [make([3.0, 1.0 + s / 10, 1.0], seed=s) for s in range(3)]
    listed = tuned_settings(runs)["p"]
    looks = looks_of_settings({"p": listed})
    times, values = plot_speed("p", listed, target, looks).axes
    assert [label.get_text() for label in times.get_yticklabels()] == ["SGD", "Adam", "AdamW"]
    spot = lines_of(times)[FIXED_COLORS["SGD"]]
    assert list(spot.get_xydata()[0]) == [1.0, 0]
    bounds = {line.get_color(): line.get_xydata()[0].tolist() for line in marks_of(times, "_bound")}
    assert bounds[FIXED_COLORS["Adam"]] == [2.0, 1]
    assert texts_of(times).count("0 of 3 reach it") == 2
    assert "3 of 3 diverged" in texts_of(values)
    never = replace(target, value=0.1)
    with pytest.raises(UsageError, match="p: no optimizer reaches the target, test objective"):
        plot_speed("p", listed, never, looks)
    bare = [replace(r, records=[{**c, "clocks": {}} for c in r.records]) for r in runs[6:]]
    bare = tuned_settings(bare)["p"]
    with pytest.raises(UsageError, match="do not record the seconds"):
        plot_speed("p", bare, target, looks_of_settings({"p": bare}), unit="seconds")


def test_an_optimizer_of_yours_and_of_a_baseline_set_do_not_look_alike():
    metric = metric_at("test", "objective")
    target = Target(problem="p", metric=metric, value=1.5, source="a test")
    runs = [make([3.0, 1.0], optimizer="AdamW", seed=s) for s in range(3)]
    runs += [
        replace(make([3.0, 1.0], optimizer=name, seed=s), origin=source)
        for name, source in (("AdamW", "theirs"), ("AdamW", "others"), ("SGD", "theirs"))
        for s in range(3)
    ]
    listed = tuned_settings(runs)["p"]
    looks = looks_of_settings({"p": listed})
    times, _ = plot_speed("p", listed, target, looks).axes
    rows = [label.get_text() for label in times.get_yticklabels()]
    assert len(set(rows)) == 4
    dots = [line for line in times.lines if not line.get_label().startswith("_")]
    seen = {
        line.get_label(): (line.get_color(), line.get_marker(), line.get_markerfacecolor())
        for line in dots
    }
    assert set(seen) == set(rows)
    assert seen["AdamW (yours)"] != seen["AdamW (theirs)"]
    assert len(set(looks.values())) == 4


def test_tuning_shows_the_quartiles_of_the_best_of_k():
    trials = {"SGD": [make([3.0, value], lr=value) for value in (2.0, 1.0, 0.5, 4.0)]}
    figure = plot_tuning("p", trials, {"SGD": looks_of([Subject("SGD", False)])[0]})
    axes = figure.axes[0]
    values = np.array([2.0, 1.0, 0.5, 3.0])  # the last is untrained
    line = lines_of(axes)[FIXED_COLORS["SGD"]]
    assert list(line.get_xdata()) == [1, 2, 3, 4]
    best = [[values[list(c)].min() for c in combinations(range(4), k)] for k in (1, 2, 3, 4)]
    drawn = [line, *marks_of(axes, "_quartile")]
    for quartile, shown in zip((0.5, 0.25, 0.75), drawn, strict=True):
        expected = np.quantile(best[0], quartile, method="inverted_cdf") - 0.5
        tail = [np.quantile(-np.array(b), 1 - quartile, method="inverted_cdf") for b in best]
        assert shown.get_ydata()[0] in (expected, -tail[0] - 0.5)
        np.testing.assert_allclose(shown.get_ydata(), -np.array(tail) - 0.5)
    assert texts_of(axes) == ["SGD\n4 trials, 1 untrained"]


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """Return two runs on Branin's function: one that learns, one that is thrown far away."""
    execution = Execution(device="cpu", out=tmp_path_factory.mktemp("results"))
    settings = [("SGD", 0.01), ("Adam", 1e6)]
    configs = [
        RunConfig(problem="two_d_branin", optimizer=name, hyperparams={"lr": lr}, steps=20)
        for name, lr in settings
    ]
    return [run(config, execution) for config in configs], execution.out


def test_a_trajectory_goes_the_way_of_the_run(followed):
    learns = followed[0][0]
    way = follow(learns)
    assert way.points.shape == (21, 2)
    assert list(way.points[0]) == [2.5, 12.5]
    assert way.repeated
    assert way.complete
    # The test split has no noise, so it is the function itself.
    final = learns.records[-1]["metrics"]["test"]["objective"]
    assert way.values[-1] == pytest.approx(final, rel=1e-5)
    forged = json.loads(json.dumps(list(learns.records)))
    forged[-1]["metrics"]["test"]["objective"] *= 1.01
    assert not follow(replace(learns, records=forged)).repeated
    with pytest.raises(UsageError, match="p has no trajectory"):
        follow(make([1.0]))


@pytest.mark.parametrize("problem", MINIMA)
def test_minima_are_minima(problem):
    points = torch.tensor(MINIMA[problem], dtype=torch.float64, requires_grad=True)
    values = load_problem(problem).model().value(*points.T)
    values.sum().backward()
    assert points.grad.abs().max() < 2e-2
    assert values.detach().numpy() == pytest.approx(float(values[0].detach()), abs=1e-3)


def test_a_trajectory_is_drawn_over_contours(followed):
    drawing = next(drawings({"two_d_branin": settings_of(followed[0])}, ["trajectory"]))
    axes = drawing.figure.axes[0]
    panels = {axes.get_title("left"): axes for axes in drawing.figure.axes[:2]}
    assert set(panels) == {"SGD", "Adam"}  # small multiples: one path each
    learns = follow(followed[0][0]).points
    colored = [c for c in panels["SGD"].collections if isinstance(c, LineCollection)]
    pieces = next(c for c in colored if len(c.get_segments()) == len(learns) - 1)
    np.testing.assert_array_equal(np.array(pieces.get_segments())[:, 1], learns[1:])
    np.testing.assert_array_equal(pieces.get_array(), np.arange(1, len(learns)))  # by time
    assert not marks_of(panels["SGD"], "_left")
    assert len(marks_of(panels["Adam"], "_left")) == 1
    np.testing.assert_allclose(marks_of(axes, "_minima")[0].get_xydata(), MINIMA["two_d_branin"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(model, lr):\n    raise RuntimeError('changed')", "RuntimeError: changed"),
        ("def make(model):\n    return None", "TypeError: "),
        ("def make(", "SyntaxError: "),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('a script')", "opt.py ends the program"),
        ("class E(Exception):\n    def __init__(self, a, b): ...\nraise E(1, 2)", "E: "),
    ],
)
def test_a_file_that_no_longer_works_costs_its_own_way_only(text, said, followed, tmp_path):
    file = tmp_path / "opt.py"
    file.write_text(
        "from torch.optim import SGD\ndef make(model, lr): return SGD(model.parameters(), lr)"
    )
    config = RunConfig(
        problem="two_d_branin", optimizer=f"{file}:make", hyperparams={"lr": 0.01}, steps=20
    )
    result = run(config, Execution(device="cpu", out=tmp_path))
    file.write_text(text)
    settings = {"two_d_branin": settings_of([*followed[0], result])}
    both = next(drawings(settings, ["trajectory"], import_code=True))
    assert FIXED_COLORS["SGD"] in lines_of(both.figure.axes[0])
    assert said in both.caption.partition("make is left out: ")[2]
    alone = {"two_d_branin": settings_of([result])}
    drawing = next(drawings(alone, ["trajectory"], import_code=True))
    assert drawing.figure is None
    assert said in drawing.caption


def test_code_that_results_name_is_not_imported_unasked(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # results name files below the current folder alone
    file, marker = tmp_path / "opt.py", tmp_path / "imported"
    file.write_text(
        f"from pathlib import Path\nfrom torch.optim import SGD\nPath({str(marker)!r}).touch()\n"
        "def make(model, lr): return SGD(model.parameters(), lr)"
    )
    results = tmp_path / "results"
    words = ["run", "two_d_branin", f"{file}:make", "lr=0.001", "--steps", "5"]
    assert main([*words, "--out", str(results)]) == 0
    marker.unlink()
    figure = ["plot", str(results), "trajectory", "--no-baselines", "--out"]
    assert main([*figure, str(tmp_path / "way.svg")]) == 1
    assert "names code, opt.py:make, which is imported with" in capsys.readouterr().err
    report = ["report", str(results), "--no-baselines", "--formats", "html"]
    assert main(report) == 0
    assert not marker.exists()
    assert main([*figure, str(tmp_path / "way.svg"), "--import-code"]) == 0
    assert (tmp_path / "way.svg").exists()


def test_a_way_that_is_not_followed_to_its_end_says_so(followed):
    looks = looks_of_settings(tuned_settings(followed[0]))
    whole, part = follow(followed[0][0]), replace(follow(followed[0][0]), complete=False)
    for way, said, hollow in ((whole, "after 20 steps", 0), (part, "after the first 20 steps", 1)):
        figure = plot_trajectory("two_d_branin", {"SGD": way}, looks)
        axes = figure.axes[0]
        assert any(text.endswith(said) for text in texts_of(axes))
        assert (marks_of(axes, "_last")[0].get_markerfacecolor() == "white") == hollow
    with pytest.raises(UsageError, match="room for 3 trajectories, not 4"):
        plot_trajectory("two_d_branin", dict.fromkeys("abcd", whole), looks)


def test_of_many_optimizers_yours_are_followed_first_then_the_best():
    def ended(optimizer, value, **environment):
        given = {"problem": "two_d_branin", "optimizer": optimizer, "environment": environment}
        return run_of([value, value], **given)

    asked = []

    class Asked(Executor):
        def submit(self, function, run, steps):
            asked.append((run.config.optimizer, steps))
            return Future()

    others = [ended(name, 1.0, baselines="theirs") for name in ("SGD", "Momentum", "Adagrad")]
    runs = [*others, ended("Adam", 3.0), ended("AdamW", 2.0), ended("Rprop", None)]
    drawings({"two_d_branin": settings_of(runs)}, ["trajectory"], executor=Asked())
    assert [name for name, _ in asked] == ["AdamW", "Adam", "Rprop"]
    assert {steps for _, steps in asked} == {MOST_STEPS // 3}


def test_the_command_writes_files_or_text(followed, tmp_path, capsys):
    out = tmp_path / "figure.svg"
    words = ["plot", str(followed[1]), "curves"]
    assert main([*words, "--out", str(out)]) == 0
    assert out.read_text().lstrip().startswith("<?xml")
    capsys.readouterr()
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "Training objective" in text
    assert re.search(r"[A-Z] SGD", text)
    assert "Distance to the best value of any run shown" in text
    assert max(map(len, text.splitlines()[:-2])) <= 80
    assert main([*words[:2], "profile"]) == 1
    assert "needs 5 problems" in capsys.readouterr().err
    assert main([*words, "--problem", "two_d_brannin"]) == 2
    assert "Did you mean 'two_d_branin'?" in capsys.readouterr().err
    assert main([*words, "--metric", "objektive"]) == 2
    assert "Did you mean 'objective'?" in capsys.readouterr().err
    assert main([*words, "--out", str(tmp_path / "figure.jpg")]) == 2


def test_text_shows_the_curve():
    figure = plot_curves("p", settings_of([make([4.0, 3.0, 2.0, 1.0, 0.0], lr=0.5)]))
    series = series_of(figure.axes[0])[0]
    np.testing.assert_allclose(series.points[:, 0], [0, 0.25, 0.5, 0.75, 1])
    assert (np.diff(series.points[:, 1]) < 0).all()
    rows = str(to_text(figure, width=60)).splitlines()
    columns = [row.index("A") for row in rows if row.count("A") == 1 and "lr" not in row]
    assert columns[:3] == sorted(columns[:3])


def test_the_panels_of_one_problem_stand_one_below_the_other():
    runs = [make([9.0, 3.0, 1.0 + seed], seed=seed) for seed in range(2)]
    one = plot_comparison(tuned_settings(runs))
    specs = [axes.get_subplotspec() for axes in one.axes]
    assert [(spec.rowspan.start, spec.colspan.start) for spec in specs] == [(0, 0), (1, 0)]


def test_the_best_run_ends_at_the_lower_edge_where_its_gap_is_none():
    runs = [make([9.0, 3.0, 1.0 + seed], seed=seed) for seed in range(2)]
    for axes in plot_curves("p", settings_of(runs)).axes:
        drawn = np.array([line.get_ydata() for line in marks_of(axes, "_run")])
        low = axes.get_ylim()[0]
        assert (drawn > 0).all()
        assert drawn.min() < low < np.sort(drawn, axis=None)[1]
