"""The forest: each verdict on each problem as a short text and an interval on one log axis.

The numbers are those of `comparison`; here they get a place in per cent of the axis and a few
words, so that the template only writes them down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from deepobs_runner.comparison import Estimate, ProblemComparison, Verdict
from deepobs_runner.report.table import decimals_for

LEAST, MOST = math.log(2.3), math.log(32)
"""Smallest and largest reach of the axis from 1 to either side."""

MOST_OF_ENDS = math.log(8)
"""How far it reaches for the end of an interval alone; a wide one ends in an arrow."""

MARGIN = 4.0
"""Per cent of the axis left free at either side, for the arrows."""

WITHOUT_SPEED: Mapping[str, str] = MappingProxyType(
    {
        "not reached": "target not reached",
        "no target": "no target",
        "no runs": "no runs",
        "not recorded": "not recorded",
        "too short": "runs too short",
        "untrained": "met before training",
        "one run": "one run",
    }
)
"""Text instead of a speedup, by status."""

MINUS = "\N{MINUS SIGN}"

State = Literal["good", "bad", "open", "none"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Where an interval lies on the axis, in per cent of its width.

    Attributes:
        low: its lower end; None: no interval.
        value: the estimate; None: it is unknown.
        high: its upper end.
        goes_left: whether it goes on beyond the axis, which is an arrow.
        goes_right: likewise.
    """

    low: float | None
    value: float | None
    high: float | None
    goes_left: bool
    goes_right: bool


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A number with its interval in words.

    Attributes:
        text: the estimate, or the reason for its absence.
        range: the interval; empty without one.
        state: whether it is decided for or against the optimizer; only then it has a colour.
        words: all of it for those who do not see colour or place.
        interval: on the axis; None where nothing is drawn.
    """

    text: str
    range: str
    state: State
    words: str
    interval: Interval | None = None


@dataclass(frozen=True, kw_only=True)
class Axis:
    """The log axis that all intervals share.

    Attributes:
        reach: log of its end on the right; the left end is its negative.
    """

    reach: float

    def place(self, ratio: float) -> float:
        """Position of a ratio, in per cent of the width."""
        log = math.log(ratio) if ratio > 0 else -math.inf
        share = (max(-self.reach, min(self.reach, log)) / self.reach + 1) / 2
        return round(MARGIN + share * (100 - 2 * MARGIN), 2)

    def ticks(self) -> list[tuple[float, str]]:
        """Place and label of the powers of two on the axis; of every second if many."""
        most = math.floor(self.reach / math.log(2) + 1e-9)
        step = 1 if most <= 2 else 2
        powers = [p for p in range(-most, most + 1) if p % step == 0]
        return [(self.place(2.0**p), _power(p)) for p in powers]

    def interval(self, estimate: Estimate) -> Interval:
        """Position of an estimate and its interval."""
        low, high = estimate.low, estimate.high
        known = estimate.has_interval or bool(estimate.bound)
        if not estimate.has_interval:  # a bound alone reaches to the open side
            low = estimate.value if estimate.bound == "at least" else 0.0
            high = estimate.value if estimate.bound == "at most" else math.inf
        return Interval(
            low=self.place(low) if known else None,
            value=None if math.isnan(estimate.value) else self.place(estimate.value),
            high=self.place(high) if known else None,
            goes_left=known and not self._holds(low) and low < 1,
            goes_right=known and not self._holds(high) and high > 1,
        )

    def _holds(self, ratio: float) -> bool:
        return 0 < ratio < math.inf and abs(math.log(ratio)) <= self.reach + 1e-9


def axis_of(verdicts: Iterable[Verdict]) -> Axis:
    """Axis that holds the estimates and, as far as they are finite, their intervals."""
    lines = [line for verdict in verdicts for line in verdict.problems]
    found = [line.shown_speedup for line in lines if line.shown_speedup is not None]
    values = [1.1 * _distance(estimate.value) for estimate in found]
    ends = [_distance(end) for estimate in found for end in (estimate.low, estimate.high)]
    wanted = [LEAST, *values, *(min(end, MOST_OF_ENDS) for end in ends)]
    return Axis(reach=min(max(wanted), MOST))


def _distance(ratio: float) -> float:
    """Distance of a ratio from 1, 0 if it is not finite."""
    return abs(math.log(ratio)) if 0 < ratio < math.inf else 0.0


def speed_cell(line: ProblemComparison, axis: Axis) -> Cell:
    """Speedup on a problem."""
    estimate, status = line.shown_speedup, line.speedup_status
    if estimate is None or math.isnan(estimate.value):
        text = WITHOUT_SPEED.get(status, status)
        if status == "not reached":
            text = f"reached {_share(line.reached)} vs. {_share(line.reference_reached)}"
        return Cell(text=text, range="", state="none", words=text)
    state: State = {"faster": "good", "slower": "bad"}.get(status, "open")  # type: ignore[assignment]
    text = ratio_text(estimate)
    only_direction = bool(estimate.bound) and estimate.value == 1
    if only_direction:
        text = status
        if status == "inconclusive":
            text = f"reached {_share(line.reached)} vs. {_share(line.reference_reached)}"
    words = {"good": f"{text}, faster", "bad": f"{text}, slower"}.get(state, f"{text}, {status}")
    if status not in ("faster", "slower", "inconclusive"):
        words = f"{text}, {WITHOUT_SPEED.get(status, status)}"
    return Cell(
        text=text,
        range=range_text(estimate, _times),
        state=state,
        words=words,
        interval=None if only_direction and state == "open" else axis.interval(estimate),
    )


def final_cell(line: ProblemComparison) -> Cell:
    """Difference of the final values on a problem; above 0 the optimizer is better."""
    estimate = line.final
    if estimate is None or math.isnan(estimate.value):
        return Cell(text=line.final_status, range="", state="none", words=line.final_status)
    if math.isinf(estimate.value):
        text = "diverged" if estimate.value < 0 else "reference diverged"
        return Cell(text=text, range="", state=_final_state(line), words=text)
    accuracy = line.final_metric is not None and line.final_metric.higher_is_better
    factor, unit = (100, " pp") if accuracy else (1, "")
    decimals = decimals_for(factor * estimate.value, factor * (estimate.high - estimate.low))

    def show(value: float) -> str:
        return signed(factor * value, decimals)

    text = f"{show(estimate.value)}{unit}"
    words = f"{text}, {line.final_status}"
    return Cell(text=text, range=range_text(estimate, show), state=_final_state(line), words=words)


def _final_state(line: ProblemComparison) -> State:
    if line.final_status == "better":
        return "good"
    return "bad" if line.final_status == "worse" else "open"


def mean_cell(estimate: Estimate | None, axis: Axis) -> Cell:
    """Geometric mean speedup over problems, or a note on its absence."""
    if estimate is None:
        return Cell(text="–", range="", state="none", words="no mean over these problems")
    state: State = "open"
    if estimate.decided:
        state = "good" if estimate.value > 1 else "bad"
    text = ratio_text(estimate)
    return Cell(
        text=text,
        range=range_text(estimate, _times),
        state=state,
        words=text,
        interval=axis.interval(estimate),
    )


def ratio_text(estimate: Estimate | None) -> str:
    """Ratio with ≥ or ≤ where only a bound is known."""
    if estimate is None:
        return "–"
    sign = {"at least": "≥ ", "at most": "≤ "}.get(estimate.bound, "")
    return f"{sign}{_times(estimate.value)}×"


def range_text(estimate: Estimate, show: Callable[[float], str]) -> str:
    """Interval, nothing where it is undefined; an open end is left out."""
    if not estimate.has_interval:
        return ""
    if estimate.open_below:
        return f"≤ {show(estimate.high)}"
    if math.isinf(estimate.high):
        return f"≥ {show(estimate.low)}"
    return f"{show(estimate.low)} to {show(estimate.high)}"


def signed(value: float, decimals: int) -> str:
    r"""Number with its sign.

    >>> signed(0.8712, 2), signed(-44.04, 1), signed(0.0, 2), signed(2.5e-7, 8)
    ('+0.87', '−44.0', '0', '+2.5e-07')
    """
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = f"{abs(value):.{decimals}f}" if decimals <= 5 else f"{abs(value):.2g}"
    sign = "" if not float(text) else "+" if value > 0 else MINUS
    return sign + (text if float(text) else "0")


def _times(ratio: float) -> str:
    """Ratio with two decimals, fewer where it is large."""
    if math.isinf(ratio):
        return "∞"
    return f"{ratio:.2f}" if ratio < 9.995 else f"{ratio:.1f}" if ratio < 99.95 else f"{ratio:.0f}"


def _share(reached: tuple[int, int]) -> str:
    return f"{reached[0]}/{reached[1]}"


def _power(power: int) -> str:
    fractions = {-1: "½", -2: "¼", -3: "⅛"}
    return f"{fractions.get(power, f'1/{2**-power}' if power < 0 else 2**power)}×"
