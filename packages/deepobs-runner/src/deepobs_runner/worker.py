"""A worker process of `jobs`: takes runs from its standard input, tells what happens.

Commands come pickled from the parent on standard input, events go back as JSON lines on what was
standard output. What the user's code prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import pickle
import queue
import sys
import threading
from collections.abc import Mapping
from typing import IO, Any

BOOT = (
    "import sys, pickle; start = pickle.load(sys.stdin.buffer); sys.path[:] = start['path']; "
    "from deepobs_runner.worker import serve; serve(start)"
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

    from deepobs_runner.attempts import Outcome, attempt
    from deepobs_runner.training import Record

    def tell(**event: Any) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    def tell_record(record: Record) -> None:
        seconds = sum(record.clocks.values())
        tell(event="record", epoch=record.epoch, metrics=record.metrics, seconds=seconds)

    torch.set_num_threads(start["threads"])
    commands: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, commands), daemon=True).start()
    tell(event="ready")
    while True:
        command = commands.get()
        outcome: Outcome = attempt(**command, on_record=tell_record)
        tell(event="end", status=outcome.status, message=outcome.message)


def _listen(source: IO[bytes], commands: queue.SimpleQueue[Mapping[str, Any]]) -> None:
    while True:
        try:
            commands.put(pickle.load(source))
        except (EOFError, OSError, pickle.UnpicklingError):  # the parent is gone or done with us
            os._exit(0)
