"""Checks of what users hand to the networks, shared by all of them.

The checks of inputs return their input. `torch.fx` records them as nodes of the graph, and removes
a node with an unused result as dead code.
"""

import math
from numbers import Integral
from typing import Any

from torch import SymInt, Tensor

from deepobs_models.tracing import is_traced

ImageSize = int | tuple[int, int]
"""The height and width of images: one number for squares, or both."""


def pair(size: ImageSize) -> tuple[int, int]:
    """(height, width)."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def unpair(size: tuple[int, int]) -> ImageSize:
    """Return one number for a square, as which layers print it."""
    return size[0] if size[0] == size[1] else size


def check_integer(**values: Any) -> None:
    """Raise a `TypeError` that names the first of `values` that is not an integer."""
    for name, value in values.items():
        if not isinstance(value, Integral | SymInt):
            raise TypeError(f"{name} must be an integer, got {value!r}.")


def check_positive(**values: int) -> None:
    """Raise an error that names the first of `values` that is below 1 or not an integer."""
    check_integer(**values)
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def check_image_size(size: ImageSize, model: str, *, at_least: int = 1) -> tuple[int, int]:
    """Return (height, width), or raise a `ValueError` where one is below `at_least`."""
    for number in (size,) if isinstance(size, float) else pair(size):
        check_integer(image_size=number)
    if min(pair(size)) < at_least:
        raise ValueError(f"image_size must be at least {at_least} for {model}, got {size}.")
    return pair(size)


def check_dropout(**rates: float) -> None:
    """Raise a `ValueError` that names the first of `rates` outside [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(
                f"{name} must be in [0, 1), got {rate}: the probability that a value is dropped."
            )


def check_floating(x: Tensor, name: str, what: str = "images") -> Tensor:
    """Return `x`, or raise a `ValueError` unless it is of a floating-point type.

    Arithmetic on bytes wraps around, which would give wrong numbers instead of an error.

    Args:
        x: What `name` was called with.
        name: Model or function for the message.
        what: What `x` holds, for the message.
    """
    if not x.is_floating_point():
        raise ValueError(
            f"{name} takes {what} of a floating-point type, got {x.dtype}. Convert them first, "
            "for instance bytes with x.float() / 255."
        )
    return x


def check_images(
    x: Tensor, model: str, channels: int, *, size: tuple[int, int] | None = None
) -> Tensor:
    """Return `x`, or raise a `ValueError` unless it is (B, channels, H, W) of floating point.

    Args:
        x: What the model was called with.
        model: Name for the message.
        channels: The number of channels the model was built for.
        size: The only allowed (H, W); None allows all.
    """
    if is_traced():
        return x
    expected = "H, W" if size is None else f"{size[0]}, {size[1]}"
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(
            f"{model} takes images (B, {channels}, {expected}), got shape {tuple(x.shape)}. "
            "Images are channels first, in batches."
        )
    height, width = x.shape[2], x.shape[3]
    if size is not None and (height != size[0] or width != size[1]):
        raise ValueError(
            f"{model} was built for images of {size[0]}x{size[1]}, got {height}x{width}. Resize "
            f"them, or build the model with image_size=({height}, {width})."
        )
    return check_floating(x, model)


def check_features(x: Tensor, model: str, features: int) -> Tensor:
    """Return `x`, or raise a `ValueError` unless it is floating (B, ...) of `features` values."""
    if is_traced():
        return x
    if x.ndim < 2 or math.prod(x.shape[1:]) != features:
        raise ValueError(
            f"{model} takes {features} values per example, got shape {tuple(x.shape)}. "
            "The first dimension is the batch."
        )
    return check_floating(x, model, "examples")
