"""Atomic writes, by which a file is whole or as before whenever the process dies; checksums."""

from __future__ import annotations

import errno
import hashlib
import itertools
import math
import os
import secrets
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal, cast

from deepobs_runner.errors import UsageError, cannot_write


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside `path`, then move it there."""
    name = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # Not mkstemp: only the owner may read its files. Here the umask decides.
        with name.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Let a renamed file survive a loss of power, where the system can promise it."""
    with suppress(OSError):  # Windows opens no folders, some file systems do not sync them
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a whole file atomically."""
    write_atomically(path, lambda file: file.write(content))


MOST_BYTES = 2**28
"""Of a file that DeepOBS reads as a whole; the largest results have some megabytes."""


class UnfitFileError(OSError):
    """A path leads to something other than a file, or to one that is too big."""


def require_file(path: Path, most: float = math.inf) -> None:
    """Check that a path leads to a file: no pipe or device, which may never end.

    Raises:
        UnfitFileError: it leads to another thing, or to a file of more than `most` bytes.
        OSError: the path cannot be looked at.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnfitFileError(errno.EINVAL, "it is not a file")
    if found.st_size > most:
        what = f"it has {found.st_size:,} bytes; at most {most:,} are read"
        raise UnfitFileError(errno.EFBIG, what)


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a foreign file, see `require_file`.

    Raises:
        OSError: it cannot be read; `UnfitFileError` where that is not for the moment.
    """
    require_file(path, most)
    with path.open("rb") as file:
        return file.read(most)


MAGIC = b"deepobs1"
"""Begins the end of a file with a checksum; the sha256 of all before it follows."""

CHECKSUM_BYTES = len(MAGIC) + hashlib.sha256().digest_size
"""Length of that end."""


class _Hashing:
    """A file to write to, and the sha256 of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def write_with_checksum(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file atomically, from front to back, with a checksum at its end.

    Readers of the formats that are stored so (`.npy`, torch's zip) pass over the end.
    """

    def write_both(file: IO[bytes]) -> None:
        hashing = _Hashing(file)
        write(cast("IO[bytes]", hashing))
        file.write(MAGIC + hashing.sha256.digest())

    write_atomically(path, write_both)


def checksum_of(path: Path) -> Literal["right", "wrong", "missing"]:
    """Compare a file with the checksum at its end; files of earlier versions have none.

    Raises:
        OSError: it cannot be read, see `read_file`.
    """
    require_file(path)
    left = path.stat().st_size - CHECKSUM_BYTES
    if left < 0:
        return "missing"
    sha256 = hashlib.sha256()
    with path.open("rb") as file:
        while left and (part := file.read(min(left, 2**20))):
            sha256.update(part)
            left -= len(part)
        end = file.read()
    if not end.startswith(MAGIC):
        return "missing"
    return "right" if end == MAGIC + sha256.digest() else "wrong"


def set_aside(path: Path, why: object = "It was edited.", *, ending: str = "damaged") -> Path:
    """Rename a file that is not used to one that ends in `.damaged`, `.damaged-2` and so on.

    Args:
        path: path of the file.
        why: why it is not used.
        ending: instead of `damaged`.

    Raises:
        UsageError: it cannot be renamed.
    """
    names = (f"{path.name}.{ending}{'' if n == 1 else f'-{n}'}" for n in itertools.count(1))
    kept = next(free for name in names if not (free := path.with_name(name)).exists())
    try:
        return path.rename(kept)
    except OSError as error:
        raise cannot_write(path, error, f"It must be moved away: {why}") from None


def check_writable(folder: Path) -> None:
    """Create the folder of the results and try to write there.

    Raises:
        UsageError: the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise UsageError(
            f"Cannot write results to {folder}: it is a file. Name a folder with --out."
        ) from None
    except OSError as error:
        raise UsageError(
            f"Cannot write results to {folder}: {error.strerror or error}. Choose another folder "
            "with --out."
        ) from None
