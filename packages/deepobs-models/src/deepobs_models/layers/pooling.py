"""Pooling with TensorFlow's 'SAME' padding, and over all positions."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobs_models.building import Block
from deepobs_models.checks import ImageSize, unpair
from deepobs_models.layers.padding import (
    SamePad1d,
    SamePad2d,
    SamePad3d,
    Sizes,
    _SamePad,
    check_same,
    per_axis,
    same_padding,
)


def _pool_padding(
    kernel_size: ImageSize, stride: ImageSize, input_size: ImageSize, instead: str
) -> tuple[ImageSize, bool]:
    """(padding, ceil_mode) with which a stock pooling layer is 'SAME'.

    With `ceil_mode` the last window may hang over the bottom and right edge: the odd pixel.
    `instead` is the recommendation of the error without such a layer.
    """
    kernels, strides, sizes = per_axis(
        2, kernel_size=kernel_size, stride=stride, input_size=input_size
    )
    paddings = list(map(same_padding, sizes, kernels, strides))
    for (before, after), step in zip(paddings, strides, strict=True):
        if after > before and step == 1:
            raise ValueError(
                f"No stock pooling layer is 'SAME' with stride 1 and an even kernel "
                f"({kernel_size}). Use {instead}."
            )
    # An axis with symmetric padding has the same output in both modes: its last window is whole.
    odd = any(after > before for before, after in paddings)
    height, width = (before for before, _ in paddings)
    return unpair((height, width)), odd


def same_max_pool2d(
    kernel_size: ImageSize, stride: ImageSize, *, input_size: ImageSize
) -> nn.MaxPool2d:
    """Stock `nn.MaxPool2d` that is TensorFlow's 'SAME' for inputs of one size.

    A stock layer is faster than padding and known to libraries that dispatch on classes. For inputs
    of any size use `MaxPool2dSame`.

    Args:
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride.
        input_size: Height and width of the input.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or stride 1 with an even
            kernel.

    >>> same_max_pool2d(3, 2, input_size=28)(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 1, 14, 14])
    """
    instead = f"MaxPool2dSame({kernel_size}, {stride})"
    padding, ceil_mode = _pool_padding(kernel_size, stride, input_size, instead)
    return nn.MaxPool2d(kernel_size, stride, padding=padding, ceil_mode=ceil_mode)


def same_avg_pool2d(
    kernel_size: ImageSize, stride: ImageSize, *, input_size: ImageSize
) -> nn.AvgPool2d:
    """Stock `nn.AvgPool2d` that is TensorFlow's 'SAME' for inputs of one size.

    Padding does not count in the mean. With stride 1 and an odd kernel it fits every input size.
    For others of any size use `AvgPool2dSame`.

    Args:
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride.
        input_size: Height and width of the input.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or stride 1 with an even
            kernel.

    >>> same_avg_pool2d(3, 2, input_size=28)(torch.ones(1, 1, 28, 28)).unique()
    tensor([1.])
    """
    instead = f"AvgPool2dSame({kernel_size}, {stride})"
    padding, ceil_mode = _pool_padding(kernel_size, stride, input_size, instead)
    return nn.AvgPool2d(
        kernel_size, stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=False
    )


class _MaxPoolSame(Block):
    pads: ClassVar[type[_SamePad]]
    pools: ClassVar[type[nn.Module]]

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        *,
        dilation: Sizes = 1,
        padding: str = "same",
    ) -> None:
        super().__init__()
        check_same(padding, self)
        step = kernel_size if stride is None else stride
        self.pad = self.pads(kernel_size, step, dilation=dilation, value=-math.inf)
        self.pool = self.pools(kernel_size, step, dilation=dilation)


class MaxPool1dSame(_MaxPoolSame):
    """`MaxPool2dSame` for sequences (B, C, L)."""

    pads, pools = SamePad1d, nn.MaxPool1d


class MaxPool2dSame(_MaxPoolSame):
    """Max-pooling with TensorFlow's 'SAME' for images (B, C, H, W) of any size.

    Output (B, C, ceil(H/stride), ceil(W/stride)). `SamePad2d` with -inf, then `nn.MaxPool2d`.
    `tf.keras.layers.MaxPooling2D(padding="same")`, `tf.nn.pool` where dilated.

    Args:
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride; None is the kernel size.
        dilation: Spacing of the kernel's taps.
        padding: "same" alone, as in Keras.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or another `padding`.

    >>> MaxPool2dSame(3, 2)(torch.zeros(1, 1, 27, 28)).shape
    torch.Size([1, 1, 14, 14])
    """

    pads, pools = SamePad2d, nn.MaxPool2d


class MaxPool3dSame(_MaxPoolSame):
    """`MaxPool2dSame` for volumes (B, C, D, H, W)."""

    pads, pools = SamePad3d, nn.MaxPool3d


class _AvgPoolSame(nn.Module):
    pads: ClassVar[type[_SamePad]]
    pools: ClassVar[type[nn.Module]]

    def __init__(
        self, kernel_size: Sizes, stride: Sizes | None = None, *, padding: str = "same"
    ) -> None:
        super().__init__()
        check_same(padding, self)
        step = kernel_size if stride is None else stride
        self.pad = self.pads(kernel_size, step)
        self.pool = self.pools(kernel_size, step)

    def forward(self, x: Tensor) -> Tensor:
        """Means."""
        inside: Tensor = self.pool(self.pad(torch.ones_like(x[:1, :1])))
        return self.pool(self.pad(x)) / inside  # type: ignore[no-any-return]


class AvgPool1dSame(_AvgPoolSame):
    """`AvgPool2dSame` for sequences (B, C, L)."""

    pads, pools = SamePad1d, nn.AvgPool1d


class AvgPool2dSame(_AvgPoolSame):
    """Average pooling with TensorFlow's 'SAME' for images (B, C, H, W) of any size.

    Output (B, C, ceil(H/stride), ceil(W/stride)). Padding does not count in the mean.
    `tf.keras.layers.AveragePooling2D(padding="same")`.

    Args:
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride; None is the kernel size.
        padding: "same" alone, as in Keras.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or another `padding`.

    >>> AvgPool2dSame(2, 1)(torch.tensor([[[[1.0, 3.0]]]]))
    tensor([[[[2., 3.]]]])
    """

    pads, pools = SamePad2d, nn.AvgPool2d


class AvgPool3dSame(_AvgPoolSame):
    """`AvgPool2dSame` for volumes (B, C, D, H, W)."""

    pads, pools = SamePad3d, nn.AvgPool3d


class GlobalAvgPool2d(nn.Module):
    """Mean over all positions. Input (B, C, H, W), output (B, C).

    >>> GlobalAvgPool2d()(torch.ones(2, 8, 6, 6)).shape
    torch.Size([2, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Mean of each channel."""
        return x.mean(dim=(2, 3))
