"""TensorFlow's truncated and Glorot initialisers, and layers that are built with them.

All random numbers come from the CPU generator in at least single precision and are then copied into
the tensor, so a seed gives the same weights whatever device a model is built on.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

from deepobs_models.checks import check_floating

Initializer = Callable[[Tensor], Tensor]

# The standard deviation of a standard normal distribution truncated to [-2, 2].
_STD_OF_TRUNCATED = 0.87962566103423978

_M = TypeVar("_M", bound=nn.Module)
_Layer = TypeVar("_Layer", nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def compute_fans(shape: torch.Size | tuple[int, ...]) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight shape (out, in, *kernel); both are n for a vector (n,).

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
    if std == 0:  # no distribution is left, which nn.init.trunc_normal_ would divide by
        return _fill(tensor, lambda values: values.fill_(mean))
    low, high = mean - 2 * std, mean + 2 * std
    return _fill(
        tensor, lambda values: nn.init.trunc_normal_(values, mean, std, low, high, generator)
    )


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


# What the reset_parameters of torch's linear, convolutional, recurrent and embedding layers call.
# Some of nn.init hand themselves to the mode as a whole, others arrive as the tensor's method.
_RANDOM_FILLS = frozenset(
    {
        Tensor.uniform_,
        Tensor.normal_,
        nn.init.uniform_,
        nn.init.normal_,
        nn.init.kaiming_uniform_,
    }
)


class _SkipRandomInit(TorchFunctionMode):
    """Leave tensors as they are where a stock layer would fill them with random numbers."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _RANDOM_FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def build_uninitialized(layer: Callable[..., _M], *args: Any, **kwargs: Any) -> _M:
    """Build a layer without its own random initialisation.

    The parameters hold arbitrary values until they are filled, and no generator moves, so a seed
    means the same on every device. `torch.nn.utils.skip_init` takes no recurrent layers, and its
    way over the meta device takes over a second in the first call.

    Args:
        layer: A class of layers.
        *args: What the class takes.
        **kwargs: What the class takes.
    """
    with _SkipRandomInit():
        return layer(*args, **kwargs)


def build_layer(
    layer: Callable[..., _Layer],
    *args: Any,
    weight_init: Initializer,
    bias_init: float = 0.0,
    **kwargs: Any,
) -> _Layer:
    """Build a stock layer whose weight is filled by a function and whose bias by a constant.

    Args:
        layer: `nn.Linear`, `nn.Conv2d` or `nn.ConvTranspose2d`.
        *args: What the class takes.
        weight_init: Fills the weight in place.
        bias_init: The first value of the bias, where there is one.
        **kwargs: What the class takes.

    >>> layer = build_layer(nn.Linear, 3, 2, weight_init=glorot_normal_, bias_init=0.1)
    >>> layer.bias.tolist()
    [0.10000000149011612, 0.10000000149011612]
    """
    module = build_uninitialized(layer, *args, **kwargs)
    weight_init(module.weight)
    if module.bias is not None:
        nn.init.constant_(module.bias, bias_init)
    return module
