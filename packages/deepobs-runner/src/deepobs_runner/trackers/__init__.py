"""Trackers log every record of a run in addition to its result file.

A run has those that `Execution.track` names. Every module of this package but `tracking` is one;
docs/howto/extend.md shows how to add another. Nothing heavy is imported here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from deepobs_runner.extensions import Extensions

if TYPE_CHECKING:
    import numpy as np

    from deepobs_runner.results.result import RunResult, Status


class TrackerWarning(UserWarning):
    """A tracker is dropped or does less than requested; the run continues."""


class Tracker(Protocol):
    """Logs one run, from its first record to its end.

    An exception ends the tracker, not the run.
    """

    def start(self, result: RunResult) -> None:
        """The run begins.

        Every record follows, whether the run is new or resumed, so a tracker discards here what it
        has of an earlier start.

        Args:
            result: with configuration and environment; its records are those that a resumed run
                already has, which come first.
        """

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """The run was evaluated.

        Args:
            record: as in the result file (docs/results.md).
            step_objectives: objectives of every step since the record before, `(steps,)`.
        """

    def end(self, status: Status) -> None:
        """The run is over; `running` if it was interrupted."""


MakeTracker = Callable[[Path], Tracker]
"""Makes the tracker of a run; gets the tracker's folder, which need not exist yet."""

TRACKERS: Extensions[MakeTracker] = Extensions("tracker", __name__, callable, ("tracking",))


def check_trackers(names: Iterable[str]) -> None:
    """Look every tracker up.

    Raises:
        UsageError, ProblemError: one is unknown, or its package is not installed.
    """
    for name in names:
        TRACKERS.find(name)
