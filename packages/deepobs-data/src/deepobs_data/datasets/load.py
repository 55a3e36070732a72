"""From the name of an in-memory image set to its tensors."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from deepobs_data.files.cache import cached_arrays
from deepobs_data.files.decode import DECODERS
from deepobs_data.files.find import Found
from deepobs_data.files.obtain import use_files
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.sources import SOURCES


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
