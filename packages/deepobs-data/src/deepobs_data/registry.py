"""All data sets by name: those of this package, of installed packages, and registered ones."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.datasets.catalog import ROWS
from deepobs_data.files.sources import resolve

if TYPE_CHECKING:
    from deepobs_data.dataset import Dataset

ENTRY_POINT_GROUP = "deepobs.datasets"

_LOADERS = {
    "image": "deepobs_data.datasets.images:load_arrays",
    "table": "deepobs_data.datasets.images:load_arrays",
    "text": "deepobs_data.datasets.text:load_text",
}

_rows = {row.name: row for row in ROWS}


def register_dataset(row: DatasetInfo) -> DatasetInfo:
    """Add a data set of your own for this process, and return it.

    Installed packages name their rows in the entry-point group `deepobs.datasets` instead.

    Raises:
        ValueError: Another data set has that name.
    """
    if _rows.setdefault(row.name, row) != row:
        raise ValueError(f"The data set {row.name!r} exists already. Choose another name.")
    return row


def info(name: str) -> DatasetInfo:
    """Look up the row of a data set.

    Raises:
        ValueError: Unknown name; the message has the nearest.
    """
    if name not in _rows:
        known = [row.name for row in list_datasets()]  # loads the entry points
        if name not in _rows:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"Unknown data set {name!r}.{hint} Known: {', '.join(known)}.")
    return _rows[name]


def list_datasets() -> tuple[DatasetInfo, ...]:
    """The rows of all data sets: first those of this package."""
    _load_entry_points()
    return tuple(_rows.values())


def load_dataset(name: str, root: Path | str | None = None, **options: Any) -> Dataset:
    """Load a data set by name: `load_dataset("cifar10", valid_size=5000)`.

    Args:
        name: One of `list_datasets()`.
        root: Folder with the data; default `$DEEPOBS_DATA_DIR`, else the user's cache folder.
            Missing files are downloaded into it.
        options: Keyword arguments of the data set's own function (`deepobs_data.cifar10`).

    Raises:
        ValueError: Unknown name, or an argument is not allowed.
        DataNotFoundError: Files are missing and may not or cannot be downloaded.
        DamagedFileError: A file's checksum or content is wrong.
    """
    row = info(name)
    if row.load is not None:
        dataset: Dataset = resolve(row.load)(root, **options)
    else:
        dataset = resolve(_LOADERS[row.kind])(row, root, **options)
    return dataset


def import_rows(location: str) -> None:
    """Import a module, or a file that ends in `.py`, which registers data sets.

    Raises:
        ValueError: unknown module or file. Errors of its own code pass unchanged.
    """
    if not location.endswith(".py"):
        if importlib.util.find_spec(location) is None:
            raise ValueError(f"Cannot find the module {location!r}.")
        importlib.import_module(location)
        return
    path = Path(location).resolve()
    if not path.is_file():
        raise ValueError(f"Cannot find the file {location}.")
    there = sys.modules.get(path.stem)
    if there is not None:
        if getattr(there, "__file__", None) == str(path):
            return
        raise ValueError(f"The module name {path.stem} is taken. Rename {location}.")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    # Under its name, so that its functions can be pickled for worker processes.
    module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


@cache
def _load_entry_points() -> None:
    _register_installed(entry_points(group=ENTRY_POINT_GROUP))


def _register_installed(entries: Iterable[EntryPoint]) -> None:
    """Register what installed packages offer; a broken package costs its own data sets alone."""
    for entry in entries:
        try:
            found = entry.load()
            for row in (found,) if isinstance(found, DatasetInfo) else found:
                register_dataset(row)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a package may even exit when it is imported
            warnings.warn(
                f"The data set {entry.name!r} of {entry.value} is skipped: "
                f"{type(error).__name__}: {error}",
                stacklevel=2,
            )
