"""From the name of a data set to checked content: find, check, move damage aside, fetch."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from deepobs_data.errors import DamagedFileError, DownloadError
from deepobs_data.files.fetch import fetch, locked
from deepobs_data.files.find import Found, find_folders, not_found, set_aside
from deepobs_data.files.sources import SOURCES
from deepobs_data.progress import ProgressLine

T = TypeVar("T")


def use_files(name: str, root: Path, read: Callable[[Found], T], *, offline: bool) -> T:
    """Return `read(found)` for the first folder whose files are right; fetch them if none is.

    Damaged files are moved aside in the folder that a fetch fills; elsewhere they belong to
    someone else: they are left alone, with a warning.

    Args:
        name: The data set.
        root: The data folder.
        read: Reads the files and raises DamagedFileError where they are not right.
        offline: Whether downloads are forbidden.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: Files are damaged and may not or cannot be downloaded again.
    """
    damage: DamagedFileError | None = None
    reason = "downloads are switched off"
    for _ in range(len(SOURCES[name].files) + 1):  # every file may turn out damaged once
        for found in find_folders(SOURCES[name], root):
            try:
                return read(found)
            except FileNotFoundError:
                continue  # another process has just moved a damaged file aside
            except DamagedFileError as error:
                damage = error
            if found.home:
                try:
                    with locked(name, root):
                        # Another process may have replaced the file in the meantime.
                        return read(found)
                except DamagedFileError as error:
                    damage = set_aside(error)
                except (DownloadError, FileNotFoundError):
                    continue  # nothing can be locked here, or the file was moved
            if not offline:
                then = "It will be fetched again." if found.home else "The file is not used."
                warnings.warn(f"{damage} {then}", stacklevel=4)
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
