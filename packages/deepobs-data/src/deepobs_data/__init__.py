"""The data sets of the DeepOBS benchmark as plain PyTorch data.

Names are loaded when they are first used, so that `import deepobs_data` costs nothing and the
command `deepobs-data` can list and fetch data without importing torch.

The exported names are public. The modules are private and may change in any release.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_data.augment import CIFAR_AUGMENT as CIFAR_AUGMENT
    from deepobs_data.augment import IMAGENET_AUGMENT as IMAGENET_AUGMENT
    from deepobs_data.augment import SVHN_AUGMENT as SVHN_AUGMENT
    from deepobs_data.augment import Compose as Compose
    from deepobs_data.augment import Operation as Operation
    from deepobs_data.augment import RandomBrightness as RandomBrightness
    from deepobs_data.augment import RandomContrast as RandomContrast
    from deepobs_data.augment import RandomCrop as RandomCrop
    from deepobs_data.augment import RandomFlip as RandomFlip
    from deepobs_data.augment import RandomSaturation as RandomSaturation
    from deepobs_data.data_loader import loader as loader
    from deepobs_data.dataset import Dataset as Dataset
    from deepobs_data.dataset_info import DatasetInfo as DatasetInfo
    from deepobs_data.datasets.bigram import bigram as bigram
    from deepobs_data.datasets.bigram import bigram_pairs as bigram_pairs
    from deepobs_data.datasets.burgers import burgers as burgers
    from deepobs_data.datasets.diagnostic import attention_teacher as attention_teacher
    from deepobs_data.datasets.diagnostic import modular_addition as modular_addition
    from deepobs_data.datasets.imagenet import imagenet as imagenet
    from deepobs_data.datasets.images import CHANNEL_STATISTICS as CHANNEL_STATISTICS
    from deepobs_data.datasets.images import Normalization as Normalization
    from deepobs_data.datasets.images import cifar10 as cifar10
    from deepobs_data.datasets.images import cifar100 as cifar100
    from deepobs_data.datasets.images import fmnist as fmnist
    from deepobs_data.datasets.images import mnist as mnist
    from deepobs_data.datasets.images import svhn as svhn
    from deepobs_data.datasets.mnist1d import mnist1d as mnist1d
    from deepobs_data.datasets.poisson import poisson as poisson
    from deepobs_data.datasets.stand_in import synthetic_like as synthetic_like
    from deepobs_data.datasets.synthetic import nqm as nqm
    from deepobs_data.datasets.synthetic import quadratic as quadratic
    from deepobs_data.datasets.synthetic import two_d as two_d
    from deepobs_data.datasets.text import shakespeare as shakespeare
    from deepobs_data.datasets.text import text as text
    from deepobs_data.datasets.text import tolstoi as tolstoi
    from deepobs_data.errors import DamagedFileError as DamagedFileError
    from deepobs_data.errors import DataNotFoundError as DataNotFoundError
    from deepobs_data.errors import DownloadError as DownloadError
    from deepobs_data.errors import MissingPackageError as MissingPackageError
    from deepobs_data.files.fetch import fetch as fetch
    from deepobs_data.files.fetch import import_files as import_files
    from deepobs_data.files.roots import default_root as default_root
    from deepobs_data.files.sources import Download as Download
    from deepobs_data.files.sources import Source as Source
    from deepobs_data.files.sources import SourceFile as SourceFile
    from deepobs_data.image_ops import adjust_brightness as adjust_brightness
    from deepobs_data.image_ops import adjust_contrast as adjust_contrast
    from deepobs_data.image_ops import adjust_saturation as adjust_saturation
    from deepobs_data.image_ops import center_crop_or_pad as center_crop_or_pad
    from deepobs_data.image_ops import crop as crop
    from deepobs_data.image_ops import flip_left_right as flip_left_right
    from deepobs_data.image_ops import normalize_channels as normalize_channels
    from deepobs_data.image_ops import pad_zeros as pad_zeros
    from deepobs_data.image_ops import resize_legacy as resize_legacy
    from deepobs_data.image_ops import scale_to_unit as scale_to_unit
    from deepobs_data.image_ops import standardize as standardize
    from deepobs_data.partition import Recipe as Recipe
    from deepobs_data.registry import info as info
    from deepobs_data.registry import list_datasets as list_datasets
    from deepobs_data.registry import load_dataset as load_dataset
    from deepobs_data.registry import register_dataset as register_dataset
    from deepobs_data.stream import Stream as Stream
    from deepobs_data.table import Table as Table
    from deepobs_data.types import Augment as Augment
    from deepobs_data.types import Batch as Batch
    from deepobs_data.types import Split as Split
    from deepobs_data.types import check_batch_size as check_batch_size
    from deepobs_data.types import stateful_order as stateful_order
    from deepobs_data.windows import RandomPhase as RandomPhase
    from deepobs_data.windows import Windows as Windows

    __version__: str

# No module is called like one of these names: importing a submodule sets it as an attribute here.
_HOME = {
    "augment": (
        "CIFAR_AUGMENT",
        "Compose",
        "IMAGENET_AUGMENT",
        "Operation",
        "RandomBrightness",
        "RandomContrast",
        "RandomCrop",
        "RandomFlip",
        "RandomSaturation",
        "SVHN_AUGMENT",
    ),
    "errors": (
        "DamagedFileError",
        "DataNotFoundError",
        "DownloadError",
        "MissingPackageError",
    ),
    "files.fetch": ("fetch", "import_files"),
    "datasets.imagenet": ("imagenet",),
    "datasets.images": (
        "CHANNEL_STATISTICS",
        "Normalization",
        "cifar10",
        "cifar100",
        "fmnist",
        "mnist",
        "svhn",
    ),
    "dataset": ("Dataset",),
    "dataset_info": ("DatasetInfo",),
    "files.sources": ("Download", "Source", "SourceFile"),
    "registry": ("info", "list_datasets", "load_dataset", "register_dataset"),
    "data_loader": ("loader",),
    "image_ops": (
        "adjust_brightness",
        "adjust_contrast",
        "adjust_saturation",
        "center_crop_or_pad",
        "crop",
        "flip_left_right",
        "normalize_channels",
        "pad_zeros",
        "resize_legacy",
        "scale_to_unit",
        "standardize",
    ),
    "partition": ("Recipe",),
    "files.roots": ("default_root",),
    "types": ("Augment", "Batch", "Split", "check_batch_size", "stateful_order"),
    "datasets.stand_in": ("synthetic_like",),
    "stream": ("Stream",),
    "datasets.synthetic": ("nqm", "quadratic", "two_d"),
    "datasets.bigram": ("bigram", "bigram_pairs"),
    "datasets.mnist1d": ("mnist1d",),
    "datasets.burgers": ("burgers",),
    "datasets.poisson": ("poisson",),
    "datasets.diagnostic": ("attention_teacher", "modular_addition"),
    "table": ("Table",),
    "datasets.text": ("shakespeare", "text", "tolstoi"),
    "windows": ("RandomPhase", "Windows"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted([*_MODULE_OF, "__version__"])

if not TYPE_CHECKING:  # to a type checker, any misspelled name would be Any

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("deepobs-data")
        if name in _MODULE_OF:
            from importlib import import_module

            return getattr(import_module(f"deepobs_data.{_MODULE_OF[name]}"), name)
        raise AttributeError(f"module 'deepobs_data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
