"""Plain files: a CSV table and JSON lines, one file a run.

A run that was killed and resumed is written from its first record again, so no row is doubled,
and none of an attempt that was lost stays.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepobs_runner.results.files import write_atomically
from deepobs_runner.results.result import RunResult, Status, jsonable
from deepobs_runner.trackers.scalars import scalars


class CsvTable:
    """Keeps `<id>.csv`: a row a record, replaced atomically with every row.

    Objectives of single steps are not in it.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = ""
        self._rows: list[dict[str, Any]] = []

    def start(self, result: RunResult) -> None:
        """Begin an empty table."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run, self._rows = result.config.id, []

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """Write the table with one more row; a column is empty where a row has no such number."""
        self._rows.append({"run": self._run, **scalars(record)})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, dict.fromkeys(name for row in self._rows for name in row))
        writer.writeheader()
        writer.writerows(self._rows)
        content = text.getvalue().encode()
        write_atomically(self._folder / f"{self._run}.csv", lambda file: file.write(content))

    def end(self, status: Status) -> None:
        """Do nothing: the table is complete after every record."""


class JsonLines:
    """Keeps `<id>.jsonl`: a line a record, with the objectives of its steps.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = ""
        self._file: IO[str] | None = None

    def start(self, result: RunResult) -> None:
        """Begin an empty file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._run = result.config.id
        self._file = (self._folder / f"{self._run}.jsonl").open("w", encoding="utf-8")

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """Append a line, which can be read at once."""
        objectives = jsonable(step_objectives.tolist())
        line = {"run": self._run, **record, "step_objectives": objectives}
        if self._file is not None:
            self._file.write(json.dumps(line, allow_nan=False) + "\n")
            self._file.flush()

    def end(self, status: Status) -> None:
        """Close the file."""
        if self._file is not None:
            with suppress(OSError):  # every line was flushed
                self._file.close()
