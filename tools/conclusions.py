"""Write docs/conclusions.md: every conclusion on the shipped runs, before and after.

    python tools/conclusions.py            # rewrite the page
    python tools/conclusions.py --check    # fail if it is out of date

Before: docs/evidence/conclusions_before.csv, what the statistics of the last commit with bootstrap
intervals said (5da58ea, November 2026). After: what `deepobs_runner` says of the same runs.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from deepobs_runner.comparison import Estimate, ProblemComparison, Verdict
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.sentences import inverse, number, p_text, range_text, ratio_number
from deepobs_runner.results.baselines import all_results, baseline_sets

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "conclusions.md"
BEFORE = ROOT / "docs" / "evidence" / "conclusions_before.csv"
SETS = {"official": "The official runs of 2019", "tuned-2026": "`tuned-2026`"}
LEVEL = 0.05

INTRODUCTION = """# Conclusions before and after

This page lists every conclusion on the shipped runs under the [statistics](statistics.md) of this
version and of earlier development versions, with the reason for each that changed.
`python tools/conclusions.py` writes it.

Before, an uncorrected bootstrap interval of the ratio of median times decided a speedup, and a
signed-rank test, corrected over the problems of one reference, a final value. Now one correction
covers all tests of a report. {tests}. Times are in epochs.

{changed} of {total} conclusions changed:

{reasons}
"""


class Change(NamedTuple):
    """A conclusion before and after.

    Attributes:
        what: time or final value.
        before: the old one in words.
        after: the new one in words.
        reason: why they differ; empty if they do not.
    """

    what: str
    before: str
    after: str
    reason: str


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    found = page()
    if parser.parse_args().check:
        return int(PAGE.read_text("utf-8") != found)
    PAGE.write_text(found, "utf-8")
    return 0


def page() -> str:
    """Return the page."""
    with BEFORE.open(encoding="utf-8", newline="") as file:
        before = {tuple(row[k] for k in KEYS): row for row in csv.DictReader(file)}
    sections, tests = [], []
    changes: list[Change] = []
    for name, title in SETS.items():
        verdicts = gather_data(all_results(baseline_sets()[name])).verdicts
        tests.append(f"A report on {title[0].lower() + title[1:]} makes {tests_of(verdicts)}")
        for verdict in verdicts:
            key = name, verdict.optimizer, verdict.reference
            lines = {
                line.problem: list(changes_of(line, before[*key, line.problem]))
                for line in verdict.problems
            }
            changes += [change for listed in lines.values() for change in listed]
            changes.append(overall := overall_change(verdict, before[*key, "all"]))
            sections += [f"## {verdict.optimizer} against {verdict.reference}: {title}", ""]
            sections += [*table(lines, overall), ""]
    reasons = Counter(change.reason for change in changes if change.reason)
    listed = [f"* {amount}: {reason}" for reason, amount in reasons.most_common()]
    head = INTRODUCTION.format(
        tests=". ".join(tests),
        changed=sum(reasons.values()),
        total=len(changes),
        reasons="\n".join(listed),
    )
    return "\n".join([head, *sections]).rstrip() + "\n"


KEYS = ("set", "optimizer", "reference", "problem")


def tests_of(verdicts: tuple[Verdict, ...]) -> str:
    """Return how many tests the verdicts of a report make."""
    found = [e for v in verdicts for line in v.problems for e in (line.speedup, line.final)]
    found += [estimate for v in verdicts for estimate in (v.improvement, v.geometric_mean)]
    return f"{sum(e is not None and not math.isnan(e.p) for e in found)} tests"


def changes_of(line: ProblemComparison, row: Mapping[str, str]) -> Iterator[Change]:
    """Yield the conclusions on the time to target and on the final value of a problem."""
    before, after = time_before(row), time_after(line)
    decided = {"faster": "faster", "slower": "slower"}.get(line.speedup_status, "open")
    reason = "" if direction_before(row) == decided else time_reason(line, row)
    yield Change("time", before, after, reason)
    sign = status_before(row)
    status = "open" if line.final_status == "inconclusive" else line.final_status
    reason = "" if sign == status else final_reason(line, row)
    yield Change("final", final_before(row, sign), final_after(line), reason)


def direction_before(row: Mapping[str, str]) -> str:
    """Return whether a line was faster or slower; one that only one side reached is neither."""
    if row["low"] and float(row["low"]) > 1:
        return "faster"
    if row["high"] and float(row["high"]) < 1:
        return "slower"
    return "open"


def time_before(row: Mapping[str, str]) -> str:
    """Return the old conclusion on the time."""
    if row["ratio"]:
        interval = range_text(row["low"] or "0", row["high"] or "∞")
        said = direction_before(row)
        return f"{row['ratio']}× [{interval}], {'left open' if said == 'open' else said}"
    reached = row["reached_by"].split()
    return f"only {reached[0]} reaches it" if reached else "neither reaches it"


def time_after(line: ProblemComparison) -> str:
    """Return the new conclusion on the time."""
    found = line.speedup
    (k, n), (other_k, other_n) = line.reached, line.reference_reached
    reached = "" if k == n and other_k == other_n else f"; reached {k}/{n} vs. {other_k}/{other_n}"
    if found is None:
        return f"{line.speedup_status}{reached}"
    shown = inverse(found) if line.speedup_status == "slower" else found
    value = (
        ""
        if shown.bound and shown.value == 1
        else f"{shown.bound} {ratio_number(shown.value)}× ".lstrip()
    )
    return f"{value}{line.speedup_status}{numbers(shown)}{reached}"


def numbers(estimate: Estimate) -> str:
    """Return the interval and the corrected p-value in brackets."""
    interval = ""
    if estimate.has_interval:
        high = "∞" if math.isinf(estimate.high) else ratio_number(estimate.high)
        interval = f" [{range_text(ratio_number(estimate.low), high)}]"
    p = "" if math.isnan(estimate.p_corrected) else f", {p_text(estimate.p_corrected)}"
    return interval + p


def time_reason(line: ProblemComparison, row: Mapping[str, str]) -> str:
    """Return why the conclusion on the time changed."""
    found, target = line.speedup, line.target
    decided = line.speedup_status in ("faster", "slower")
    if target is not None and f"{target.value:.4g}" != f"{float(row['target']):.4g}":
        return "the target is another: what tuned Adam reaches in 75 % of the epochs"
    if decided and not row["ratio"]:
        return "a target that only one side reaches is tested, and decides"
    if decided:
        return "first passages of noisy curves left it open; confirmed arrivals decide"
    if found is not None and found.p <= LEVEL:
        return "the interval leaves out 1, but the correction for all tests of the report does not"
    return (
        "the interval of the ratio of geometric means is wider than that of the ratio of medians, "
        "and holds 1"
    )


def status_before(row: Mapping[str, str]) -> str:
    """Return whether a final value was better or worse by the old test."""
    if not row["p"] or float(row["p"]) > LEVEL:
        return "open"
    return "better" if float(row["gain"]) > 0 else "worse"


def final_before(row: Mapping[str, str], status: str) -> str:
    """Return the old conclusion on the final value."""
    return f"{row['gain']}, {p_text(float(row['p'] or 1))}, {status}"


def final_after(line: ProblemComparison) -> str:
    """Return the new conclusion on the final value."""
    found = line.final
    if found is None:
        return line.final_status
    return f"{number(found.value)}, {p_text(found.p_corrected)}, {line.final_status}"


def final_reason(line: ProblemComparison, row: Mapping[str, str]) -> str:
    """Return why the conclusion on the final value changed."""
    if line.final is not None and line.final.p <= LEVEL:
        return "the final values do not differ after the correction for all tests of the report"
    return "the signed ranks of final values differed, their means do not"


def overall_change(verdict: Verdict, row: Mapping[str, str]) -> Change:
    """Return the conclusion over all problems."""
    interval = range_text(row["low"] or "0", row["high"] or "∞")
    before = f"mean {row['ratio']}× [{interval}] on {row['used']} of {row['problems']}"
    said = direction_before(row)
    better = verdict.improvement
    after, decided = "", "open"
    if better is not None:
        after = (
            f"probability of being faster {number(better.value)} "
            f"[{range_text(number(better.low), number(better.high))}], {p_text(better.p_corrected)}"
        )
        if better.decided:
            decided = "faster" if better.value > 0.5 else "slower"
    mean = verdict.geometric_mean
    after += "; no mean" if mean is None else f"; mean {ratio_number(mean.value)}×{numbers(mean)}"
    reason = (
        ""
        if said == decided
        else "the probability of being faster on all problems replaces a mean over some of them"
    )
    return Change("all", before, after, reason)


def table(lines: Mapping[str, list[Change]], overall: Change) -> list[str]:
    """Return the conclusions of a verdict as a table."""
    rows = ["| problem | | before | after | why it changed |", "| --- | --- | --- | --- | --- |"]
    for problem, listed in [*lines.items(), ("all problems", [overall])]:
        for change in listed:
            what = "" if change.what == "all" else change.what
            rows.append(
                f"| {problem} | {what} | {change.before} | {change.after} | {change.reason} |"
            )
    return rows


if __name__ == "__main__":
    sys.exit(main())
