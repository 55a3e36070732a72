"""The lock of a run: two processes never write the same files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import RunLockedError, cannot_write
from deepobs_runner.results.outputs import refuse_links


@contextmanager
def run_lock(config: RunConfig, folder: Path) -> Iterator[None]:
    """Hold the lock of a run's files.

    Raises:
        RunLockedError: another process holds it.
        UsageError: the lock cannot be made, or is a symbolic link; it would be emptied.
    """
    path = folder / ".locks" / config.id
    refuse_links(path, folder)
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunLockedError(
            f"Another process is running {config.id} in {folder}. Wait for it, or choose another "
            "folder with --out."
        ) from None
    except OSError as error:
        raise cannot_write(path, error, "Choose another folder with --out.") from None
    try:
        yield
    finally:
        lock.release()
