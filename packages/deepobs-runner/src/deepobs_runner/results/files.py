"""Atomic writes, by which a file is whole or as before whenever the process dies; checksums."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

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


@contextmanager
def open_file(path: Path, most: int | None = MOST_BYTES) -> Iterator[BinaryIO]:
    """Open a foreign file to read: no pipe or device, which may never end, nor a larger file.

    Every file below a folder of results is opened here, or by `outputs.open_unlinked`.

    Args:
        path: path of the file; a symbolic link to a file is followed.
        most: allowed size in bytes; None: any.

    Raises:
        OSError: it cannot be opened; `UnfitFileError` where that is not for the moment.
    """
    _check_plain(path.stat(), most)  # before it is opened, which is an action for some devices
    # Opening a pipe waits for its writer, unless with O_NONBLOCK; Windows has neither.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        _check_plain(os.fstat(file.fileno()), most)  # it may be another file by now
        yield file


def _check_plain(found: os.stat_result, most: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnfitFileError(errno.EINVAL, "it is not a file")
    if most is not None and found.st_size > most:
        what = f"it has {found.st_size:,} bytes; at most {most:,} are read"
        raise UnfitFileError(errno.EFBIG, what)


def read_file(path: Path, most: int = MOST_BYTES) -> bytes:
    """Read a foreign file as a whole, see `open_file`.

    Raises:
        OSError: it cannot be read; `UnfitFileError` where that is not for the moment.
    """
    with open_file(path, most) as file:
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


def checksum_of(file: BinaryIO) -> Literal["right", "wrong", "missing"]:
    """Compare a file with the checksum at its end; files of earlier versions have none.

    The file is read from front to back, and left at its front.
    """
    left = file.seek(0, os.SEEK_END) - CHECKSUM_BYTES
    file.seek(0)
    if left < 0:
        return "missing"
    sha256 = hashlib.sha256()
    while left and (part := file.read(min(left, 2**20))):
        sha256.update(part)
        left -= len(part)
    end = file.read(CHECKSUM_BYTES)
    file.seek(0)
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
