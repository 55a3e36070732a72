"""From the name of a data set to checked arrays: find, check, decode, fetch where needed."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from deepobs_data.cache import cached_arrays
from deepobs_data.decode import DECODERS
from deepobs_data.errors import DamagedFileError, DownloadError
from deepobs_data.fetching import fetch
from deepobs_data.files import Found, find_folders, not_found, set_aside
from deepobs_data.progress import ProgressLine
from deepobs_data.roots import is_offline, resolve_root
from deepobs_data.sources import SOURCES

T = TypeVar("T")


def load_tensors(name: str, root: Path | str | None, offline: bool | None) -> dict[str, Tensor]:
    """The tensors train_x, train_y, test_x and test_y of an in-memory image set.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: Files are damaged and may not or cannot be downloaded again.
    """
    place = resolve_root(root)
    sums = {file.name: file.md5 for file in SOURCES[name].files}

    def read(found: Found) -> dict[str, Tensor]:
        arrays = cached_arrays(
            name,
            found.paths,
            place if found.home else None,
            lambda: DECODERS[name](found.paths, sums),
        )
        return {key: torch.from_numpy(array) for key, array in arrays.items()}

    return use_files(name, place, read, offline=is_offline(offline))


def use_files(name: str, root: Path, read: Callable[[Found], T], *, offline: bool) -> T:
    """Return `read(found)` for the first folder whose files are right; fetch them if none is.

    Damaged files are moved aside in the folder that a fetch fills; elsewhere they belong to
    someone else: they are left alone, with a warning.
    """
    damage: DamagedFileError | None = None
    reason = "downloads are switched off"
    for _ in range(len(SOURCES[name].files) + 1):  # every file may turn out damaged once
        for found in find_folders(SOURCES[name], root):
            try:
                return read(found)
            except DamagedFileError as error:
                damage = error
                if found.home:
                    damage = set_aside(error)
                    if not offline:
                        warnings.warn(f"{damage} It will be fetched again.", stacklevel=4)
                elif not offline:
                    warnings.warn(f"{damage} The file is not used.", stacklevel=4)
        if offline:
            break
        try:
            fetch(name, root, progress=ProgressLine(sys.stderr))
        except DownloadError as error:
            reason = str(error)
            break
    missing = not_found(name, root, reason)
    if damage is not None:
        raise DamagedFileError(damage.path, f"{damage}\n{missing}") from damage
    raise missing
