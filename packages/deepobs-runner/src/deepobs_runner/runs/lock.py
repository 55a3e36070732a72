"""The lock of a run: two processes never write the same files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import RunLockedError
from deepobs_runner.results.outputs import locked


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
    other = f"is running {config.id} in {folder}"
    with locked(path, folder, other, "choose another folder with --out"):
        held = _identity(path)

        def check() -> None:
            if folder.is_dir() and _identity(path) != held:
                raise RunLockedError(
                    f"{path} was removed while its run was in progress, so another process may "
                    "write the same files. This one stops; run it again."
                )

        yield check


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from a later one of its name; None without a file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
