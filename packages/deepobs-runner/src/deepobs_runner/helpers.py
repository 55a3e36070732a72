"""Processes that help with the work of one command: drawing, and following runs."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from typing import ParamSpec, TypeVar

from deepobs_runner.errors import UsageError
from deepobs_runner.jobs import usable_cores

P = ParamSpec("P")
T = TypeVar("T")


class Here(Executor):
    """Does everything at once, in this process."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function; the future has its result or the exception."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def helpers(processes: int | None = None) -> Iterator[Executor]:
    """Give what calls functions in other processes, as many as there are cores.

    Each imports the main module of the program again, so this is for commands, whose main module
    does nothing when it is imported.

    Args:
        processes: at most; None: as many as there are cores; 1: none, all is done here.

    Raises:
        UsageError: a process was killed.
    """
    processes = processes or usable_cores()
    if processes == 1:
        yield Here()
        return
    pool = ProcessPoolExecutor(
        processes, multiprocessing.get_context("spawn"), initializer=_leave_interrupts
    )
    try:
        for _ in range(processes):
            pool.submit(_warm_up)
        yield pool
    except BrokenExecutor as error:
        raise UsageError(
            f"A process that helped was killed; is memory short? Run it again. ({error})"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Leave Ctrl-C to the process that is helped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _warm_up() -> None:
    """Import what drawing and following take, which is most of what a short task costs."""
    import_module("deepobs_runner.figures")
    import_module("matplotlib.backends.backend_pdf")
