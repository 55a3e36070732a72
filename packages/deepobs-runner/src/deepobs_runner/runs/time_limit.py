"""Time limit of a run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from deepobs_runner.results.result import TIME_LIMIT


@dataclass(frozen=True)
class TimeLimit:
    """The seconds after which a run stops at the end of its epoch.

    Attributes:
        seconds: None for no limit.
        started: when the run began, by `time.monotonic`.
    """

    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    def reason_to_stop(self) -> str | None:
        """Reason to stop the run now, None without one."""
        if self.seconds is None or time.monotonic() - self.started < self.seconds:
            return None
        return f"the {TIME_LIMIT} of {self.seconds:g} s was reached"
