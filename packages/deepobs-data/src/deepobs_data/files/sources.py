"""Source of a data set's files: names, checksums, mirrors and folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

Reference = str | Callable[..., Any]
"""A function or object, or where it is, as `"package.module:name"`: imported at its first use."""


def resolve(reference: Reference) -> Any:
    """Object of a reference, importing its module where it is named by text.

    >>> resolve("math:ceil")(1.5)
    2
    """
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class SourceFile:
    """One file that a decoder reads.

    Attributes:
        name: File name.
        checksum: md5 (32 hexadecimal digits) or sha256 (64) of its uncompressed content; None
            where it is not known.
        size: Bytes of its uncompressed content; None where it is not known.
        gzipped: Whether `name + ".gz"` is read as well. The checksum is that of the uncompressed
            content, so repacked copies (Debian's `dataset-fashion-mnist`) are recognised, too.
        accept: Checks the content of a file with another or unknown checksum, such as another
            edition of a text. Called with the path; raises DamagedFileError to refuse it.
    """

    name: str
    checksum: str | None = None
    size: int | None = None
    gzipped: bool = False
    accept: Reference | None = None


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Attributes:
        name: File name.
        checksum: md5 or sha256; None where it is not known.
        size: Bytes; None where it is not known exactly.
        urls: Mirrors in the order in which they are tried.
        archive: Whether it is a tar archive that holds the source's folder.
    """

    name: str
    checksum: str | None
    size: int | None
    urls: tuple[str, ...]
    archive: bool = False


@dataclass(frozen=True)
class Source:
    """The files of one data set.

    Attributes:
        folder: Where a fetch puts them below the root.
        downloads: What a fetch downloads.
        files: What the decoder reads; default: the downloads as they are.
        aliases: Other folders below the root where files someone already has are looked for.
            The root itself comes last.
    """

    folder: str
    downloads: tuple[Download, ...]
    files: tuple[SourceFile, ...] = ()
    aliases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.files:
            read = tuple(SourceFile(file.name, file.checksum, file.size) for file in self.downloads)
            object.__setattr__(self, "files", read)

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders below the root that are searched, in order."""
        return (self.folder, *self.aliases, "")

    @property
    def download_size(self) -> int | None:
        """Bytes of all downloads; None where one is not known."""
        sizes = [file.size for file in self.downloads]
        return None if None in sizes else sum(size or 0 for size in sizes)
