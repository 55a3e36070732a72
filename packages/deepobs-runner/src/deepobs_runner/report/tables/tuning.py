"""Tables of what tuning takes: sensitivity, best of k trials, diverged runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from deepobs_runner.analysis import (
    Metric,
    Sensitivity,
    Window,
    divergence_rate,
    expected_best,
    expected_search,
    metric_of,
    sensitivity_of,
)
from deepobs_runner.analysis.metrics import is_counted, is_diverged
from deepobs_runner.analysis.tuning_curve import first_trials
from deepobs_runner.comparison import Times, reaching_window, times_to_target
from deepobs_runner.comparison.time_to_target import progress
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.table import (
    METRIC,
    NOTHING,
    OPTIMIZER,
    PROBLEM,
    Row,
    Table,
    interval_text,
    make_table,
    number,
    number_text,
)
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting, trials_of

TRIALS = (1, 2, 4, 8, 16, 32)
"""Numbers of trials in the table of tuning, as far as there are trials."""


def tried(data: ReportData) -> Iterator[tuple[Setting, list[RunResult], Metric]]:
    """Yield the setting of every optimizer with all runs of it, tuned or not, and their metric."""
    for setting in data.tuned:
        runs = data.candidates(setting)
        metric = metric_of(runs)
        if metric is not None:
            yield setting, runs, metric


def sensitivities(data: ReportData) -> Iterator[tuple[Setting, Sensitivity]]:
    """Yield the curve over the learning rates of those that tried more than one."""
    for setting, runs, metric in tried(data):
        curve = sensitivity_of(runs, metric)
        if len(curve.rates) > 1:
            yield setting, curve


def window_of(data: ReportData, setting: Setting, curve: Sensitivity) -> Window | None:
    """Learning rates around the best that reach the target."""
    return reaching_window(curve, data.candidates(setting), data.targets[setting.problem])


def sensitivity_table(data: ReportData) -> Table:
    """Window of learning rates around the best that reach the target."""
    rows: list[Row] = []
    for setting, curve in sensitivities(data):
        window = window_of(data, setting, curve)
        row = {
            "problem": setting.problem, "optimizer": setting.optimizer,
            "metric": str(curve.metric), "rates": len(curve.rates),
            "diverged": int(np.sum(curve.diverged == curve.runs)),
        }  # fmt: skip
        if curve.best is not None:
            row["best_lr"] = float(curve.rates[curve.best])
            row["best_value"] = float(curve.medians[curve.best])
        if window is not None:
            row |= {
                "low": window.low, "high": window.high, "decades": window.decades,
                "decades_at_most": window.decades_at_most,
            }  # fmt: skip
        rows.append(row)
    columns = [
        PROBLEM, OPTIMIZER, METRIC, number("Rates tried", "rates"),
        number("All diverged at", "diverged"), number("Best rate", "best_lr"),
        number("Value there", "best_value"), number("Window", "low", _window),
        number("Width in decades", "decades", _decades),
    ]  # fmt: skip
    caption = (
        "The learning rate with the best final value, and the rates around it with which half of "
        "the runs reach the target; without a target, rates that end at most 5 % worse. The width "
        "of this window is a lower bound: rates between those tried are not known."
    )
    return make_table("sensitivity", "Sensitivity to the learning rate", caption, columns, rows)


def rates_table(data: ReportData) -> Table:
    """Final value at every learning rate."""
    rows = [
        {"problem": setting.problem, "optimizer": setting.optimizer, **row}
        for setting, curve in sensitivities(data)
        for row in curve.rows()
    ]
    columns = [
        PROBLEM, OPTIMIZER, number("Learning rate", "lr"), METRIC, number("Median", "median"),
        number("Runs", "runs"), number("Diverged", "diverged"),
    ]  # fmt: skip
    caption = (
        "Final value for the seed that all rates have, else the median over seeds; a diverged run "
        "is worse than every other."
    )
    return make_table("rates", "Every learning rate", caption, columns, rows)


def tuning_table(data: ReportData) -> Table:
    """Expected best value of a few random trials."""
    rows: list[Row] = []
    for setting, runs, metric in tried(data):
        curve = expected_best(runs, metric)
        if curve is None or len(curve.expected) < 2:
            continue
        values = curve.expected.tolist()
        rows.append({
            "problem": setting.problem, "optimizer": setting.optimizer, "metric": str(metric),
            "trials": len(values), "untrained": curve.untrained, "all": values[-1],
            "epochs": float(curve.epochs[0]),
            **{f"best_of_{k}": values[k - 1] for k in TRIALS if k <= len(values)},
        })  # fmt: skip
    columns = [
        PROBLEM, OPTIMIZER, METRIC, *(number(f"k = {k}", f"best_of_{k}") for k in TRIALS),
        number("All", "all"), number("Settings", "trials"), number("Untrained", "untrained"),
        number("Epochs per trial", "epochs"),
    ]  # fmt: skip
    caption = (
        "Expected final value of the best of k settings drawn at random from those tried, without "
        "replacement; one that diverged or ended worse than it began counts as untrained. k trials "
        "cost k times the epochs of one."
    )
    return make_table("tuning", "What tuning gives", caption, columns, rows)


def search_table(data: ReportData) -> Table:
    """Time to the target of each problem, tuning included."""
    rows = [row for problem in data.problems for row in _searches(data, problem)]
    unit = data.unit.replace("_", " ")
    columns = [
        PROBLEM, OPTIMIZER, number("Trials that reach it", "reached", _of_trials),
        number("Cost of a trial", "cost"), number("Search", "search"),
        number("Tuning", "tuning"), number("Run", "time"), number("Together", "together"),
    ]  # fmt: skip
    caption = (
        f"In {unit}. Search: expected cost of trying settings at random, from those tried, until "
        "one reaches the target; ∞ if none does. Tuning: cost of all trials, where all "
        "optimizers of the problem had as many; run: median time of the chosen setting over its "
        "seeds; together: both."
    )
    return make_table("search", "Time to the target with tuning", caption, columns, rows)


def _searches(data: ReportData, problem: str) -> Iterator[Row]:
    """Yield the costs of every optimizer that was tuned on a problem."""
    target = data.targets[problem]
    if target is None:
        return
    found: list[Row] = []
    for setting in data.problems[problem]:
        trials = first_trials(data.candidates(setting))
        times = times_to_target(trials, target, data.unit)
        lengths = lengths_of(trials, times)
        if len(trials) < 2 or len(lengths) != len(trials):
            continue
        own = times_to_target(setting.runs, target, data.unit)
        found.append({
            "problem": problem, "optimizer": setting.optimizer, "target": str(target),
            "unit": times.counted, "trials": len(trials), "reached": int(times.reached.sum()),
            "cost": float(lengths.mean()),
            "search": expected_search(lengths, times.times, times.reached),
            "time": own.median if own.counted == times.counted else math.nan,
        })  # fmt: skip
    equal = len({row["trials"] for row in found}) == 1
    for row in found:
        tuning = row["trials"] * row["cost"] if equal else math.nan
        yield {**row, "tuning": tuning, "together": tuning + row["time"]}


def lengths_of(runs: Sequence[RunResult], times: Times) -> np.ndarray:
    """Whole length of each run in the unit of its times; none where it is not known."""
    found = [progress(run, times.counted) for run in runs]
    known = [entry[0][-1] for entry in found if entry is not None and entry[1] == times.counted]
    return np.array(known, dtype=float) if not times.unknown else np.zeros(0)


def _of_trials(row: Row) -> str:
    return f"{row['reached']} of {row['trials']}"


def divergence_table(data: ReportData) -> Table:
    """Share of diverged settings, and of diverged repeats of the tuned one."""
    rows = [_diverged(setting, runs, data.level) for setting, runs, _ in tried(data)]
    columns = [
        PROBLEM, OPTIMIZER, number("Settings", "settings_diverged", _settings),
        number("Seeds", "diverged", _seeds),
        number("Rate", "rate", lambda row: f"{row['rate']:.1%}" if row["runs"] else NOTHING),
        number(f"{data.percent} interval", "low", _percents),
    ]  # fmt: skip
    caption = (
        "Settings tried with a diverged first run, and diverged seeds of the setting that stands "
        "for the optimizer; where several were tried, without the seed that it was chosen by. "
        f"Wilson's {data.percent} interval is of these seeds: a grid of settings is not a sample."
    )
    return make_table("divergence", "Diverged runs", caption, columns, rows)


def _window(row: Row) -> str:
    if "low" not in row:
        return NOTHING
    return f"{number_text(row['low'], 3)} to {number_text(row['high'], 3)}"


def _decades(row: Row) -> str:
    return f"{row['decades']:.1f}" if "decades" in row else NOTHING


def _diverged(setting: Setting, runs: list[RunResult], level: float) -> Row:
    """Diverged trials of an optimizer, and diverged repeats of its setting."""
    trials = [listed[0] for listed in trials_of(filter(is_counted, runs))]
    several = len(trials) > 1
    ids = {run.config.id for run in trials} if several else set()
    repeats = [run for run in setting.runs if run.config.id not in ids]
    return {
        "problem": setting.problem,
        "optimizer": setting.optimizer,
        "settings": len(trials) if several else 0,
        "settings_diverged": sum(map(is_diverged, trials)) if several else 0,
        **divergence_rate(repeats, level=level).rows()[0],
    }


def _settings(row: Row) -> str:
    return f"{row['settings_diverged']} of {row['settings']}" if row["settings"] else NOTHING


def _seeds(row: Row) -> str:
    return f"{row['diverged']} of {row['runs']}" if row["runs"] else NOTHING


def _percents(row: Row) -> str:
    return interval_text(100 * row["low"], 100 * row["high"]) + " %" if row["runs"] else NOTHING
