"""Checks of what users hand to the networks, shared by all of them."""

import math

from torch import Tensor


def check_positive(**values: int) -> None:
    """Raise a `ValueError` that names the first of `values` below 1."""
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")


def check_dropout(**rates: float) -> None:
    """Raise a `ValueError` that names the first of `rates` outside [0, 1)."""
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(
                f"{name} must be in [0, 1), got {rate}: the probability that a value is dropped."
            )


def check_floating(x: Tensor, name: str, what: str = "images") -> None:
    """Raise a `ValueError` unless `x` is of a floating-point type.

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


def check_images(x: Tensor, model: str, channels: int, *, size: int | None = None) -> None:
    """Raise a `ValueError` unless `x` is (B, channels, H, W) of floating point.

    H and W must equal `size`, where it is given.

    Args:
        x: What the model was called with.
        model: Name for the message.
        channels: The number of channels the model was built for.
        size: The only allowed height and width; None allows all.
    """
    expected = "H, W" if size is None else f"{size}, {size}"
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(
            f"{model} takes images (B, {channels}, {expected}), got shape {tuple(x.shape)}. "
            "Images are channels first, in batches."
        )
    height, width = x.shape[2], x.shape[3]
    if size is not None and (height != size or width != size):
        raise ValueError(
            f"{model} was built for images of {size}x{size}, got {height}x{width}. Resize them, "
            "or build the model for this size."
        )
    check_floating(x, model)


def check_features(x: Tensor, model: str, features: int) -> None:
    """Raise a `ValueError` unless `x` is floating (B, ...) with `features` numbers an example."""
    if x.ndim < 2 or math.prod(x.shape[1:]) != features:
        raise ValueError(
            f"{model} takes {features} numbers an example, got shape {tuple(x.shape)}. "
            "The first dimension is the batch."
        )
    check_floating(x, model, "examples")
