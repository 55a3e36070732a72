"""JSON lines, one file per run; a resumed run is written again from its first record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepobs_runner.results.outputs import make_way
from deepobs_runner.results.result import RunResult, Status, jsonable


class JsonLines:
    """Writes `<id>.jsonl`: one line per record, with the objectives of its steps.

    Args:
        folder: folder of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = ""
        self._file: IO[str] | None = None

    def start(self, result: RunResult) -> None:
        """Begin an empty file."""
        self._run = result.config.id
        path = self._folder / f"{self._run}.jsonl"
        make_way(path, self._folder)
        self._file = path.open("x", encoding="utf-8")

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


TRACKER = JsonLines
