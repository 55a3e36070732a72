"""Search spaces as data: maps from [0, 1] to values of hyperparameters.

Samplers work on the unit cube; the space defines the scale of each hyperparameter.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Protocol

from deepobs_problems.errors import nearest
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import parse_hyperparams
from deepobs_runner.plans.strict_yaml import Item, read_yaml

SUFFIXES = (".yaml", ".yml")

DIGITS = 8
"""Significant digits of a value: those of the official learning rates. A power that two platforms
round differently in the last bit must not give two trials."""


def rounded(value: float) -> float:
    """Number with as many digits as a trial has.

    >>> rounded(10**-1.4)
    0.039810717
    """
    return float(f"{value:.{DIGITS}g}")


class Dimension(Protocol):
    """A hyperparameter's values; a frozen dataclass with the fields of its JSON form."""

    kind: ClassVar[str]

    def at(self, u: float) -> Any:
        """Value at a place in [0, 1]."""

    def grid(self, n: int) -> list[Any]:
        """Values from end to end, `n` of them, fewer if there are fewer."""


@dataclass(frozen=True)
class _Range(ABC):
    """Numbers between two ends."""

    low: float
    high: float
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        for end in (self.low, self.high):
            number = isinstance(end, int | float) and not isinstance(end, bool)
            if not number or not math.isfinite(end):
                raise UsageError(f"An end of a {self.kind} range is {end!r}; it must be a number.")
        if not self.low < self.high:
            raise UsageError(
                f"The range {self.kind}:{self.low:g}:{self.high:g} is empty; write the lower end "
                "first."
            )

    @abstractmethod
    def at(self, u: float) -> Any:
        """Value at a place in [0, 1]."""

    def grid(self, n: int) -> list[Any]:
        return [self.at(u) for u in _places(n)]


@dataclass(frozen=True)
class Uniform(_Range):
    """Numbers between two ends, each as likely as the other."""

    kind: ClassVar[str] = "uniform"

    def at(self, u: float) -> float:
        """Value at a place in [0, 1]."""
        return rounded(self.low + (self.high - self.low) * u)


@dataclass(frozen=True)
class LogUniform(_Range):
    """Positive numbers with a uniform logarithm."""

    kind: ClassVar[str] = "log"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low <= 0:
            raise UsageError(f"The lower end of {show_dimension(self)} must be > 0.")

    def at(self, u: float) -> float:
        """Value at a place in [0, 1]."""
        return rounded(self.low * (self.high / self.low) ** u)


@dataclass(frozen=True)
class OneMinusLogUniform(_Range):
    """Numbers below 1 at a log-uniform distance from 1 between two ends: momenta.

    Between 0.9 and 0.99 there is then as much as between 0.99 and 0.999.
    """

    kind: ClassVar[str] = "one-minus-log"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.low < self.high <= 1:
            raise UsageError(
                f"{show_dimension(self)} gives the distance from 1; its ends must be in (0, 1]."
            )

    def at(self, u: float) -> float:
        """Value at a place in [0, 1]."""
        return rounded(1 - self.low * (self.high / self.low) ** u)


@dataclass(frozen=True)
class IntUniform(_Range):
    """Whole numbers, both ends included."""

    low: int
    high: int
    kind: ClassVar[str] = "int"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(isinstance(end, int) for end in (self.low, self.high)):
            raise UsageError(f"The ends of {show_dimension(self)} must be whole numbers.")

    def at(self, u: float) -> int:
        """Value at a place in [0, 1]."""
        return self.low + _index(u, self.high - self.low + 1)

    def grid(self, n: int) -> list[int]:
        """Up to n values, as even as whole numbers can be, with both ends."""
        spread = self.high - self.low
        return list(dict.fromkeys(self.low + round(spread * u) for u in _places(n)))


@dataclass(frozen=True)
class Choice:
    """One of several values, each as likely as the other."""

    values: tuple[Any, ...]
    kind: ClassVar[str] = "choice"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise UsageError("A choice needs at least one value: choice:true/false.")
        if any(value in self.values[:i] for i, value in enumerate(self.values)):
            raise UsageError(f"{show_dimension(self)} has a value twice.")

    def at(self, u: float) -> Any:
        """Value at a place in [0, 1]."""
        return self.values[_index(u, len(self.values))]

    def grid(self, n: int) -> list[Any]:
        """All values, as nothing lies between them."""
        return list(self.values)


DIMENSIONS: Mapping[str, type] = {
    cls.kind: cls for cls in (LogUniform, Uniform, OneMinusLogUniform, IntUniform, Choice)
}


def _places(n: int) -> list[float]:
    return [i / (n - 1) for i in range(n)] if n > 1 else [0.5]


def _index(u: float, n: int) -> int:
    return min(int(u * n), n - 1)


@dataclass(frozen=True)
class Space:
    """What is tuned of one optimizer.

    Attributes:
        dimensions: by hyperparameter; `betas.1` is the second number of `betas`.
    """

    dimensions: Mapping[str, Dimension]

    def point(self, places: Sequence[float]) -> dict[str, Any]:
        """Values at a point of the unit cube, one number per dimension."""
        pairs = zip(self.dimensions.items(), places, strict=True)
        return {name: dimension.at(u) for (name, dimension), u in pairs}

    def at(self, u: float) -> dict[str, Any]:
        """Values at the same place of every dimension, such as 0.5 for the middle."""
        return self.point([u] * len(self.dimensions))

    def to_json(self) -> dict[str, Any]:
        """Space as JSON."""
        return {name: _dimension_to_json(d) for name, d in self.dimensions.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Space that `to_json` wrote; a dimension may be a text as well.

        Raises:
            UsageError: unknown kind, or ends that make no sense.

        >>> Space.from_json({"lr": "log:1e-4:1"}).to_json()
        {'lr': {'kind': 'log', 'low': 0.0001, 'high': 1.0}}
        """
        if not isinstance(data, Mapping) or not data:
            raise UsageError("A search space maps hyperparameters to ranges: lr: log:1e-5:1.")
        return cls({str(name): dimension_from_json(d) for name, d in data.items()})

    def __str__(self) -> str:
        return " ".join(f"{name}={show_dimension(d)}" for name, d in self.dimensions.items())


def _dimension_to_json(dimension: Dimension) -> dict[str, Any]:
    options = asdict(dimension)  # type: ignore[call-overload]
    listed = {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}
    return {"kind": dimension.kind, **listed}


def dimension_from_json(data: Any) -> Dimension:
    """Dimension of a mapping with its kind, or of a text as on the command line.

    Raises:
        UsageError: unknown kind or field, or ends that make no sense.
    """
    if isinstance(data, str):
        return parse_dimension(data)
    options = dict(data) if isinstance(data, Mapping) else {}
    kind = options.pop("kind", None)
    if kind not in DIMENSIONS:
        raise UsageError(
            f"{data!r} is not a range; write lr: log:1e-5:1 or lr: {{kind: log, low: 1e-5, high: "
            f"1}}. Kinds: {', '.join(DIMENSIONS)}."
        )
    try:
        dimension: Dimension = DIMENSIONS[kind](**options)
    except TypeError:
        names = ", ".join(field.name for field in fields(DIMENSIONS[kind]))
        raise UsageError(f"A {kind} range has {names}; got {', '.join(options)}.") from None
    return dimension


def parse_dimension(text: str) -> Dimension:
    """Dimension written as on the command line.

    `log:1e-5:1`, `uniform:0:0.9`, `one-minus-log:1e-3:0.5` (0.5 to 0.999), `int:1:10`,
    `choice:true/false`.

    Raises:
        UsageError: it cannot be read.

    >>> parse_dimension("int:1:10"), parse_dimension("choice:true/0.5")
    (IntUniform(low=1, high=10), Choice(values=(True, 0.5)))
    """
    kind, _, rest = text.partition(":")
    if kind not in DIMENSIONS and _is_number(kind):
        raise UsageError(
            f"The range {text!r} needs a kind in front, for example log:{text}. Kinds: "
            f"{', '.join(DIMENSIONS)}."
        )
    if kind not in DIMENSIONS:
        raise UsageError(
            f"Unknown kind of range {kind!r} in {text!r}.{nearest(kind, DIMENSIONS)} Write "
            "log:1e-5:1, uniform:0:0.9, one-minus-log:1e-3:0.5, int:1:10 or choice:true/false."
        )
    if kind == "choice":
        parts = [part for part in rest.split("/") if part]
        return Choice(tuple(parse_hyperparams([f"x={part}"])["x"] for part in parts))
    number = int if kind == "int" else float
    try:
        low, high = (number(part) for part in rest.split(":"))
    except ValueError:
        raise UsageError(
            f"Cannot read the range {text!r}; write {kind}:LOW:HIGH with two "
            f"{'whole ' if kind == 'int' else ''}numbers."
        ) from None
    dimension: Dimension = DIMENSIONS[kind](low, high)
    return dimension


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def show_dimension(dimension: Dimension) -> str:
    """Dimension as `parse_dimension` reads it."""
    if isinstance(dimension, Choice):
        return "choice:" + "/".join(map(str, dimension.values))
    return ":".join([dimension.kind, *(f"{v:g}" for v in asdict(dimension).values())])  # type: ignore[call-overload]


def read_spaces(words: Iterable[str], optimizers: Sequence[str]) -> dict[str, Space]:
    """Spaces that are given, by optimizer.

    A word is `lr=log:1e-5:1`, for all optimizers; `Adam.lr=log:1e-5:1`, for one; or a YAML file
    that maps hyperparameters to ranges, for all, or optimizers to such mappings.

    Raises:
        UsageError: a word or file that cannot be read, or a hyperparameter given twice.
    """
    found: dict[str, dict[str, Dimension]] = {name: {} for name in optimizers}

    def add(chosen: Iterable[str], key: str, dimension: Dimension) -> None:
        for name in chosen:
            if key in found[name]:
                raise UsageError(f"The range of {key} of {name} is given twice.")
            found[name][key] = dimension

    for word in words:
        if word.lower().endswith(SUFFIXES):
            for chosen, key, dimension in _file(Path(word), optimizers):
                add(chosen, key, dimension)
            continue
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise UsageError(
                f"Cannot read the space {word!r}; write lr=log:1e-5:1, Adam.lr=log:1e-5:1 or the "
                "name of a YAML file."
            )
        owner = next((name for name in optimizers if key.startswith(f"{name}.")), None)
        chosen = optimizers if owner is None else [owner]
        key = key if owner is None else key[len(owner) + 1 :]
        add(chosen, key, parse_dimension(text))
    return {name: Space(dimensions) for name, dimensions in found.items() if dimensions}


def _file(path: Path, optimizers: Sequence[str]) -> Iterable[tuple[Sequence[str], str, Dimension]]:
    """Yield optimizers, hyperparameter and range of each entry of a file."""
    for name, item in read_yaml(path, "the space").mapping().items():
        if name in optimizers:
            for key, below in item.mapping().items():
                yield [name], key, _dimension(below)
        elif isinstance(item.value, dict) and "kind" not in item.value:
            raise item.fail(
                f"{name!r} is not an optimizer of this study; those are {', '.join(optimizers)}."
            )
        else:
            yield optimizers, name, _dimension(item)


def _dimension(item: Item) -> Dimension:
    try:
        return dimension_from_json(item.plain())
    except UsageError as error:
        raise item.fail(f"{item.name}: {error}") from None
