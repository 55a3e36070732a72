"""Turning the files of each in-memory image set into four tensors.

Every decoder takes the paths of the files by name and returns train_x and test_x, uint8
(N, C, H, W), and train_y and test_y, int64 (N,). torchvision's classes would do this too, but hold
the data two to three times while they do, hash every file at every start and know one folder layout
only.
"""

from __future__ import annotations

import gzip
import math
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np

from deepobs_data.errors import DamagedFileError, import_extra
from deepobs_data.files.checksum import GZIP_ERRORS

Arrays = dict[str, np.ndarray]
Paths = Mapping[str, Path]


def decode_idx(paths: Paths) -> Arrays:
    """Read MNIST or Fashion-MNIST."""
    arrays = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
        x = read_idx(paths[images])
        y = read_idx(paths[labels])
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DamagedFileError(
                paths[images], f"{paths[images]} has shape {x.shape}, its labels {y.shape}."
            )
        arrays[f"{part}_x"], arrays[f"{part}_y"] = x[:, None], y.astype(np.int64)
    return arrays


def decode_cifar(paths: Paths) -> Arrays:
    """Read the python version of CIFAR-10 (six batches) or CIFAR-100 (two files)."""
    train = sorted(name for name in paths if not name.startswith("test"))
    test = [name for name in paths if name.startswith("test")]
    arrays: Arrays = {}
    for part, names in (("test", test), ("train", train)):
        x = np.empty((0, 3, 32, 32), np.uint8)
        labels = []
        for k, name in enumerate(names):
            rows, y = _read_cifar_batch(paths[name])
            if k == 0:  # all files are equally long; one allocation, filled file by file
                x = np.empty((len(rows) * len(names), 3, 32, 32), np.uint8)
            if len(rows) * len(names) != len(x):
                raise DamagedFileError(paths[name], f"{paths[name]} holds {len(rows)} images.")
            x[k * len(rows) : (k + 1) * len(rows)] = rows
            labels.append(y)
            del rows  # before the next file is read
        arrays[f"{part}_x"], arrays[f"{part}_y"] = x, np.concatenate(labels)
    return arrays


def decode_svhn(paths: Paths) -> Arrays:
    """Read SVHN's cropped digits; the label 10 means the digit 0.

    Raises:
        MissingPackageError: scipy is not installed.
    """
    loadmat = import_extra("scipy.io", "svhn", "SVHN").loadmat
    arrays = {}
    for part in ("test", "train"):
        path = paths[f"{part}_32x32.mat"]
        try:
            content = loadmat(path, variable_names=["X", "y"])
            images, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise DamagedFileError(path, f"{path} is not an SVHN file: {error}") from error
        if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.shape[3] != len(labels):
            raise DamagedFileError(path, f"{path} holds X {images.shape}, y {labels.shape}.")
        arrays[f"{part}_x"] = np.ascontiguousarray(images.transpose(3, 2, 0, 1), dtype=np.uint8)
        arrays[f"{part}_y"] = labels % 10
    return arrays


def _read_cifar_batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as file:
        # Text of Python 2 stays bytes: as str it would be decoded and encoded again.
        content = _ArrayUnpickler(file, encoding="bytes").load()
    batch = {key if isinstance(key, bytes) else key.encode(): content[key] for key in content}
    y = batch[b"labels"] if b"labels" in batch else batch[b"fine_labels"]
    x = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
    if len(x) != len(y):
        raise DamagedFileError(path, f"{path} holds {len(x)} images but {len(y)} labels.")
    return x, np.asarray(y, dtype=np.int64)


if TYPE_CHECKING:
    _Unpickler = pickle.Unpickler
else:
    # The unpickler written in Python reads the images into one buffer, the one in C into two; and
    # with one large object in the file it is as fast.
    _Unpickler = getattr(pickle, "_Unpickler", pickle.Unpickler)


class _ArrayUnpickler(_Unpickler):
    """Builds numpy arrays and plain containers, nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("numpy", "ndarray"):
            return np.ndarray
        if (module, name) == ("numpy", "dtype"):
            return np.dtype
        if name == "_reconstruct" and module.endswith("core.multiarray"):
            # numpy's own name for it has moved; every version hands it out this way.
            return np.empty(0).__reduce__()[0]
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode(encoding)  # bytes written by Python 3
        raise pickle.UnpicklingError(f"a data file asks for {module}.{name}")


def read_idx(path: Path) -> np.ndarray:
    """Read an idx file of unsigned bytes.

    The content goes straight into the result, so no second copy is ever held. The format is that
    of http://yann.lecun.com/exdb/mnist: two zero bytes, type 8, the number of axes, one
    big-endian uint32 per axis, the bytes.

    Args:
        path: The file; gzip is recognised by its first two bytes, not by its name.

    Returns:
        uint8 array of the shape that the file states.

    Raises:
        DamagedFileError: Truncated, too long, or of another format.
    """
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        try:
            if packed:
                with gzip.open(raw) as file:
                    return _read_idx(cast(BinaryIO, file), path)
            return _read_idx(raw, path)
        except GZIP_ERRORS as error:
            raise DamagedFileError(path, f"{path} is not a complete gzip file: {error}") from error


def _read_idx(file: BinaryIO, path: Path) -> np.ndarray:
    head = file.read(4)
    if len(head) != 4 or head[:3] != b"\x00\x00\x08" or not 1 <= head[3] <= 4:
        raise DamagedFileError(
            path,
            f"{path} is not an idx file of bytes: starts with {head.hex() or 'nothing'}, "
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
    done = 0
    while done < expected:
        count = file.readinto(flat[done : done + (1 << 20)])  # type: ignore[attr-defined]
        if not count:
            raise DamagedFileError(
                path, f"{path} is truncated: {done} of {expected} bytes for the shape {shape}."
            )
        done += count
    if file.read(1):
        raise DamagedFileError(path, f"{path} is longer than its shape {shape}.")
    return content
