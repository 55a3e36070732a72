"""Getting a data set into a folder: by download, or from files someone already has."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.errors import DamagedFileError, DataNotFoundError, DownloadError
from deepobs_data.files.archive import extract_folder
from deepobs_data.files.checksum import check_checksum, check_file
from deepobs_data.files.download import Progress, ProgressLine, download
from deepobs_data.files.find import (
    Found,
    find_folders,
    missing_files,
    not_found,
    part_path,
    set_aside,
)
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.sources import Download, Source, resolve
from deepobs_data.registry import info

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


def pending_downloads(source: Source, root: Path) -> tuple[Download, ...]:
    """What `fetch` would download; empty when some folder below `root` has all files."""
    if find_folders(source, root):
        return ()
    missing = missing_files(source, root / source.folder)
    return tuple(
        file
        for file in source.downloads
        if file.archive or file.name in missing or file.name.removesuffix(".gz") in missing
    )


def fetch(name: str, root: Path | str | None = None, *, progress: Progress | None = None) -> None:
    """Download what is missing of data set `name` into `root`, in torchvision's folder layout.

    One process does it at a time; others wait and then find the files. Checked downloads are put
    in place by a rename. An archive that lies in `root` already is used instead of a download; a
    damaged one is moved aside, with a warning.

    Args:
        name: A data set that can be downloaded.
        root: The data folder; default `$DEEPOBS_DATA_DIR`, else the user's cache folder.
        progress: Called with file name, bytes so far and bytes in all (None where unknown).

    Raises:
        ValueError: There is no such data set, or it is not downloaded.
        DownloadError: A file could not be downloaded or written.
        DamagedFileError: A downloaded archive cannot be unpacked.
    """
    source = info(name).require_source()
    root = resolve_root(root)
    home = root / source.folder
    with locked(name, root):
        for file in pending_downloads(source, root):
            if not file.archive:
                download(file, home / file.name, progress=progress)
                continue
            archive = root / file.name
            if archive.is_file() and _unpack_what_was_there(archive, source, file, root):
                continue  # an archive that someone put there stays
            download(file, archive, progress=progress)
            unpack(archive, source, file, root)
            archive.unlink()


def unpack(archive: Path, source: Source, file: Download, root: Path) -> None:
    """Check an archive and unpack it into `root`; a wrong one is moved aside or left alone.

    Raises:
        DamagedFileError: The checksum is wrong or the archive cannot be unpacked.
        DownloadError: There is no space for the files.
    """
    try:
        check_checksum(archive, file.checksum)
        extract_folder(archive, source.folder, root)
    except DamagedFileError as error:
        raise set_aside(error) if archive.parent == root else error from error
    except OSError as error:
        raise DownloadError(f"Cannot unpack {archive} into {root}: {error}") from error


def _unpack_what_was_there(archive: Path, source: Source, file: Download, root: Path) -> bool:
    """Unpack an archive this fetch has not downloaded; False where it is damaged."""
    try:
        unpack(archive, source, file, root)
    except DamagedFileError as error:
        warnings.warn(f"{error} It will be fetched again.", stacklevel=3)
        return False
    return True


def import_files(name: str, folder: Path | str, root: Path | str | None = None) -> Path:
    """Copy the files of data set `name` from `folder` into `root`, after checking them.

    `folder` may hold the files flat, in torchvision's layout, or as the archive that a fetch
    downloads. `root` is as for `fetch`.

    Returns:
        The folder they were put in.

    Raises:
        ValueError: There is no such data set, or it cannot be imported.
        DataNotFoundError: `folder` does not hold all files.
        DamagedFileError: A file there has wrong content; nothing is copied.
    """
    source = info(name).require_source()
    folder, root = Path(folder).expanduser(), resolve_root(root)
    home = root / source.folder
    with locked(name, root):
        for file in source.downloads:
            archive = folder / file.name
            if file.archive and archive.is_file() and not find_folders(source, folder):
                unpack(archive, source, file, root)
                return home
        found = _find_anywhere(source, folder)
        if found is None:
            names = ", ".join(file.name for file in source.files)
            archives = [file.name for file in source.downloads if file.archive]
            raise DataNotFoundError(
                f"{folder} does not hold all files of {name!r}: {names}"
                + (f", nor the archive {archives[0]}." if archives else ".")
            )
        for wanted in source.files:
            check_file(found.paths[wanted.name], wanted)
        home.mkdir(parents=True, exist_ok=True)
        for path in found.paths.values():
            _copy(path, home / path.name)
    return home


def read_arrays(
    row: DatasetInfo, root: Path | str | None, *, offline: bool | None
) -> dict[str, np.ndarray]:
    """The decoded arrays of a data set, from the cache where they are there.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: Files are damaged and may not or cannot be downloaded again.
    """
    if row.decode is None:
        raise ValueError(f"{row.name} has no decoder: its row needs `decode` or `load`.")
    place, decoder = resolve_root(root), resolve(row.decode)

    def read(found: Found) -> dict[str, np.ndarray]:
        def decode() -> dict[str, np.ndarray]:
            for file in row.require_source().files:
                check_file(found.paths[file.name], file)
            arrays: dict[str, np.ndarray] = decoder(found.paths)
            return arrays

        if row.kind == "text":  # decoded as fast as read
            return decode()
        from deepobs_data.files.cache import cached_arrays

        return cached_arrays(row.name, found.paths, place if found.home else None, decode)

    return use_files(row, place, read, offline=is_offline(offline))


def use_files(row: DatasetInfo, root: Path, read: Callable[[Found], T], *, offline: bool) -> T:
    """Return `read(found)` for the first folder whose files are right; fetch them if none is.

    Damaged files are moved aside in the folder that a fetch fills; elsewhere they belong to
    someone else: they are left alone, with a warning.

    Args:
        row: The data set.
        root: The data folder.
        read: Reads the files and raises DamagedFileError where they are not right.
        offline: Whether downloads are forbidden.

    Raises:
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: Files are damaged and may not or cannot be downloaded again.
    """
    source = row.require_source()
    damage: DamagedFileError | None = None
    reason = "downloads are switched off"
    for _ in range(len(source.files) + 1):  # every file may turn out damaged once
        for found in find_folders(source, root):
            try:
                return read(found)
            except FileNotFoundError:
                continue  # another process has just moved a damaged file aside
            except DamagedFileError as error:
                damage = error
            if found.home:
                try:
                    with locked(row.name, root):
                        # Another process may have replaced the file in the meantime.
                        return read(found)
                except DamagedFileError as error:
                    damage = set_aside(error)
                except (DownloadError, FileNotFoundError):
                    continue  # nothing can be locked here, or the file was moved
            if not offline:
                then = "It will be fetched again." if found.home else "The file is not used."
                warnings.warn(f"{damage} {then}", stacklevel=5)
        if offline:
            break
        try:
            fetch(row.name, root, progress=ProgressLine(sys.stderr))
        except DownloadError as error:
            reason = str(error)
            break
    missing = not_found(row, root, reason)
    if damage is not None:
        raise DamagedFileError(damage.path, f"{damage}\n{missing}") from damage
    raise missing


@contextmanager
def locked(name: str, root: Path) -> Iterator[None]:
    """Hold the lock of one data set in `root`; wait while another process has it.

    Raises:
        DownloadError: `root` cannot be written.
    """
    from filelock import FileLock

    folder = root / ".locks"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{name}.lock")
        lock.acquire()
    except OSError as error:
        raise DownloadError(
            f"Cannot write to the data folder {root}: {error}. Choose another with --data-dir, "
            "root=... or DEEPOBS_DATA_DIR."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _find_anywhere(source: Source, folder: Path) -> Found | None:
    """The files of `source` in `folder`, in one of its usual layouts or in a direct subfolder."""
    subfolders = (
        sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )
    return next((f for place in (folder, *subfolders) for f in find_folders(source, place)), None)


def _copy(path: Path, target: Path) -> None:
    temporary = part_path(target)
    try:
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    finally:
        with suppress(OSError):  # after an interrupt too; usually nothing is left
            temporary.unlink()
