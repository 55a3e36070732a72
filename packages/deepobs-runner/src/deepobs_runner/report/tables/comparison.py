"""Tables of the comparison: verdicts, speed, final values, profiles."""

from __future__ import annotations

import math

from deepobs_runner.comparison import performance_profiles, times_to_target
from deepobs_runner.comparison.profiles import compared_labels
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.sentences import (
    beside_one,
    caveats,
    exclusion,
    overall_sentence,
    p_number,
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
    make_table,
    number,
    number_text,
    words,
)


def verdict_table(data: ReportData) -> Table:
    """Return every verdict in words, with what is unequal."""
    rows: list[Row] = []
    for verdict in data.verdicts:
        pair = {"optimizer": verdict.speed.optimizer, "reference": verdict.speed.reference}
        lines = verdict_lines(verdict).items()
        sentences = [("all", overall_sentence(verdict))]
        sentences += [(problem, f"{problem}: {line}") for problem, line in lines]
        sentences += [("unequal", note) for note in caveats(verdict)]
        rows += [{**pair, "problem": problem, "verdict": text} for problem, text in sentences]
    caption = "What the results say, with intervals, and what is unequal between the two."
    columns = [OPTIMIZER, AGAINST, PROBLEM, words("Verdict", "verdict")]
    return make_table("verdict", "Verdict", caption, columns, rows)


def times_table(data: ReportData) -> Table:
    """Return how long every optimizer takes to the target of each problem."""
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
        f"{data.percent} bootstrap interval. ∞: less than half of the runs get there."
    )
    return make_table("times", "Time to the target", caption, columns, rows)


def speedup_table(data: ReportData) -> Table:
    """Return how many times as fast each optimizer reaches the targets as its reference."""
    rows: list[Row] = []
    for verdict in data.verdicts:
        *lines, overall = verdict.speed.rows()
        reasons = map(exclusion, verdict.speed.problems)
        rows += [{**row, "excluded": why} for row, why in zip(lines, reasons, strict=True)]
        rows.append(overall)
    columns = [
        PROBLEM, OPTIMIZER, AGAINST, number("Speed-up", "ratio", lambda row: _ratio(row["ratio"])),
        number(f"{data.percent} interval", "low", lambda row: _ratios(row["low"], row["high"])),
        number("More seeds", "more_seeds"), words("Why none", "excluded"),
    ]  # fmt: skip
    caption = (
        "Ratio of the median times to the target, above 1 where the optimizer is faster than the "
        f"one it is set against; {data.percent} bootstrap interval over seeds, stratified by "
        "problem."
    )
    return make_table("speedup", "Speed-up", caption, columns, rows)


def paired_table(data: ReportData) -> Table:
    """Return the comparison of final values, over common seeds where these pair runs."""
    rows = [
        {**row, "seed_numbers": list(paired.seeds)}
        for verdict in data.verdicts
        for paired in verdict.paired
        for row in paired.rows()
    ]
    columns = [
        PROBLEM, OPTIMIZER, AGAINST, METRIC, number("Seeds", "seeds", _seeds),
        number("Wins", "wins", lambda row: str(row["wins"]) if row["by_seed"] else NOTHING),
        number("Gain", "gain", lambda row: number_text(row["gain"], 3)),
        interval(data.percent), number("p", "p_holm", _p),
    ]  # fmt: skip
    caption = (
        "Hodges-Lehmann estimate of the gain (above 0: better than the reference), its interval, "
        "and the p-value of the exact signed-rank test over common seeds, corrected over problems "
        "(Holm). Between two programs a seed pairs nothing, and it is the rank-sum test of all "
        "runs of the one against all of the other."
    )
    return make_table("paired", "Final values compared", caption, columns, rows)


def profiles_table(data: ReportData) -> Table:
    """Return the integrals of the performance profiles."""
    rows: list[Row] = []
    caption = "There are no two optimizers to compare."
    labels = compared_labels(data.problems)
    if len(labels) > 1:
        profiles = performance_profiles(
            data.problems, data.targets, labels, unit=data.unit, level=data.level
        )
        rows = [
            {**row, "problems": len(profiles.problems)}
            for row in profiles.rows()
            if not math.isnan(row["integral"])
        ]
        caption = (
            "Mean over problems of how close an optimizer is to the fastest, on a logarithmic "
            f"scale: 1 if it is the fastest everywhere, 0 if it takes {profiles.tau_max:g} times "
            "as long or never reaches the target. It depends on who else is compared."
        )
        for name, reason in profiles.left_out.items():
            caption += f" {name} does not count: {reason}."
    columns = [
        words("Optimizer", "label"),
        number("Integral", "integral", lambda row: f"{row['integral']:.2f}"),
        interval(data.percent), number("Problems", "problems"),
    ]  # fmt: skip
    return make_table("profiles", "Performance profiles", caption, columns, rows)


def _seeds(row: Row) -> str:
    """Return the common seeds, or the runs of each side where a seed pairs nothing."""
    if row["by_seed"]:
        return str(row["seeds"])
    return f"{row['optimizer_runs']} against {row['reference_runs']}"


def _p(row: Row) -> str:
    compared = row["optimizer_runs"] and row["reference_runs"]
    return p_number(row["p_holm"]) if compared else NOTHING


def _ratio(ratio: float) -> str:
    return NOTHING if math.isnan(ratio) else beside_one(f"{ratio:.2f}", ratio)


def _ratios(low: float, high: float) -> str:
    if math.isnan(low) or math.isnan(high):
        return NOTHING
    return f"[{_ratio(low)}, {'∞' if math.isinf(high) else _ratio(high)}]"
