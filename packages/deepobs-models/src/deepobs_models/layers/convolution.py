"""Convolutions with TensorFlow's 'SAME' padding, made of stock layers."""

from typing import ClassVar

import torch
from torch import nn

from deepobs_models.building import Block, Device, build_layer
from deepobs_models.initializers import Initializer, glorot_uniform_
from deepobs_models.layers.padding import (
    SameCrop1d,
    SameCrop2d,
    SameCrop3d,
    SamePad1d,
    SamePad2d,
    SamePad3d,
    Sizes,
    _SameCrop,
    _SamePad,
    check_same,
    per_axis,
    shortest,
)


class _ConvSame(Block):
    pads: ClassVar[type[_SamePad]]
    convs: ClassVar[type[nn.Module]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        *,
        dilation: Sizes = 1,
        groups: int = 1,
        padding: str = "same",
        bias: bool = True,
        weight_init: Initializer = glorot_uniform_,
        bias_init: float | Initializer = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_same(padding, self)
        kernels, strides, dilations = per_axis(
            self.pads.axes, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        around = [(k - 1) * d for k, d in zip(kernels, dilations, strict=True)]
        # With stride 1 the padding does not depend on the size, and an even one is symmetric.
        symmetric = set(strides) == {1} and not any(total % 2 for total in around)
        if not symmetric:
            self.pad = self.pads(kernel_size, stride, dilation=dilation)
        self.conv = build_layer(
            self.convs,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=shortest(tuple(total // 2 for total in around)) if symmetric else 0,
            dilation=dilation,
            groups=groups,
            bias=bias,
            weight_init=weight_init,
            bias_init=bias_init,
            device=device,
            dtype=dtype,
        )


class Conv1dSame(_ConvSame):
    """`Conv2dSame` for sequences (B, C, L)."""

    pads, convs = SamePad1d, nn.Conv1d


class Conv2dSame(_ConvSame):
    """Convolution with TensorFlow's 'SAME' for images (B, in_channels, H, W) of any size.

    Output (B, out_channels, ceil(H/stride), ceil(W/stride)). `SamePad2d` as `pad`, then `nn.Conv2d`
    as `conv`; with stride 1 and symmetric padding the convolution alone, which is faster.
    Equivalent to `tf.keras.layers.Conv2D(padding="same")`, including its weight initialisation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride.
        dilation: Spacing of the kernel's taps.
        groups: Number of groups of channels that are convolved separately.
        padding: "same" alone, as in Keras.
        bias: Whether there is a bias.
        weight_init: Fills the weight in place; Keras' default is Glorot uniform.
        bias_init: Initial value of the bias, or a function that fills it.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or another `padding`.

    >>> Conv2dSame(3, 8, 3, stride=2)(torch.zeros(1, 3, 32, 27)).shape
    torch.Size([1, 8, 16, 14])
    >>> Conv2dSame(3, 8, (1, 7))
    Conv2dSame(
      (conv): Conv2d(3, 8, kernel_size=(1, 7), stride=(1, 1), padding=(0, 3))
    )
    """

    pads, convs = SamePad2d, nn.Conv2d


class Conv3dSame(_ConvSame):
    """`Conv2dSame` for volumes (B, C, D, H, W)."""

    pads, convs = SamePad3d, nn.Conv3d


class _ConvTransposeSame(Block):
    crops: ClassVar[type[_SameCrop]]
    convs: ClassVar[type[nn.Module]]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        *,
        dilation: Sizes = 1,
        groups: int = 1,
        padding: str = "same",
        bias: bool = True,
        weight_init: Initializer = glorot_uniform_,
        bias_init: float | Initializer = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_same(padding, self)
        kernels, strides, dilations = per_axis(
            self.crops.axes, kernel_size=kernel_size, stride=stride, dilation=dilation
        )
        reaches = [(k - 1) * d + 1 for k, d in zip(kernels, dilations, strict=True)]
        extra = [reach - step for reach, step in zip(reaches, strides, strict=True)]
        symmetric = all(n <= 0 or n % 2 == 0 for n in extra)
        self.conv = build_layer(
            self.convs,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=tuple(max(n, 0) // 2 for n in extra) if symmetric else 0,
            output_padding=tuple(max(-n, 0) for n in extra),
            dilation=dilation,
            groups=groups,
            bias=bias,
            weight_init=weight_init,
            bias_init=bias_init,
            device=device,
            dtype=dtype,
        )
        if not symmetric:
            self.crop = self.crops(tuple(map(max, reaches, strides)), stride)


class ConvTranspose1dSame(_ConvTransposeSame):
    """`ConvTranspose2dSame` for sequences (B, C, L)."""

    crops, convs = SameCrop1d, nn.ConvTranspose1d


class ConvTranspose2dSame(_ConvTransposeSame):
    """Transposed convolution with TensorFlow's 'SAME' for images (B, in_channels, H, W).

    Output (B, out_channels, H·stride, W·stride). `nn.ConvTranspose2d` as `conv`, which crops by
    itself where the same number of rows goes on both sides; otherwise followed by `SameCrop2d` as
    `crop`. Equivalent to `tf.keras.layers.Conv2DTranspose(padding="same")`, including its weight
    initialisation.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size, one number or one per axis.
        stride: Stride.
        dilation: Spacing of the kernel's taps.
        groups: Number of groups of channels that are convolved separately.
        padding: "same" alone, as in Keras.
        bias: Whether there is a bias.
        weight_init: Fills the weight in place; Keras' default is Glorot uniform.
        bias_init: Initial value of the bias, or a function that fills it.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, another number of sizes than axes, or another `padding`.

    >>> ConvTranspose2dSame(3, 8, 4, stride=2)(torch.zeros(1, 3, 16, 14)).shape
    torch.Size([1, 8, 32, 28])
    """

    crops, convs = SameCrop2d, nn.ConvTranspose2d


class ConvTranspose3dSame(_ConvTransposeSame):
    """`ConvTranspose2dSame` for volumes (B, C, D, H, W)."""

    crops, convs = SameCrop3d, nn.ConvTranspose3d
