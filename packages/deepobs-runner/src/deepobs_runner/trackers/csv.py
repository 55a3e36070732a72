"""CSV tables, one file per run.

A resumed run is written again from its first record, so rows are neither duplicated nor lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.results.files import write_atomically
from deepobs_runner.results.result import RunResult, Status
from deepobs_runner.trackers.tracking import scalars


class CsvTable:
    """Writes `<id>.csv`: one row per record, replaced atomically with every row.

    Objectives of single steps are not in it.

    Args:
        folder: folder of the files.
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
        """Write the table with one more row; a number that a row lacks is an empty cell."""
        self._rows.append({"run": self._run, **scalars(record)})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, dict.fromkeys(name for row in self._rows for name in row))
        writer.writeheader()
        writer.writerows(self._rows)
        content = text.getvalue().encode()
        write_atomically(self._folder / f"{self._run}.csv", lambda file: file.write(content))

    def end(self, status: Status) -> None:
        """Do nothing: the table is complete after every record."""


TRACKER = CsvTable
