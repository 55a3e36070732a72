"""Pass the records of a run to its trackers; drop a failing tracker."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.extensions import short_name
from deepobs_runner.results.outputs import refuse_links
from deepobs_runner.results.result import RunResult, Status
from deepobs_runner.trackers import TRACKERS, Tracker, TrackerWarning


class Tracking:
    """The trackers of one run, from its first record to its end.

    Args:
        names: names of the trackers, see `trackers`.
        out: folder of the results; a tracker keeps the files of all its runs in
            `out/tracking/<name>`.
    """

    def __init__(self, names: Sequence[str], out: Path) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._out = out
        self._trackers: dict[str, Tracker] = {}
        self._started = False
        self._seen = self._steps = 0

    def record(self, result: RunResult, step_objectives: Sequence[np.ndarray]) -> None:
        """Hand over what is new.

        Trackers start with the first record, so a run that cannot begin has none; in a resumed run
        they get its earlier records first.

        Args:
            result: result with its records so far.
            step_objectives: objectives of all steps so far, in pieces.
        """
        if not self._names:
            return
        if not self._started:
            self._start(result)
        objectives = np.concatenate(step_objectives) if step_objectives else np.zeros(0, np.float32)
        for record in result.records[self._seen :]:
            new = objectives[self._steps : record["steps"]]
            self._seen, self._steps = self._seen + 1, record["steps"]
            for name, tracker in list(self._trackers.items()):
                self._try(name, partial(tracker.record, record, new))

    def end(self, status: Status) -> None:
        """End all trackers; the status is `running` if the run was interrupted."""
        for name, tracker in list(self._trackers.items()):
            self._try(name, partial(tracker.end, status))
        self._trackers = {}

    def _start(self, result: RunResult) -> None:
        self._started = True
        before = replace(result, records=result.records[:-1])
        for name in self._names:
            self._try(name, partial(self._make, name, before))

    def _make(self, name: str, result: RunResult) -> None:
        folder = self._out / "tracking" / short_name(name)
        refuse_links(folder, self._out)
        tracker = TRACKERS.find(name)(folder)
        tracker.start(result)
        self._trackers[name] = tracker

    def _try(self, name: str, call: Callable[[], None]) -> None:
        """Call something of a tracker; drop it if that fails."""
        try:
            call()
        except (Exception, SystemExit) as error:  # whatever someone else's code raises
            self._trackers.pop(name, None)
            warnings.warn(
                f"The tracker {name} failed and is dropped: {type(error).__name__}: {error}. "
                "The run continues, and its result is complete.",
                TrackerWarning,
                stacklevel=2,
            )


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """Numbers of a record by name, without values that are not finite.

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
