"""A worker process as its parent sees it; what the worker does is in `worker`."""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import IO, Any, cast

from deepobs_runner.config import RunConfig
from deepobs_runner.executors.worker import BOOT

TEXT_KEPT = 20_000
"""Characters of what a worker prints that are kept until the run ends."""


class WorkerProcess:
    """A process, what it was told to run, and threads that read what it says."""

    def __init__(self, number: int, threads: int, said: queue.SimpleQueue[Any]) -> None:
        self.number = number
        self.config: RunConfig | None = None
        self.ready = False
        self._text: deque[str] = deque(maxlen=TEXT_KEPT)
        given = os.environ.get("OMP_NUM_THREADS", "")
        threads = min(threads, int(given)) if given.isdecimal() and int(given) else threads
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # workers must not spin on each other's cores
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._input = cast(IO[bytes], self.process.stdin)
        self._output = cast(IO[bytes], self.process.stdout)
        self._errors = cast(IO[bytes], self.process.stderr)
        self._readers = [
            threading.Thread(target=self._read_events, args=(said,), daemon=True),
            threading.Thread(target=self._read_text, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.tell({"path": sys.path, "threads": threads})

    def tell(self, command: Any) -> None:
        """Send a command; a process that is gone is noticed by its reader."""
        with suppress(OSError):
            pickle.dump(command, self._input)
            self._input.flush()

    def _read_events(self, said: queue.SimpleQueue[Any]) -> None:
        for line in self._output:
            with suppress(ValueError):  # cut off when the process was killed
                said.put((self, json.loads(line)))
        said.put((self, None))

    def _read_text(self) -> None:
        for line in self._errors:
            self._text.extend(line.decode(errors="replace"))

    def take_text(self) -> str:
        """Return what the process has printed since the last time."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._text.popleft())
        return "".join(taken)

    def describe_end(self) -> str:
        """Return how the process ended; waits for it."""
        code = self.process.wait()
        self._readers[1].join(timeout=1.0)
        if code >= 0:
            return f"its worker process ended with exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (by the kernel, perhaps: is memory short?)" if name == "SIGKILL" else ""
        return f"its worker process was killed with {name}{hint}"

    def close(self) -> None:
        """Close the pipes, which ends the process, and kill it if that does not."""
        with suppress(OSError):
            self._input.close()
        try:
            self.process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        self._output.close()
        self._errors.close()
