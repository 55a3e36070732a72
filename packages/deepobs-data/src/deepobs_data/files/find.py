"""Finding the files of a data set below a root, and saying so when they are not there."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.errors import DamagedFileError, DataNotFoundError
from deepobs_data.files.sources import Source


class Found(NamedTuple):
    """A folder that holds all files of a data set."""

    paths: dict[str, Path]  # by the names in the source
    home: bool  # whether it is the folder where a fetch puts them


def find_folders(source: Source, root: Path) -> list[Found]:
    """All folders below `root` that hold every file of `source`, most specific first."""
    found = []
    for folder in source.folders:
        paths = {file: path for file, path in _find_files(source, root / folder).items() if path}
        if len(paths) == len(source.files):
            found.append(Found(paths, folder == source.folder))
    return found


def missing_files(source: Source, folder: Path) -> list[str]:
    """Names of the files of `source` that are not in `folder`."""
    return [file for file, path in _find_files(source, folder).items() if path is None]


def _find_files(source: Source, folder: Path) -> dict[str, Path | None]:
    """Each file of `source` in `folder`, None for those that are not there."""

    def find(name: str, gzipped: bool) -> Path | None:
        names = (name, f"{name}.gz") if gzipped else (name,)
        return next((folder / n for n in names if (folder / n).is_file()), None)

    return {file.name: find(file.name, file.gzipped) for file in source.files}


def not_found(row: DatasetInfo, root: Path, reason: str) -> DataNotFoundError:
    """The error for a data set that is not there: what is missing and three ways to get it."""
    name, source = row.name, row.require_source()
    target = root / source.folder
    missing = missing_files(source, target)
    gzipped = {file.name for file in source.files if file.gzipped}
    files = ", ".join(f"{file}[.gz]" if file in gzipped else file for file in missing)
    return DataNotFoundError(
        f"The data set {name!r} is not complete in {root}, and {reason.rstrip('.')}.\n"
        f"Missing: {files}; they would go to {target}.\n"
        "Three ways to get them:\n"
        f"  1. with a network: deepobs-data fetch {name} --data-dir {root}\n"
        f"  2. from a folder that has them: deepobs-data import {name} FOLDER --data-dir {root}\n"
        "  3. use a folder that has them as it is: --data-dir FOLDER, root=FOLDER in Python, or\n"
        "     the environment variable DEEPOBS_DATA_DIR=FOLDER"
    )


def part_path(path: Path) -> Path:
    """A name beside `path` that no other process uses, to write to before a rename."""
    return path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")


def set_aside(damage: DamagedFileError) -> DamagedFileError:
    """Move a damaged file out of the way by renaming it; returns the error with that added."""
    target = damage.path.with_name(f"{damage.path.name}.damaged")
    try:
        os.replace(damage.path, target)
    except OSError as error:
        return DamagedFileError(damage.path, f"{damage} It could not be moved aside: {error}.")
    return DamagedFileError(damage.path, f"{damage} It was moved aside to {target.name}.")
