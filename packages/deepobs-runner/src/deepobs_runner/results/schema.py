"""Whether the fields of a result file hold what they should; errors name the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deepobs_runner.errors import UsageError

NUMERIC = frozenset({int, float, type(None)})
"""Types of the values of metrics in JSON."""


def check_fields(data: Mapping[str, Any], statuses: Sequence[str]) -> None:
    """Check the content of a result file of the current schema, all but its records.

    Args:
        data: the content.
        statuses: those a run may have.

    Raises:
        UsageError: a field is missing or holds something else than it should.
    """
    for name in ("id", "status", "config", "environment", "error", "records"):
        if name not in data:
            raise UsageError(f"The field {name} is missing.")
    _check("id", data["id"], isinstance(data["id"], str), "a text")
    status = data["status"]
    allowed = isinstance(status, str) and status in statuses
    _check("status", status, allowed, f"one of {', '.join(statuses)}")
    _check("error", data["error"], isinstance(data["error"], str | None), "a text or null")
    for name in ("config", "environment"):
        _check(name, data[name], isinstance(data[name], Mapping), "an object")
    config = data["config"]
    for name, kinds, wanted in (
        ("problem", str, "a text"),
        ("optimizer", str, "a text"),
        ("hyperparams", Mapping, "an object"),
        ("schedule", Mapping, "an object"),
        ("seed", int, "a whole number"),
    ):
        if name not in config:
            if name == "seed":  # there is a default; if it was renamed, its new name is unknown
                continue
            raise UsageError(f"The field config.{name} is missing.")
        value = config[name]
        _check(f"config.{name}", value, isinstance(value, kinds) and value is not True, wanted)
    fingerprint = config.get("fingerprint")
    right = isinstance(fingerprint, str | None)
    _check("config.fingerprint", fingerprint, right, "a text or null")


def check_records(records: Any) -> tuple[Mapping[str, Any], ...]:
    """Return records if each of them is one.

    Raises:
        UsageError: they are no list, or one lacks its epoch or metrics, or holds something else
            than numbers there.
    """
    _check("records", records, isinstance(records, Sequence) and not _is_text(records), "a list")
    for number, record in enumerate(records):
        if _is_record(record):
            continue
        name = f"records[{number}]"
        _check(name, record, isinstance(record, Mapping), "an object")
        _check(f"{name}.epoch", record.get("epoch"), _is_count(record.get("epoch")), "a count")
        for count in ("steps", "steps_per_epoch"):
            if count in record:
                _check(f"{name}.{count}", record[count], _is_count(record[count]), "a count")
        for part in ("clocks", "counters"):
            values = record.get(part, {})
            right = isinstance(values, Mapping) and all(
                value is None or _is_number(value) for value in values.values()
            )
            _check(f"{name}.{part}", values, right, "numbers by name")
        metrics = record.get("metrics")
        _check(f"{name}.metrics", metrics, isinstance(metrics, Mapping), "an object")
        for split, values in metrics.items():
            place = f"{name}.metrics.{split}"
            _check(place, values, isinstance(values, Mapping), "an object")
            for metric, value in values.items():
                right = value is None or _is_number(value)
                _check(f"{place}.{metric}", value, right, "a number or null")
    return tuple(records)


def _is_record(record: Any) -> bool:
    """Whether a record is surely right; one that is not is looked at field by field.

    This is most of the time that reading ten thousand results takes.
    """
    if type(record) is not dict or not _is_count(record.get("epoch")):
        return False
    metrics = record.get("metrics")
    if type(metrics) is not dict or not _is_count(record.get("steps", 0)):
        return False
    if not _is_count(record.get("steps_per_epoch", 0)):
        return False
    for part in (record.get("clocks", {}), record.get("counters", {}), *metrics.values()):
        if type(part) is not dict or not NUMERIC.issuperset(map(type, part.values())):
            return False
    return True


def _check(name: str, value: Any, right: bool, wanted: str) -> None:
    if not right:
        text = "null or missing" if value is None else f"{value!r:.80}"
        raise UsageError(f"The field {name} is {text}; it must be {wanted}.")


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
