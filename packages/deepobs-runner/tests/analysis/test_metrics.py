"""What a run ends with, and which runs count."""

import io
import math

import numpy as np
import pytest
from rich.console import Console
from runner_builders import ACCURACY, BAR, LOSS, run_of
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.analysis import (
    curve_band,
    divergence_rate,
    learning_rate_sensitivity,
    metric_of,
    summarize_end,
    tuned_settings,
)
from deepobs_runner.analysis.metrics import is_counted, own_metric
from deepobs_runner.cli.summary import Summary
from deepobs_runner.comparison import judge, published_speed, times_to_target
from deepobs_runner.report.page.curves import curves_of
from deepobs_runner.results.settings import settings_of


def test_a_diverged_run_is_no_better_than_the_others():
    runs = [run_of([3.0, 1.0, 1.0], s) for s in (42, 43)]
    runs.append(run_of([3.0, None], 44, status="diverged"))
    band = curve_band(runs, LOSS)
    assert band.mean[0] == 3.0
    assert np.isnan(band.mean[1:]).all()
    assert band.median.tolist() == [3.0, 1.0, 1.0]
    assert band.upper_quartile[2] == np.inf
    end = summarize_end(runs, LOSS)
    assert (end.runs, end.diverged, end.median) == (3, 1, 1.0)
    assert math.isnan(end.mean)
    assert math.isnan(end.low)
    assert summarize_end(runs, LOSS, "best").mean == pytest.approx(5 / 3)


ENDS = [  # status, error, whether the run counts
    ("done", None, True),
    ("diverged", None, True),
    ("stopped", "no lower objective on valid for 3 epochs", True),
    ("stopped", "pruned: worse than the median", True),
    ("stopped", None, True),
    ("stopped", "the time limit of 60 s was reached", False),
    ("stopped", "The time limit of 60 s was reached.", False),
    ("failed", "out of memory", False),
    ("running", None, False),
]


@pytest.mark.parametrize(("status", "error", "right"), ENDS)
def test_one_rule_says_which_runs_count(status, error, right):
    """Every number of a setting rests on the same runs."""
    runs = [run_of([3.0, 2.0], seed) for seed in (42, 43)]
    runs.append(run_of([3.0, 0.5], 44, status=status, error=error))
    others = [run_of([3.0, 2.5], seed, optimizer="Adam") for seed in (42, 43, 44)]
    number = 3 if right else 2
    assert [is_counted(run) for run in runs] == [True, True, right]
    end = summarize_end(runs, LOSS)
    assert (end.runs, end.left_out) == (number, 3 - number)
    assert len(times_to_target(runs, BAR).times) == number
    assert published_speed(runs, BAR).runs == number
    assert divergence_rate(runs).runs == number
    assert learning_rate_sensitivity(runs, LOSS).runs.tolist() == [number]
    (line,) = judge([*runs, *others], "SGD", "Adam").problems
    assert (line.final_runs, line.pairs) == ((number, 3), number)
    rival = [run_of([3.0, 1.5], seed, lr=0.2) for seed in (42, 43)]
    chosen = tuned_settings([*runs[1:], *rival])["p"][0].config.hyperparams["lr"]
    assert chosen == (0.2 if not right or status == "diverged" else 0.1)


def test_where_no_run_counts_all_with_a_record_do():
    runs = [run_of([3.0, 2.0], status="running"), run_of([3.0], 43, status="failed")]
    assert summarize_end([*runs, run_of([], 44, status="running")], LOSS).mean == 2.5
    assert times_to_target(runs, BAR).times.tolist() == [1.0, 0.0]


def test_end_of_few_runs():
    assert summarize_end([], LOSS) is None
    assert summarize_end([run_of([1.0])], ACCURACY) is None
    single = summarize_end([run_of([3.0, 2.0])], LOSS)
    assert (single.mean, single.runs) == (2.0, 1)
    assert math.isnan(single.std)
    assert math.isnan(single.low)
    assert summarize_end([run_of([1.0], s) for s in range(4)], LOSS).high == 1.0  # all equal
    unfinished = [run_of([1.0]), run_of([5.0], 43, status="running")]
    assert summarize_end(unfinished, LOSS).left_out == 1


def test_interval_of_a_mean_is_students():
    values = np.exp(np.random.default_rng(4).normal(size=12))
    runs = [run_of([v], s) for s, v in enumerate(values.tolist())]
    for n in (2, 3, 12):
        end = summarize_end(runs[:n], LOSS, level=0.9)
        theirs = stats.ttest_1samp(values[:n], 0.0).confidence_interval(0.9)
        assert (end.low, end.high) == pytest.approx((theirs.low, theirs.high))
    assert end.interquartile_mean == pytest.approx(stats.trim_mean(values, 0.25))


def test_metric_of():
    assert metric_of([]) is None
    assert metric_of([run_of([1.0])]) == LOSS
    assert metric_of([run_of([1.0]), run_of([0.5], metric="accuracy")]) == ACCURACY
    assert curve_band([], LOSS) is None
    assert curve_band([run_of([1.0])], ACCURACY) is None


def recorded(**metrics):
    run = run_of([1.0])
    run.records[0]["metrics"]["test"] |= metrics
    return run


@pytest.mark.parametrize(
    ("metrics", "own"),
    [
        ({}, None),
        ({"excess": 0.1}, "excess"),
        ({"error": 0.09, "other": 2.0}, "error"),
        ({"squared": 0.09, "root": 0.3}, "root"),
        ({"squared": math.nan, "root": math.nan}, "root"),
        ({"accuracy": 0.5, "excess": 0.1}, None),
        ({"[bold]\x1b": 0.1}, None),
    ],
)
def test_own_metric_of_a_problem(metrics, own):
    found = own_metric([recorded(**metrics)])
    assert (found and found.name) == own


def test_summary_and_curves_have_the_own_metric_of_a_problem():
    runs = [recorded(excess=0.25)]
    (setting,) = settings_of(runs)
    console = Console(width=100, file=io.StringIO())
    console.print(Summary({"p": [setting]}))
    text = " ".join(console.file.getvalue().split())
    assert "Test Test Setting Runs Seeds objective excess" in text
    assert "0.2500" in text
    curves = curves_of(None, [setting], [setting.optimizer], 9, seeds=False)
    assert [metric["name"] for metric in curves["metrics"]] == ["test objective", "test excess"]


def test_divergence_by_hand():
    """Wilson's interval from its formula, z = 1.959964."""
    runs = [run_of([1.0], s) for s in range(8)]
    runs += [run_of([None], s, status="diverged") for s in (8, 9)]
    rate = divergence_rate([*runs, run_of([1.0], 10, status="running")])
    z, n, p = 1.959964, 10, 0.2
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (rate.diverged, rate.runs, rate.rate) == (2, 10, 0.2)
    assert (rate.low, rate.high) == pytest.approx((center - half, center + half), abs=1e-6)
    assert math.isnan(divergence_rate([]).rate)
    assert divergence_rate([run_of([1.0])]).low == 0.0


def test_arguments_are_checked():
    runs = [run_of([1.0], s) for s in range(3)]
    for level in (0.0, 1.0, 95, math.nan):
        with pytest.raises(UsageError, match="level"):
            curve_band(runs, LOSS, level=level)
        with pytest.raises(UsageError, match="level"):
            divergence_rate(runs, level=level)
    with pytest.raises(UsageError, match="kind is 'finals'; allowed: final, best"):
        summarize_end(runs, LOSS, "finals")
    with pytest.raises(UsageError, match="center is 'mode'; allowed: mean, median"):
        curve_band(runs, LOSS, center="mode")
    with pytest.raises(UsageError, match="resamples"):
        curve_band(runs, LOSS, center="median", resamples=0)
