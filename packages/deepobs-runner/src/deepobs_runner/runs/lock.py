"""The lock of a run: two processes never write the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import RunLockedError, cannot_write
from deepobs_runner.results.outputs import refuse_hard_links, refuse_links


@contextmanager
def run_lock(config: RunConfig, folder: Path) -> Iterator[Callable[[], None]]:
    """Hold the lock of a run's files.

    Yields:
        A function that raises `RunLockedError` if the lock was removed since: another process may
        hold a new one, and write the same files.

    Raises:
        RunLockedError: another process holds it.
        UsageError: the lock cannot be made, or is a link; it would be emptied.
    """
    path = folder / ".locks" / config.id
    refuse_links(path, folder)
    refuse_hard_links(path)
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
    held = _identity(path)

    def check() -> None:
        if folder.is_dir() and _identity(path) != held:
            raise RunLockedError(
                f"{path} was removed while its run was in progress, so another process may write "
                "the same files. This one stops; run it again."
            )

    try:
        yield check
    finally:
        lock.release()


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from a later one of its name; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
