"""Fields of a result file and their types; an error names the field.

Records are most of a file, and a reader of ten thousand files mostly wants to know what was run
and how it ended. So records stay JSON text until they are looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal, Required, TypedDict, TypeVar, cast, get_args, overload

import msgspec

from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import Status

SCHEMA = 1
Record = Mapping[str, Any]
MOST = 2**63 - 1
"""Largest whole number of a result; numpy and other programs know no larger ones."""

MOST_LEVELS = 32
"""Of nested values in a configuration or environment."""

MOST_LETTERS = 10_000
"""Of a text in a configuration or environment."""

Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Number = Annotated[int, msgspec.Meta(ge=-MOST, le=MOST)] | float | None
Fields = TypeVar("Fields")


class StoredRecord(TypedDict, total=False):
    """An evaluation; records of earlier versions lack some of the fields."""

    epoch: Required[Count]
    steps: Count
    steps_per_epoch: Count
    lr: Any
    clocks: dict[str, Number]
    counters: dict[str, Number]
    metrics: Required[dict[str, dict[str, Number]]]
    telemetry: Any


class StoredConfig(msgspec.Struct):
    """What `RunConfig` does not check itself."""

    problem: str
    optimizer: str
    hyperparams: dict[str, Any]
    schedule: dict[str, Any]
    seed: int = 0
    fingerprint: str | None = None


class StoredEnvironment(msgspec.Struct):
    """What readers compare: results of one source are of one program."""

    source: str | msgspec.UnsetType = msgspec.UNSET


class StoredResult(msgspec.Struct):
    """A result file of the current schema."""

    schema: Literal[1]  # SCHEMA
    id: str
    status: Status
    config: dict[str, Any]
    environment: dict[str, Any]
    error: str | None
    records: msgspec.Raw
    steps_sha256: str | None = None  # missing in older results, and in those of packs


RESULT = msgspec.json.Decoder(StoredResult)
RECORDS = msgspec.json.Decoder(tuple[StoredRecord, ...])


class StoredRecords(Sequence[Record]):
    """Records that are parsed when they are first looked at; compares as a tuple of them.

    Args:
        text: a JSON array.
        path: file of the text, for errors.
        epochs: that no record may exceed; None: any number.
        steps: as `epochs`.
    """

    def __init__(
        self, text: msgspec.Raw, path: Path, *, epochs: int | None = None, steps: int | None = None
    ) -> None:
        self._text, self._path = text, path
        self._most = {"epoch": epochs, "steps": steps}
        self._parsed: tuple[Record, ...] | None = None

    def parsed(self) -> tuple[Record, ...]:
        """Records.

        Raises:
            UsageError: a record lacks a field, a field has another type, or records contradict
                each other or the configuration.
        """
        if self._parsed is None:
            try:
                parsed = cast("tuple[Record, ...]", RECORDS.decode(self._text))
                check_progress(parsed, self._most)
                self._parsed = parsed
            except msgspec.ValidationError as error:
                text = f"{error}."
                with suppress(ValueError, RecursionError):  # of another part of the records
                    text = explain(error, json.loads(bytes(self._text)), "records")
                raise UsageError(f"{self._path} is a damaged DeepOBS result: {text}") from None
            except UsageError as error:
                raise UsageError(f"{self._path} is a damaged DeepOBS result: {error}") from None
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{self._path} is a damaged DeepOBS result: {error}.") from None
            self._text = msgspec.Raw()
        return self._parsed

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Record, ...]: ...
    def __getitem__(self, index: int | slice) -> Record | tuple[Record, ...]:
        return self.parsed()[index]

    def __len__(self) -> int:
        return len(self.parsed())

    def __iter__(self) -> Iterator[Record]:
        return iter(self.parsed())

    def __eq__(self, other: object) -> bool:
        if isinstance(other, StoredRecords):
            return self.parsed() == other.parsed()
        return self.parsed() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        raise TypeError("records hold dictionaries, which have no hash")

    def __repr__(self) -> str:
        return repr(self.parsed())


def check_progress(records: Sequence[Record], most: Mapping[str, int | None]) -> None:
    """Check that epochs and steps grow from record to record and stay below their limits.

    Args:
        records: of a run, which may lack `steps` and `steps_per_epoch`.
        most: largest value of `epoch` and `steps`; None: any.

    Raises:
        UsageError: they do not; names the record and the field.
    """
    before: Record = {"epoch": -1}
    for number, record in enumerate(records):
        name = f"The field records[{number}]."
        epoch, steps, per_epoch = (
            record["epoch"],
            record.get("steps"),
            record.get("steps_per_epoch"),
        )
        if epoch <= before["epoch"]:
            raise UsageError(f"{name}epoch is {epoch} after {before['epoch']}; it must be larger.")
        if steps is not None and steps < before.get("steps", 0):
            raise UsageError(f"{name}steps is {steps} after {before['steps']}; it must not fall.")
        for field, limit in most.items():
            if limit is not None and record.get(field, 0) > limit:
                raise UsageError(f"{name}{field} is {record[field]}; the run has {limit}.")
        known = steps is not None and per_epoch
        if known and not (epoch - 1) * per_epoch <= steps <= epoch * per_epoch:
            raise UsageError(f"{name}steps is {steps} in epoch {epoch} of {per_epoch} steps each.")
        before = record


def convert(data: Any, kind: type[Fields], name: str = "") -> Fields:
    """Plain JSON as a value of a type.

    Args:
        data: plain JSON.
        kind: the type.
        name: field of the result that holds `data`.

    Raises:
        UsageError: a field is missing or has another type.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        raise UsageError(explain(error, data, name)) from None


def check_values(value: Any, name: str, levels: int = MOST_LEVELS) -> None:
    """Check that foreign JSON has no number, text and nesting beyond every use.

    Raises:
        UsageError: it has; names the field.
    """
    if isinstance(value, int) and abs(value) > MOST:
        raise UsageError(f"The field {name} is a number of {len(str(value))} digits: too large.")
    if isinstance(value, str) and len(value) > MOST_LETTERS:
        raise UsageError(f"The field {name:.80} is a text of {len(value):,} letters: too long.")
    children: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        if any(len(key) > MOST_LETTERS for key in value):
            raise UsageError(f"A field of {name or 'the result'} has a name that is too long.")
        children = ((_below(name, key), item) for key, item in value.items())
    elif isinstance(value, list):
        children = ((f"{name}[{index}]", item) for index, item in enumerate(value))
    for child, item in children:
        if not levels:
            raise UsageError(f"The field {name:.80} is nested more than {MOST_LEVELS} levels deep.")
        check_values(item, child, levels - 1)


WANTED = {
    "str": "a text",
    "str | null": "a text or null",
    "int": "a whole number",
    "int` >= 0": "a whole number >= 0",
    "int | float | null": "a number or null",
    f"int` <= {MOST}": "a whole number below 2^63",
    f"int` >= {-MOST}": "a whole number above -2^63",
    "object": "an object",
    "array": "a list",
}
"""Types as messages of msgspec name them, in plain words."""

JSON_TYPES = {
    dict: "object", list: "array", str: "str", int: "int", float: "float", bool: "bool",
    type(None): "null",
}  # fmt: skip


def explain(error: msgspec.ValidationError, data: Any, name: str = "") -> str:
    """Message that names the invalid field of `data`, its value and what is allowed.

    Args:
        error: error of msgspec, which does not name keys of dictionaries, such as those of metrics.
        data: the plain JSON.
        name: field of the result that holds `data`.

    >>> try:
    ...     RECORDS.decode(b'[{"epoch": 0, "metrics": {"test": {"loss": "x"}}}]')
    ... except msgspec.ValidationError as error:
    ...     explain(error, [{"epoch": 0, "metrics": {"test": {"loss": "x"}}}], "records")
    'The field records[0].metrics.test.loss is "x"; it must be a number or null.'
    """
    message, _, place = str(error).partition(" - at `$")
    found = _at(place.rstrip("`"), data, name)
    if missing := re.fullmatch("Object missing required field `(.*)`", message):
        return f"The field {_below(found[0][0], missing[1])} is missing."
    got = re.search("got `(.*)`", message)
    fits = [(n, v) for n, v in found if got is None or JSON_TYPES[type(v)] == got[1]]
    name, value = (fits or found)[0]
    expected = re.match("Expected `(.*?)`?(?:, got|$)", message)
    if expected:
        wanted = WANTED.get(expected[1], expected[1])
    else:
        wanted = f"one of {', '.join(get_args(Status))}" if name == "status" else message
    return f"The field {name} is {json.dumps(value):.80}; it must be {wanted}."


def _at(place: str, data: Any, name: str) -> list[tuple[str, Any]]:
    """Names and values at a place such as `[0].metrics[...]`, where `...` is any key."""
    found = [(name, data)]
    for key, index in re.findall(r"\.(\w+)|\[([\d.]+)\]", place):
        if index == "...":
            mappings = [(n, v) for n, v in found if isinstance(v, dict)]
            found = [(_below(n, k), item) for n, v in mappings for k, item in v.items()]
        elif index:
            found = [(f"{n}[{index}]", v[int(index)]) for n, v in found]
        else:
            found = [(_below(n, key), v[key]) for n, v in found]
    return found


def _below(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
