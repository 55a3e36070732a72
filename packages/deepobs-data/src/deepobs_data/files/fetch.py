"""Getting a data set into a folder: by download, or from files someone already has."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deepobs_data.dataset_info import info
from deepobs_data.errors import DamagedFileError, DataNotFoundError, DownloadError
from deepobs_data.files.archive import extract_folder
from deepobs_data.files.decode import check_md5
from deepobs_data.files.download import Progress, download
from deepobs_data.files.find import Found, find_folders, missing_files, part_path, set_aside
from deepobs_data.files.idx import read_idx
from deepobs_data.files.roots import resolve_root
from deepobs_data.files.sources import SOURCES, Download, Source, SourceFile
from deepobs_data.files.war_and_peace import check_war_and_peace


def pending_downloads(name: str, root: Path) -> tuple[Download, ...]:
    """What `fetch` would download; empty when some folder below `root` has all files."""
    source = SOURCES[name]
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
    source = _source_of(name, "fetched")
    root = resolve_root(root)
    home = root / source.folder
    with locked(name, root):
        for file in pending_downloads(name, root):
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
        check_md5(archive, file.md5)
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
    source = _source_of(name, "imported")
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
        if name == "tolstoi":
            check_war_and_peace(found.paths["war-and-peace.txt"])
        home.mkdir(parents=True, exist_ok=True)
        for path in found.paths.values():
            _copy(path, home / path.name)
    return home


def check_file(path: Path, file: SourceFile) -> None:
    """Compare the (uncompressed) content of `path` with its checksum.

    Raises:
        DamagedFileError: It is different.
    """
    if file.gzipped:
        read_idx(path, file.md5)
    else:
        check_md5(path, file.md5)


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


def _source_of(name: str, action: str) -> Source:
    """Where data set `name` comes from; a ValueError that names a way where it has no source."""
    info(name)  # refuses unknown names
    if name not in SOURCES:
        raise ValueError(
            f"{name} cannot be {action}: "
            + (
                "ImageNet is used where it lies; name the folder with train and val by --data-dir "
                "or root=..."
                if name == "imagenet"
                else "it is made from a seed and needs no files."
            )
        )
    return SOURCES[name]
