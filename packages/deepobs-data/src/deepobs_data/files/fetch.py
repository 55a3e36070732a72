"""Put a data set into a folder: by download, or from existing files."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
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
    refuse_links,
    remove_leftovers,
    set_aside,
)
from deepobs_data.files.roots import is_offline, resolve_root
from deepobs_data.files.sources import Download, Source, resolve
from deepobs_data.registry import info

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")


def pending_downloads(
    source: Source, root: Path, *, everywhere: bool = True
) -> tuple[Download, ...]:
    """Downloads that `fetch` would make.

    Args:
        source: The files of the data set.
        root: The data folder.
        everywhere: Whether a folder below `root` that has all files is as good as the one that a
            fetch fills.
    """
    if everywhere and find_folders(source, root):
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
    in place by a rename. An existing archive in `root` is used instead of a download; a damaged one
    is moved aside, with a warning, as is a file with other content than expected.

    Args:
        name: A data set that can be downloaded.
        root: The data folder; default `$DEEPOBS_DATA_DIR`, else the user's cache folder.
        progress: Called with file name, bytes so far and bytes in all (None where unknown).

    Raises:
        ValueError: Unknown data set, or it is not downloaded.
        DownloadError: A file could not be downloaded or written.
        DamagedFileError: A downloaded archive cannot be unpacked.
    """
    place = resolve_root(root)
    source = info(name).require_source()
    for _ in range(2 * len(source.files) + 1):  # every file may be damaged, gzipped and not
        with locked(name, place):
            damaged = set_damaged_aside(source, place)
        _fetch(name, place, progress, everywhere=not damaged)
        if not damaged:
            break


def set_damaged_aside(source: Source, root: Path, *, only_look: bool = False) -> bool:
    """Whether no folder that has all files of a data set has the right content in all.

    A damaged file is moved aside in the folder that a fetch fills, and left alone elsewhere, with
    a warning.

    Args:
        source: The files of the data set.
        root: The data folder.
        only_look: Whether nothing is moved, and no warning given.
    """
    damaged = False
    for found in find_folders(source, root):
        try:
            check_files(source, found)
        except DamagedFileError as error:
            damaged = True
            if not only_look:
                damage = set_aside(error) if found.home else error
                warnings.warn(f"{damage} It is downloaded again.", stacklevel=3)
        else:
            return False
    return damaged


def _fetch(name: str, root: Path, progress: Progress | None, *, everywhere: bool = True) -> None:
    source = info(name).require_source()
    home = root / source.folder
    with locked(name, root):
        _check_place(home, root)
        remove_leftovers(root, home)
        for file in pending_downloads(source, root, everywhere=everywhere):
            if not file.archive:
                download(file, home / file.name, progress=progress, check=_check_of(source, file))
                continue
            archive = root / file.name
            if archive.is_file() and _unpack_what_was_there(archive, source, file, root):
                continue  # an archive that someone put there stays
            download(file, archive, progress=progress)
            unpack(archive, file, source, root)
            archive.unlink()


def _check_of(source: Source, file: Download) -> Callable[[Path], object] | None:
    """Check of the content of a download with an unknown checksum."""
    read = {wanted.name: wanted for wanted in source.files}.get(file.name)
    return None if read is None or read.accept is None else resolve(read.accept)


def unpack(archive: Path, file: Download, source: Source, root: Path) -> None:
    """Check an archive and unpack it into `root`; a wrong one is moved aside or left alone.

    Raises:
        DamagedFileError: The checksum is wrong or the archive cannot be unpacked.
        DownloadError: The disk is full.
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
        unpack(archive, file, source, root)
    except DamagedFileError as error:
        warnings.warn(f"{error} It is downloaded again.", stacklevel=3)
        return False
    return True


def import_files(name: str, path: Path | str, root: Path | str | None = None) -> Path:
    """Copy the files of data set `name` into `root`, after checking them.

    `path` is a folder that holds the files flat, in torchvision's layout, or as the archive that a
    fetch downloads; or one file: the archive, the only file of the set under any name, or one of
    several files, beside which the others are looked for. `root` is as for `fetch`.

    Returns:
        The folder they were put in.

    Raises:
        ValueError: Unknown data set, or it cannot be imported.
        DataNotFoundError: Not all files are there.
        DamagedFileError: A file there has wrong content; nothing is copied.
    """
    source = info(name).require_source()
    path, root = Path(path).expanduser(), resolve_root(root)
    home = root / source.folder
    with locked(name, root):
        _check_place(home, root)
        archive = _find_archive(source, path)
        if archive is not None:
            unpack(*archive, source, root)
            return home
        there = _find_anywhere(source, path)
        if there is None:
            raise DataNotFoundError(_not_importable(name, source, path))
        paths = check_files(source, there)
        home.mkdir(parents=True, exist_ok=True)
        remove_leftovers(home)
        for wanted in source.files:
            found = paths[wanted.name]
            suffix = ".gz" if wanted.gzipped and found.suffix == ".gz" else ""
            _copy(found, home / f"{wanted.name}{suffix}")
    return home


def _find_archive(source: Source, path: Path) -> tuple[Path, Download] | None:
    """Archive of a data set: `path` itself, or inside it if the files are not."""
    archives = [file for file in source.downloads if file.archive]
    if path.is_file() and archives and path.name not in {file.name for file in source.files}:
        return path, archives[0]
    for file in archives:
        if (path / file.name).is_file() and not find_folders(source, path):
            return path / file.name, file
    return None


def _find_anywhere(source: Source, path: Path) -> Found | None:
    """The files of `source` at `path`, in one of its usual layouts or in a direct subfolder."""
    if path.is_file():
        if len(source.files) == 1:
            return Found({source.files[0].name: path}, home=False, others={})
        path = path.parent
    subfolders = (
        sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    )
    for place in (path, *subfolders):
        for found in find_folders(source, place):
            return found
    return None


def _not_importable(name: str, source: Source, path: Path) -> str:
    if not path.exists():
        return f"Cannot find {path}."
    where = path.parent if path.is_file() else path
    names = ", ".join(file.name for file in source.files)
    archives = [file.name for file in source.downloads if file.archive]
    nor = f", nor the archive {archives[0]}" if archives else ""
    return f"{where} does not hold all files of {name!r}: {names}{nor}."


def check_files(source: Source, found: Found) -> dict[str, Path]:
    """Compare files with their checksums; a gzipped file takes the place of a damaged one.

    Returns:
        The paths of the files that are right, by name.

    Raises:
        DamagedFileError: A file has other content.
    """
    good = dict(found.paths)
    for file in source.files:
        try:
            check_file(good[file.name], file)
        except DamagedFileError as error:
            other = found.others.get(file.name)
            if other is None:
                raise
            try:
                check_file(other, file)
            except DamagedFileError:
                raise error from None
            warnings.warn(f"{error} {other.name} beside it is used.", stacklevel=2)
            good[file.name] = other
    return good


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
    # Here, because the command line imports this module and needs no numpy.
    from deepobs_data.files.arrays import check_arrays
    from deepobs_data.files.cache import cached_arrays

    place, decoder = resolve_root(root), resolve(row.decode)

    def read(found: Found) -> dict[str, np.ndarray]:
        def decode() -> dict[str, np.ndarray]:
            paths = check_files(row.require_source(), found)
            arrays: dict[str, np.ndarray] = decoder(paths)
            check_arrays(row, arrays)
            return arrays

        if row.kind == "text":  # decoded as fast as read
            return decode()

        home = place if found.home else None
        return cached_arrays(row.name, found.paths, home, decode, partial(check_arrays, row))

    return use_files(row, place, read, offline=is_offline(offline))


def use_files(row: DatasetInfo, root: Path, read: Callable[[Found], T], *, offline: bool) -> T:
    """`read(found)` for the first folder with valid files, after a fetch if necessary.

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
    reason = "Downloads are switched off"
    everywhere = True
    for _ in range(2 * len(source.files) + 1):  # every file may be damaged once, gzipped and not
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
                    continue  # no locks here, or the file was moved
            else:
                everywhere = False
            if not offline:
                then = "It is downloaded again." if found.home else "The file is not used."
                warnings.warn(f"{damage} {then}", stacklevel=5)
        if offline:
            break
        try:
            _fetch(row.name, root, ProgressLine(sys.stderr), everywhere=everywhere)
        except DownloadError as error:
            reason = str(error)
            break
    missing = not_found(row, root, reason)
    if damage is not None:
        raise DamagedFileError(damage.path, f"{damage}\n{missing}") from damage
    raise missing


@contextmanager
def locked(
    name: str, root: Path, *, quiet: float = 2.0, patience: float = 6 * 3600.0
) -> Iterator[None]:
    """Hold the lock of one data set in `root`; wait while another process has it.

    Args:
        name: The data set.
        root: The data folder.
        quiet: Seconds before a message names the other process's lock.
        patience: Seconds after which waiting ends.

    Raises:
        DownloadError: `root` cannot be written, or the other process takes too long.
    """
    from filelock import FileLock, Timeout

    folder = root / ".locks"
    path = folder / f"{name}.lock"
    lock = FileLock(path)
    try:
        refuse_links(path, root)  # opening it would empty its target
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=quiet)
        except Timeout:
            print(
                f"deepobs-data: waiting for another process that works on {name} (it holds {path})",
                file=sys.stderr,
            )
            lock.acquire(timeout=patience)
    except Timeout as error:
        raise DownloadError(
            f"Another process has worked on {name} for {patience:g} s (it holds {path}). "
            "Stop that process and try again."
        ) from error
    except OSError as error:
        raise _cannot_write(root, error) from error
    try:
        yield
    finally:
        lock.release()


def _cannot_write(root: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"Cannot write to the data folder {root}: {error}. Choose another with --data-dir, "
        "root=... or DEEPOBS_DATA_DIR."
    )


def _check_place(home: Path, root: Path) -> None:
    """Check that the folder of a data set does not lead elsewhere.

    Raises:
        DownloadError: It does.
    """
    try:
        refuse_links(home, root)
    except OSError as error:
        raise _cannot_write(root, error) from error


def _copy(path: Path, target: Path) -> None:
    temporary = part_path(target)
    try:
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    finally:
        with suppress(OSError):  # after an interrupt too; usually nothing is left
            temporary.unlink()
