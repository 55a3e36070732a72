"""TensorFlow's truncated and Glorot initialisers.

All random numbers come from the CPU generator in at least single precision and are then copied into
the tensor, so a seed gives the same weights whatever device a model is built on.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from deepobs_models.checks import check_floating

Initializer = Callable[[Tensor], Tensor]

# The standard deviation of a standard normal distribution truncated to [-2, 2].
_STD_OF_TRUNCATED = 0.87962566103423978


def compute_fans(shape: torch.Size | tuple[int, ...]) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight shape (out, in, *kernel); both are n for a vector (n,).

    The rule of TensorFlow's variance scaling; `torch.nn.init` refuses vectors.

    Raises:
        ValueError: The shape is that of a scalar.
    """
    if len(shape) == 0:
        raise ValueError(
            "A scalar has no fans; got shape (). Use a tensor with at least one dimension."
        )
    if len(shape) == 1:
        return shape[0], shape[0]
    receptive_field = math.prod(shape[2:])
    return shape[1] * receptive_field, shape[0] * receptive_field


@torch.no_grad()
def _fill(tensor: Tensor, draw: Callable[[Tensor], Tensor]) -> Tensor:
    """Copy into `tensor` what `draw` makes of an empty CPU tensor of its shape."""
    check_floating(tensor, "An initializer", "tensors")
    if tensor.is_meta:
        return tensor
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    return tensor.copy_(draw(torch.empty(tensor.shape, dtype=dtype, device="cpu")))


def truncated_normal_(
    tensor: Tensor, std: float = 1.0, *, mean: float = 0.0, generator: Generator | None = None
) -> Tensor:
    """Fill with a normal distribution truncated to mean ± 2·std, in place.

    The standard deviation of the values is 0.8796·std, as with `tf.truncated_normal_initializer`.
    `torch.nn.init.trunc_normal_` truncates at ±2 in absolute terms: at std 0.05 nothing.

    Args:
        tensor: Any shape and device, of a floating-point type.
        std: Standard deviation before truncation, finite and at least 0; with 0 every value is
            `mean`.
        mean: Centre of the distribution.
        generator: A CPU generator; None is the global one.

    Raises:
        ValueError: `std` is negative or not finite; the tensor is of an integer type.

    >>> bool(truncated_normal_(torch.empty(10_000), 0.05).abs().max() <= 0.1)
    True
    """
    if not 0 <= std < math.inf:
        raise ValueError(f"std must be finite and at least 0, got {std}.")
    low, high = mean - 2 * std, mean + 2 * std

    # Rejection, as in torch.nn.init.trunc_normal_ of torch 2.15. Older releases invert the
    # distribution function there, so the same seed would give other weights with another torch.
    def draw(values: Tensor) -> Tensor:
        values = values.normal_(mean, std, generator=generator)
        while (outside := (values < low) | (values > high)).any():
            others = torch.empty_like(values).normal_(mean, std, generator=generator)
            values = torch.where(outside, others, values)
        return values

    return _fill(tensor, draw)


def normal_(
    tensor: Tensor, std: float = 1.0, *, mean: float = 0.0, generator: Generator | None = None
) -> Tensor:
    """Fill with a normal distribution, in place: `torch.nn.init.normal_`, but drawn on the CPU.

    Args:
        tensor: Any shape and device, of a floating-point type.
        std: Standard deviation.
        mean: Centre of the distribution.
        generator: A CPU generator; None is the global one.
    """
    return _fill(tensor, lambda values: values.normal_(mean, std, generator=generator))


def glorot_normal_(tensor: Tensor, *, generator: Generator | None = None) -> Tensor:
    """Fill as Keras' `glorot_normal` does, in place: truncated, with std √(2/(fan_in+fan_out)).

    The distribution is truncated at two standard deviations and widened by 1/0.8796 so that the
    values keep the stated standard deviation; their bound is 2.2737 times that.
    (Glorot and Bengio 2010; `tf.keras.initializers.glorot_normal` of TensorFlow 1.15.)

    Args:
        tensor: Shape (out, in, height, width), or a vector; of a floating-point type.
        generator: A CPU generator; None is the global one.

    Raises:
        ValueError: The tensor is a scalar or of an integer type.
    """
    std = math.sqrt(2 / sum(compute_fans(tensor.shape)))
    return truncated_normal_(tensor, std / _STD_OF_TRUNCATED, generator=generator)


def glorot_uniform_(
    tensor: Tensor, *, fans: tuple[int, int] | None = None, generator: Generator | None = None
) -> Tensor:
    """Fill with the uniform distribution on ±√(6/(fan_in+fan_out)), in place.

    TensorFlow's default, also for vectors (Glorot and Bengio 2010).

    Args:
        tensor: Shape (out, in, height, width), or a vector; of a floating-point type.
        fans: (fan_in, fan_out) where the tensor is only a part of the matrix that counts, such as
            one of the four blocks of an LSTM kernel; None computes them from the shape.
        generator: A CPU generator; None is the global one.

    Raises:
        ValueError: The tensor is a scalar or of an integer type.
    """
    bound = math.sqrt(6 / sum(compute_fans(tensor.shape) if fans is None else fans))
    return _fill(tensor, lambda values: values.uniform_(-bound, bound, generator=generator))
