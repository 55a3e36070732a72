"""Learning-rate schedules as data: a factor of the base rate for every step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from deepobs_runner.errors import UsageError


class Schedule(Protocol):
    """A frozen dataclass; its fields are what JSON holds."""

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Factor of the base learning rate at a step, counted from 0."""


@dataclass(frozen=True)
class Constant:
    """The base learning rate throughout, as in all official runs."""

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True)
class Step:
    """From epoch `epochs[i]`, counted from 0, the rate is `factors[i]` times the base rate.

    Factors are relative to the base rate, not cumulative, as in the original.
    """

    epochs: tuple[int, ...]
    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "epochs", tuple(self.epochs))
        object.__setattr__(self, "factors", tuple(self.factors))
        if len(self.epochs) != len(self.factors) or not self.epochs:
            raise UsageError(
                f"A step schedule needs as many factors as epochs, at least one; got "
                f"{len(self.epochs)} epochs and {len(self.factors)} factors."
            )
        if not all(math.isfinite(factor) and factor >= 0 for factor in self.factors):
            raise UsageError(f"Factors of a step schedule are numbers >= 0; got {self.factors}.")
        if list(self.epochs) != sorted(set(self.epochs)) or self.epochs[0] < 0:
            raise UsageError(f"Epochs of a step schedule must increase from 0; got {self.epochs}.")

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Factor of the last epoch in `epochs` that has begun, 1 before the first."""
        epoch = step // steps_per_epoch
        begun = [f for start, f in zip(self.epochs, self.factors, strict=True) if start <= epoch]
        return begun[-1] if begun else 1.0


@dataclass(frozen=True)
class Exponential:
    """The rate is multiplied by `gamma` after every epoch."""

    gamma: float

    def __post_init__(self) -> None:
        if not 0 < self.gamma <= 1:
            raise UsageError(
                f"gamma of an exponential schedule must be in (0, 1]; got {self.gamma}."
            )

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """`gamma ** epoch`."""
        return float(self.gamma ** (step // steps_per_epoch))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 towards `final`, which the step after the last would have.

    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017.
    """

    final: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.final <= 1:
            raise UsageError(f"final of a cosine schedule must be in [0, 1]; got {self.final}.")

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Cosine at `step / total_steps`."""
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * step / total_steps))


@dataclass(frozen=True)
class CosineRestarts:
    """Half cosines from 1 towards 0, one after another, each `growth` times as long as the last.

    Loshchilov and Hutter, "SGDR: Stochastic gradient descent with warm restarts", 2017. Of `first`
    epochs and twice as many each time in Crowded Valley's published runs, which change the rate
    once per epoch.
    """

    first: int = 10
    growth: int = 2

    def __post_init__(self) -> None:
        if self.first < 1 or self.growth < 1:
            raise UsageError(
                "first and growth of cosine restarts must be whole numbers >= 1; got "
                f"{self.first} and {self.growth}."
            )

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Cosine at the share of the present period that is over."""
        length = self.first * steps_per_epoch
        while step >= length:
            step -= length
            length *= self.growth
        return 0.5 * (1 + math.cos(math.pi * step / length))


@dataclass(frozen=True)
class Trapezoidal:
    """A linear rise over the first share of all steps, 1, and a linear fall over the last share.

    Xing et al., "A walk with SGD", 2018; in Crowded Valley with a tenth for each.
    """

    rise: float = 0.1
    fall: float = 0.1

    def __post_init__(self) -> None:
        if not (min(self.rise, self.fall) >= 0 and self.rise + self.fall <= 1):
            raise UsageError(
                "rise and fall of a trapezoidal schedule must be shares of all steps, together at "
                f"most 1; got {self.rise} and {self.fall}."
            )

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Factor 1, or the share of the rise or of the fall at a step."""
        risen = (step + 1) / max(1, round(self.rise * total_steps))
        left = (total_steps - step) / max(1, round(self.fall * total_steps))
        return min(1.0, risen, left)


@dataclass(frozen=True)
class Warmup:
    """Another schedule times a linear rise from 0 to 1 over the first `fraction` of all steps."""

    then: Schedule
    fraction: float

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise UsageError(
                f"warmup must be a fraction of all steps in (0, 1]; got {self.fraction}."
            )

    def factor(self, step: int, steps_per_epoch: int, total_steps: int) -> float:
        """Risen share of the other schedule's factor."""
        rise = (step + 1) / max(1, round(self.fraction * total_steps))
        return min(1.0, rise) * self.then.factor(step, steps_per_epoch, total_steps)


SCHEDULES: Mapping[str, type] = {
    "constant": Constant,
    "step": Step,
    "exponential": Exponential,
    "cosine": Cosine,
    "cosine-restarts": CosineRestarts,
    "trapezoidal": Trapezoidal,
}

DEFAULT: Schedule = Constant()
"""The schedule of a configuration without one: this object, not an equal one.

A resolved configuration has the schedule of the problem's defaults in its place.
"""

WHOLE_NUMBERS = ("epochs", "first", "growth")
"""Options that are read as such."""


def schedule_to_json(schedule: Schedule) -> dict[str, Any]:
    """Schedule as a JSON object with its `kind`; `warmup` where there is one."""
    if isinstance(schedule, Warmup):
        return {**schedule_to_json(schedule.then), "warmup": schedule.fraction}
    kind = next(name for name, cls in SCHEDULES.items() if isinstance(schedule, cls))
    options = asdict(schedule)  # type: ignore[call-overload]
    options = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    return {"kind": kind, **options}


def schedule_from_json(data: Mapping[str, Any]) -> Schedule:
    """Schedule that `schedule_to_json` wrote.

    Raises:
        UsageError: unknown kind or field, or a value outside its range.
    """
    options = dict(data)
    kind = options.pop("kind", None)
    warmup = options.pop("warmup", None)
    if kind not in SCHEDULES:
        from deepobs_problems.errors import nearest  # imports torch

        raise UsageError(
            f"Unknown schedule {kind!r}.{nearest(str(kind), SCHEDULES)} Known: "
            f"{', '.join(SCHEDULES)}."
        )
    try:
        schedule: Schedule = SCHEDULES[kind](**options)
    except TypeError:
        names = ", ".join(field.name for field in fields(SCHEDULES[kind])) or "none"
        raise UsageError(
            f"Schedule {kind!r} got {', '.join(options) or 'nothing'}; its options: {names}, and "
            "warmup for every schedule."
        ) from None
    return Warmup(schedule, warmup) if warmup is not None else schedule


def parse_schedule(text: str) -> Schedule:
    """Schedule written as on the command line.

    `default` (the problem's), `constant`, `cosine`, `cosine:final=0.1,warmup=0.05`,
    `cosine-restarts:first=10,growth=2`, `trapezoidal:rise=0.1,fall=0.1`, `exponential:gamma=0.95`,
    `step:epochs=60/120,factors=0.2/0.04`.

    Raises:
        UsageError: if it cannot be read.

    >>> parse_schedule("cosine:warmup=0.05")
    Warmup(then=Cosine(final=0.0), fraction=0.05)
    """
    if text == "default":
        return DEFAULT
    kind, _, options = text.partition(":")
    data: dict[str, Any] = {"kind": kind}
    for option in filter(None, options.split(",")):
        key, equals, value = option.partition("=")
        try:
            if not equals or key in data:
                raise ValueError
            number = int if key in WHOLE_NUMBERS else float
            listed = key in ("epochs", "factors")
            data[key] = [number(v) for v in value.split("/")] if listed else number(value)
        except ValueError:
            raise UsageError(
                f"Cannot read {option!r} of the schedule {text!r}. Write key=number once, or "
                "epochs=60/120,factors=0.2/0.04 for a step schedule."
            ) from None
    return schedule_from_json(data)
