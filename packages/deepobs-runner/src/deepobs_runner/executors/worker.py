"""Worker process of `--jobs`: its loop, and its representation in the parent.

Commands come pickled from the parent on standard input, events go back as JSON lines on what was
standard output. What the user's code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any, cast

from deepobs_runner.config import RunConfig

BOOT = (
    "import sys, pickle; start = pickle.load(sys.stdin.buffer); sys.path[:] = start['path']; "
    "from deepobs_runner.executors.worker import serve; serve(start)"
)
"""Run by the worker's `python -c`; the modules are then found where the parent finds them."""


SECONDS_ALONE = 20.0
"""Seconds for a worker to store its run after its parent is gone."""


def serve(start: Mapping[str, Any]) -> None:
    """Do the runs that come in until standard input ends, which interrupts a run under way.

    So no worker outlives its parent for long, however that died. A result file is valid at any
    moment.

    Args:
        start: `threads`, for torch.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import torch

    from deepobs_runner.backend.memory import keep_memory
    from deepobs_runner.runs.interrupts import interruptible
    from deepobs_runner.runs.outcome import Outcome, outcome_of
    from deepobs_runner.runs.progress import epochs_reached
    from deepobs_runner.training.record import Record

    def tell(**event: Any) -> None:
        try:
            events.write(json.dumps(event) + "\n")
            events.flush()
        except OSError:  # the parent is gone; as an exception it would count as the run's failure
            raise KeyboardInterrupt from None

    def tell_record(record: Record) -> None:
        seconds = sum(record.clocks.values())
        epoch = epochs_reached(record.epoch, record.steps, record.steps_per_epoch)
        tell(event="record", epoch=epoch, metrics=record.metrics, seconds=seconds)

    keep_memory()
    torch.set_num_threads(start["threads"])
    commands: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    # A reader of its own: Python aborts if a thread holds sys.stdin when it exits.
    source = os.fdopen(os.dup(0), "rb")
    threading.Thread(target=_listen, args=(source, commands), daemon=True).start()
    try:
        with interruptible():
            tell(event="ready")
            while True:
                outcome: Outcome = outcome_of(**commands.get(), on_record=tell_record)
                tell(event="end", status=outcome.status, message=outcome.message)
    except KeyboardInterrupt:  # what was under way is stored
        os._exit(130)


def _listen(source: IO[bytes], commands: queue.SimpleQueue[Mapping[str, Any]]) -> None:
    while True:
        try:
            commands.put(pickle.load(source))
        except (EOFError, OSError, pickle.UnpicklingError):  # the parent is gone or done with us
            break
    _interrupt_main_thread()
    time.sleep(SECONDS_ALONE)
    os._exit(130)


def _interrupt_main_thread() -> None:
    """Let the main thread store its run and end; where it cannot be reached, end at once."""
    main = threading.main_thread().ident
    if main is None or not hasattr(signal, "pthread_kill"):
        os._exit(130)
    signal.pthread_kill(main, signal.SIGTERM)


OUTPUT_KEPT = 20_000
"""Characters of what a worker prints that are kept until the run ends."""


class WorkerProcess:
    """A worker process, its current run, and threads that read its events and output."""

    def __init__(self, number: int, threads: int, events: queue.SimpleQueue[Any]) -> None:
        self.number = number
        self.config: RunConfig | None = None
        self.ready = False
        self._printed: deque[str] = deque(maxlen=OUTPUT_KEPT)
        given = os.environ.get("OMP_NUM_THREADS", "")
        threads = min(threads, int(given)) if given.isdecimal() and int(given) else threads
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # workers must not spin on each other's cores
        }
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", BOOT],  # -P: not from the current folder
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._input = cast(IO[bytes], self.process.stdin)
        self._output = cast(IO[bytes], self.process.stdout)
        self._errors = cast(IO[bytes], self.process.stderr)
        self._readers = [
            threading.Thread(target=self._read_events, args=(events,), daemon=True),
            threading.Thread(target=self._read_output, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        self.send({"path": sys.path, "threads": threads})

    def send(self, command: Any) -> None:
        """Send a command; a process that is gone is noticed by its reader."""
        with suppress(OSError):
            pickle.dump(command, self._input)
            self._input.flush()

    def _read_events(self, events: queue.SimpleQueue[Any]) -> None:
        for line in self._output:
            with suppress(ValueError):  # truncated when the process was killed
                events.put((self, json.loads(line)))
        events.put((self, None))

    def _read_output(self) -> None:
        for line in self._errors:
            self._printed.extend(line.decode(errors="replace"))

    def take_output(self) -> str:
        """Take what the process has printed since the last call."""
        taken = []
        with suppress(IndexError):
            while True:
                taken.append(self._printed.popleft())
        return "".join(taken)

    def describe_end(self) -> str:
        """Wait for the process, and describe how it ended."""
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

    def interrupt(self) -> None:
        """Ask the process to store its run and to end; one that is stopped continues for it."""
        self.process.terminate()
        if hasattr(signal, "SIGCONT"):
            self.process.send_signal(signal.SIGCONT)

    def close(self, deadline: float | None = None) -> None:
        """Close the pipes, which ends the process, and kill it if that does not.

        Args:
            deadline: until when it may go on, by `time.monotonic`; None: for 5 s.
        """
        seconds = 5.0 if deadline is None else deadline - time.monotonic()
        with suppress(OSError):
            self._input.close()
        try:
            self.process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for reader in self._readers:
            reader.join()
        self._output.close()
        self._errors.close()
