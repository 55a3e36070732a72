"""The statistics against hand-worked examples and independent implementations."""

import doctest
import itertools
import math
from dataclasses import replace
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
from scipy import stats

import deepobs_runner.analysis
from deepobs_runner import RunConfig, RunResult, UsageError
from deepobs_runner.analysis import (
    Metric,
    curve_band,
    divergence_rate,
    expected_best,
    learning_rate_sensitivity,
    metric_of,
    near_best,
    seeds_for_mean,
    seeds_for_ratio,
    sensitivity_of,
    summarize_end,
    tuned_settings,
)
from deepobs_runner.analysis.bootstrap import interval, quantiles
from deepobs_runner.analysis.metrics import is_counted
from deepobs_runner.analysis.tuning_curve import best_of
from deepobs_runner.comparison import (
    Target,
    compare_paired,
    differences,
    foreign_targets,
    hodges_lehmann,
    holm,
    judge,
    judge_settings,
    performance_profiles,
    published_speed,
    signed_rank_p,
    speedup,
    survival_curve,
    survival_median,
    target_of,
    times_to_target,
)
from deepobs_runner.comparison.fairness import agreement
from deepobs_runner.comparison.profiles import profile_integral, profile_ratios, profile_steps
from deepobs_runner.comparison.rank_tests import rank_sum_p, shift_of
from deepobs_runner.comparison.time_to_target import resampled_medians
from deepobs_runner.report.sentences import (
    difference_sentence,
    exclusion,
    foreign_sentence,
    overall_sentence,
    paired_sentence,
    ratio_bracket,
    verdict_lines,
    verdict_text,
)
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.schedules import Cosine

LOSS = Metric("test", "objective", higher_is_better=False)
ACCURACY = Metric("test", "accuracy", higher_is_better=True)
BAR = Target(problem="p", metric=LOSS, value=1.0, source="made up")


def unequal(problems):
    return [difference_sentence(found) for found in differences(problems)]


def run_of(
    values,
    seed=42,
    *,
    optimizer="SGD",
    problem="p",
    lr=0.1,
    status="done",
    metric="objective",
    steps=7,
    gradients=None,
    environment=None,
    **settings,
):
    """Return a run with a metric on the test split, `steps` steps and two seconds an epoch."""
    records = [
        {
            "epoch": epoch,
            "steps": steps * epoch,
            "clocks": {"train": 2.0 if epoch else 0.0, "evaluate": 0.5},
            "metrics": {"test": {metric: value}},
        }
        for epoch, value in enumerate(values)
    ]
    if gradients is not None:
        for record in records:
            record["counters"] = {"gradient_evaluations": gradients * record["epoch"]}
    config = RunConfig(
        problem=problem, optimizer=optimizer, hyperparams={"lr": lr}, seed=seed, **settings
    )
    return RunResult(
        config=config, status=status, records=tuple(records), environment=environment or {}
    )


def reaching(epoch, seed, length=10, **settings):
    """Return a run that reaches the bar at an epoch, or never (None)."""
    ends = length if epoch is None else epoch
    values = [2.0] * min(ends, length) + [0.5] * (length - min(ends, length))
    return run_of(values, seed, **settings)


@pytest.mark.parametrize("name", [m.name for m in iter_modules(deepobs_runner.analysis.__path__)])
def test_examples(name):
    failed, _ = doctest.testmod(import_module(f"deepobs_runner.analysis.{name}"))
    assert failed == 0


# Quantiles, curves, ends.


def test_quantiles_are_numpys():
    values = np.random.default_rng(0).normal(size=(7, 5))
    values[2:4, 1] = np.nan
    levels = [0.0, 0.1, 0.5, 0.9, 1.0]
    np.testing.assert_allclose(quantiles(values, levels), np.nanquantile(values, levels, axis=0))


def test_quantiles_with_infinite_and_without_values():
    assert quantiles(np.array([1.0, np.inf, np.inf]), [0.0, 0.5]).tolist() == [1.0, np.inf]
    assert quantiles(np.array([-np.inf, 1.0]), [0.5])[0] == -np.inf
    assert np.isnan(quantiles(np.array([np.nan, np.nan]), [0.5])[0])


def test_undefined_replicates_widen_an_interval():
    replicates = np.linspace(0.0, 1.0, 101)
    assert interval(replicates, 0.9) == pytest.approx((0.05, 0.95))
    replicates[:10] = np.nan
    assert interval(replicates, 0.9) == (-np.inf, np.inf)


def test_band_by_hand():
    runs = [run_of([4.0, 2.0, 1.0], 42), run_of([2.0, 4.0, 3.0], 43), run_of([3.0, 9.0], 44)]
    band = curve_band(runs, LOSS)
    assert band.epochs.tolist() == [0, 1, 2]
    assert band.runs.tolist() == [3, 3, 2]
    assert band.mean.tolist() == [3.0, 5.0, 2.0]
    assert band.median.tolist() == [3.0, 4.0, 2.0]
    assert band.lower_quartile.tolist() == [2.5, 3.0, 1.5]
    assert np.isnan(band.low[2])  # two runs have no interval
    assert len(band.rows()) == 3


@pytest.mark.parametrize(("center", "statistic"), [("mean", np.mean), ("median", np.median)])
def test_band_is_scipys_percentile_bootstrap(center, statistic):
    values = np.random.default_rng(1).normal(size=(12, 3))
    runs = [run_of(row.tolist(), 42 + i) for i, row in enumerate(values)]
    band = curve_band(runs, LOSS, center=center, resamples=4000)
    theirs = stats.bootstrap(
        (values,), statistic, axis=0, method="percentile", n_resamples=4000
    ).confidence_interval
    np.testing.assert_allclose(band.low, theirs.low, atol=0.12)
    np.testing.assert_allclose(band.high, theirs.high, atol=0.12)
    again = curve_band(runs, LOSS, center=center, resamples=4000)
    np.testing.assert_array_equal(band.low, again.low)


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
    runs.append(replace(run_of([3.0, 0.5], 44, status=status), error=error))
    others = [run_of([3.0, 2.5], seed, optimizer="Adam") for seed in (42, 43, 44)]
    number = 3 if right else 2
    assert [is_counted(run) for run in runs] == [True, True, right]
    end = summarize_end(runs, LOSS)
    assert (end.runs, end.left_out) == (number, 3 - number)
    assert len(times_to_target(runs, BAR).times) == number
    assert published_speed(runs, BAR).runs == number
    assert divergence_rate(runs).runs == number
    assert learning_rate_sensitivity(runs, LOSS).runs.tolist() == [number]
    (paired,) = compare_paired(tuned_settings([*runs, *others]), "SGD", "Adam")
    assert len(paired.seeds) == number
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


def test_interval_of_a_mean_is_bca():
    """Formulas 14.9, 14.10 and 14.15 of Efron and Tibshirani (1993), with skewed values."""
    values = np.exp(np.random.default_rng(4).normal(size=12))
    runs = [run_of([v], s) for s, v in enumerate(values.tolist())]
    end = summarize_end(runs, LOSS, resamples=9999)
    means = np.random.default_rng(1).choice(values, size=(20000, 12)).mean(axis=1)
    bias = stats.norm.ppf(np.mean(means < values.mean()))
    leaving_one_out = (values.sum() - values) / 11
    away = leaving_one_out.mean() - leaving_one_out
    acceleration = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    for z, found in ((-1.959964, end.low), (1.959964, end.high)):
        level = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        assert found == pytest.approx(np.quantile(means, level), rel=0.025)
        percentile = np.quantile(means, stats.norm.cdf(z))
        assert abs(found - percentile) > 0.03 * percentile  # the correction is there to be seen


def test_metric_of():
    assert metric_of([]) is None
    assert metric_of([run_of([1.0])]) == LOSS
    assert metric_of([run_of([1.0]), run_of([0.5], metric="accuracy")]) == ACCURACY
    assert curve_band([], LOSS) is None
    assert curve_band([run_of([1.0])], ACCURACY) is None


# Times, survival.


def test_survival_by_hand():
    """The remission times of Freireich et al. (1963), the first of Cox's examples: median 23."""
    times = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    lost = {3, 5, 7, 8, 11, 12, 13, 16, 17, 18, 19, 20}
    reached = np.array([i not in lost for i in range(21)])
    at, surviving = survival_curve(np.array(times, dtype=float), reached)
    published = {6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448}
    for time, share in published.items():
        assert surviving[at == time] == pytest.approx(share, abs=1e-3)
    assert survival_median(np.array(times, dtype=float), reached) == 23


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_median_without_censoring_is_the_ordinary_one(n):
    times = np.random.default_rng(n).permutation(20)[:n].astype(float)
    assert survival_median(times, np.ones(n, dtype=bool)) == np.median(times)


def test_median_with_censoring():
    def median(times, reached):
        return survival_median(np.array(times, dtype=float), np.array(reached, dtype=bool))

    assert median([3, 5, 9, 9], [1, 1, 0, 0]) == 5  # half get there, nobody after
    assert median([3, 9, 9, 9], [1, 0, 0, 0]) == np.inf
    assert median([2, 4, 6, 8], [1, 0, 1, 1]) == 6  # S is 3/4, then 3/8
    assert median([4, 4, 4], [1, 1, 0]) == 4  # reaching goes before being lost sight of
    assert math.isnan(median([], []))


def test_resampled_medians_are_those_of_the_drawn_runs():
    rng = np.random.default_rng(3)
    times = rng.integers(1, 8, size=9).astype(float)
    reached = rng.random(9) < 0.6
    counts = rng.multinomial(9, np.full(9, 1 / 9), size=60)
    for count, median in zip(counts, resampled_medians(times, reached, counts), strict=True):
        rows = np.repeat(np.arange(9), count)
        at, surviving = survival_curve(times[rows], reached[rows])
        below = at[surviving < 0.5 - 1e-9]
        half = at[np.isclose(surviving, 0.5)]
        events = set(times[rows][reached[rows]])
        last = [t for t in below if t in events]
        first = [t for t in half if t in events]
        expected = (
            last[0] if last and not first else
            (first[0] + last[0]) / 2 if last and first else
            first[0] if first else np.inf
        )  # fmt: skip
        assert median == pytest.approx(expected)


def test_times_in_every_unit():
    runs = [reaching(3, 42, gradients=14), reaching(5, 43, gradients=14)]
    for unit, expected in {
        "epochs": [3, 5], "steps": [21, 35], "gradient_evaluations": [42, 70], "seconds": [6, 10],
    }.items():  # fmt: skip
        times = times_to_target(runs, BAR, unit)
        assert times.times.tolist() == expected
        assert times.counted == unit
    mixed = times_to_target([runs[0], reaching(5, 43)], BAR, "gradient_evaluations")
    assert (mixed.counted, mixed.times.tolist()) == ("steps", [21, 35])
    with pytest.raises(UsageError, match="allowed: epochs"):
        times_to_target(runs, BAR, "minutes")


def test_runs_that_do_not_reach_the_target():
    runs = [
        reaching(2, 42),
        reaching(None, 43),
        reaching(None, 44, length=4, status="stopped"),
        run_of([2.0, None], 45, status="diverged"),
        run_of([], 46, status="failed"),
    ]
    times = times_to_target(runs, BAR)
    assert times.times.tolist() == [2, 9, 3, 9]  # a diverged run is never lost sight of
    assert times.reached.tolist() == [True, False, False, False]
    assert (times.diverged, times.unknown) == (1, 1)
    assert times.median == np.inf
    assert [row["reached"] for row in times.rows()] == [True, False, False, False]
    speed = published_speed(runs, BAR)
    assert (speed.mean, speed.unreached) == ((2 + 10 + 4 + 2) / 4, 3)
    nothing = times_to_target([], BAR)
    assert math.isnan(nothing.median)
    assert nothing.rows() == []
    assert math.isnan(published_speed([], BAR).mean)


def test_target_of_other_problems_is_what_adam_reaches():
    adam = [run_of([3.0, v], 42 + i, optimizer="Adam") for i, v in enumerate([1.0, 2.0, 1.5])]
    worse = [run_of([3.0, 0.1 * v], 42, optimizer="Adam", lr=v) for v in (20.0, 30.0)]
    target = target_of("p", [*adam, *worse, run_of([0.0])])
    assert target.value == 1.5
    assert target.source == "median final value of tuned Adam, 3 seeds"
    assert target_of("p", []) is None
    assert target_of("p", [run_of([None], optimizer="Adam", status="diverged")]) is None


# Learning rates, tuning, divergence.


def test_sensitivity_by_hand():
    values = {1e-3: [9.0], 1e-2: [1.04], 1e-1: [1.1, 0.9], 1.0: [1.06], 10.0: [None]}
    runs = [
        run_of([5.0, end], 42 + i, lr=lr, status="done" if end else "diverged")
        for lr, ends in values.items()
        for i, end in enumerate(ends)
    ]
    curve = learning_rate_sensitivity(reversed(runs), LOSS)
    assert curve.rates.tolist() == [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    assert curve.medians.tolist() == [9.0, 1.04, 1.0, 1.06, np.inf]
    assert curve.runs.tolist() == [1, 1, 2, 1, 1]
    assert curve.diverged.tolist() == [0, 0, 0, 0, 1]
    window = near_best(curve, 5.0)
    assert (window.low, window.high) == (1e-2, 1e-1)
    assert window.decades == pytest.approx(1.0)
    assert window.decades_at_most == pytest.approx(3.0)  # from 1e-3 to 1
    assert near_best(curve, 10.0).decades == pytest.approx(2.0)
    assert near_best(curve, 900.0).decades_at_most == np.inf  # the grid ends first
    assert learning_rate_sensitivity(runs, LOSS, seed=42).medians[2] == 1.1
    assert len(curve.rows()) == 5


def test_window_of_accuracies():
    runs = [run_of([v], lr=10.0**i, metric="accuracy") for i, v in enumerate([0.5, 0.77, 0.8])]
    window = near_best(learning_rate_sensitivity(runs, ACCURACY), 5.0)
    assert (window.low, window.high) == (10.0, 100.0)


def test_window_is_relative_to_the_size_of_the_best():
    runs = [run_of([v], lr=10.0**i) for i, v in enumerate([109.0, 104.0, 100.0, 106.0])]
    window = near_best(learning_rate_sensitivity(runs, LOSS), 5.0)
    assert (window.low, window.high) == (10.0, 100.0)


def test_rates_are_compared_by_the_seed_that_all_have():
    runs = [run_of([3.0, v], lr=lr) for lr, v in ((0.1, 1.0), (1.0, 0.5))]
    runs += [run_of([3.0, 9.0], seed, lr=1.0) for seed in (43, 44)]
    assert sensitivity_of(runs, LOSS).medians.tolist() == [1.0, 0.5]
    assert learning_rate_sensitivity(runs, LOSS).medians.tolist() == [1.0, 9.0]


def test_sensitivity_without_values():
    empty = learning_rate_sensitivity([], LOSS)
    assert empty.best is None
    assert near_best(empty) is None
    assert empty.rows() == []
    lost = learning_rate_sensitivity([run_of([None], status="diverged")], LOSS)
    assert near_best(lost) is None


@pytest.mark.parametrize("replacement", [False, True])
def test_expected_best_is_the_mean_over_all_draws(replacement):
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    runs = [run_of([9.0, v], lr=i + 1.0) for i, v in enumerate(values)]
    curve = expected_best(runs, LOSS, replacement=replacement)
    for k in range(1, 6):
        if replacement:
            draws = itertools.product(values, repeat=k)
        else:
            draws = itertools.combinations(values, k)
        bests = [min(draw) for draw in draws]
        assert curve.expected[k - 1] == pytest.approx(np.mean(bests))
        assert curve.std[k - 1] == pytest.approx(np.std(bests), abs=1e-7)
    assert best_of(5, 3, replacement).sum() == pytest.approx(1)


def test_a_failed_trial_counts_as_untrained():
    runs = [
        run_of([2.0, 1.0], lr=0.1),
        run_of([2.0, 50.0], lr=1.0),
        run_of([2.0, None], lr=10.0, status="diverged"),
    ]
    curve = expected_best(runs, LOSS)
    assert curve.untrained == 2
    assert curve.expected[0] == pytest.approx(5 / 3)
    assert curve.expected[-1] == 1.0
    assert expected_best([], LOSS) is None
    assert expected_best(runs, ACCURACY) is None


def test_a_winner_trained_anew_is_no_further_trial():
    runs = [run_of([9.0, v], lr=v, valid_size=10) for v in (3.0, 1.0)]
    runs += [run_of([9.0, 0.5], seed, lr=1.0) for seed in (42, 43)]
    curve = expected_best(runs, LOSS)
    assert curve.expected.tolist() == [2.0, 1.0]
    (setting,) = tuned_settings(runs)["p"]
    assert setting.tried == 2


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


# Profiles.


def test_profile_by_hand():
    costs = np.array([[1.0, 2.0, 4.0, np.inf], [2.0, 2.0, 1.0, 3.0]])
    ratios = profile_ratios(costs)
    assert ratios.tolist() == [[1, 1, 4, np.inf], [2, 1, 1, 1]]
    taus, shares = profile_steps(ratios[0])
    assert taus.tolist() == [1, 4]
    assert shares.tolist() == [0.5, 0.75]
    assert profile_integral(ratios[0], 4.0) == pytest.approx(0.5)
    assert profile_integral(ratios[1], 4.0) == pytest.approx((3 + 0.5) / 4)


def test_profile_integral_is_the_area():
    ratios = np.exp(np.random.default_rng(0).exponential(size=9))
    grid = np.linspace(0, np.log(5.0), 20001)
    shares = [(np.log(ratios) <= x).mean() for x in grid]
    area = np.mean(shares)
    assert profile_integral(ratios, 5.0) == pytest.approx(area, abs=1e-3)


def test_profiles_leave_out_what_cannot_be_compared():
    runs = [reaching(3, s, problem=p) for s in range(3) for p in ("p", "alone", "hard", "free")]
    runs += [reaching(6, s, optimizer="Adam") for s in range(3)]
    runs += [reaching(3, s, problem="free", optimizer="Adam") for s in range(3)]
    runs += [reaching(None, s, problem="hard", optimizer="Adam") for s in range(3)]
    targets = {"p": BAR, "alone": BAR, "hard": BAR, "free": None}
    profiles = performance_profiles(tuned_settings(runs), targets, ["SGD", "Adam"])
    assert profiles.problems == ("p", "hard")
    assert profiles.left_out["alone"] == "there are no runs of Adam"
    assert profiles.left_out["free"] == "it has no target"
    sgd, adam = profiles.profiles
    assert (sgd.integral, sgd.low, sgd.high) == (1.0, 1.0, 1.0)
    assert adam.ratios.tolist() == [2.0, np.inf]
    assert adam.integral == pytest.approx(0.25)
    nothing = performance_profiles({}, {}, ["SGD"])
    assert math.isnan(nothing.profiles[0].integral)


# Speed-up.


def test_runs_that_end_before_the_other_gets_there_say_nothing_about_speed():
    slow = [reaching(8, seed) for seed in range(3)]
    short = [reaching(None, seed, length=5, optimizer="Adam") for seed in range(3)]
    (line,) = speedup(tuned_settings(slow + short), {"p": BAR}, "Adam", "SGD").problems
    assert math.isnan(line.ratio)
    assert (line.excluded, line.too_short) == ("too short", "Adam")
    assert exclusion(line) == "the runs of Adam end before SGD reaches the target"
    verdict = judge_settings(tuned_settings(slow + short), {"p": BAR}, "Adam", "SGD")
    assert "on p the runs of Adam end before SGD reaches it" in overall_sentence(verdict)
    profiles = performance_profiles(tuned_settings(slow + short), {"p": BAR}, ["SGD", "Adam"])
    assert profiles.left_out == {"p": "the runs of Adam end before the fastest reaches the target"}
    # Runs that are seen for longer, or that diverged, did fail.
    for failed in (
        [reaching(None, seed, optimizer="Adam") for seed in range(3)],
        [run_of([2.0, None], seed, optimizer="Adam", status="diverged") for seed in range(3)],
    ):
        (line,) = speedup(tuned_settings(slow + failed), {"p": BAR}, "Adam", "SGD").problems
        assert line.too_short == ""
        assert line.excluded == "not reached"


def test_half_of_the_runs_may_be_open():
    runs = [reaching(2, 0), reaching(None, 1, length=5), reaching(None, 2, length=10)]
    times = times_to_target(runs, BAR)
    assert math.isinf(times.median)
    assert not times.ends_before(4)  # then two of three had not reached it
    assert times.ends_before(6)


def two_optimizers(slow, fast, problem="p"):
    runs = [reaching(t, 42 + i, 60, problem=problem) for i, t in enumerate(slow)]
    return runs + [
        reaching(t, 42 + i, 60, problem=problem, optimizer="Adam") for i, t in enumerate(fast)
    ]


def test_speedup_by_hand():
    runs = two_optimizers([20, 24, 22], [10, 11, 12])
    runs += two_optimizers([10, 10, 10], [20, 20, 20], "q")
    runs += two_optimizers([10, None, None], [20, 20, 20], "r")
    runs += two_optimizers([10], [5], "s")
    found = speedup(tuned_settings(runs), dict.fromkeys("pqrs", BAR), "Adam", "SGD")
    assert [line.ratio for line in found.problems[:2]] == [2.0, 0.5]
    assert found.ratio == pytest.approx(1.0)
    assert [line.problem for line in found.used] == ["p", "q"]
    assert (found.problems[1].low, found.problems[1].high) == pytest.approx((0.5, 0.5))
    assert [line.excluded for line in found.problems] == ["", "", "not reached", "few seeds"]
    assert [exclusion(line) for line in found.problems] == [
        "",
        "",
        "less than half of the runs reach the target: SGD in 1 of 3 runs",
        "one seed has no interval",
    ]
    assert found.problems[3].ratio == 2.0
    assert found.problems[3].more_seeds == 2
    assert len(found.rows()) == 5


def test_speedup_interval_is_scipys_stratified_bootstrap():
    rng = np.random.default_rng(5)
    samples = [rng.integers(10, 40, size=11) for _ in range(4)]
    runs = two_optimizers(samples[0], samples[1]) + two_optimizers(samples[2], samples[3], "q")
    found = speedup(
        tuned_settings(runs), {"p": BAR, "q": BAR}, "Adam", "SGD", resamples=5000, level=0.9
    )

    def log_ratio(a, b, c, d, axis=-1):
        logs = [np.log(np.median(x, axis=axis)) for x in (a, b, c, d)]
        return (logs[0] - logs[1] + logs[2] - logs[3]) / 2

    theirs = stats.bootstrap(
        samples, log_ratio, method="percentile", n_resamples=5000, confidence_level=0.9
    ).confidence_interval
    assert math.log(found.low) == pytest.approx(theirs.low, abs=0.03)
    assert math.log(found.high) == pytest.approx(theirs.high, abs=0.03)


def test_speedup_does_not_depend_on_other_problems():
    runs = two_optimizers([20, 24, 30], [10, 15, 12])
    others = two_optimizers([10, 12, 9], [20, 25, 20], "a")
    alone = speedup(tuned_settings(runs), {"p": BAR}, "Adam", "SGD").problems[0]
    among = speedup(tuned_settings(others + runs), {"p": BAR, "a": BAR}, "Adam", "SGD").problems[1]
    assert (alone.low, alone.high) == (among.low, among.high)


def test_problems_are_drawn_independently():
    slow, fast = [20, 24, 30, 26, 33], [10, 15, 12, 19, 13]
    runs = [r for p in "pqrs" for r in two_optimizers(slow, fast, p)]
    found = speedup(tuned_settings(runs), dict.fromkeys("pqrs", BAR), "Adam", "SGD")
    alone = np.log(found.problems[0].high / found.problems[0].low)
    assert np.log(found.high / found.low) < 0.7 * alone  # about half, not as wide


def test_a_side_that_may_not_reach_the_target_has_no_bound():
    runs = two_optimizers([20, 22, 25, None, None], [10, 10, 10, 11, 12])
    line = speedup(tuned_settings(runs), {"p": BAR}, "Adam", "SGD").problems[0]
    assert line.ratio == 2.5
    assert line.high == math.inf
    assert line.low >= 20 / 12


# Paired comparison.


def signed_rank_by_enumeration(differences):
    kept = differences[differences != 0]
    ranks = stats.rankdata(np.abs(kept))
    sums = [np.dot(signs, ranks) for signs in itertools.product([0, 1], repeat=len(kept))]
    observed = ranks[kept > 0].sum()
    least = min(np.mean(np.array(sums) <= observed), np.mean(np.array(sums) >= observed))
    return min(1.0, 2 * least)


@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_is_scipys(seed):
    differences = np.random.default_rng(seed).normal(0.4, size=5 + seed)
    theirs = stats.wilcoxon(differences, method="exact").pvalue
    assert signed_rank_p(differences) == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(5))
def test_signed_rank_with_ties_is_the_enumeration(seed):
    differences = np.random.default_rng(seed).integers(-2, 4, size=8).astype(float)
    assert signed_rank_p(differences) == pytest.approx(signed_rank_by_enumeration(differences))


def test_signed_rank_at_its_limits():
    assert signed_rank_p(np.array([])) == 1.0
    assert signed_rank_p(np.zeros(4)) == 1.0
    assert signed_rank_p(np.array([1.0, 2.0, np.inf])) == 0.25  # three seeds cannot say more
    assert signed_rank_p(np.full(10, 0.1)) == pytest.approx(2 / 2**10)


def test_hodges_lehmann_by_hand():
    gain, low, high = hodges_lehmann(np.array([1.0, 2.0, 6.0]), 0.5)
    assert gain == 2.75  # of 1, 1.5, 2, 3.5, 4, 6
    assert (low, high) == (1.5, 4.0)  # P(W <= 1) is 1/4
    assert hodges_lehmann(np.array([1.0, 2.0, 6.0]))[1:] == (-np.inf, np.inf)
    assert math.isnan(hodges_lehmann(np.array([]))[0])
    assert hodges_lehmann(np.array([np.inf] * 3 + [1.0] * 7))[2] == np.inf


def test_hodges_lehmann_inverts_the_test():
    differences = np.random.default_rng(2).normal(size=9)
    _, low, high = hodges_lehmann(differences)
    for shift in (low + 1e-9, 0.5 * (low + high), high - 1e-9):
        assert signed_rank_p(differences - shift) > 0.05
    for shift in (low - 1e-9, high + 1e-9):
        assert signed_rank_p(differences - shift) <= 0.05


def test_holm_by_hand():
    assert holm([]) == []
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx([0.03, 0.04, 0.04, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]


def test_paired_by_hand():
    runs = [run_of([3.0, 1.0 + 0.1 * s], s) for s in range(8)]
    runs += [run_of([3.0, 0.9 + 0.1 * s], s, optimizer="Adam") for s in range(1, 7)]
    runs += [run_of([3.0, None], 7, optimizer="Adam", status="diverged")]
    runs += [run_of([3.0], 0, optimizer="Adam", status="running")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.seeds == (1, 2, 3, 4, 5, 6, 7)
    assert (paired.wins, paired.ties) == (6, 0)
    assert paired.gain == pytest.approx(0.1)
    assert paired.low == -math.inf  # a run that diverged may be any amount worse
    assert paired.p == paired.p_holm
    assert paired.rows()[0]["seeds"] == 7
    assert paired_sentence(paired).startswith(
        "The final test objective of Adam is better by 0.100 [-∞, "
    )


def test_paired_in_words_from_the_other_side():
    runs = [run_of([1.0 + 0.1 * s], s) for s in range(6)]
    runs += [run_of([1.5 + 0.2 * s], s, optimizer="Adam") for s in range(6)]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.gain == pytest.approx(-0.75)
    assert paired_sentence(paired) == (
        "The final test objective of Adam is worse by 0.750 [0.500, 1.00] over 6 common seeds "
        "(p = 0.031)."
    )


def test_paired_where_nothing_is_shared():
    runs = [run_of([1.0], 1), run_of([1.0], 2, optimizer="Adam")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert (paired.seeds, paired.p) == ((), 1.0)
    assert paired_sentence(paired) == "No seed in common."
    runs = [run_of([1.0], 1), run_of([0.5], 1, optimizer="Adam", metric="accuracy")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.metric is None
    both = [run_of([None], 1, optimizer=o, status="diverged") for o in ("SGD", "Adam")]
    (paired,) = compare_paired(tuned_settings(both), "Adam", "SGD")
    assert (paired.ties, paired.gain) == (1, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_rank_sum_is_scipys(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=4), rng.normal(0.5, size=7)
    theirs = stats.mannwhitneyu(first, second, method="exact").pvalue
    assert rank_sum_p(first, second) == pytest.approx(theirs)
    many = rng.normal(size=40), rng.normal(0.3, size=41)
    assert rank_sum_p(*many) == pytest.approx(stats.mannwhitneyu(*many).pvalue)
    assert rank_sum_p(np.ones(40), np.ones(41)) == 1.0


def test_rank_sum_with_ties_is_the_enumeration():
    first, second = np.array([1.0, 2.0, np.inf]), np.array([0.0, 1.0, 1.0, 2.0, 0.0])
    ranks = stats.rankdata(np.concatenate([first, second]))
    sums = np.array([sum(drawn) for drawn in itertools.combinations(ranks, 3)])
    tails = [np.mean(sums <= ranks[:3].sum()), np.mean(sums >= ranks[:3].sum())]
    assert rank_sum_p(first, second) == pytest.approx(min(1.0, 2 * min(tails)))
    assert rank_sum_p(first, np.zeros(0)) == 1.0


@pytest.mark.parametrize("sizes", [(5, 8), (40, 45)])
def test_the_interval_of_a_shift_inverts_the_rank_sum_test(sizes):
    rng = np.random.default_rng(1)
    first, second = (rng.normal(size=size) for size in sizes)
    gain, low, high = shift_of(first, second)
    assert gain == np.median(np.subtract.outer(first, second))
    slack = 0.0 if sum(sizes) < 60 else 0.05  # where the distribution is the normal one
    for shift in (low + 1e-9 + slack, gain, high - 1e-9 - slack):
        assert rank_sum_p(first - shift, second) > 0.05
    for shift in (low - 1e-9 - slack, high + 1e-9 + slack):
        assert rank_sum_p(first - shift, second) <= 0.05


def test_an_interval_of_a_shift_takes_enough_runs():
    assert shift_of(np.arange(3.0), np.arange(4.0))[1:] == (-np.inf, np.inf)
    assert np.isfinite(shift_of(np.arange(3.0), np.arange(5.0))).all()
    assert math.isnan(shift_of(np.zeros(0), np.zeros(3))[0])


def test_nothing_is_paired_across_programs():
    """Three seeds of ours against ten of TensorFlow's, with other names or the same."""
    official = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
    runs = [run_of([1.0 + 0.01 * s], s, environment=official) for s in range(10)]
    for first in (0, 100):
        ours = [run_of([0.5 + 0.01 * s], first + s, optimizer="Adam") for s in range(3)]
        (paired,) = compare_paired(tuned_settings([*runs, *ours]), "Adam", "SGD")
        assert (paired.by_seed, paired.seeds, paired.runs) == (False, (), (3, 10))
        assert paired.p == pytest.approx(2 / math.comb(13, 3))
        assert paired_sentence(paired) == (
            "The final test objective of Adam is better by 0.535 [0.500, 0.570] over 3 runs "
            "against 10, not paired, as two programs made them (p = 0.007)."
        )


def test_equal_and_undecided_in_words():
    runs = [run_of([3.0, 1.0], s, optimizer=o) for o in ("SGD", "Adam") for s in range(3)]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired_sentence(paired) == (
        "The final test objective of Adam is equal to that of SGD on all 3 common seeds."
    )
    (paired,) = compare_paired(tuned_settings([runs[0], runs[3]]), "Adam", "SGD")
    assert paired_sentence(paired).endswith("is equal to that of SGD on the common seed.")
    lost = [run_of([3.0, None], 0, optimizer=o, status="diverged") for o in ("SGD", "Adam")]
    (paired,) = compare_paired(tuned_settings(lost), "Adam", "SGD")
    assert paired_sentence(paired) == "Adam and SGD both diverge on the common seed."
    (paired,) = compare_paired(tuned_settings([*lost, runs[1], runs[4]]), "Adam", "SGD")
    assert paired_sentence(paired).endswith("on all 2 common seeds, and on 1 of them both diverge.")
    official = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
    theirs = run_of([3.0, None], 1, status="diverged", environment=official)
    (paired,) = compare_paired(tuned_settings([lost[1], theirs]), "Adam", "SGD")
    assert (paired.by_seed, paired.diverged) == (False, 1)
    assert paired_sentence(paired) == "All runs of Adam and SGD diverge."
    assert ratio_bracket(0.5, 1.0004) == "[0.500, 1.0004]"
    assert ratio_bracket(1.0, math.inf) == "[1.00, ∞]"


# Planning.


@pytest.mark.parametrize("half_width", [0.05, 0.3, 2.0])
def test_seeds_for_mean_is_the_smallest(half_width):
    values = np.array([1.0, 2.0, 1.5, 1.2])
    spread = values.std(ddof=1)
    found = seeds_for_mean(values, half_width)
    enough = [
        n for n in range(2, 2000) if stats.t.ppf(0.975, n - 1) * spread / n**0.5 <= half_width
    ]
    assert found == enough[0]


def test_seeds_that_cannot_be_planned():
    assert seeds_for_mean(np.array([1.0]), 0.1) is None
    assert seeds_for_mean(np.array([1.0, np.nan]), 0.1) is None
    assert seeds_for_mean(np.array([0.0, 1.0]), 1e-9) is None
    assert seeds_for_mean(np.array([1.0, 1.0]), 0.1) == 2
    with pytest.raises(UsageError, match="half_width"):
        seeds_for_mean(np.array([1.0, 2.0]), 0.0)


def test_seeds_for_ratio():
    assert seeds_for_ratio(1 / 1.44, 1.44, 10, 1.2) == 40  # half the width takes four times as many
    assert seeds_for_ratio(0.9, 1.1, 10, 1.2) == 10
    assert seeds_for_ratio(0.5, math.inf, 10, 1.2) is None
    assert seeds_for_ratio(math.nan, math.nan, 1, 1.2) is None
    with pytest.raises(UsageError, match="factor"):
        seeds_for_ratio(0.5, 2.0, 10, 1.0)


# Contenders, fairness, verdict.


def test_contenders_choose_the_repeated_setting():
    runs = [run_of([3.0, 0.1], lr=1.0)] + [run_of([3.0, 2.0], s) for s in (42, 43)]
    (chosen,) = tuned_settings(runs)["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.tried) == (0.1, 2)
    (chosen,) = tuned_settings(runs[:2])["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (1.0, "test objective")
    assert tuned_settings([run_of([], status="failed")]) == {}


def test_seeds_that_did_not_finish_do_not_make_a_setting_the_repeated_one():
    runs = [run_of([3.0, 2.0], seed) for seed in (42, 43)]
    runs += [run_of([3.0, 1.0], lr=1.0)]
    runs += [run_of([3.0], seed, lr=1.0, status="failed") for seed in (43, 44, 45)]
    (chosen,) = tuned_settings(runs)["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (0.1, "repeated")
    (chosen,) = tuned_settings(runs[-3:])["p"]  # nothing is finished yet
    assert len(chosen.runs) == 3


def test_contenders_choose_on_held_out_rows():
    def run(lr, valid, test):
        made = run_of([test], lr=lr)
        made.records[0]["metrics"]["valid"] = {"objective": valid}
        return made

    (chosen,) = tuned_settings([run(0.1, 1.0, 2.0), run(1.0, 2.0, 1.0)])["p"]
    assert (chosen.runs[0].config.hyperparams["lr"], chosen.chosen_by) == (0.1, "valid objective")


def test_labels_tell_apart_what_has_one_name():
    official = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
    runs = [
        run_of([1.0]),
        run_of([1.0], recipe="2019"),
        run_of([1.0], recipe="2019", environment=official),
        run_of([1.0], optimizer="my.py:Mine"),
    ]
    assert [c.optimizer for c in tuned_settings(runs)["p"]] == [
        "SGD (yours, recipe standard)", "SGD (yours, recipe 2019)", "SGD (official)", "Mine",
    ]  # fmt: skip
    runs = [run_of([1.0], optimizer="a.py:Mine"), run_of([1.0], optimizer="b.py:Mine")]
    assert [c.optimizer for c in tuned_settings(runs)["p"]] == ["a.py:Mine", "b.py:Mine"]
    runs = [run_of([1.0]), run_of([1.0], data="synthetic")]
    assert [c.optimizer for c in tuned_settings(runs)["p"]] == [
        "SGD (real data)",
        "SGD (synthetic data)",
    ]


def test_every_baseline_says_whose_it_is_once_one_must():
    official = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
    theirs = [run_of([1.0], optimizer=name, environment=official) for name in ("SGD", "Adam")]
    labels = [c.optimizer for c in tuned_settings([*theirs, run_of([1.0], optimizer="Lion")])["p"]]
    assert labels == ["SGD", "Adam", "Lion"]
    runs = [*theirs, run_of([1.0]), run_of([1.0], optimizer="Lion")]
    labels = [c.optimizer for c in tuned_settings(runs)["p"]]
    assert labels == ["SGD (official)", "Adam (official)", "SGD (yours)", "Lion"]


def test_a_run_that_is_there_twice_counts_once():
    runs = [
        run_of([9.0], status="running"),
        run_of([9.0, 1.0]),
        run_of([9.0, 1.0]),
        run_of([9.0], 43),
    ]
    (setting,) = tuned_settings(runs)["p"]
    assert [len(run.records) for run in setting.runs] == [2, 1]


def test_runs_unlike_those_that_set_the_target():
    runs = [run_of([3.0, 1.0], s, problem="quadratic_deep") for s in range(3)]
    targets = {"quadratic_deep": target_of("quadratic_deep")}
    (sentence,) = map(foreign_sentence, foreign_targets(tuned_settings(runs), targets))
    assert sentence == (
        "The runs of SGD on quadratic_deep follow the recipe standard, but the target was set by "
        "runs of the recipe 2019."
    )
    alike = [run_of([3.0], problem="quadratic_deep", recipe="2019")]
    assert foreign_targets(tuned_settings(alike), targets) == []
    made_up = [run_of([3.0], problem="quadratic_deep", recipe="2019", data="synthetic")]
    assert [found.reason for found in foreign_targets(tuned_settings(made_up), targets)] == ["data"]
    assert foreign_targets(tuned_settings([run_of([1.0])]), {"p": BAR}) == []


def test_what_is_unequal_is_said():
    runs = [run_of([3.0, 1.0], lr=lr) for lr in (0.1, 1.0)]
    runs += [
        run_of([3.0, 1.0, 1.0], s, optimizer="Adam", recipe="2019", precision="bf16", batch_size=64)
        for s in (42, 43)
    ]
    runs += [run_of([3.0], problem="q"), run_of([3.0], problem="q", optimizer="Adam")]
    assert unequal(tuned_settings(runs[:2])) == []
    sentences = unequal(tuned_settings(runs))
    joined = " ".join(sentences)
    assert "Unequal tuning budgets on p: SGD 2 settings tried, Adam (recipe 2019) 1 " in joined
    assert "Different precisions on p: SGD fp32, Adam (recipe 2019) bf16." in joined
    assert "Different recipes on p: " in joined
    assert "Different seeds on p: SGD 1 seed (42), Adam (recipe 2019) 2 seeds (42 to 43)." in joined
    assert "epochs on p: SGD 1 epoch, Adam (recipe 2019) 2 epochs." in joined
    assert " q" not in joined


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"schedule": Cosine()}, "Different schedules on p: SGD constant, Adam cosine."),
        (
            {"clip_norm": 1.0},
            "Different clipping on p: SGD no clipping, Adam gradients clipped at norm 1.",
        ),
        (
            {"world_size": 2},
            "Different numbers of processes on p: SGD 1 process, Adam 2 processes.",
        ),
        ({"seed": 7}, "Different seeds on p: SGD 1 seed (42), Adam 1 seed (7)."),
        ({"steps": 3}, "Different numbers of epochs on p: SGD 1 epoch, Adam 0.4286 epochs."),
    ],
)
def test_each_difference_is_said_and_not_called_equal(settings, sentence):
    other = run_of([3.0, 1.0], optimizer="Adam", **{"l2": 0.0, "batch_size": 8, **settings})
    if settings == {"steps": 3}:
        other.records[-1]["steps_per_epoch"] = 7
    problems = tuned_settings([run_of([3.0, 1.0], l2=0.0, batch_size=8), other])
    assert unequal(problems) == [sentence]
    found = agreement(problems)
    assert len(found.equal) == 12
    assert found.unknown == ()


def test_what_is_not_known_is_not_called_equal():
    runs = [run_of([3.0, 1.0], batch_size=8), run_of([3.0, 1.0], optimizer="Adam")]
    found = agreement(tuned_settings(runs))
    assert found.unknown == ("batch size", "regularizer")
    assert "epochs" in found.equal
    assert agreement(tuned_settings(runs[:1])) == ((), ())


def test_a_rate_of_the_official_runs_was_tuned():
    official = official_learning_rate("quadratic_deep", "SGD")
    runs = [
        run_of([3.0, 1.0], problem="quadratic_deep", lr=official),
        run_of([3.0, 1.0], problem="quadratic_deep", optimizer="AdamW"),
    ]
    assert unequal(tuned_settings(runs)) == [
        "Unequal tuning budgets on quadratic_deep: SGD 1 setting tried at the rate that was tuned "
        "for the official runs, AdamW 1 setting tried."
    ]


def test_official_runs_have_the_regularizer_of_their_problem():
    official = {"source": "official results of 2019, DeepOBS 1.1 on TensorFlow 1"}
    runs = [
        run_of([3.0], problem="fmnist_2c2d", environment=official),
        run_of([3.0], problem="fmnist_2c2d", l2=0.5, optimizer="Adam"),
    ]
    assert "Different regularizers on fmnist_2c2d: SGD L2 0, Adam L2 0.5." in unequal(
        tuned_settings(runs)
    )


def test_verdict_in_words():
    runs = two_optimizers([24, 26, 25, 24, 27, 26], [20, 21, 20, 22, 20, 21])
    runs += two_optimizers([5, 30, 9, 26, 8], [20, 9, 22, 14, 30], "q")
    runs += two_optimizers([9, 9, 9], [None, None, None], "r")
    for problem in "pqr":  # the bar is what Adam, unlike SGD's, ends at
        assert target_of(problem, runs) is not None
    verdict = judge(runs, "Adam", "SGD")
    assert overall_sentence(verdict).startswith("Adam reaches the target ")
    assert "[" in overall_sentence(verdict)
    lines = verdict_lines(verdict)
    assert list(lines) == ["p", "q", "r"]
    assert lines["p"].startswith(
        "Adam reaches the target (test objective 0.5) 1.24 times as fast as SGD ["
    )
    assert "this leaves open which is faster" in lines["q"]
    assert lines["p"].endswith("Adam is equal to that of SGD on all 6 common seeds.")
    assert len(verdict_text(verdict).splitlines()) == 4


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "No verdict: no run of Adam and SGD has a record; there are no results."),
        ([run_of([1.0])], "No verdict: no run of Adam has a record; there are results of SGD."),
        (
            [run_of([3.0, 1.0]), run_of([3.0, 1.0], optimizer="Adam")],
            "No verdict on the speed of Adam against SGD: none of 1 problem has a speed-up with an "
            "interval; p cannot be judged; 1 needs 2 more seeds.",
        ),
        (
            [
                run_of([None], optimizer=o, seed=s, status="diverged")
                for o in ("SGD", "Adam")
                for s in range(3)
            ],
            "No verdict on the speed of Adam against SGD: none of 1 problem has a speed-up with an "
            "interval; p cannot be judged.",
        ),
    ],
)
def test_verdict_on_too_little(runs, words):
    assert overall_sentence(judge(runs, "Adam", "SGD")) == words


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
        summarize_end(runs, LOSS, resamples=0)
    with pytest.raises(UsageError, match="factor"):
        speedup(
            tuned_settings(two_optimizers([3] * 3, [2] * 3)), {"p": BAR}, "Adam", "SGD", wanted=1
        )
