"""Interrupts by signals: the first ends the run under way, and no other disturbs its checkpoint.

Ctrl-C in a terminal and `docker stop` reach every process of a group, and a parent passes its own
signal on, so one process may get several. Python runs the handlers of signals between any two
operations of the main thread.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that interrupt: Ctrl-C, the end of a container or job, a closed terminal."""

SECONDS_OF_PEACE = 30.0
"""Seconds after an interrupt in which others are ignored, while checkpoints are written."""


@dataclass
class _State:
    """Interrupts of this process; only its main thread gets and changes them."""

    blocks: int = 0
    shields: int = 0
    received: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    raised: float = -math.inf


_state = _State()


def _interrupt(number: int, frame: Any) -> None:
    """Raise the first interrupt; keep one that comes under a shield until that ends."""
    if _state.shields:
        _state.waiting.append(number)
        return
    _state.waiting.clear()
    if time.monotonic() - _state.raised < SECONDS_OF_PEACE:
        return
    _state.raised = time.monotonic()
    _state.received.append(number)
    raise KeyboardInterrupt


@contextmanager
def interruptible(signals: Sequence[int] = SIGNALS) -> Iterator[Sequence[int]]:
    """Let signals raise one `KeyboardInterrupt` in this block, in the main thread alone.

    A signal that the process ignores (`nohup`, the background of a shell) stays ignored; handlers
    of SIGINT and SIGHUP other than Python's and the system's stay, too.

    Args:
        signals: signals to listen to.

    Yields:
        The signals that have been received.
    """
    if threading.current_thread() is not threading.main_thread():
        yield ()
        return
    if not _state.blocks:
        _state.received, _state.waiting, _state.raised = [], [], -math.inf
    before: dict[int, Any] = {}
    _state.blocks += 1
    try:
        for number in filter(_is_free, signals):
            before[number] = signal.getsignal(number)
            signal.signal(number, _interrupt)
        yield _state.received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _state.blocks -= 1


def _is_free(number: int) -> bool:
    """Whether the handler of a signal may be replaced."""
    handler = signal.getsignal(number)
    if number in (signal.SIGINT, getattr(signal, "SIGHUP", None)):
        return handler in (signal.SIG_DFL, signal.default_int_handler)
    return handler not in (signal.SIG_IGN, None)


@contextmanager
def shielded() -> Iterator[None]:
    """Let interrupts wait until the end of this block, which must be short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _state.shields += 1
    try:
        yield
    finally:
        _state.shields -= 1
        if _state.waiting and not _state.shields:
            _interrupt(_state.waiting[0], None)


def raise_interrupt() -> None:
    """Raise an interrupt once more, since foreign code may have caught it.

    Raises:
        KeyboardInterrupt: one was received.
    """
    if was_interrupted():
        raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Whether an interrupt was received in the present `interruptible` block."""
    main = threading.current_thread() is threading.main_thread()
    return main and _state.blocks > 0 and bool(_state.received)
