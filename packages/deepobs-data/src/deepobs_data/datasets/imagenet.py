"""ImageNet (ILSVRC 2012) from the usual folders of JPEG files."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepobs_data.augment import IMAGENET_AUGMENT
from deepobs_data.dataset import Dataset
from deepobs_data.datasets.images import Normalization, make_transform
from deepobs_data.errors import DamagedFileError, import_extra
from deepobs_data.files.imagenet_folder import find_imagenet
from deepobs_data.files.roots import resolve_root
from deepobs_data.image_ops import (
    center_crop_or_pad,
    resize_legacy,
    scale_to_unit,
    smaller_side_size,
)
from deepobs_data.partition import Recipe, check_recipe, partition_rows
from deepobs_data.registry import info
from deepobs_data.stream import Stream

CLASSES = 1000
_EXTRA = "images", "ImageNet"
# Not EPS, for one: Pillow starts Ghostscript for it.
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
_MOST_PIXELS = 2**26
_LONGEST = 64
"""Times its width that an image may be long: its smaller side is scaled to 256 pixels."""


def imagenet(
    root: Path | str | None = None,
    *,
    valid_size: int = 0,
    recipe: Recipe = "standard",
    augment: bool = True,
    normalization: Normalization = "image",
    workers: int | None = None,
    offline: bool | None = None,
) -> Dataset:
    """ImageNet: 1,281,167 + 50,000 colour images (3, 224, 224), 1,001 classes.

    Read from `train/WNID/*.JPEG` and `val/WNID/*.JPEG`, as torchvision's `ImageNet` unpacks them.
    Images are resized so that the smaller side is 256; training images are cut to the central
    256 x 256, of which a random 224 x 224 is taken and flipped (`IMAGENET_AUGMENT`), others to the
    central 224 x 224; then every image is standardised. The label is the number of the folder in
    alphabetical order plus one: class 0, "background", never occurs, as in the original.

    Source: Russakovsky et al., 2015; prepared as in DeepOBS 1.1.2,
    deepobs/tensorflow/datasets/imagenet.py. Its resize has no antialiasing: recipe `2019` repeats
    that (`resize_legacy`), recipe `standard` resizes as is usual today, antialiased (torchvision's
    `transforms.v2`, rounded to bytes).

    Args:
        root: Folder with `train` and `val`, or with a folder `imagenet` that has them.
        valid_size: Number of validation examples, taken from train; 0 for none.
        recipe: As for `cifar10`.
        augment: Whether the data set has an augmentation.
        normalization: As for `cifar10`.
        workers: Processes that decode; default one per core, at most 16.
        offline: Ignored: ImageNet is never downloaded.

    Raises:
        DataNotFoundError: The folder does not exist.
        MissingPackageError: torchvision is not installed.
        DamagedFileError: The folders do not hold the 1,000 classes; while reading: an image cannot
            be decoded.
        ValueError: An argument is not allowed.
    """
    check_recipe(recipe)
    row = info("imagenet")
    finish = partial(prepare_imagenet, normalization=normalization)
    make_transform(row, normalization)  # refuses unknown names before files are listed
    folder = find_imagenet(resolve_root(root))
    _torchvision("datasets")  # before files are listed and workers are started
    if workers is None:
        workers = min(os.cpu_count() or 1, 16)
    train_paths, train_y = _list_images(folder / "train")
    test_paths, test_y = _list_images(folder / "val")
    rows = partition_rows(len(train_paths), row.train_eval_size, valid_size)
    operation = IMAGENET_AUGMENT if augment else None
    decode = partial(decode_image, antialias=recipe == "standard")

    def part(chosen: Tensor | None, augmented: bool = False) -> Stream:
        change = operation if augmented else None
        return Stream(train_paths, train_y, decode, finish, change, chosen, workers)

    return Dataset(
        name="imagenet",
        train=part(rows.train, augmented=True),
        train_eval=part(rows.train_eval, augmented=recipe == "2019"),
        valid=None if rows.valid is None else part(rows.valid),
        test=Stream(test_paths, test_y, decode, finish, workers=workers),
        augment=operation,
        classes=row.classes,
    )


def decode_image(path: str, *, antialias: bool = True) -> Tensor:
    """Read one image, resize its smaller side to 256 and cut out the centre: (3, 256, 256).

    Args:
        path: Of a JPEG, PNG, WebP, BMP, PPM or TIFF file.
        antialias: Whether to resize antialiased, which gives bytes; else as TensorFlow 1, which
            gives float32 on the scale 0..255.

    Raises:
        DamagedFileError: The file is not a readable image of the set.
    """
    image_file, tv = import_extra("PIL.Image", *_EXTRA), _torchvision("transforms.v2.functional")
    try:
        if not os.path.isfile(path):  # opening a pipe would wait for its writer
            raise ValueError("it is not a file")
        with image_file.open(path, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > _MOST_PIXELS or max(image.size) > _LONGEST * min(image.size):
                raise ValueError(f"{width} x {height} pixels are too many or too long")
            pixels = tv.pil_to_tensor(_to_rgb(image, image_file))  # (3, H, W)
    except Exception as error:  # Pillow raises nearly everything for damaged files
        raise DamagedFileError(Path(path), f"{path} is not a readable image: {error}") from error
    size = smaller_side_size(pixels.shape[-2], pixels.shape[-1])
    if antialias:
        resized = tv.resize(pixels, list(size), antialias=True)
    else:
        resized = resize_legacy(pixels.to(torch.float32).unsqueeze(0), *size).squeeze(0)
    return center_crop_or_pad(resized, 256, 256).contiguous()


def _to_rgb(image: Any, image_file: Any) -> Any:
    """The image in 8-bit colours; of 16 bits the upper half, where Pillow would clip to white."""
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its grey values have more than 16 bits")
        image = image_file.fromarray((values >> 8).astype(np.uint8))
    elif image.mode == "F":
        raise ValueError("its grey values are not whole numbers")
    return image.convert("RGB")


def prepare_imagenet(x: Tensor, normalization: Normalization = "image") -> Tensor:
    """What follows the augmentation: the central 224 x 224 on the scale [0, 1], standardised.

    x (B, 3, H, W) on the scale 0..255 with H, W >= 224 -> (B, 3, 224, 224) float32.
    """
    x = center_crop_or_pad(x, 224, 224)
    if normalization == "image":
        x = scale_to_unit(x)  # only matters for images with hardly any contrast
    transform = make_transform(info("imagenet"), normalization)
    return x if transform is None else transform(x)


def _list_images(folder: Path) -> tuple[list[str], Tensor]:
    """Files and labels (index of the folder + 1) of one split."""
    names = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if len(names) != CLASSES:
        raise DamagedFileError(
            folder,
            f"{folder} has {len(names)} class folders, expected {CLASSES} "
            "(n01440764 ... n15075141). Unpack the archives with torchvision.datasets.ImageNet.",
        )
    samples = _torchvision("datasets").ImageFolder(str(folder)).samples
    labels = torch.tensor([label + 1 for _, label in samples], dtype=torch.int64)
    return [path for path, _ in samples], labels


def _torchvision(module: str) -> Any:
    return import_extra(f"torchvision.{module}", *_EXTRA)
