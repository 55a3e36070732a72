"""The errors of this package that a caller may want to catch."""

from __future__ import annotations

from pathlib import Path


class DataNotFoundError(FileNotFoundError):
    """Files of a data set are not there and may not or cannot be downloaded."""


class DamagedFileError(RuntimeError):
    """A file does not have the content it must have.

    Attributes:
        path: The file. `Path()` where a worker of a `DataLoader` met it: the loader makes the error
            again from nothing but its text, which names the file.
    """

    def __init__(self, path: Path | str, message: str | None = None) -> None:
        super().__init__(path if message is None else message)
        self.path = Path() if message is None else Path(path)

    def __reduce__(self) -> tuple[type[DamagedFileError], tuple[Path, str]]:
        # Exceptions are pickled with `args`, which lack the path.
        return type(self), (self.path, str(self))


class DownloadError(OSError):
    """No mirror delivered a file."""
