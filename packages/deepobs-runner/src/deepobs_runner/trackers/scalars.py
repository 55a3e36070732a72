"""A record as one flat row of numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a record by name; what is None, because it was not finite, is not in.

    `epoch`, `steps`, `lr` (`lr/1` and so on for further parameter groups), `<split>/<metric>`,
    `seconds/<activity>` and `telemetry/<name>`.

    >>> scalars({"epoch": 1, "steps": 7, "lr": [0.1, 0.2], "metrics": {"test": {"loss": 2.0}}})
    {'epoch': 1, 'steps': 7, 'lr': 0.1, 'lr/1': 0.2, 'test/loss': 2.0}
    """
    rates = {f"lr/{i}" if i else "lr": rate for i, rate in enumerate(record.get("lr", ()))}
    parts = (
        {"epoch": record["epoch"], "steps": record["steps"]},
        rates,
        dict(_flat("", record.get("metrics", {}))),
        dict(_flat("seconds/", record.get("clocks", {}))),
        dict(_flat("telemetry/", record.get("telemetry", {}))),
    )
    return {name: value for part in parts for name, value in part.items() if value is not None}


def _flat(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{prefix}{name}/", value)
        else:
            yield prefix + name, value
