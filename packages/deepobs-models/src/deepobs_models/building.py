"""Stock layers that start with other weights than torch's, and start so again when reset."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypedDict, TypeVar, overload

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from deepobs_models.initializers import Initializer

Device = torch.device | str | int | None

_M = TypeVar("_M", bound=nn.Module)


class Factory(TypedDict, total=False):
    """Device and type of a layer's parameters; None is torch's default."""

    device: Device
    dtype: torch.dtype | None


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


class _Reset(Generic[_M]):
    """The `reset_parameters` of one layer.

    An attribute of the layer instead of a subclass: BackPACK and quantisation look up the exact
    class. It refers to the layer weakly, as a cycle would keep large networks in memory until the
    garbage collector runs.
    """

    def __init__(self, layer: _M, law: Callable[[_M], object]) -> None:
        self._layer = weakref.ref(layer)
        self._law = law

    def __call__(self) -> None:
        layer = self._layer()
        if layer is None:
            raise RuntimeError("The layer of this reset_parameters no longer exists.")
        self._law(layer)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Reset[_M]:
        # The copy of the layer is made before its attributes are copied.
        layer: Any = self._layer()
        return _Reset(memo.get(id(layer), layer), self._law)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Reset, (self._layer(), self._law)


def initialize_layer(layer: _M, law: Callable[[_M], object]) -> _M:
    """Fill a layer's parameters by `law`, now and whenever its `reset_parameters()` is called.

    Args:
        layer: Any layer.
        law: Fills the parameters of the layer it is given, in place; a module-level function (or a
            `functools.partial` of one) if the layer is to be pickled.

    Returns:
        The layer.

    >>> layer = initialize_layer(nn.Linear(2, 2), lambda layer: nn.init.eye_(layer.weight))
    >>> _ = nn.init.zeros_(layer.weight)
    >>> layer.reset_parameters()
    >>> layer.weight.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    law(layer)
    layer.reset_parameters = _Reset(layer, law)  # type: ignore[assignment]
    return layer


def _fill(layer: nn.Module, weight_init: Initializer, bias_init: float | Initializer) -> None:
    assert isinstance(layer.weight, Tensor)
    weight_init(layer.weight)
    bias = getattr(layer, "bias", None)
    if isinstance(bias, Tensor):
        bias_init(bias) if callable(bias_init) else nn.init.constant_(bias, bias_init)


def build_layer(
    layer: Callable[..., _M],
    *args: Any,
    weight_init: Initializer,
    bias_init: float | Initializer = 0.0,
    **kwargs: Any,
) -> _M:
    """Build a stock layer with weight and bias filled by functions or a constant.

    Its `reset_parameters()` fills them again in the same way.

    Args:
        layer: A class of layers with a `weight` and perhaps a `bias`, such as `nn.Linear`,
            `nn.Conv2d`, `nn.ConvTranspose2d` or `nn.Embedding`.
        *args: What the class takes.
        weight_init: Fills the weight in place.
        bias_init: The first value of the bias, where there is one, or a function that fills it.
        **kwargs: What the class takes, such as `device` and `dtype`.

    >>> from deepobs_models import glorot_normal_
    >>> layer = build_layer(nn.Linear, 3, 2, weight_init=glorot_normal_, bias_init=0.1)
    >>> layer.bias.tolist()
    [0.10000000149011612, 0.10000000149011612]
    """
    law = partial(_fill, weight_init=weight_init, bias_init=bias_init)
    return initialize_layer(build_uninitialized(layer, *args, **kwargs), law)


def build_stock(
    layer: Callable[..., _M],
    *args: Any,
    device: Device = None,
    dtype: torch.dtype | None = None,
    **kwargs: Any,
) -> _M:
    """Build a layer that starts as torch starts it, with draws of the CPU's generator.

    A seed gives the same weights on every device then, as with `build_layer`.

    Args:
        layer: A class of layers.
        *args: What the class takes.
        device: Device of the parameters.
        dtype: Type of the parameters.
        **kwargs: What the class takes.
    """
    made = build_uninitialized(layer, *args, device=device, dtype=dtype, **kwargs)
    return initialize_layer(made, partial(_copy_new, build=partial(layer, *args, **kwargs)))


@torch.no_grad()
def _copy_new(layer: nn.Module, build: Callable[..., nn.Module]) -> None:
    if any(parameter.is_meta for parameter in layer.parameters()):
        return
    new = build(device="cpu").parameters()
    for parameter, value in zip(layer.parameters(), new, strict=True):
        parameter.copy_(value)


def reset_parameters(module: nn.Module) -> None:
    """Reset every layer inside a module, in order: with a seed, the same weights as a new module.

    All networks and blocks of this package have it as a method, so that a network built on the meta
    device can be filled where it is needed:

    >>> with torch.device("meta"):
    ...     net = nn.Sequential(build_layer(nn.Linear, 3, 2, weight_init=nn.init.ones_))
    >>> reset_parameters(net.to_empty(device="cpu"))
    >>> net[0].weight.tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    for child in module.children():
        reset = getattr(child, "reset_parameters", None)
        (reset or partial(reset_parameters, child))()


class Block(nn.Sequential):
    """A sequence with arguments of its own, so that slices of it are plain `nn.Sequential`s."""

    reset_parameters = reset_parameters

    @overload
    def __getitem__(self, index: slice) -> nn.Sequential: ...

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...

    def __getitem__(self, index: Any) -> nn.Module:
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self._modules.items())[index]))
        module: nn.Module = super().__getitem__(index)
        return module
