"""Find the files of a data set below a root; a clear error if they are missing."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.errors import DamagedFileError, DataNotFoundError
from deepobs_data.files.sources import Source

UNPACKING = ".unpack-"
"""How the name of a folder begins into which an archive is being unpacked."""


class Found(NamedTuple):
    """A folder that holds all files of a data set."""

    paths: dict[str, Path]  # by the names in the source
    home: bool  # whether it is the folder where a fetch puts them
    others: dict[str, Path]  # the gzipped file beside one that is not


def find_folders(source: Source, root: Path) -> list[Found]:
    """All folders below `root` that hold every file of `source`, most specific first."""
    found = []
    for folder in source.folders:
        there = _find_files(source, root / folder)
        if all(there.values()):
            paths = {name: paths[0] for name, paths in there.items()}
            others = {name: paths[1] for name, paths in there.items() if len(paths) > 1}
            home = folder == source.folder and not is_link(root / folder, root)
            found.append(Found(paths, home, others))
    return found


def missing_files(source: Source, folder: Path) -> list[str]:
    """Names of the files of `source` that are not in `folder`."""
    return [file for file, paths in _find_files(source, folder).items() if not paths]


def _find_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """Where each file of `source` is in `folder`: plain, gzipped, or both."""

    def find(name: str, gzipped: bool) -> list[Path]:
        names = (name, f"{name}.gz") if gzipped else (name,)
        return [folder / n for n in names if (folder / n).is_file()]

    return {file.name: find(file.name, file.gzipped) for file in source.files}


def not_found(row: DatasetInfo, root: Path, reason: str) -> DataNotFoundError:
    """The error for a missing data set: missing files and three ways to get them."""
    name, source = row.name, row.require_source()
    target = root / source.folder
    missing = missing_files(source, target)
    gzipped = {file.name for file in source.files if file.gzipped}
    files = ", ".join(f"{file}[.gz]" if file in gzipped else file for file in missing)
    return DataNotFoundError(
        f"The data set {name!r} is not complete in {root}. {reason.rstrip('.')}.\n"
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


def is_link(path: Path, root: Path) -> bool:
    """Whether a path below a data folder leads elsewhere, see `refuse_links`."""
    try:
        refuse_links(path, root)
    except OSError:
        return True
    return False


def refuse_links(path: Path, root: Path) -> None:
    """Refuse to write to a path below a data folder that leads elsewhere.

    The path, or a folder between, is a symbolic link, or the path has a second name (hard link).
    The data folder itself may be a link.

    Raises:
        OSError: it does.
    """
    below = path.relative_to(root).parts
    for part in (root.joinpath(*below[: length + 1]) for length in range(len(below))):
        with suppress(FileNotFoundError):
            found = part.lstat()
            plain = stat.S_ISDIR(found.st_mode) or (
                stat.S_ISREG(found.st_mode) and found.st_nlink == 1
            )
            if not plain:
                raise OSError(f"{part} is a link, a pipe or a device")


def remove_leftovers(*folders: Path, age: float = 600.0) -> None:
    """Delete what killed writers left: parts of files and of unpacked archives.

    Only files unchanged for `age` seconds; downloads that can be resumed stay.
    """
    for folder in folders:
        with suppress(OSError):
            for path in folder.iterdir():
                part = re.search(r"\.\d+-[0-9a-f]{8}\.part$", path.name)
                if (part or path.name.startswith(UNPACKING)) and _last_change(path) < (
                    time.time() - age
                ):
                    if path.is_dir() and not path.is_symlink():
                        shutil.rmtree(path, ignore_errors=True)
                    else:
                        path.unlink(missing_ok=True)


def _last_change(path: Path) -> float:
    """When a file, or a file in a folder, was last written."""
    inside = list(path.iterdir()) if path.is_dir() and not path.is_symlink() else []
    return max(float(entry.lstat().st_mtime) for entry in (path, *inside))


def set_aside(damage: DamagedFileError) -> DamagedFileError:
    """Move a damaged file out of the way by renaming it; returns the error with that added."""
    target = damage.path.with_name(f"{damage.path.name}.damaged")
    try:
        os.replace(damage.path, target)
    except OSError as error:
        return DamagedFileError(damage.path, f"{damage} It could not be moved aside: {error}.")
    return DamagedFileError(damage.path, f"{damage} It was moved aside to {target.name}.")
