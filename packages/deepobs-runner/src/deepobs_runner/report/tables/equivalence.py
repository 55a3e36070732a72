"""The table of equivalence: where two optimizers are shown to differ by less than a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepobs_runner.comparison import Equivalence
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.sentences import p_number
from deepobs_runner.report.table import (
    AGAINST,
    NOTHING,
    OPTIMIZER,
    PROBLEM,
    Row,
    Table,
    make_table,
    number,
    number_text,
    words,
)
from deepobs_runner.text import count

DIGITS = 5
"""Significant digits of a ratio that is close to 1."""


def equivalence_table(data: ReportData) -> Table:
    """Equivalence of each optimizer with its reference, in time and in final value."""
    rows: list[Row] = [{**each.rows()[0], "shown": each.shown} for each in data.equivalences]
    if not rows:
        caption = 'No margin was given: --equivalence "1%" tests for equivalence within 1 %.'
        return make_table("equivalence", "Equivalence", caption, (), ())
    margin = data.equivalences[0].margin
    inner = 100 * (2 * data.level - 1)
    columns = [
        PROBLEM, OPTIMIZER, AGAINST, words("Quantity", "quantity"),
        number("Ratio", "ratio", lambda row: number_text(row["ratio"], DIGITS)),
        number(f"{inner:g} % CI", "low", _interval),
        number("p", "p_corrected", lambda row: p_number(row["p_corrected"])),
        words(f"Within {_percent(margin)}", "shown", _shown), words("Test", "method"),
    ]  # fmt: skip
    caption = (
        f"Two one-sided tests of a ratio between {1 / (1 + margin):.4g} and {1 + margin:.4g}: the "
        "speedup, and the final value of the optimizer over that of the reference. p is corrected "
        "for all rows (Holm), and decides; the interval is not. Not shown does not mean different: "
        "it takes enough seeds. Times are left out where a run does not reach the target."
    )
    return make_table("equivalence", "Equivalence", caption, columns, rows)


def equivalence_sentence(found: Sequence[Equivalence]) -> str:
    """Sentence that names and counts the comparisons shown to be equivalent."""
    shown = [each for each in found if each.shown]
    listed = "; ".join(
        f"{each.optimizer} and {each.reference} in {each.quantity} on {each.problem}"
        for each in shown
    )
    return (
        f"Equivalent within {_percent(found[0].margin)}: {len(shown)} of "
        f"{count(len(found), 'comparison')}" + (f": {listed}." if shown else ".")
    )


def _percent(margin: float) -> str:
    return f"{100 * margin:g} %"


def _interval(row: Row) -> str:
    if math.isnan(row["low"]):
        return NOTHING
    ends = [number_text(row[end], DIGITS) for end in ("low", "high")]
    return "\N{EN DASH}".join(ends)


def _shown(row: Row) -> str:
    return "equivalent" if row["shown"] else "not shown"
