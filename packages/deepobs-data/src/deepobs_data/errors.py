"""The errors of this package that a caller may want to catch."""

from __future__ import annotations

from pathlib import Path


class DataNotFoundError(FileNotFoundError):
    """Files of a data set are not there and may not or cannot be downloaded."""


class DamagedFileError(RuntimeError):
    """A file does not have the content it must have.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class DownloadError(OSError):
    """No mirror delivered a file."""
