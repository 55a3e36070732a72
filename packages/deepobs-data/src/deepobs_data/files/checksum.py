"""Comparing files with their checksums."""

from __future__ import annotations

import gzip
import hashlib
import warnings
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from deepobs_data.errors import DamagedFileError
from deepobs_data.files.sources import SourceFile, resolve

GZIP_ERRORS = (EOFError, zlib.error, gzip.BadGzipFile)
"""What reading a damaged gzip file raises."""


def check_file(path: Path, file: SourceFile) -> None:
    """Compare the (uncompressed) content of `path` with what is known of it.

    Other content than the known is accepted with a warning where `file.accept` accepts it.

    Raises:
        DamagedFileError: It is different.
    """
    try:
        with path.open("rb") as raw:
            packed = file.gzipped and raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if packed:
                with gzip.open(raw) as content:
                    _compare(cast(BinaryIO, content), path, file.checksum)
            else:
                _compare(raw, path, file.checksum)
    except GZIP_ERRORS as error:
        raise DamagedFileError(path, f"{path} is not a complete gzip file: {error}") from error
    except DamagedFileError as error:
        if file.accept is None:
            raise
        resolve(file.accept)(path)
        warnings.warn(f"{error} It looks like another edition and is used.", stacklevel=2)
    else:
        if file.checksum is None and file.accept is not None:
            resolve(file.accept)(path)


def check_checksum(path: Path, checksum: str | None) -> None:
    """Compare a file with its checksum; None stands for unknown and passes.

    Raises:
        DamagedFileError: The checksums differ.
    """
    with path.open("rb") as file:
        _compare(file, path, checksum)


def algorithm_of(checksum: str) -> str:
    """The name of the algorithm that gives checksums of this length.

    >>> algorithm_of("6fb458f1232090904fb40fe944165e91")
    'md5'
    """
    return "md5" if len(checksum) == 32 else "sha256"


def digest(file: BinaryIO, algorithm: str) -> str:
    """The checksum of what follows in an open file, in hexadecimal."""
    summed = hashlib.new(algorithm, usedforsecurity=False)
    while chunk := file.read(1 << 20):
        summed.update(chunk)
    return summed.hexdigest()


def _compare(content: BinaryIO, path: Path, checksum: str | None) -> None:
    if checksum is None:
        return
    algorithm = algorithm_of(checksum)
    found = digest(content, algorithm)
    if found != checksum:
        raise DamagedFileError(
            path,
            f"{path} has other content than expected: found {algorithm} {found}, "
            f"expected {checksum}.",
        )
