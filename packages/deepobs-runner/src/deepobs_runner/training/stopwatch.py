"""Time of a run by activity, without gaps."""

from __future__ import annotations

import time

import torch

from deepobs_runner.backend.devices import synchronize
from deepobs_runner.results.clocks import CLOCKS


class Stopwatch:
    """Assigns all elapsed time to activities.

    `mark` and `lap` assign the time since the last call to an activity; `lap` is for what happens
    within an epoch's steps, after which `settle` is called. Neither waits for a device.

    Args:
        device: which computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds = dict.fromkeys(CLOCKS, 0.0)
        self._last = time.perf_counter()

    def mark(self, activity: str) -> None:
        """Give the time since the last call to an activity."""
        now = time.perf_counter()
        self._seconds[activity] += now - self._last
        self._last = now

    def lap(self, activity: str) -> None:
        """Give the time since the last call to an activity of a step."""
        self.mark(activity)

    def settle(self) -> None:
        """End an epoch's steps: wait until the device has done them."""
        if self._device.type == "mps":  # runs asynchronously; the laps are those of this process
            synchronize(self._device)
            self.mark("forward_backward")

    def take(self) -> dict[str, float]:
        """Seconds by activity since the last call."""
        taken, self._seconds = self._seconds, dict.fromkeys(CLOCKS, 0.0)
        return taken


class CudaStopwatch(Stopwatch):
    """Measures laps by events on the device's stream, which are read once per epoch."""

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._events: list[torch.cuda.Event] = []  # of the longest epoch so far
        self._activities: list[str] = []
        self._stream = torch.cuda.current_stream(device)

    def lap(self, activity: str) -> None:
        """Record an event that ends the activity."""
        number = len(self._activities)
        if number == 0:
            self._stream = torch.cuda.current_stream(self._device)
        if number == len(self._events):
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._events.append(event)
        self._events[number].record(self._stream)
        self._activities.append(activity)

    def settle(self) -> None:
        """Wait for the last event and read all of them.

        What the first lap took is what this process saw pass less all later laps.
        """
        if not self._activities:
            return
        count = len(self._activities)
        self._events[count - 1].synchronize()
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        for number in range(1, count):
            lap = self._events[number - 1].elapsed_time(self._events[number]) / 1000
            self._seconds[self._activities[number]] += lap
            passed -= lap
        self._seconds[self._activities[0]] += max(0.0, passed)
        self._activities.clear()


def start_stopwatch(device: torch.device) -> Stopwatch:
    """Start a stopwatch for a device."""
    return CudaStopwatch(device) if device.type == "cuda" else Stopwatch(device)
