"""Reading the idx files of MNIST and Fashion-MNIST, gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from deepobs_data.errors import DamagedFileError


def read_idx(path: Path, md5: str | None = None) -> np.ndarray:
    """Read an idx file of unsigned bytes.

    The content goes straight into the result, so no second copy is ever held. The format is that
    of http://yann.lecun.com/exdb/mnist: two zero bytes, type 8, the number of axes, one
    big-endian uint32 per axis, the bytes.

    Args:
        path: The file; gzip is recognised by its first two bytes, not by its name.
        md5: Checksum the uncompressed content must have; None to check the structure alone.

    Returns:
        uint8 array of the shape that the file states.

    Raises:
        DamagedFileError: Truncated, too long, of another format, or of another checksum.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if packed:
                with gzip.open(raw) as file:
                    return _read(cast(BinaryIO, file), path, md5)
            return _read(raw, path, md5)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DamagedFileError(path, f"{path} is no complete gzip file: {error}") from error


def _read(file: BinaryIO, path: Path, md5: str | None) -> np.ndarray:
    head = file.read(4)
    if len(head) != 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
        raise DamagedFileError(
            path,
            f"{path} is no idx file of bytes: starts with {head.hex() or 'nothing'}, "
            "expected 000008 and the number of axes.",
        )
    sizes = file.read(4 * head[3])
    if len(sizes) != 4 * head[3]:
        raise DamagedFileError(path, f"{path} ends within its header.")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    expected = math.prod(shape)
    # numpy refuses huge axes beside an empty one too.
    if math.prod(max(size, 1) for size in shape) > 1 << 30:
        raise DamagedFileError(path, f"{path} claims the shape {shape}: more than these sets hold.")
    content = np.empty(shape, np.uint8)
    flat = memoryview(content.reshape(-1).data)
    digest = hashlib.md5(head + sizes, usedforsecurity=False)
    done = 0
    while done < expected:
        count = file.readinto(flat[done : done + (1 << 20)])  # type: ignore[attr-defined]
        if not count:
            raise DamagedFileError(
                path, f"{path} is truncated: {done} of {expected} bytes for the shape {shape}."
            )
        digest.update(flat[done : done + count])
        done += count
    if file.read(1):
        raise DamagedFileError(path, f"{path} is longer than its shape {shape} says.")
    if md5 is not None and digest.hexdigest() != md5:
        raise DamagedFileError(
            path,
            f"{path} has other content than expected: found md5 {digest.hexdigest()}, "
            f"expected {md5}.",
        )
    return content
