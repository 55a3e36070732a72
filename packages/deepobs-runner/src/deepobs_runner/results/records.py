"""The records of a stored run, parsed when they are first looked at.

They are most of a result file, and who loads ten thousand of them mostly wants to know what was
run and what became of it.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import orjson

from deepobs_runner.errors import UsageError
from deepobs_runner.results.schema import check_records

MARK = b'"records": ['
"""Begins the last part of a result file. Quotes within a JSON text are escaped, so this is no
part of one."""

Record = Mapping[str, Any]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Let no garbage be looked for meanwhile; for a command that ends when its work is done.

    A record is a tree of small objects, none of them garbage. Looking through those of thousands
    of runs again and again takes longer than parsing them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def reproducible(record: Record) -> Record:
    """Return what two runs of one configuration have in common: no seconds, no peak memory."""
    counters = {k: v for k, v in record.get("counters", {}).items() if k != "peak_memory_bytes"}
    return {**record, "clocks": {}, "counters": counters}


class StoredRecords(Sequence[Record]):
    """A sequence that compares as a tuple of records.

    Args:
        text: of a JSON array.
        path: of the file it is from, for errors.
    """

    def __init__(self, text: bytes, path: Path) -> None:
        self._text, self._path = text, path
        self._parsed: tuple[Record, ...] | None = None

    def parsed(self) -> tuple[Record, ...]:
        """Return the records.

        Raises:
            UsageError: the text is no JSON, or a record is not what it should be.
        """
        if self._parsed is None:
            try:
                self._parsed = check_records(orjson.loads(self._text))
            except UsageError as error:
                raise UsageError(f"{self._path} is a damaged DeepOBS result: {error}") from None
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{self._path} is a damaged DeepOBS result: {error}.") from None
            self._text = b""
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


def parse_result(content: bytes, path: Path) -> Any:
    """Return the JSON value of a result file, with `records` unparsed if they come last.

    Args:
        content: of the file.
        path: of the file, for errors.

    Raises:
        ValueError: the content, but for the records, is no JSON.
    """
    content = content.rstrip()
    start = content.rfind(MARK)
    if start < 0 or not content.endswith(b"]}"):
        return json.loads(content)
    try:
        data = json.loads(content[:start].rstrip(b", \n") + b"}")
    except ValueError:  # the mark belongs to something else
        return json.loads(content)
    data["records"] = StoredRecords(content[start + len(MARK) - 1 : -1], path)
    return data
