"""Random augmentation of images in two steps: `draw` random numbers, then `apply` them.

Every class here is a `deepobs_data.Augment`; `Compose` chains them. `draw` gives one row of
uniform numbers per example, `apply` is pure and batched and runs wherever the images are, so the
same draws give the same images on every device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from deepobs_data import image_ops as ops


class Operation(Protocol):
    """One random change of images, with the number of random numbers per image."""

    @property
    def width(self) -> int:
        """Uniform numbers per example."""
        ...

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n, width) uniform [0, 1) float32 numbers on the CPU."""
        ...

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Change the images x (B, C, H, W) according to draws (B, width)."""
        ...


class _Uniform:
    """Draws as many uniform numbers as the operation needs."""

    width = 1

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n, width) uniform [0, 1) float32 numbers on the CPU."""
        return torch.rand(n, self.width, generator=generator)


def _check_factors(operation: RandomSaturation | RandomContrast) -> None:
    if not 0.0 <= operation.lower <= operation.upper:
        raise ValueError(
            f"{type(operation).__name__} got factors from {operation.lower} to "
            f"{operation.upper}; required: 0 <= lower <= upper."
        )


@dataclass(frozen=True)
class RandomCrop(_Uniform):
    """Zero-pad by `padding`, then cut a window of `size` at a uniform place.

    The first column draws the row, the second the column.
    """

    size: int
    padding: int = 0
    width = 2

    def __post_init__(self) -> None:
        if self.size < 1 or self.padding < 0:
            raise ValueError(
                f"RandomCrop got size {self.size} and padding {self.padding}; "
                "size must be at least 1, padding at least 0."
            )

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Crop x (B, C, H, W) to (B, C, size, size) with draws (B, 2)."""
        if self.padding:
            x = ops.pad_zeros(x, self.padding)
        places = torch.tensor([x.shape[-2], x.shape[-1]], device=x.device) - (self.size - 1)
        # u * places can round up to `places`, one too far. Invalid draws are clamped, too:
        # places must be valid here, since no later code checks them.
        offsets = torch.minimum((draws * places).to(torch.int64), places - 1).clamp_min_(0)
        return ops.cut_windows(x, offsets[:, 0], offsets[:, 1], self.size, self.size)


@dataclass(frozen=True)
class RandomFlip(_Uniform):
    """Mirror left to right with probability `p`: where the draw is below it."""

    p: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.p <= 1.0:
            raise ValueError(f"RandomFlip got p = {self.p}; p must be between 0 and 1.")

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Flip x (B, C, H, W) with draws (B, 1)."""
        return ops.flip_left_right(x, draws[:, 0] < self.p)


@dataclass(frozen=True)
class RandomBrightness(_Uniform):
    """Add a number from U(-max_delta, max_delta).

    The original's 63/255 is meant for values in [0, 1], but its images have values up to 255. It
    has no effect there, since standardisation removes any constant.
    """

    max_delta: float = 63 / 255

    def __post_init__(self) -> None:
        if not self.max_delta >= 0.0:
            raise ValueError(f"RandomBrightness got {self.max_delta}; it must be at least 0.")

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Brighten x (B, C, H, W) with draws (B, 1)."""
        delta = _uniform(draws[:, 0], -self.max_delta, self.max_delta)
        return ops.adjust_brightness(x, delta, inplace=inplace)


@dataclass(frozen=True)
class RandomSaturation(_Uniform):
    """Multiply the saturation by a factor from U(lower, upper)."""

    lower: float = 0.5
    upper: float = 1.5

    def __post_init__(self) -> None:
        _check_factors(self)

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Saturate x (B, 3, H, W) with draws (B, 1)."""
        factor = _uniform(draws[:, 0], self.lower, self.upper)
        return ops.adjust_saturation(x, factor, inplace=inplace)


@dataclass(frozen=True)
class RandomContrast(_Uniform):
    """Multiply the contrast of every channel by a common factor from U(lower, upper)."""

    lower: float = 0.2
    upper: float = 1.8

    def __post_init__(self) -> None:
        _check_factors(self)

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Change the contrast of x (B, C, H, W) with draws (B, 1)."""
        factor = _uniform(draws[:, 0], self.lower, self.upper)
        return ops.adjust_contrast(x, factor, inplace=inplace)


@dataclass(frozen=True)
class Compose:
    """Operations in sequence; their draws are concatenated."""

    operations: tuple[Operation, ...]

    @property
    def width(self) -> int:
        """Uniform numbers per example, over all operations."""
        return sum(operation.width for operation in self.operations)

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw (n, width) uniform [0, 1) float32 numbers on the CPU."""
        return torch.rand(n, self.width, generator=generator)

    def apply(self, x: Tensor, draws: Tensor, *, inplace: bool = False) -> Tensor:
        """Apply all operations to x (B, C, H, W) with draws (B, width).

        Raises:
            ValueError: `draws` does not have one row per image and `width` columns.
        """
        if draws.shape != (len(x), self.width):
            raise ValueError(
                f"draws has shape {tuple(draws.shape)}, expected {(len(x), self.width)}; "
                "make them with draw(len(x), generator)."
            )
        start = 0
        for operation in self.operations:
            part = draws[:, start : start + operation.width]
            x = operation.apply(x, part, inplace=inplace)
            # These return a new tensor, or `x` itself if it may be overwritten, so the next one may
            # overwrite it. Other operations may return a view of the images or something they keep.
            inplace = type(operation) in _RETURNING_OWN
            start += operation.width
        return x


_RETURNING_OWN = (RandomCrop, RandomFlip, RandomBrightness, RandomSaturation, RandomContrast)


CIFAR_AUGMENT = Compose(
    (
        RandomCrop(32, padding=2),
        RandomFlip(),
        RandomBrightness(),
        RandomSaturation(),
        RandomContrast(),
    )
)
"""The original's augmentation of CIFAR-10 and CIFAR-100 images with values 0..255."""

SVHN_AUGMENT = Compose(
    (RandomCrop(32, padding=2), RandomBrightness(), RandomSaturation(), RandomContrast())
)
"""The original's augmentation of SVHN images: as CIFAR without the flip."""

IMAGENET_AUGMENT = Compose((RandomCrop(224), RandomFlip()))
"""The original's augmentation of ImageNet images cut to 256 x 256."""


def _uniform(draws: Tensor, lower: float, upper: float) -> Tensor:
    return draws * (upper - lower) + lower
