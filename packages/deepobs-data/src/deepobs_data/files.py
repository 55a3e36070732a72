"""Finding the files of a data set below a root."""

from __future__ import annotations

from pathlib import Path

from deepobs_data.errors import DataNotFoundError
from deepobs_data.sources import SOURCES, Source


def find_folders(source: Source, root: Path) -> list[dict[str, Path]]:
    """All folders below `root` that hold every file of `source`, most specific first.

    Returns:
        For each such folder the path of every file by its name in `source`; empty if none.
    """
    found = []
    for folder in source.folders:
        paths = {}
        for file in source.files:
            names = (file.name, f"{file.name}.gz") if file.gzipped else (file.name,)
            for name in names:
                if (root / folder / name).is_file():
                    paths[file.name] = root / folder / name
                    break
        if len(paths) == len(source.files):
            found.append(paths)
    return found


def not_found(name: str, root: Path, reason: str) -> DataNotFoundError:
    """The error for a data set that is not there: what is missing and three ways to get it."""
    source = SOURCES[name]
    files = ", ".join(f"{f.name}[.gz]" if f.gzipped else f.name for f in source.files)
    return DataNotFoundError(
        f"The data set {name!r} is not in {root} and {reason}.\n"
        f"Missing: {files}; they would go to {root / source.folder}.\n"
        "Three ways to get them:\n"
        f"  1. with a network: deepobs-data fetch {name} --data-dir {root}\n"
        f"  2. from a folder that has them: deepobs-data import {name} FOLDER --data-dir {root}\n"
        "  3. use a folder that has them as it is: --data-dir FOLDER, root=FOLDER in Python, or\n"
        "     the environment variable DEEPOBS_DATA_DIR=FOLDER"
    )
