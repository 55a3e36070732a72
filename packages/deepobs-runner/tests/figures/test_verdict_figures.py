"""Forest plot, heat map and mean ranks: what verdicts say, and nothing else."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of, two_optimizers

from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import MeanRank, Ranks, correct, judge_settings
from deepobs_runner.figures import drawings, plot_forest, plot_heatmap, plot_ranks
from deepobs_runner.figures.style import BETTER, UNDECIDED, WORSE, looks_of_settings
from deepobs_runner.figures.terminal import to_text
from deepobs_runner.results.settings import settings_of

SEEDS = range(6)


def times(base):
    """Return six times around one, in epochs."""
    return [base + s for s in SEEDS]


@pytest.fixture(scope="module")
def problems():
    """Return tuned settings on four problems: faster, slower, inconclusive and not reached."""
    runs = [
        *two_optimizers(times(40), times(10), problem="faster"),
        *two_optimizers(times(10), times(40), problem="slower"),
        *two_optimizers([10, 20, 30, 12, 22, 32], [11, 21, 29, 13, 20, 33], problem="open"),
        *two_optimizers([None] * 6, [None] * 6, problem="never"),
        *two_optimizers([None] * 6, times(10), problem="bound"),
    ]
    return tuned_settings(runs)


@pytest.fixture(scope="module")
def verdict(problems):
    targets = {name: replace(BAR, problem=name) for name in problems}
    return correct([judge_settings(problems, targets, "Adam", "SGD")])[0]


def dots_of(axes):
    return {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}


def rows_of(axes):
    return [label.get_text() for label in axes.get_yticklabels()]


def numbers_of(axes):
    """Return what is written in each row, by its name."""
    found = {name: [] for name in rows_of(axes)}
    for text in axes.texts:
        if text.xycoords == ("axes fraction", "data"):
            found[rows_of(axes)[int(text.xy[1])]].append(text.get_text())
    return found


def test_the_forest_is_coloured_only_where_the_verdict_decides(verdict):
    axes = plot_forest([verdict]).axes[0]
    assert axes.get_xscale() == "log"
    lines = {line.problem: line for line in verdict.problems}
    assert rows_of(axes)[:5] == list(lines)
    dots = dots_of(axes)
    colors = {"faster": BETTER, "slower": WORSE, "open": UNDECIDED, "bound": BETTER}
    assert {name: dots[name].get_color() for name in colors} == colors
    for name in ("faster", "slower", "open"):
        assert dots[name].get_xdata()[0] == pytest.approx(lines[name].speedup.value)
        row = rows_of(axes).index(name)
        (bar,) = [b for b in axes.lines if b.get_label() == "_interval" and b.get_ydata()[0] == row]
        ends = lines[name].speedup.low, lines[name].speedup.high
        assert bar.get_xdata() == pytest.approx(ends)
    assert "never" not in dots
    assert numbers_of(axes)["never"][0] == "neither reaches the target"


def test_a_bound_is_a_hollow_dot_with_an_arrow(verdict):
    axes = plot_forest([verdict]).axes[0]
    line = next(line for line in verdict.problems if line.problem == "bound")
    assert line.speedup.bound == "at least"
    row = rows_of(axes).index("bound")
    arrows = [b for b in axes.lines if b.get_label() == "_bound" and b.get_ydata()[0] == row]
    assert [arrow.get_marker() for arrow in arrows] == [">"]
    assert dots_of(axes)["bound"].get_markerfacecolor() == "white"
    assert numbers_of(axes)["bound"][0].startswith("≥")


def test_the_last_row_is_the_mean_where_there_is_one(verdict):
    problems = [f"p{n}" for n in range(5)]
    runs = [r for p in problems for r in two_optimizers(times(30), times(20), problem=p)]
    targets = {name: replace(BAR, problem=name) for name in problems}
    found = judge_settings(tuned_settings(runs), targets, "Adam", "SGD")
    axes = plot_forest([found]).axes[0]
    assert rows_of(axes) == [*problems, "geometric mean"]
    mean = dots_of(axes)["geometric mean"]
    assert mean.get_xdata()[0] == pytest.approx(found.geometric_mean.value)
    assert mean.get_marker() == "D"
    assert verdict.geometric_mean is None  # faster here, slower there
    assert "geometric mean" not in rows_of(plot_forest([verdict]).axes[0])


def test_a_forest_says_the_same_as_text(verdict):
    text = str(to_text(plot_forest([verdict])))
    rows = {line.split("┤")[0].strip(): line for line in text.splitlines() if "┤" in line}
    assert set(rows) == {line.problem for line in verdict.problems}
    assert "●" in rows["faster"]
    assert rows["bound"].count(">") == 1
    for line in verdict.problems:
        if line.speedup is not None:
            assert f"{line.speedup.value:.2f}×" in rows[line.problem]
    assert "neither reaches the target" in rows["never"]


def test_a_forest_has_room_for_three_verdicts(verdict):
    assert len(plot_forest([verdict] * 3).axes) == 3
    with pytest.raises(UsageError, match="shows 3 verdicts; got 4"):
        plot_forest([verdict] * 4)
    with pytest.raises(UsageError, match="needs two optimizers"):
        plot_forest([])


def test_one_seed_has_a_dot_without_an_interval():
    runs = [reaching(8, 1, 20), reaching(4, 1, 20, optimizer="Adam")]
    tuned = tuned_settings(runs)
    verdict = judge_settings(tuned, {"p": BAR}, "Adam", "SGD")
    axes = plot_forest([verdict]).axes[0]
    assert dots_of(axes)["p"].get_markerfacecolor() == "white"
    assert not [line for line in axes.lines if line.get_label() == "_interval"]


@pytest.fixture(scope="module")
def three():
    """Return verdicts on Adam and Momentum against SGD, tuned settings and ranks as drawn."""
    runs = []
    for problem, momentum, adam in (("p", 20, 40), ("q", 20, 21), ("r", None, 10)):
        runs += two_optimizers(times(20), times(adam), problem=problem)
        for s in SEEDS:
            at = None if momentum is None else momentum + s
            runs.append(reaching(at, 42 + s, 60, problem=problem, optimizer="Momentum"))
    tuned = tuned_settings(runs)
    targets = {name: replace(BAR, problem=name) for name in tuned}
    verdicts = correct([judge_settings(tuned, targets, n, "SGD") for n in ("Momentum", "Adam")])
    return verdicts, tuned


RANKS = Ranks(
    problems=tuple("pqr"),
    level=0.95,
    ranks=tuple(
        MeanRank(optimizer=name, rank=rank, low=rank - 0.2, high=rank + 0.2)
        for name, rank in (("SGD", 2.0), ("Momentum", 1.25), ("Adam", 2.75))
    ),
    p=0.5,
    critical_difference=None,
)


@pytest.mark.parametrize("width", ["column", "page"])
def test_a_heat_map_hatches_what_is_inconclusive(three, width):
    from deepobs_runner.figures import Paper

    verdicts, _ = three
    axes = plot_heatmap(verdicts, ranks=RANKS, paper=Paper(width)).axes[0]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    columns = [label.get_text() for label in axes.get_xticklabels()]
    names = rows if width == "page" else columns
    assert names == ["Momentum", "SGD", "Adam"]  # by mean rank
    boxes = {}
    for patch in axes.patches:
        at = rows[int(patch.get_y())], columns[int(patch.get_x())]
        boxes.setdefault(at if width == "page" else at[::-1], []).append(patch)
    for verdict in verdicts:
        for line in verdict.problems:
            found = boxes[verdict.optimizer, line.problem]
            hatched = any(patch.get_label() == "_hatch" for patch in found)
            assert hatched == (line.speedup_status == "inconclusive"), line.problem
            if line.speedup is not None and not hatched:
                red, _, blue, _ = found[0].get_facecolor()
                assert (blue > red) == (line.speedup_status == "faster")
    assert {"1.2", "2.0", "2.8"} <= {text.get_text() for text in axes.texts}


def test_a_heat_map_takes_two_optimizers_and_one_reference(three, verdict):
    with pytest.raises(UsageError, match=r"takes 2 optimizers .* got 1"):
        plot_heatmap([verdict])
    other = replace(three[0][0], reference="Adam")
    with pytest.raises(UsageError, match="one reference"):
        plot_heatmap([three[0][1], other])


def test_a_heat_map_is_a_table_as_text(three):
    text = str(to_text(plot_heatmap(three[0])))
    assert all(name in text for name in ("SGD", "Momentum", "Adam"))
    rows = {line.split()[0]: line.split()[1:] for line in text.splitlines() if "×" in line}
    for verdict in three[0]:
        values = [line.speedup.value for line in verdict.problems]
        assert [float(cell.strip("≤≥×")) for cell in rows[verdict.optimizer]] == pytest.approx(
            values, abs=0.005
        )


def test_ranks_are_sorted_and_groups_are_within_the_critical_difference(three):
    looks = looks_of_settings(three[1])
    axes = plot_ranks(RANKS, looks).axes[0]
    assert rows_of(axes) == ["Momentum", "SGD", "Adam"]
    assert [dots_of(axes)[r.optimizer].get_xdata()[0] for r in RANKS.ranks] == [2.0, 1.25, 2.75]
    assert not [line for line in axes.lines if line.get_label() in ("_group", "_difference")]
    for difference, groups in ((0.5, []), (0.8, [(0, 1), (1, 2)]), (2.0, [(0, 2)])):
        many = replace(RANKS, critical_difference=difference, problems=tuple("abcdefghij"))
        axes = plot_ranks(many, looks).axes[0]
        bars = [line.get_ydata() for line in axes.lines if line.get_label() == "_group"]
        assert [tuple(round(end) for end in bar) for bar in bars] == groups
        assert any("CD =" in text.get_text() for text in axes.texts)


def test_two_optimizers_have_no_ranks_and_a_lone_one_nothing_to_compare():
    runs = [run_of([3.0, 2.0], seed=s, optimizer=o) for s in (1, 2) for o in ("SGD", "Adam")]
    settings = {"p": settings_of(runs)}
    captions = {d.kind: d.caption for d in drawings(settings, ["ranks", "heatmap"])}
    assert captions["ranks"].startswith("Mean ranks take three optimizers")
    assert captions["heatmap"].startswith("A heat map takes 2 optimizers")
    alone = {"p": settings_of(runs[:1])}
    (drawing,) = drawings(alone, ["forest"])
    assert drawing.figure is None
    assert drawing.caption == "A forest plot needs two optimizers."


def test_verdicts_are_made_only_for_figures_that_need_them():
    def fail():
        raise AssertionError("asked for")

    settings = {"p": settings_of([run_of([3.0, 2.0]), run_of([3.0, 1.0], optimizer="Adam")])}
    assert list(drawings(settings, ["curves"], verdicts=fail, ranks=fail))
    with pytest.raises(AssertionError, match="asked for"):
        list(drawings(settings, ["forest"], verdicts=fail))


def test_an_interval_beyond_the_axis_ends_in_an_arrow(verdict):
    line = verdict.problems[0]
    wide = replace(line, speedup=replace(line.speedup, low=0.001, high=1000.0))
    axes = plot_forest([replace(verdict, problems=(wide,))]).axes[0]
    left, right = axes.get_xlim()
    assert right == pytest.approx(16.0)
    (bar,) = [b for b in axes.lines if b.get_label() == "_interval"]
    assert bar.get_xdata() == pytest.approx((left, right))
    assert {b.get_marker() for b in axes.lines if b.get_label() == "_bound"} == {"<", ">"}
    assert math.isclose(left * right, 1.0)
    assert np.all(np.isfinite(bar.get_xdata()))


def test_long_names_do_not_run_into_the_next_panel(verdict):
    long = replace(verdict, optimizer="AdamW (yours, recipe standard)", reference="SGD (official)")
    figure = plot_forest([long] * 3)
    figure.draw_without_rendering()
    titles = [axes.title for axes in figure.axes] + [axes._left_title for axes in figure.axes]
    boxes = [t.get_window_extent() for t in titles if t.get_text()]
    assert len(boxes) == 3
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
