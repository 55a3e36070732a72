"""Errors of this package."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any


class DataNotFoundError(FileNotFoundError):
    """Files of a data set are missing and may not or cannot be downloaded."""


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


class MissingPackageError(ImportError):
    """A package of an extra is not installed."""


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import a module that comes with an extra.

    Raises:
        MissingPackageError: It is not installed; the message has the command that installs it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingPackageError(
            f"{purpose} needs {module.partition('.')[0]}, which cannot be imported ({error}). "
            f'Install it: pip install "deepobs-data[{extra}]"'
        ) from error
