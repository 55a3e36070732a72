"""Forest plot: the speedup on every problem with its interval and status."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import Estimate, ProblemComparison, Verdict
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import NUMBER, name_rows, new_figure, style_axes, use_ratio_ticks
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    BETTER,
    COLUMN,
    PAGE,
    PLAIN,
    SMALL,
    UNDECIDED,
    WORSE,
    Paper,
    paper_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_BY_SIDE = 3
"""Verdicts in one figure."""

FURTHEST = 16.0
"""Ratio at which the axis ends at the latest; an interval that goes on has an arrow."""

ROW = 0.17
"""Height of a row, in inches."""

LABELS, BOLD = 0.9, 0.075
"""Width of the names of problems and of a bold letter, in inches, about."""

NUMBERS = 0.72
"""Width of the columns of numbers beside a panel, in inches."""

COLORS: Mapping[str, str] = MappingProxyType(
    {"faster": BETTER, "better": BETTER, "slower": WORSE, "worse": WORSE}
)
"""Of statuses that are decided; all others are grey."""

REASONS: Mapping[str, str] = MappingProxyType(
    {
        "not reached": "neither reaches the target",
        "no target": "no target",
        "no runs": "no runs of one of them",
        "not recorded": "not recorded",
        "untrained": "reached before training",
        "too short": "runs too short",
    }
)
"""Reason for a row without a speedup."""

SHORT_REASONS: Mapping[str, str] = MappingProxyType(
    {**REASONS, "not reached": "neither reaches it", "no runs": "no runs", "untrained": "at once"}
)
"""The same where three panels stand side by side."""

SIGNS: Mapping[str, str] = MappingProxyType({"better": "+", "worse": "−", "inconclusive": "·"})
"""Of the difference of final values."""


def forests(material: Material) -> Iterator[Drawing]:
    """Yield a forest plot of every three verdicts."""
    verdicts = material.verdicts()
    pages = [verdicts[i : i + SIDE_BY_SIDE] for i in range(0, len(verdicts), SIDE_BY_SIDE)]
    for number, page in enumerate(pages or [()], start=1):
        names = ", ".join(f"{v.optimizer} vs. {v.reference}" for v in page)
        drawing = material.draw(
            "forest",
            None,
            f"Speedup of {names}" if names else "Speedup",
            f"Speedup to the target with its {percent(material.level)} interval on every problem; "
            "in colour where the p-value, corrected for all tests of the report, decides it. An "
            "arrow is a bound: runs of one side do not reach the target. Beside it the final "
            "value: + better, − worse, · inconclusive. The diamond is the geometric mean, where "
            "the problems allow one.",
            plot_forest,
            page,
            paper=material.paper,
        )
        yield replace(drawing, name=f"forest-{number}") if len(pages) > 1 else drawing


FIGURE = forests


def plot_forest(verdicts: Sequence[Verdict], *, paper: Paper = PLAIN) -> Figure:
    """Speedup on every problem with its interval, a panel for each verdict.

    A row has a colour only where the corrected p-value decides it. Bounds, where only one side
    reaches the target, are arrows. The last row is the geometric mean speedup with its interval
    over seeds, if there is one. The numbers are the speedup and the sign of the difference of final
    values.

    Args:
        verdicts: at most three, see `comparison.judge`; together they should be corrected for all
            their tests, see `comparison.correct`.
        paper: width and font; the usual width is that of a column for one verdict, else of a page.
            In a column the panels stand one below the other.

    Raises:
        UsageError: no verdict, or more than three.
    """
    if not verdicts:
        raise UsageError("A forest plot needs two optimizers.")
    if len(verdicts) > SIDE_BY_SIDE:
        raise UsageError(f"A forest plot shows {SIDE_BY_SIDE} verdicts; got {len(verdicts)}.")
    problems = list(dict.fromkeys(line.problem for v in verdicts for line in v.problems))
    means = any(verdict.geometric_mean is not None for verdict in verdicts)
    rows = [*problems, *(["geometric mean"] if means else [])]
    width = paper.inches(COLUMN if len(verdicts) == 1 else PAGE)
    beside = width > COLUMN
    grid = (1, len(verdicts)) if beside else (len(verdicts), 1)
    low, high = _limits(verdicts)
    titles = [_title(verdict, (width - LABELS) / grid[1]) for verdict in verdicts]
    lines = max(title.count("\n") for title in titles)
    with paper_style(paper):
        figure = new_figure(width, (ROW * len(rows) + 0.75 + 0.13 * lines) * grid[0])
        if (engine := figure.get_layout_engine()) is not None:
            engine.set(wspace=0.04)  # type: ignore[call-arg]
        panels = list(figure.subplots(*grid, squeeze=False).flat)
        narrow = grid[1] == SIDE_BY_SIDE
        for index, (axes, verdict) in enumerate(zip(panels, verdicts, strict=True)):
            style_axes(axes, paper, grid="")
            name_rows(axes, rows)
            axes.set(xscale="log", xlim=(low, high))
            use_ratio_ticks(axes.xaxis, low, high)
            if beside and index:
                axes.tick_params(labelleft=False)
            _head(axes, verdict, titles[index])
            if beside or index == len(verdicts) - 1:
                unit = verdict.unit.replace("_", " ")
                middle = unit if narrow else f"speedup in {unit}"
                axes.set_xlabel(f"← slower   {middle}   faster →", fontsize=SMALL)
            found = {line.problem: line for line in verdict.problems}
            for row, problem in enumerate(problems):
                _draw_line(axes, row, found.get(problem), SHORT_REASONS if narrow else REASONS)
            if means:
                axes.axhline(len(problems) - 0.5, color="0.8", linewidth=0.5, zorder=0.5)
                _draw_mean(axes, len(problems), verdict)
    return figure


def text_of(line: ProblemComparison) -> str:
    """Speedup of a line in a few letters, empty without one.

    A value that is known from one side is `≥2.1×` or `≤0.5×`.
    """
    return "" if line.shown_speedup is None else ratio_text(line.shown_speedup)


def ratio_text(estimate: Estimate) -> str:
    """Ratio in a few letters."""
    sign = {"at least": "≥", "at most": "≤"}.get(estimate.bound, "")
    digits = 2 if estimate.value < 10 else 0
    return f"{sign}{estimate.value:.{digits}f}×"


def color_of(status: str) -> str:
    """Colour of a status: grey for one that is not decided."""
    return COLORS.get(status, UNDECIDED)


def _limits(verdicts: Sequence[Verdict]) -> tuple[float, float]:
    """Ends of the axis: of all intervals, as far as `FURTHEST`, and ½ to 2 at least."""
    shown = [line.shown_speedup for verdict in verdicts for line in verdict.problems]
    found = [estimate for estimate in shown if estimate is not None]
    ends = np.array([end for e in found for end in (e.low, e.value, e.high)], dtype=float)
    room = [e.value * (1.6 if e.bound == "at least" else 1 / 1.6) for e in found if e.bound]
    ends = np.append(ends, room)  # for the arrows of bounds
    ends = np.abs(np.log2(ends[np.isfinite(ends) & (ends > 0)]))
    reach = 2 ** min(max(float(ends.max(initial=0.0)) + 0.15, 1.0), math.log2(FURTHEST))
    return 1 / reach, reach


def _title(verdict: Verdict, width: float) -> str:
    """Title with the compared optimizers, in as many lines as a width in inches takes."""
    fits = int(width / BOLD)
    title = f"{verdict.optimizer} vs. {verdict.reference}"
    if len(title) <= fits:
        return title
    parts = verdict.optimizer, f"vs. {verdict.reference}"
    return "\n".join(fill(part, max(fits, 10)) for part in parts)


def _head(axes: Axes, verdict: Verdict, title: str) -> None:
    """Write who is compared, how often it is decided, and what is which side."""
    axes.set_title(title, loc="left", pad=13, fontweight="bold")
    counts = verdict.speedup_counts
    text = f"{counts['faster']} faster, {counts['slower']} slower of {len(verdict.problems)}"
    axes.annotate(
        text, (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points",
        fontsize=SMALL, color=NUMBER,
    )  # fmt: skip
    axes.annotate(
        "final", (1, 1), xycoords="axes fraction", xytext=(NUMBERS * 72 - 4, 4),
        textcoords="offset points", fontsize=SMALL, color=NUMBER, ha="center",
    )  # fmt: skip
    axes.axvline(1.0, color="0.6", linewidth=0.7, zorder=1.0)


def _draw_line(
    axes: Axes, row: int, line: ProblemComparison | None, reasons: Mapping[str, str]
) -> None:
    """Draw the row of one problem: dot and interval (or a reason without them), and numbers."""
    if line is None:
        _write(axes, row, "no runs", UNDECIDED)
        return
    color = color_of(line.speedup_status)
    if line.shown_speedup is None:
        _write(axes, row, reasons.get(line.speedup_status, line.speedup_status), UNDECIDED)
    else:
        _draw_estimate(axes, row, line.shown_speedup, color, "o", line.problem)
        _number(axes, row, text_of(line), color, bold=line.speedup_status in COLORS)
    if line.final is not None:
        sign = SIGNS.get(line.final_status, "")
        _number(axes, row, sign, color_of(line.final_status), bold=True, last=True)


def _draw_mean(axes: Axes, row: int, verdict: Verdict) -> None:
    mean = verdict.geometric_mean
    if mean is None:
        _write(axes, row, "problems do not allow one", UNDECIDED)
        return
    side = "faster" if mean.value > 1 else "slower"
    color = color_of(side if mean.decided else "")
    _draw_estimate(axes, row, mean, color, "D", "geometric mean")
    _number(axes, row, ratio_text(mean), color, bold=mean.decided)


def _draw_estimate(
    axes: Axes, row: int, estimate: Estimate, color: str, marker: str, label: str
) -> None:
    """Draw a ratio with its interval; what is open or beyond the edge ends in an arrow."""
    left, right = axes.get_xlim()
    value = min(max(estimate.value, left), right)
    low, high = estimate.low, estimate.high
    if estimate.bound == "at least":
        low, high = (low if low > 0 else value), math.inf
    elif estimate.bound == "at most":
        low, high = 0.0, (high if math.isfinite(high) else value)
    if not math.isnan(low) and not math.isnan(high):
        ends = max(low, left), min(high, right)
        axes.plot(ends, (row, row), color=color, linewidth=1.5, label="_interval", zorder=2.0,
                  solid_capstyle="butt")  # fmt: skip
        for end, inside, sign in (
            (left * 1.07, low >= left, "<"),
            (right / 1.07, high <= right, ">"),
        ):
            if not inside:
                axes.plot([end], [row], linestyle="none", marker=sign, markersize=4.5, color=color,
                          clip_on=False, label="_bound")  # fmt: skip
    hollow = bool(estimate.bound) or math.isnan(low)
    axes.plot([value], [row], linestyle="none", marker=marker, markersize=4.8, color=color,
              markerfacecolor="white" if hollow else color, zorder=3.0, label=label)  # fmt: skip


def _write(axes: Axes, row: int, text: str, color: str) -> None:
    """Write a remark in place of a dot."""
    axes.annotate(
        text, (0.5, row), xycoords=("axes fraction", "data"), fontsize=SMALL, color=color,
        ha="center", va="center", backgroundcolor="white",
        bbox={"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none"},
    )  # fmt: skip


def _number(
    axes: Axes, row: int, text: str, color: str, *, bold: bool = False, last: bool = False
) -> None:
    """Write a number at the right of the panel."""
    axes.annotate(
        text, (1.0, row), xycoords=("axes fraction", "data"),
        xytext=(NUMBERS * 72 - (4 if last else 16), 0), textcoords="offset points",
        fontsize=SMALL, color=color, ha="center" if last else "right", va="center",
        fontweight="bold" if bold else "normal", annotation_clip=False,
    )  # fmt: skip
