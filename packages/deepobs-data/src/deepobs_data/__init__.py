"""The data sets of the DeepOBS benchmark as plain PyTorch data.

Names are loaded when they are first used, so that `import deepobs_data` costs nothing and the
command `deepobs-data` can list and fetch data without importing torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_data.errors import DamagedFileError as DamagedFileError
    from deepobs_data.errors import DataNotFoundError as DataNotFoundError
    from deepobs_data.errors import DownloadError as DownloadError
    from deepobs_data.images import fmnist as fmnist
    from deepobs_data.partition import Recipe as Recipe
    from deepobs_data.roots import default_root as default_root
    from deepobs_data.shapes import Augment as Augment
    from deepobs_data.shapes import Batch as Batch
    from deepobs_data.shapes import Dataset as Dataset
    from deepobs_data.shapes import Split as Split
    from deepobs_data.shapes import check_batch_size as check_batch_size
    from deepobs_data.shapes import stateful_order as stateful_order
    from deepobs_data.synthetic import quadratic as quadratic
    from deepobs_data.synthetic import two_d as two_d
    from deepobs_data.table import Table as Table

    __version__: str

_HOME = {
    "errors": ("DamagedFileError", "DataNotFoundError", "DownloadError"),
    "images": ("fmnist",),
    "partition": ("Recipe",),
    "roots": ("default_root",),
    "shapes": ("Augment", "Batch", "Dataset", "Split", "check_batch_size", "stateful_order"),
    "synthetic": ("quadratic", "two_d"),
    "table": ("Table",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("deepobs-data")
    if name in _MODULE_OF:
        from importlib import import_module

        value = getattr(import_module(f"deepobs_data.{_MODULE_OF[name]}"), name)
        globals()[name] = value  # later look-ups skip this function
        return value
    raise AttributeError(f"module 'deepobs_data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
