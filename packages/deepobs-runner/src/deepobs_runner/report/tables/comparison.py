"""Tables of the comparison: verdicts, speed, final values, profiles."""

from __future__ import annotations

import math

from deepobs_runner.comparison import performance_profiles, times_to_target
from deepobs_runner.comparison.final_values import PAIRED
from deepobs_runner.comparison.profiles import LEAST_PROBLEMS, compared_labels
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.sentences import (
    beside_one,
    caveats,
    exclusion,
    overall_sentence,
    p_number,
    range_text,
    verdict_lines,
)
from deepobs_runner.report.table import (
    AGAINST,
    METRIC,
    NOTHING,
    OPTIMIZER,
    PROBLEM,
    Row,
    Table,
    interval,
    interval_text,
    make_table,
    number,
    number_text,
    words,
)


def verdict_table(data: ReportData) -> Table:
    """Every verdict in words, with what is unequal."""
    rows: list[Row] = []
    for verdict in data.verdicts:
        pair = {"optimizer": verdict.optimizer, "reference": verdict.reference}
        lines = verdict_lines(verdict).items()
        sentences = [("all", overall_sentence(verdict))]
        sentences += [(problem, f"{problem}: {line}") for problem, line in lines]
        sentences += [("unequal", note) for note in caveats(verdict)]
        rows += [{**pair, "problem": problem, "verdict": text} for problem, text in sentences]
    caption = "Verdict of each pair, with intervals and caveats."
    columns = [OPTIMIZER, AGAINST, PROBLEM, words("Verdict", "verdict")]
    return make_table("verdict", "Verdict", caption, columns, rows)


def times_table(data: ReportData) -> Table:
    """Time of every optimizer to the target of each problem."""
    rows: list[Row] = []
    for setting in data.tuned:
        target = data.targets[setting.problem]
        if target is None:
            continue
        times = times_to_target(setting.runs, target, data.unit)
        low, high = times.median_interval(level=data.level)
        rows.append({
            "problem": setting.problem, "optimizer": setting.optimizer, "target": str(target),
            "source": target.source, "unit": times.counted, "median": times.median, "low": low,
            "high": high, "reached": int(times.reached.sum()), "runs": len(times.times),
            "diverged": times.diverged, "unknown": times.unknown,
        })  # fmt: skip
    columns = [
        PROBLEM, OPTIMIZER, words("Target", "target"), number("Median", "median"),
        interval(data.percent), words("Unit", "unit", lambda row: row["unit"].replace("_", " ")),
        number("Reached", "reached", lambda row: f"{row['reached']} of {row['runs']}"),
        words("Target is the", "source"),
    ]  # fmt: skip
    caption = (
        f"Kaplan-Meier median of the {data.unit.replace('_', ' ')} to the target, with a "
        f"{data.percent} bootstrap interval from five runs on. ∞: less than half of the runs get "
        "there."
    )
    return make_table("times", "Time to the target", caption, columns, rows)


def speedup_table(data: ReportData) -> Table:
    """Speedup of each optimizer over its reference."""
    rows = [
        {**row, "excluded": exclusion(line)}
        for verdict in data.verdicts
        for line in verdict.problems
        for row in line.rows()
    ]
    columns = [
        PROBLEM, OPTIMIZER, AGAINST,
        number("Speedup", "speedup_value", lambda row: _ratio(row, "speedup")),
        number(f"{data.percent} CI", "speedup_low", lambda row: _ratios(row, "speedup")),
        number("p", "speedup_p_corrected", lambda row: _p(row["speedup_p_corrected"])),
        words("Status", "speedup_status"), number("Reached", "reached", _reached),
        number("Easier target", "easier_speedup_value", lambda row: _ratio(row, "easier_speedup")),
        number("Harder target", "harder_speedup_value", lambda row: _ratio(row, "harder_speedup")),
        words("Reason", "excluded"),
    ]  # fmt: skip
    caption = (
        "Time of the reference over that of the optimizer, above 1 where the optimizer is faster; "
        f"{data.percent} interval and p-value by Welch's t on log times, or the rank-sum shift of "
        "these where runs do not reach the target. p is corrected for all tests of the report "
        "(Holm), and the status rests on it; the interval is not corrected. The speedups to an "
        "easier and a harder target show if it depends on the target; they are not tested."
    )
    return make_table("speedup", "Speedup", caption, columns, rows)


def difference_table(data: ReportData) -> Table:
    """Difference of the final values of each optimizer and its reference."""
    rows = [
        row
        for verdict in data.verdicts
        for line in verdict.problems
        for row in line.rows()
        if line.final is not None
    ]
    columns = [
        PROBLEM, OPTIMIZER, AGAINST, METRIC,
        number("Difference", "final_value", lambda row: number_text(row["final_value"], 3)),
        number(
            f"{data.percent} CI", "final_low",
            lambda row: interval_text(row["final_low"], row["final_high"]),
        ),
        number("p", "final_p_corrected", lambda row: _p(row["final_p_corrected"])),
        words("Status", "final_status"), number("Runs", "final_runs", _runs),
        words("Test", "final_method"),
    ]  # fmt: skip
    caption = (
        "Difference of final values, above 0 where the optimizer is better than its reference. p "
        "is corrected for all tests of the report (Holm), and the status rests on it; the interval "
        "is not corrected."
    )
    return make_table("difference", "Final values compared", caption, columns, rows)


def ranks_table(data: ReportData) -> Table:
    """Mean rank of every optimizer that is compared."""
    rows = [] if data.ranks is None else data.ranks.rows()
    columns = [
        OPTIMIZER, number("Mean rank", "rank", lambda row: f"{row['rank']:.2f}"),
        interval(data.percent), number("Problems", "problems"),
    ]  # fmt: skip
    caption = (
        "Mean over problems of the rank by time to target, 1 for the fastest; Student's "
        f"{data.percent} interval over problems, from three problems on."
    )
    return make_table("ranks", "Mean ranks", caption, columns, rows)


def profiles_table(data: ReportData) -> Table:
    """Integrals of the performance profiles."""
    rows: list[Row] = []
    caption = "There are no two optimizers to compare."
    labels = compared_labels(data.problems)
    if len(labels) > 1:
        profiles = performance_profiles(data.problems, data.targets, labels, unit=data.unit)
        rows = [
            {**row, "problems": len(profiles.problems)}
            for row in profiles.rows()
            if len(profiles.problems) >= LEAST_PROBLEMS
        ]
        caption = (
            "Mean over problems of how close an optimizer is to the fastest, on a logarithmic "
            f"scale, from {LEAST_PROBLEMS} problems on: 1 if it is the fastest everywhere, 0 if it "
            f"takes {profiles.tau_max:g} times as long or never reaches the target. It depends on "
            "who else is compared."
        )
        for name, reason in profiles.left_out.items():
            caption += f" {name} does not count: {reason}."
    columns = [
        words("Optimizer", "label"),
        number("Integral", "integral", lambda row: f"{row['integral']:.2f}"),
        number("Problems", "problems"),
    ]  # fmt: skip
    return make_table("profiles", "Performance profiles", caption, columns, rows)


def _p(p: float | None) -> str:
    return NOTHING if p is None or math.isnan(p) else p_number(p)


def _reached(row: Row) -> str:
    """Number of runs of both sides that reach the target."""
    if row["runs"] is None or row["reference_runs"] is None:
        return NOTHING
    sides = ("", "reference_")
    return " vs. ".join(f"{row[f'{side}reached']}/{row[f'{side}runs']}" for side in sides)


def _runs(row: Row) -> str:
    """Number of compared runs of both sides, or of pairs."""
    if row["final_method"] == PAIRED:
        return f"{row['pairs']} pairs"
    return f"{row['final_runs']} vs. {row['reference_final_runs']}"


WITHOUT = ("too short", "not reached")
"""Statuses without a speedup to show, see `ProblemComparison.shown_speedup`."""


def _ratio(row: Row, name: str) -> str:
    value, bound = row.get(f"{name}_value"), row.get(f"{name}_bound")
    if value is None or row["speedup_status"] in WITHOUT:
        return NOTHING
    return f"{bound} {beside_one(f'{value:.2f}', value)}".lstrip()


def _ratios(row: Row, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if low is None or math.isnan(low) or (low == 0 and math.isinf(high)):
        return NOTHING
    if row["speedup_status"] in WITHOUT:
        return NOTHING
    first, last = (beside_one(f"{end:.2f}", end) for end in (low, high))
    if low == 0:
        return f"≤ {last}"
    return f"≥ {first}" if math.isinf(high) else range_text(first, last)
