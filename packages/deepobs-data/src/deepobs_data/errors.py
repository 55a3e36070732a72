"""The errors of this package that a caller may want to catch."""

from __future__ import annotations


class DataNotFoundError(FileNotFoundError):
    """Files of a data set are not there and may not or cannot be downloaded."""


class DamagedFileError(RuntimeError):
    """A file does not have the content it must have."""


class DownloadError(OSError):
    """No mirror delivered a file."""
