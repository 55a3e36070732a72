"""Where DeepOBS writes: files that a user names, files below a folder of results, and locks.

A folder of results may be foreign. What DeepOBS writes there by itself never goes
through a symbolic link, which could lead to any file of the user.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from deepobs_runner.errors import RunLockedError, UsageError, cannot_write
from deepobs_runner.results.files import write_bytes


def write_output(path: Path, content: bytes) -> None:
    """Write a file that a user named.

    A device or a pipe is written to, any other file replaced atomically; of a link that is its
    target.
    """
    if path.exists() and not path.is_file():
        path.write_bytes(content)
    else:
        write_bytes(path.resolve() if path.is_symlink() else path, content)


def refuse_links(path: Path, folder: Path) -> None:
    """Refuse to write to a path below a folder that leads elsewhere.

    The path, or a folder between, is a symbolic link, or the path is a device or a pipe. The folder
    itself may be a link.

    Raises:
        UsageError: it does.
    """
    below = path.relative_to(folder).parts
    parts = [folder.joinpath(*below[: length + 1]) for length in range(len(below))]
    for part in parts:
        is_link = part.is_symlink()
        if is_link or (part.exists() and not part.is_file() and not part.is_dir()):
            raise UsageError(
                f"{part} is {'a symbolic link' if is_link else 'not a file'}, and DeepOBS does not "
                "write through one. Remove it, or choose another folder with --out."
            )


@contextmanager
def locked(path: Path, folder: Path, other: str, advice: str) -> Iterator[None]:
    """Hold a lock that only one process can have; do not wait for it.

    Args:
        path: of the lock, a file that stays; its folder is made.
        folder: that holds the path, see `refuse_links`.
        other: what another process that holds the lock does, for the message.
        advice: what to do instead of waiting, for the message.

    Raises:
        RunLockedError: another process holds it.
        UsageError: the lock cannot be made, or is a link; it would be emptied.
    """
    from filelock import FileLock, Timeout  # imports asyncio, which commands that read do not need

    refuse_links(path, folder)
    refuse_hard_links(path)
    lock = FileLock(path, timeout=0)
    try:
        path.parent.mkdir(exist_ok=True)
        lock.acquire()
    except Timeout:
        raise RunLockedError(f"Another process {other}. Wait for it, or {advice}.") from None
    except OSError as error:
        raise cannot_write(path, error, f"{advice[0].upper()}{advice[1:]}.") from None
    try:
        yield
    finally:
        lock.release()


def private_folder(parent: Path, folder: Path) -> Path:
    """Make a folder that is empty and that only this user can read, for files that can run code.

    Its name is the time in UTC and a random number, so no file can lie there before.

    Args:
        parent: where it is made.
        folder: folder of results that holds `parent`, see `refuse_links`.

    Raises:
        UsageError: the parent leads elsewhere, or the folder cannot be made.
    """
    refuse_links(parent, folder)
    made = parent / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}"
    try:
        parent.mkdir(parents=True, exist_ok=True)
        made.mkdir(mode=0o700)
    except OSError as error:
        raise cannot_write(made, error, "Choose another folder with --out.") from None
    return made


def open_unlinked(path: Path, mode: str) -> IO[bytes]:
    """Open a file in a binary mode, to change it in place.

    Without a buffer, so that a write that fails leaves nothing to be written later.

    Raises:
        OSError: it cannot be opened, is a symbolic link, a pipe or a device, or has a second name
            (hard link), which may be a file of the user.
    """

    def opener(name: str, flags: int) -> int:
        # Opening a pipe waits for its reader, unless with O_NONBLOCK. Windows has neither flag.
        others = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        opened = os.open(name, flags | others, 0o666)
        found = os.fstat(opened)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return opened
        os.close(opened)
        raise OSError(errno.EMLINK, "it is not a file, or has a second name (hard link)")

    return open(path, mode, buffering=0, opener=opener)


def refuse_hard_links(path: Path) -> None:
    """Refuse to change a file in place that has a second name, which may be a file of the user.

    Raises:
        UsageError: it has.
    """
    with suppress(OSError):
        if path.lstat().st_nlink > 1 and path.is_file():
            raise UsageError(
                f"{path} has a second name (hard link), and DeepOBS would change that file, too. "
                "Remove it, or choose another folder with --out."
            )


def make_way(path: Path, folder: Path) -> None:
    """Prepare a path below a folder for a new file: make its folder, remove an earlier file.

    The earlier one may be a hard link; writing to it would change another file of the user.

    Raises:
        UsageError: the path leads elsewhere, see `refuse_links`.
        OSError: the folder cannot be made, or the file not be removed.
    """
    refuse_links(path, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
