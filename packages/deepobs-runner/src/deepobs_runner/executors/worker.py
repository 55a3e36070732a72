"""A worker process of `jobs`: takes runs from its standard input, tells what happens.

Commands come pickled from the parent on standard input, events go back as JSON lines on what was
standard output. What the user's code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

BOOT = (
    "import sys, pickle; start = pickle.load(sys.stdin.buffer); sys.path[:] = start['path']; "
    "from deepobs_runner.executors.worker import serve; serve(start)"
)
"""Run by the worker's `python -c`; the modules are then found where the parent finds them."""


def serve(start: Mapping[str, Any]) -> None:
    """Do the runs that come in until standard input ends, which ends the process at once.

    So no worker outlives its parent, however that died. A result file is valid at any moment.

    Args:
        start: `threads`, for torch.
    """
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import torch

    from deepobs_runner.backend.memory import keep_memory
    from deepobs_runner.runs.outcome import Outcome, attempt
    from deepobs_runner.runs.progress import epochs_reached
    from deepobs_runner.training.loop import Record

    def tell(**event: Any) -> None:
        try:
            events.write(json.dumps(event) + "\n")
            events.flush()
        except OSError:  # the parent is gone; as an exception it would count as the run's failure
            os._exit(0)

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
        with terminable():
            tell(event="ready")
            while True:
                outcome: Outcome = attempt(**commands.get(), on_record=tell_record)
                tell(event="end", status=outcome.status, message=outcome.message)
    except KeyboardInterrupt:  # what was under way is stored
        os._exit(130)


@contextmanager
def terminable() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that what is under way is stored; in the main thread alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listen(source: IO[bytes], commands: queue.SimpleQueue[Mapping[str, Any]]) -> None:
    while True:
        try:
            commands.put(pickle.load(source))
        except (EOFError, OSError, pickle.UnpicklingError):  # the parent is gone or done with us
            os._exit(0)
