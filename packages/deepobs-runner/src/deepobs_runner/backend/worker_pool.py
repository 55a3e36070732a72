"""A pool of processes for one command: drawing figures and following trajectories."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import ParamSpec, TypeVar

from deepobs_runner.backend.environment import usable_cores
from deepobs_runner.errors import UsageError

P = ParamSpec("P")
T = TypeVar("T")

MOST_PROCESSES = 8
"""Each imports torch and matplotlib, and a report has a few dozen figures."""


SAFE_PATH = "PYTHONSAFEPATH"
"""Environment variable of Python's option -P."""


class InlineExecutor(Executor):
    """Calls each function at once, in this thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function; the future has its result or the exception."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def worker_pool(processes: int | None = None, *, modules: Sequence[str] = ()) -> Iterator[Executor]:
    """Yield an executor that calls functions in other processes.

    Each imports the main module of the program again, so this is for commands: their main module
    does nothing when it is imported. Without a file to import, functions are called inline.

    Args:
        processes: at most; None: one per core, up to `MOST_PROCESSES`; 1: functions are called
            inline.
        modules: imported by each process when it starts, which is most of what a short task costs.

    Raises:
        UsageError: a process was killed, or could not be started.
    """
    processes = processes or min(usable_cores(), MOST_PROCESSES)
    if processes == 1 or not _main_can_be_imported():
        yield InlineExecutor()
        return
    with _safe_path():  # it starts a process that keeps an eye on its locks
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, spawn, initializer=_watch_parent)
    started: list[Future[None]] = []
    try:
        with _interrupts_ignored(), _safe_path():  # the processes that start now inherit these
            started += [pool.submit(_warm_up, modules) for _ in range(processes)]
        yield pool
    except BrokenExecutor as error:
        raise UsageError(_what_broke(started, error)) from None
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()  # else what they are at would be waited for
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # they end while this process continues


def _main_can_be_imported() -> bool:
    """Whether a new process finds the main module; it misses that of `python - < file`."""
    file = getattr(sys.modules["__main__"], "__file__", None)
    return file is None or Path(file).exists()


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ignore SIGINT while workers start; the workers then inherit this."""
    if threading.current_thread() is not threading.main_thread():  # which may go unreported
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Let workers import nothing from the current folder while they start.

    `multiprocessing` starts them with `python -c`, which would look there first.
    """
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _what_broke(started: Sequence[Future[None]], error: BrokenExecutor) -> str:
    if any(future.done() and future.exception() is None for future in started):
        return f"A process of the pool was killed; is memory short? Run it again. ({error})"
    return (
        "The processes of the pool could not be started. They import the main module again: what "
        f'it does must stand under if __name__ == "__main__". ({error})'
    )


def _warm_up(modules: Sequence[str]) -> None:
    import torch

    torch.set_num_threads(1)  # the processes share the cores
    for module in modules:
        import_module(module)


def _watch_parent() -> None:
    """Let this process end with the one that started it, which else could die unnoticed."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
