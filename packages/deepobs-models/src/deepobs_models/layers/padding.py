"""TensorFlow's 'SAME' padding before convolution and pooling, and after transposed convolution.

'SAME' gives ceil(n / stride) outputs. Where the padding is odd, the extra row or column goes to the
bottom or right; PyTorch's symmetric padding then computes something else: for kernel 3, stride 2
and an even size every window lies one pixel further to the top and left. None of these layers has
parameters.

Sizes, kernels, strides and dilations are one number for all axes, or one per axis.
"""

from collections.abc import Sequence
from typing import ClassVar, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepobs_models.checks import check_positive
from deepobs_models.tracing import at_least_zero, is_symbolic

Sizes = int | tuple[int, ...]
"""One number for all axes, or one per axis."""


def per_axis(axes: int, **values: Sizes) -> list[tuple[int, ...]]:
    """Return each value as one number of at least 1 per axis, or raise an error."""
    result = []
    for name, value in values.items():
        numbers = tuple(value) if isinstance(value, Sequence) else (value,) * axes
        if len(numbers) != axes:
            raise ValueError(
                f"{name} must be one number or {axes}, one per axis, got {len(numbers)}: {value}."
            )
        for number in numbers:
            check_positive(**{name: number})
        result.append(numbers)
    return result


def check_same(padding: object, layer: nn.Module) -> None:
    """Raise a `ValueError` where another padding than "same" is requested from a layer."""
    if not isinstance(padding, str) or padding.lower() != "same":
        raise ValueError(
            f"The padding of {type(layer).__name__} is always 'same', got {padding!r}. Leave out "
            "padding, or use the layer of torch.nn."
        )


def shortest(numbers: tuple[int, ...]) -> Sizes:
    """Return one number where all are equal, as torch's layers print it."""
    return numbers[0] if len(set(numbers)) == 1 else numbers


@overload
def same_output_size(size: int, stride: int) -> int: ...


@overload
def same_output_size(size: tuple[int, int], stride: Sizes) -> tuple[int, int]: ...


def same_output_size(size: Sizes, stride: Sizes) -> Sizes:
    """Return ceil(size / stride), the length of an axis after a layer with 'SAME' padding.

    >>> same_output_size(27, stride=2)
    14
    >>> same_output_size((27, 9), stride=2)
    (14, 5)
    """
    if isinstance(size, int) and isinstance(stride, int):
        return -(-size // stride)
    axes = max(len(value) for value in (size, stride) if not isinstance(value, int))
    sizes, strides = per_axis(axes, size=size, stride=stride)
    return tuple(-(-n // s) for n, s in zip(sizes, strides, strict=True))


def same_padding(
    size: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """(before, after) padding of one axis under TensorFlow's 'SAME'.

    The total is max((ceil(size / stride) - 1) · stride + reach - size, 0), where the kernel's reach
    is (kernel_size - 1) · dilation + 1; half of it, rounded down, comes before.

    Args:
        size: Length of the input along the axis.
        kernel_size: Kernel length along the axis.
        stride: Step of the kernel.
        dilation: Spacing of the kernel's taps.

    >>> same_padding(32, kernel_size=3, stride=2)
    (0, 1)
    """
    reach = (kernel_size - 1) * dilation + 1
    if not is_symbolic(size):
        total = max((same_output_size(size, stride) - 1) * stride + reach - size, 0)
        return total // 2, total - total // 2
    # The last window starts at the last multiple of the stride inside the input, whatever follows.
    # With a total that does not depend on the size, the output has (size - 1) // stride + 1
    # elements, which a tracer knows to be those of a 1x1 convolution with this stride.
    before = reach - 1 - (size - 1) % stride
    if reach < stride:
        before = at_least_zero(before)
    before = before // 2
    return before, reach - 1 - before


def pad_same(
    x: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    value: float = 0.0,
) -> Tensor:
    """Return `x` padded along its last axes, one per number of `kernel_size`."""
    axes = range(-len(kernel_size), 0)
    padding: list[int] = []
    for axis in reversed(axes):  # F.pad takes the last axis first
        padding += same_padding(x.shape[axis], kernel_size[axis], stride[axis], dilation[axis])
    return F.pad(x, padding, value=value)


torch.fx.wrap("pad_same")


class _SamePad(nn.Module):
    axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes = 1,
        *,
        dilation: Sizes = 1,
        value: float = 0.0,
    ) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.dilation = per_axis(
            self.axes, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Padded input."""
        return pad_same(x, self.kernel_size, self.stride, self.dilation, self.value)

    def extra_repr(self) -> str:
        """Arguments, for printing the module."""
        return (
            f"{shortest(self.kernel_size)}, stride={shortest(self.stride)}, "
            f"dilation={shortest(self.dilation)}, value={self.value}"
        )


class SamePad1d(_SamePad):
    """`SamePad2d` for sequences (B, C, L)."""

    axes = 1


class SamePad2d(_SamePad):
    """Pad images so that the unpadded layer that follows computes TensorFlow's 'SAME'.

    Input (B, C, H, W); output (B, C, H', W') with the padding of `same_padding` on both axes.

    Args:
        kernel_size: Kernel size of the layer that follows, one number or one per axis.
        stride: Its stride.
        dilation: Its dilation.
        value: What to pad with: 0 before a convolution, -inf before max-pooling.

    Raises:
        ValueError: A size below 1, or another number of sizes than axes.

    >>> conv = nn.Sequential(SamePad2d(3, stride=2), nn.Conv2d(3, 8, 3, stride=2))
    >>> conv(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 8, 16, 16])
    """

    axes = 2


class SamePad3d(_SamePad):
    """`SamePad2d` for volumes (B, C, D, H, W)."""

    axes = 3


class _SameCrop(nn.Module):
    axes: ClassVar[int]

    def __init__(self, kernel_size: Sizes, stride: Sizes = 1, *, dilation: Sizes = 1) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.dilation = per_axis(
            self.axes, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        self._reach = tuple(
            (k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True)
        )
        for reach, step in zip(self._reach, self.stride, strict=True):
            if step > reach:
                raise ValueError(
                    f"stride must be at most kernel_size ({reach}), got {step}: such a transposed "
                    "convolution has gaps to fill, not pixels to crop."
                )

    def forward(self, x: Tensor) -> Tensor:
        """Cropped input."""
        for axis in range(-self.axes, 0):
            extra = self._reach[axis] - self.stride[axis]
            x = x.narrow(axis, extra // 2, x.shape[axis] - extra)
        return x

    def extra_repr(self) -> str:
        """Arguments, for printing the module."""
        text = f"{shortest(self.kernel_size)}, stride={shortest(self.stride)}"
        return text if set(self.dilation) == {1} else f"{text}, dilation={shortest(self.dilation)}"


class SameCrop1d(_SameCrop):
    """`SameCrop2d` for sequences (B, C, L)."""

    axes = 1


class SameCrop2d(_SameCrop):
    """Crop the output of an unpadded transposed convolution to TensorFlow's 'SAME'.

    'SAME' gives n·stride outputs; an unpadded `nn.ConvTranspose2d` gives r - stride more, where the
    kernel's reach r is (kernel_size - 1)·dilation + 1. Input (B, C, H, W); output
    (B, C, H - r + s, W - r + s). Where r - stride is even,
    `nn.ConvTranspose2d(..., padding=(r - stride) // 2)` does the same.

    Args:
        kernel_size: Kernel size of the transposed convolution before it, one number or one per
            axis.
        stride: Its stride, at most its reach.
        dilation: Its dilation.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or a stride above the reach.

    >>> conv = nn.Sequential(nn.ConvTranspose2d(1, 8, 4), SameCrop2d(4))
    >>> conv(torch.zeros(1, 1, 14, 14)).shape
    torch.Size([1, 8, 14, 14])
    """

    axes = 2


class SameCrop3d(_SameCrop):
    """`SameCrop2d` for volumes (B, C, D, H, W)."""

    axes = 3


def same_zero_pad2d(
    kernel_size: Sizes, stride: Sizes, *, input_size: Sizes, dilation: Sizes = 1
) -> nn.ZeroPad2d:
    """Stock `nn.ZeroPad2d` that is `SamePad2d` for inputs of one size.

    For libraries that dispatch on classes, such as BackPACK.

    Args:
        kernel_size: Kernel size of the layer that follows, one number or one per axis.
        stride: Its stride.
        input_size: Height and width of the input.
        dilation: Its dilation.

    Raises:
        ValueError: A size below 1, or another number of sizes than axes.

    >>> same_zero_pad2d(3, 2, input_size=32).padding
    (0, 1, 0, 1)
    """
    kernels, strides, sizes, dilations = per_axis(
        2, kernel_size=kernel_size, stride=stride, input_size=input_size, dilation=dilation
    )
    top_bottom, left_right = map(same_padding, sizes, kernels, strides, dilations)
    return nn.ZeroPad2d((*left_right, *top_bottom))
