"""The lock of a run: two processes never write the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import RunLockedError
from deepobs_runner.results.outputs import refuse_links


@contextmanager
def run_lock(config: RunConfig, folder: Path) -> Iterator[None]:
    """Hold the lock of a run's files.

    Raises:
        RunLockedError: another process holds it.
        UsageError: the lock is a symbolic link; it would be emptied.
    """
    locks = folder / ".locks"
    refuse_links(locks / config.id, folder)
    locks.mkdir(exist_ok=True)
    try:
        with FileLock(locks / config.id, timeout=0):
            yield
    except Timeout:
        raise RunLockedError(
            f"Another process is running {config.id} in {folder}. Wait for it, or choose another "
            "folder with --out."
        ) from None
