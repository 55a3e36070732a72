"""Compare the files in a data folder with their checksums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from deepobs_data.errors import DamagedFileError
from deepobs_data.files.checksum import check_file
from deepobs_data.files.find import Found, find_folders
from deepobs_data.files.sources import Source, SourceFile
from deepobs_data.registry import info

State = Literal["verified", "present", "unknown", "damaged", "missing"]
"""`present`: without a checksum to compare with. `unknown`: cannot be read."""


class Verdict(NamedTuple):
    """State of one file, or of a missing data set."""

    path: Path
    state: State
    reason: str = ""


def verify(name: str, root: Path) -> list[Verdict]:
    """Check every file of data set `name` below `root`; nothing is changed.

    All folders in which the set is complete are checked. A data set without any such folder gives
    one verdict "missing" for the place where a fetch would put it.
    """
    source = info(name).require_source()
    verdicts = []
    for found in find_folders(source, root):
        for file, path in _files(source, found):
            try:
                check_file(path, file)
            except DamagedFileError as error:
                verdicts.append(Verdict(path, "damaged", str(error)))
            except OSError as error:
                verdicts.append(Verdict(path, "unknown", str(error)))
            else:
                known = file.checksum is not None or file.accept is not None
                verdicts.append(Verdict(path, "verified" if known else "present"))
    return verdicts or [Verdict(root / source.folder, "missing")]


def _files(source: Source, found: Found) -> Iterator[tuple[SourceFile, Path]]:
    """The files of a folder, with those that are there gzipped and not."""
    for file in source.files:
        yield file, found.paths[file.name]
        if file.name in found.others:
            yield file, found.others[file.name]
