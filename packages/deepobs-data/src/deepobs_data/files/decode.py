"""Turning the files of each in-memory image set into four tensors.

Every function takes the paths of the files by name and their md5 sums, checks each file before its
content is used, and returns train_x and test_x, uint8 (N, C, H, W), and train_y and test_y, int64
(N,). torchvision's classes would do this too, but hold the data two to three times while they do,
hash every file at every start and know one folder layout only.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepobs_data.errors import DamagedFileError
from deepobs_data.files.idx import read_idx

Arrays = dict[str, np.ndarray]
Paths = Mapping[str, Path]
Sums = Mapping[str, str | None]


def decode_idx(paths: Paths, sums: Sums) -> Arrays:
    """Read MNIST or Fashion-MNIST."""
    arrays = {}
    for part, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte"
        x = read_idx(paths[images], sums[images])
        y = read_idx(paths[labels], sums[labels])
        if x.ndim != 3 or y.ndim != 1 or len(x) != len(y):
            raise DamagedFileError(
                paths[images], f"{paths[images]} has shape {x.shape}, its labels {y.shape}."
            )
        arrays[f"{part}_x"], arrays[f"{part}_y"] = x[:, None], y.astype(np.int64)
    return arrays


def decode_cifar(paths: Paths, sums: Sums) -> Arrays:
    """Read the python version of CIFAR-10 (six batches) or CIFAR-100 (two files)."""
    train = sorted(name for name in paths if not name.startswith("test"))
    test = [name for name in paths if name.startswith("test")]
    arrays: Arrays = {}
    for part, names in (("test", test), ("train", train)):
        x = np.empty((0, 3, 32, 32), np.uint8)
        labels = []
        for k, name in enumerate(names):
            rows, y = _read_cifar_batch(paths[name], sums[name])
            if k == 0:  # all files are equally long; one allocation, filled file by file
                x = np.empty((len(rows) * len(names), 3, 32, 32), np.uint8)
            if len(rows) * len(names) != len(x):
                raise DamagedFileError(paths[name], f"{paths[name]} holds {len(rows)} images.")
            x[k * len(rows) : (k + 1) * len(rows)] = rows
            labels.append(y)
            del rows  # before the next file is read
        arrays[f"{part}_x"], arrays[f"{part}_y"] = x, np.concatenate(labels)
    return arrays


def decode_svhn(paths: Paths, sums: Sums) -> Arrays:
    """Read SVHN's cropped digits; the label 10 means the digit 0."""
    from scipy.io import loadmat

    arrays = {}
    for part in ("test", "train"):
        path = paths[f"{part}_32x32.mat"]
        check_md5(path, sums[path.name])
        try:
            content = loadmat(path, variable_names=["X", "y"])
            images, labels = content["X"], content["y"].reshape(-1).astype(np.int64)
        except (ValueError, TypeError, KeyError, NotImplementedError) as error:
            raise DamagedFileError(path, f"{path} is no SVHN file: {error}") from error
        if images.ndim != 4 or images.shape[:3] != (32, 32, 3) or images.shape[3] != len(labels):
            raise DamagedFileError(path, f"{path} holds X {images.shape}, y {labels.shape}.")
        arrays[f"{part}_x"] = np.ascontiguousarray(images.transpose(3, 2, 0, 1), dtype=np.uint8)
        arrays[f"{part}_y"] = labels % 10
    return arrays


DECODERS: Mapping[str, Callable[[Paths, Sums], Arrays]] = {
    "mnist": decode_idx,
    "fmnist": decode_idx,
    "cifar10": decode_cifar,
    "cifar100": decode_cifar,
    "svhn": decode_svhn,
}


def check_md5(path: Path, md5: str | None) -> None:
    """Compare a file with its checksum; None stands for unknown and passes.

    Raises:
        DamagedFileError: The checksums differ.
    """
    if md5 is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != md5:
        raise DamagedFileError(
            path, f"{path} has other content than expected: found md5 {found}, expected {md5}."
        )


def _read_cifar_batch(path: Path, md5: str | None) -> tuple[np.ndarray, np.ndarray]:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if md5 is None or found != md5:
            raise DamagedFileError(
                path,
                f"{path} has other content than expected: found md5 {found}, expected {md5}. "
                "It is a pickle and is not opened.",
            )
        file.seek(0)
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
