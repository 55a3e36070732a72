"""What is known about each data set, as data; importable without torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from deepobs_data.files.sources import SOURCES


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """Facts about one data set.

    Attributes:
        name: The name of its function.
        title: Its usual name.
        kind: What an example is.
        train_size: Training examples, of which `valid_size` may be held out.
        train_eval_size: Training examples used for evaluation.
        test_size: Test examples.
        x_shape: Shape of one input, as delivered in a batch.
        y_shape: Shape of one target.
        x_dtype: Type of the inputs, a torch name.
        y_dtype: Type of the targets, a torch name.
        num_classes: Number of classes or characters; 0 where targets are no classes.
        augmented: Whether training examples are augmented by default.
        homepage: Where it comes from.
        citation: Whom to cite.
        licence: What is known about the terms of use.
        download_size: Bytes of a download; 0 for data that is made, None where it is not known.
    """

    name: str
    title: str
    kind: Literal["image", "text", "synthetic"]
    train_size: int
    train_eval_size: int
    test_size: int
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...] = ()
    x_dtype: str = "float32"
    y_dtype: str = "int64"
    num_classes: int = 0
    augmented: bool = False
    homepage: str = ""
    citation: str = ""
    licence: str = ""
    download_size: int | None = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label; empty where there are none to name beforehand."""
        return _classes(self.name)


def info(name: str) -> DatasetInfo:
    """Look up the facts about a data set.

    Raises:
        ValueError: There is no such data set; names the nearest.
    """
    known = {entry.name: entry for entry in list_datasets()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"Unknown data set {name!r}.{hint} There are {', '.join(known)}.")
    return known[name]


def list_datasets() -> tuple[DatasetInfo, ...]:
    """The facts about all nine data sets."""
    return _DATASETS


def _download_size(name: str) -> int | None:
    sizes = [file.size for file in SOURCES[name].downloads]
    return None if None in sizes else sum(size or 0 for size in sizes)


_CIFAR_CITATION = (
    "A. Krizhevsky: Learning multiple layers of features from tiny images. Technical report, "
    "University of Toronto, 2009."
)
_DEEPOBS_CITATION = (
    "F. Schneider, L. Balles, P. Hennig: DeepOBS: a deep learning optimizer benchmark suite. "
    "ICLR 2019."
)
_NOT_STATED = "not stated by the authors; used for research everywhere"

_DATASETS = (
    DatasetInfo(
        name="mnist",
        title="MNIST",
        kind="image",
        train_size=60_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(1, 28, 28),
        num_classes=10,
        homepage="http://yann.lecun.com/exdb/mnist",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to "
        "document recognition. Proceedings of the IEEE 86(11), 1998.",
        licence="CC BY-SA 3.0",
        download_size=_download_size("mnist"),
    ),
    DatasetInfo(
        name="fmnist",
        title="Fashion-MNIST",
        kind="image",
        train_size=60_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(1, 28, 28),
        num_classes=10,
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for "
        "benchmarking machine learning algorithms. arXiv:1708.07747, 2017.",
        licence="MIT",
        download_size=_download_size("fmnist"),
    ),
    DatasetInfo(
        name="cifar10",
        title="CIFAR-10",
        kind="image",
        train_size=50_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(3, 32, 32),
        num_classes=10,
        augmented=True,
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        citation=_CIFAR_CITATION,
        licence=_NOT_STATED,
        download_size=_download_size("cifar10"),
    ),
    DatasetInfo(
        name="cifar100",
        title="CIFAR-100",
        kind="image",
        train_size=50_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(3, 32, 32),
        num_classes=100,
        augmented=True,
        homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
        citation=_CIFAR_CITATION,
        licence=_NOT_STATED,
        download_size=_download_size("cifar100"),
    ),
    DatasetInfo(
        name="svhn",
        title="Street View House Numbers (cropped)",
        kind="image",
        train_size=73_257,
        train_eval_size=26_032,
        test_size=26_032,
        x_shape=(3, 32, 32),
        num_classes=10,
        augmented=True,
        homepage="http://ufldl.stanford.edu/housenumbers",
        citation="Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng: Reading digits in "
        "natural images with unsupervised feature learning. NIPS workshop, 2011.",
        licence="non-commercial use only",
        download_size=_download_size("svhn"),
    ),
    DatasetInfo(
        name="imagenet",
        title="ImageNet (ILSVRC 2012)",
        kind="image",
        train_size=1_281_167,
        train_eval_size=50_000,
        test_size=50_000,
        x_shape=(3, 224, 224),
        num_classes=1_001,
        augmented=True,
        homepage="https://image-net.org",
        citation="O. Russakovsky et al.: ImageNet large scale visual recognition challenge. "
        "International Journal of Computer Vision 115(3), 2015.",
        licence="research and education only, after registration; never downloaded for you",
        download_size=None,
    ),
    DatasetInfo(
        name="tolstoi",
        title="War and Peace",
        kind="text",
        # Windows of 50 characters; one more if the text has 3,266,188 or more characters.
        train_size=52_258,
        train_eval_size=13_064,
        test_size=13_064,
        x_shape=(50,),
        y_shape=(50,),
        x_dtype="int64",
        num_classes=83,
        homepage="https://www.gutenberg.org/ebooks/2600",
        citation="L. Tolstoy: War and Peace. Translated by L. and A. Maude. Project Gutenberg.",
        licence="public domain",
        download_size=_download_size("tolstoi"),
    ),
    DatasetInfo(
        name="quadratic",
        title="Noise of the stochastic quadratic",
        kind="synthetic",
        train_size=1_000,
        train_eval_size=1_000,
        test_size=896,
        x_shape=(100,),
        y_dtype="float32",
        homepage="https://github.com/fsschneider/DeepOBS",
        citation=_DEEPOBS_CITATION,
        licence="made from a random seed",
    ),
    DatasetInfo(
        name="two_d",
        title="Noise of the two-dimensional functions",
        kind="synthetic",
        train_size=10_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(2,),
        y_dtype="float32",
        homepage="https://github.com/fsschneider/DeepOBS",
        citation=_DEEPOBS_CITATION,
        licence="made from a random seed",
    ),
)


def _classes(name: str) -> tuple[str, ...]:
    if name in ("mnist", "svhn"):
        return tuple("0123456789")
    if name in ("quadratic", "two_d", "tolstoi"):
        return ()
    from importlib.resources import files

    lists = files("deepobs_data") / "classes" / f"{name}.txt"
    return tuple(lists.read_text(encoding="utf-8").splitlines())
