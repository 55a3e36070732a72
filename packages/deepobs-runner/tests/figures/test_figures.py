"""Figures: what is drawn, not how it looks."""

import json
import re
import xml.etree.ElementTree as ElementTree
from concurrent.futures import Executor, Future
from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
import torch
from runner_builders import SPLITS, run_of

from deepobs_problems import load_problem
from deepobs_runner import Execution, RunConfig, UsageError, run
from deepobs_runner.analysis import (
    curve_band,
    expected_best,
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


def lines_of(axes):
    """Return the lines of a panel that stand for data, by colour."""
    return {line.get_color(): line for line in axes.lines if not line.get_label().startswith("_")}


@pytest.mark.parametrize(("problem", "panels"), [("quadratic_deep", 2), ("fmnist_2c2d", 4)])
def test_the_curves_are_the_numbers_of_the_analysis(problem, panels):
    settings = settings_of(official_results(problem))
    figure = plot_curves(problem, settings, center="median")
    assert len(figure.axes) == panels
    axes = figure.axes[0]
    assert axes.get_title() == "Training objective"
    lines = lines_of(axes)
    for setting in settings:
        band = curve_band(setting.runs, metric_at("train_eval", "objective"), center="median")
        line = lines[FIXED_COLORS[setting.optimizer]]
        np.testing.assert_array_equal(line.get_xdata(), band.epochs)
        np.testing.assert_array_equal(line.get_ydata(), band.median)
    assert "median over seeds" in figure.legends[0].get_title().get_text()
    assert "(10 seeds), official 2019" in figure.legends[0].get_texts()[0].get_text()


def test_the_comparison_shows_mean_and_deviation_of_every_problem():
    names = ["quadratic_deep", "fmnist_2c2d"]
    found = tuned_settings(run for name in names for run in official_results(name))
    figure = plot_comparison(found)
    assert len(figure.axes) == 8  # four rows, two of them empty for the quadratic
    assert [axes.get_title() for axes in figure.axes[:2]] == names
    for setting in found["fmnist_2c2d"]:
        values = np.array([run.series("test", "accuracy") for run in setting.runs])
        line = lines_of(figure.axes[5])[FIXED_COLORS[setting.optimizer]]
        np.testing.assert_allclose(line.get_ydata(), values.mean(axis=0))
        low = (values.mean(axis=0) - values.std(axis=0, ddof=1)).min()
        corners = np.concatenate(
            [c.get_paths()[0].vertices[:, 1] for c in figure.axes[5].collections]
        )
        assert np.isclose(corners, low).any()
    with pytest.raises(UsageError, match="1 to 4 problems, not 5"):
        plot_comparison({str(i): () for i in range(5)})


def test_every_line_has_a_look_of_its_own():
    optimizers = ["Mine", "SGD", *(f"other.py:{letter}" for letter in "ABCDEFGH")]
    subjects = [Subject(name, False) for _ in range(9) for name in optimizers]
    looks = looks_of(subjects)
    assert len(set(looks)) == len(looks)
    for name in optimizers:
        inks = {look.ink for s, look in zip(subjects, looks, strict=True) if s.optimizer == name}
        assert len(inks) == 1
    inks = palette_of(optimizers)
    assert len({inks[name] for name in optimizers}) == len(optimizers)


def test_known_optimizers_look_the_same_everywhere():
    alone = looks_of([Subject("Adam", False)])[0]
    assert (alone.ink.color, alone.line, alone.pale) == (FIXED_COLORS["Adam"], "-", False)
    mine = Subject("Mine", False)
    among = looks_of([mine, Subject("SGD", False), Subject("Adam", False), Subject("Adam", True)])
    assert among[2] == alone
    assert among[3] == alone._replace(pale=True)
    palette = palette_of(["Yours", "Mine"])
    assert (
        looks_of([mine], palette)[0].ink == looks_of([Subject("Adam", True), mine], palette)[1].ink
    )


def test_the_lines_drawn_differ_as_those_of_the_legend():
    settings = settings_of([make([3.0, 2.0, 1.0 + n], lr=0.1 + n) for n in range(5)])
    figure = plot_curves("p", settings)

    def looks(lines):
        return [(line.get_color(), str(line._unscaled_dash_pattern)) for line in lines]

    drawn = looks(figure.axes[0].lines)
    assert len(set(drawn)) == 5
    assert looks(figure.legends[0].get_lines()) == drawn


def test_bands_where_there_are_seeds():
    settings = settings_of(official_results("quadratic_deep"))
    assert all(len(axes.collections) == 3 for axes in plot_curves("q", settings).axes)
    single = plot_curves("q", settings_of(official_results("quadratic_deep")[:1]))
    assert all(not axes.collections for axes in single.axes)
    assert single.legends[0].get_title().get_text() == "one seed: no band"


def test_a_run_that_explodes_does_not_decide_what_is_shown():
    tame = make([4.0, 3.0, 2.0])
    wild = make([4.0, 1e30, None], optimizer="Adam", status="diverged")
    axes = plot_curves("p", settings_of([tame, wild])).axes[0]
    assert axes.get_ylim()[1] < 5
    crosses = [line for line in axes.lines if line.get_label() == "_diverged"]
    assert [line.get_color() for line in crosses] == [FIXED_COLORS["Adam"]]
    assert crosses[0].get_ydata()[0] <= axes.get_ylim()[1]
    assert not np.isfinite(lines_of(axes)[FIXED_COLORS["Adam"]].get_ydata()[2])


def legend_title(figure):
    return " ".join(figure.legends[0].get_title().get_text().split())


def baseline(result):
    return replace(result, environment={"baselines": "theirs"})


def test_a_run_that_ends_early_is_not_hidden():
    long = [baseline(make([9.0, *[1.0] * 100], optimizer="Adam", seed=seed)) for seed in (1, 2)]
    short = [make([9.0, 7.0, 6.0]), make([9.0, 8.0, 5.0], seed=2)]
    for figure in (
        plot_curves("p", settings_of([*short, *long])),
        plot_comparison(tuned_settings([*short, *long])),
    ):
        low, high = figure.axes[0].get_ylim()
        shown = lines_of(figure.axes[0])[FIXED_COLORS["SGD"]].get_ydata()[1:]
        assert (low < shown).all()
        assert (shown < high).all()
    lost = make([9.0, 8.0, float("inf")], status="diverged")  # nothing to make room for
    assert plot_curves("p", settings_of([lost, *long])).axes[0].get_ylim()[1] < 2


def test_both_figures_of_curves_have_the_same_scale():
    # A mean of 5.05 with a deviation of 7: the band reaches below 0.
    runs = [make([10.0, 10.0, 0.1], seed=1), make([10.0, 0.1, 0.1], seed=2)]
    curves, comparison = plot_curves("p", settings_of(runs)), plot_comparison(tuned_settings(runs))
    assert {axes.get_yscale() for axes in (*curves.axes, *comparison.axes)} == {"log"}


def test_a_legend_promises_bands_to_lines_that_have_one():
    def titles(*runs):
        curves = plot_curves("p", settings_of(runs), level=0.8)
        return legend_title(curves), legend_title(plot_comparison(tuned_settings(runs)))

    own = [make([3.0, 2.0 + 0.1 * seed], seed=seed) for seed in (1, 2, 3)]
    theirs = [baseline(make([3.0, 2.0], optimizer="Adam", seed=seed)) for seed in (1, 2, 3)]
    assert titles(*own) == (
        "median over seeds, 80 % bootstrap interval where there are three",
        "mean ± standard deviation over seeds",
    )
    assert titles(*own, *theirs) == (
        "median over seeds, 80 % bootstrap interval where there are three; pale: baselines, "
        "median alone",
        "mean ± standard deviation over seeds; pale: baselines, mean alone",
    )
    assert titles(own[0], *theirs) == (
        "median over seeds, no band; pale: baselines, median alone",
        "mean over seeds, no band; pale: baselines, mean alone",
    )
    assert titles(own[0]) == ("one seed: no band",) * 2


def test_every_figure_knows_the_level():
    settings = {
        problem: settings_of(official_results(problem, tuned=True))
        for problem in ("quadratic_deep", "fmnist_2c2d")
    }
    bars = {}
    for level in (0.95, 0.8):
        for drawing in drawings(settings, ["curves", "speed", "profile"], level=level):
            words = f"{drawing.caption} {legend_title(drawing.figure)}"
            assert set(re.findall(r"\d+ %", words)) == {f"{100 * level:.0f} %"}
            shapes = [c for axes in drawing.figure.axes for c in axes.collections]
            ends = [path.vertices for shape in shapes for path in shape.get_paths()]
            labels = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
            bars[drawing.name, level] = str(ends) + str(labels)
    assert all(bars[name, 0.95] != bars[name, 0.8] for name, _ in bars)


def test_of_many_settings_those_are_drawn_that_stand_for_their_optimizers():
    runs = [
        make([3.0, 2.0 + n], optimizer=name, lr=0.1 + n)
        for n in range(10)
        for name in ("SGD", "Adam")
    ]
    figure = plot_curves("p", settings_of(runs))
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["SGD lr=0.1 (1 seed)", "Adam lr=0.1 (1 seed)"]


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
    objective = metric_at("test", "objective")
    for optimizer, runs in grids.items():
        color = FIXED_COLORS[optimizer]
        curve = sensitivity_of(runs, objective)
        drawn = lines_of(axes)[color]
        np.testing.assert_array_equal(drawn.get_xdata(), curve.rates)
        finite = np.isfinite(curve.medians)
        np.testing.assert_array_equal(drawn.get_ydata()[finite], curve.medians[finite])
        marks = {m.get_label(): m for m in axes.lines if m.get_color() == color}
        assert set(curve.rates[curve.diverged > 0]) <= set(marks["_beyond"].get_xdata())
        assert list(marks["_best"].get_xdata()) == [curve.rates[curve.best]]
        window = near_best(curve, 5)
        bars = [bar for bar in windows.lines if bar.get_color() == color]
        assert list(bars[0].get_xdata()) == [window.low, window.high]
    assert sensitivity_of(grids["SGD"], objective).diverged.sum() > 5


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


def test_profiles_are_those_of_the_analysis():
    names = ["quadratic_deep", "fmnist_2c2d"]
    found = tuned_settings(run for name in names for run in official_results(name))
    targets = {name: target_of(name) for name in names}
    profiles = performance_profiles(found, targets, ["SGD", "Adam"], resamples=50)
    figure = plot_profile(profiles, looks_of_settings(found))
    lines = lines_of(figure.axes[0])
    for profile in profiles.profiles:
        line = lines[FIXED_COLORS[profile.label]]
        for tau, share in zip(profile.taus, profile.shares, strict=True):
            assert line.get_ydata()[np.flatnonzero(line.get_xdata() == tau)[0]] == share
    text = figure.legends[0].get_texts()[1].get_text()
    adam = profiles.profiles[1]
    assert text == f"Adam: {adam.integral:.2f} [{adam.low:.2f}, {adam.high:.2f}]"


def test_a_profile_leaves_out_who_has_too_few_problems():
    runs = [make([2.0, 1.0], optimizer=name, problem=p) for name in ("SGD", "Adam") for p in "pqr"]
    found = tuned_settings([*runs, make([2.0, 1.0], optimizer="Mine", problem="p")])
    assert compared_labels(found) == ["SGD", "Adam"]
    assert compared_labels({"p": found["p"]}) == ["SGD", "Adam", "Mine"]


def test_who_does_not_reach_the_target_stands_at_the_border():
    metric = metric_at("test", "objective")
    target = Target(problem="p", metric=metric, value=1.5, source="a test")
    runs = [make([3.0, 1.0 + s / 10, 1.0], seed=s) for s in range(3)]
    runs += [make([3.0, 2.5, 2.0], optimizer="Adam", seed=s) for s in range(3)]
    runs += [make([3.0, None], optimizer="AdamW", seed=s, status="diverged") for s in range(3)]
    listed = tuned_settings(runs)["p"]
    figure = plot_speed("p", listed, target, looks_of_settings({"p": listed}))
    axes = figure.axes[0]
    spots = {c.get_label(): c[0].get_xydata()[0] for c in axes.containers}
    assert list(spots["SGD"]) == [1.0, 1.0]
    assert spots["Adam"][0] > 1.08
    assert "AdamW (3 of 3 diverged: not shown)" in spots
    assert "not reached" in [text.get_text() for text in axes.texts]
    never = replace(target, value=0.1)
    with pytest.raises(UsageError, match="p: no optimizer reaches the target, test objective"):
        plot_speed("p", listed, never, looks_of_settings({"p": listed}))
    bare = [replace(r, records=[{**c, "clocks": {}} for c in r.records]) for r in runs[:3]]
    bare = tuned_settings(bare)["p"]
    with pytest.raises(UsageError, match="do not say the seconds"):
        plot_speed("p", bare, target, looks_of_settings({"p": bare}), unit="seconds")


def test_the_expected_best_is_that_of_the_analysis():
    trials = {"SGD": [make([3.0, value], lr=value) for value in (2.0, 1.0, 0.5, 4.0)]}
    figure = plot_tuning("p", trials, {"SGD": looks_of([Subject("SGD", False)])[0]})
    curve = expected_best(trials["SGD"], metric_at("test", "objective"))
    line = lines_of(figure.axes[0])[FIXED_COLORS["SGD"]]
    assert list(line.get_xdata()) == [1, 2, 3, 4]
    np.testing.assert_array_equal(line.get_ydata(), curve.expected)
    assert figure.legends[0].get_texts()[0].get_text() == "SGD (4 trials, 1 failed)"


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
    lines = lines_of(axes)
    np.testing.assert_array_equal(
        lines[FIXED_COLORS["SGD"]].get_xydata(), follow(followed[0][0]).points
    )
    marks = {line.get_label(): line for line in axes.lines}
    assert marks["_left"].get_color() == FIXED_COLORS["Adam"]
    np.testing.assert_allclose(marks["_minima"].get_xydata(), MINIMA["two_d_branin"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def make(model, lr):\n    raise RuntimeError('changed')", "RuntimeError: changed"),
        ("def make(model):\n    return None", "TypeError: "),
        ("def make(", "SyntaxError: "),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit('a script')", "SystemExit: a script"),
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
    assert f"make is left out: {said}" in both.caption
    alone = {"two_d_branin": settings_of([result])}
    drawing = next(drawings(alone, ["trajectory"], import_code=True))
    assert drawing.figure is None
    assert said in drawing.caption


def test_code_that_results_name_is_not_imported_unasked(tmp_path, capsys):
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
    assert f"names code, {file}:make, which is imported with" in capsys.readouterr().err
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
        line = lines_of(figure.axes[0])[FIXED_COLORS["SGD"]]
        assert line.get_label().endswith(said)
        assert (line.get_markerfacecolor() == "white") == hollow
        assert ("hollow" in legend_title(figure)) == hollow


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
    assert [name for name, _ in asked] == ["AdamW", "Adam", "Rprop", "SGD", "Momentum"]
    assert {steps for _, steps in asked} == {MOST_STEPS // 5}


def test_the_command_writes_files_or_text(followed, tmp_path, capsys):
    out = tmp_path / "figure.svg"
    words = ["plot", str(followed[1]), "curves"]
    assert main([*words, "--out", str(out)]) == 0
    assert out.read_text().lstrip().startswith("<?xml")
    capsys.readouterr()
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "Training objective" in text
    assert "B SGD lr=0.01 steps=20 (1 seed)" in text
    assert max(map(len, text.splitlines())) <= 80
    assert main([*words[:2], "profile"]) == 1
    assert "takes 2 problems" in capsys.readouterr().err
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
