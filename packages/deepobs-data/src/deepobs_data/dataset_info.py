"""Definition of a data set in one row; importable without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from deepobs_data.files.sources import Reference, Source


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """Everything about a data set except its files and decoder, in one row.

    Everything but `name`, sizes and shapes has a default. A set with a `source` and a `decode`
    function is found, fetched, verified, decoded, cached, cut into splits and given a stand-in.

    Attributes:
        name: Name in `load_dataset` and on the command line.
        title: Its usual name.
        kind: What an example is: images are stored as uint8 and scaled or standardised, text is
            cut into windows, tables are used as decoded, synthetic sets are made from a seed.
        train_size: Training examples, before validation examples are taken from them.
        train_eval_size: Training examples used for evaluation.
        test_size: Test examples.
        x_shape: Shape of one input, as delivered in a batch.
        y_shape: Shape of one target.
        x_dtype: Type of the inputs, a torch name.
        y_dtype: Type of the targets, a torch name.
        num_classes: Number of classes or characters; 0 where targets are no classes.
        order: How a text is read by default, see `tolstoi`.
        class_names: Names of the classes by label, or a text file with one per line.
        homepage: Where it comes from.
        citation: Reference to cite.
        licence: Terms of use, as far as known.
        source: Its files; None for generated data, and for data read in place.
        decode: Reads the files. Takes a mapping from file name to path and returns arrays:
            `train_x`, `train_y`, `test_x`, `test_y` (text: `train`, `test`, `vocabulary`). The
            checksums were compared before.
        augment: The augmentation of the training images.
        channel_statistics: Mean and standard deviation of each channel on the scale [0, 1], of the
            training images. Images that have them are standardised, others scaled to [0, 1].
        change_2019: What recipe "2019" does to the tensors: takes and returns a dictionary.
        load: Makes the data set where the decoded arrays are not enough. Called with `root` and
            the options of `load_dataset`.
        stand_in: Makes examples of the same shapes. Called with the row, the number of training
            examples, a `torch.Generator` and the options of `synthetic_like`.
        locate: Finds the folder of a set that is not downloaded, below a root.
        external_size: Bytes of such a set.
    """

    name: str
    title: str = ""
    kind: Literal["image", "text", "table", "synthetic"]
    train_size: int
    train_eval_size: int
    test_size: int
    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...] = ()
    x_dtype: str = "float32"
    y_dtype: str = "int64"
    num_classes: int = 0
    order: Literal["shuffled", "stateful"] = "shuffled"
    class_names: tuple[str, ...] | Path = ()
    homepage: str = ""
    citation: str = ""
    licence: str = ""
    source: Source | None = None
    decode: Reference | None = None
    augment: Reference | None = None
    channel_statistics: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    change_2019: Reference | None = None
    load: Reference | None = None
    stand_in: Reference | None = None
    locate: Reference | None = None
    external_size: int = 0

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes by label; empty if unknown before loading."""
        if isinstance(self.class_names, Path):
            return tuple(self.class_names.read_text(encoding="utf-8").splitlines())
        return self.class_names

    def sizes(self, x_shape: Sequence[int] = ()) -> dict[str, int]:
        """The number of examples of each split.

        Args:
            x_shape: Shape of an input, where a text is cut into windows of another length; the
                sizes are right to about one window then.
        """
        scale = self.x_shape[0] / x_shape[0] if self.kind == "text" and x_shape else 1
        sizes = {
            "train": self.train_size,
            "train_eval": self.train_eval_size,
            "test": self.test_size,
        }
        return {name: int(size * scale) for name, size in sizes.items()}

    @property
    def augmented(self) -> bool:
        """Whether training examples are augmented by default."""
        return self.augment is not None

    @property
    def download_size(self) -> int | None:
        """Bytes of a download; 0 for data that are made, None where it is not known."""
        if self.locate is not None:
            return None
        return 0 if self.source is None else self.source.download_size

    def require_source(self) -> Source:
        """Source of the files.

        Raises:
            ValueError: The set is generated or read in place; the message names what to do.
        """
        if self.source is None:
            raise ValueError(
                f"{self.name} has no files to fetch or import: "
                + (
                    "it is read in place. Name its folder with --data-dir or root=..."
                    if self.locate is not None
                    else "it is generated from a seed."
                )
            )
        return self.source
