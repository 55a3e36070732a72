"""Cache of decoded arrays, so that later starts read plain bytes.

One uncompressed `.npz` per data set, put in place by a rename. The zip format brings a checksum
per array, verified by reading each member to its end; a member `meta` names the arrays and the
source files with their sizes and times of change. Nothing in it can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from deepobs_data.files.find import part_path, refuse_links, remove_leftovers
from deepobs_data.files.roots import default_root

FORMAT = 1
"""Version of the decoded arrays; raise it when a decoder changes what it returns."""


def cached_arrays(
    name: str,
    paths: Mapping[str, Path],
    home: Path | None,
    decode: Callable[[], dict[str, np.ndarray]],
    check: Callable[[Mapping[str, np.ndarray]], None],
) -> dict[str, np.ndarray]:
    """Arrays of data set `name` from the cache, else from `decode`, which are then cached.

    A cache is replaced if its source files changed, if it cannot be read, or if its arrays are not
    those of the data set.

    Args:
        name: Names the cache file.
        paths: The source files.
        home: Folder of the data; the cache is in `home / "decoded"`. None, or a folder that cannot
            be written, stands for the default root; where that cannot be written either, nothing is
            cached.
        decode: Makes the arrays.
        check: Raises ValueError for arrays that are not those of the data set.
    """
    meta = _describe(paths)
    where = hashlib.sha256(repr(sorted(str(p.resolve()) for p in paths.values())).encode())
    file_name = f"{name}-{where.hexdigest()[:12]}.npz"
    homes = [folder / "decoded" for folder in (home, default_root()) if folder is not None]
    for folder in homes:
        arrays = _read(folder / file_name, meta)
        if arrays is not None:
            with suppress(ValueError):
                check(arrays)
                return arrays
    arrays = decode()
    for folder in homes:
        if _write(folder / file_name, meta, arrays):
            break
    return arrays


def _describe(paths: Mapping[str, Path]) -> dict[str, object]:
    files = {name: [path.stat().st_size, path.stat().st_mtime_ns] for name, path in paths.items()}
    return {"format": FORMAT, "files": files}


def _read(path: Path, meta: Mapping[str, object]) -> dict[str, np.ndarray] | None:
    try:
        if not path.is_file():  # opening a pipe would wait for its writer
            return None
        with zipfile.ZipFile(path) as archive:
            found = json.loads(_read_array(archive, "meta").tobytes())
            # By name: a damaged directory may list fewer members than there are.
            names = found.pop("arrays")
            return {name: _read_array(archive, name) for name in names} if found == meta else None
    except Exception:
        # Any effect of damaged bytes (a huge shape, an unknown compression, encryption): the
        # arrays can be decoded again.
        return None


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed: it may need any amount of memory.")
    with archive.open(f"{name}.npy") as member:
        array: np.ndarray = np.lib.format.read_array(member, allow_pickle=False)
        # zipfile compares the checksum at the end only, and a header with a flipped bit may ask
        # for fewer bytes than there are.
        if member.read(1):
            raise ValueError(f"{name} is longer than its header states.")
    return array


def _write(path: Path, meta: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> bool:
    """Write the cache file; return False if that fails, which is not an error."""
    temporary = part_path(path)
    try:
        refuse_links(path.parent, path.parent.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        with zipfile.ZipFile(temporary, "w") as archive:
            text = json.dumps({**meta, "arrays": list(arrays)}, sort_keys=True).encode()
            for name, array in {"meta": np.frombuffer(text, np.uint8), **arrays}.items():
                _write_array(archive, name, np.ascontiguousarray(array))
        os.replace(temporary, path)
    except OSError:
        return False
    finally:
        # After an interrupt too. Usually nothing is left; not even the parent may be a folder.
        with suppress(OSError):
            temporary.unlink()
    return True


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    # As numpy.savez, which would copy the array in pieces of 16 MB.
    with archive.open(f"{name}.npy", "w", force_zip64=True) as out:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(out, header)
        content = memoryview(array.reshape(-1).view(np.uint8).data)
        for start in range(0, len(content), 1 << 20):
            out.write(content[start : start + (1 << 20)])
