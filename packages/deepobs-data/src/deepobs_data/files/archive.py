"""Unpacking downloaded archives, strictly."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from deepobs_data.errors import DamagedFileError
from deepobs_data.files.find import UNPACKING


def extract_folder(archive: Path, folder: str, root: Path) -> None:
    """Unpack the files `folder/NAME` of a tar archive into `root / folder`.

    Everything is unpacked beside its place first and moved there file by file when the whole
    archive was read, so an error leaves no half file behind.

    Raises:
        DamagedFileError: The archive is incomplete, or holds anything but plain files and folders
            in `folder` (absolute paths, "..", links, devices): then nothing is kept of it.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=UNPACKING) as temporary:
        try:
            with tarfile.open(archive) as tar:
                for member in tar:
                    parts = PurePosixPath(member.name).parts
                    plain = member.isfile() and len(parts) == 2
                    directory = member.isdir() and len(parts) == 1
                    if not (plain or directory) or parts[0] != folder or parts[-1] == "..":
                        raise DamagedFileError(
                            archive,
                            f"{archive} holds {member.name!r}, which does not belong into the "
                            f"folder {folder!r}; the archive is refused.",
                        )
                    content = tar.extractfile(member)
                    if content is None:
                        continue
                    with content, (Path(temporary) / parts[1]).open("wb") as out:
                        shutil.copyfileobj(content, out, 1 << 20)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise DamagedFileError(archive, f"{archive} cannot be unpacked: {error}") from error
        (root / folder).mkdir(exist_ok=True)
        for path in Path(temporary).iterdir():
            os.replace(path, root / folder / path.name)
