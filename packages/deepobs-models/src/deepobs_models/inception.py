"""Inception v3 and its blocks."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deepobs_models.checks import check_dropout, check_images, check_positive
from deepobs_models.initializers import build_layer, glorot_uniform_
from deepobs_models.resize import GlobalAvgPool2d, LegacyBilinearResize

Size = int | tuple[int, int]


class ConvNormReLU(nn.Sequential):
    """Convolution without bias, batch norm, ReLU. Input (B, C, H, W).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size, one number or (height, width).
        stride: Stride of the convolution.
        padding: Padding of the convolution.

    >>> ConvNormReLU(3, 32, (1, 7), padding=(0, 3))(torch.zeros(1, 3, 9, 9)).shape
    torch.Size([1, 32, 9, 9])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: int = 1,
        padding: Size = 0,
    ) -> None:
        super().__init__()
        self.conv = build_layer(
            nn.Conv2d,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            bias=False,
            weight_init=glorot_uniform_,
        )
        # TensorFlow's momentum of 0.9997 weighs the old statistics, PyTorch's the new ones.
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.0003)
        self.relu = nn.ReLU()


class Branches(nn.ModuleList):
    """Modules that all see the same input; their outputs are concatenated along the channels.

    >>> block = Branches([torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(3, 5, 1)])
    >>> block(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 9, 8, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the concatenated outputs."""
        return torch.cat([branch(x) for branch in self], dim=1)


def _same(inputs: int, outputs: int, height: int, width: int) -> ConvNormReLU:
    """Return a 'SAME' convolution; kernels are odd and strides 1, so the padding is symmetric."""
    return ConvNormReLU(inputs, outputs, (height, width), padding=(height // 2, width // 2))


def _avg_pool() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)


def inception_a(in_channels: int, pool_channels: int) -> Branches:
    """Return the 35x35 block ("5"): 1x1, pooling, 5x5 and two 3x3 branches.

    Args:
        in_channels: Channels of the input.
        pool_channels: Channels of the pooling branch; the output has 224 more.

    >>> inception_a(192, 32)(torch.zeros(1, 192, 35, 35)).shape
    torch.Size([1, 256, 35, 35])
    """
    return Branches(
        [
            _same(in_channels, 64, 1, 1),
            nn.Sequential(_avg_pool(), _same(in_channels, pool_channels, 1, 1)),
            nn.Sequential(_same(in_channels, 48, 1, 1), _same(48, 64, 5, 5)),
            nn.Sequential(_same(in_channels, 64, 1, 1), _same(64, 96, 3, 3), _same(96, 96, 3, 3)),
        ]
    )


def inception_b(in_channels: int) -> Branches:
    """Return the block ("10") that halves 35x35 to 17x17 and adds 480 channels.

    Args:
        in_channels: Channels of the input.

    >>> inception_b(288)(torch.zeros(1, 288, 35, 35)).shape
    torch.Size([1, 768, 17, 17])
    """
    return Branches(
        [
            nn.MaxPool2d(3, 2),
            ConvNormReLU(in_channels, 384, 3, stride=2),
            nn.Sequential(
                _same(in_channels, 64, 1, 1),
                _same(64, 96, 3, 3),
                ConvNormReLU(96, 96, 3, stride=2),
            ),
        ]
    )


def inception_c(in_channels: int, width: int) -> Branches:
    """Return the 17x17 block ("6") with factorised 7x7 convolutions; it has 768 output channels.

    Args:
        in_channels: Channels of the input.
        width: Channels inside the 7x7 branches.

    >>> inception_c(768, 128)(torch.zeros(1, 768, 17, 17)).shape
    torch.Size([1, 768, 17, 17])
    """
    return Branches(
        [
            _same(in_channels, 192, 1, 1),
            nn.Sequential(_avg_pool(), _same(in_channels, 192, 1, 1)),
            nn.Sequential(
                _same(in_channels, width, 1, 1),
                _same(width, width, 1, 7),
                _same(width, 192, 7, 1),
            ),
            nn.Sequential(
                _same(in_channels, width, 1, 1),
                _same(width, width, 7, 1),
                _same(width, width, 1, 7),
                _same(width, width, 7, 1),
                _same(width, 192, 1, 7),
            ),
        ]
    )


def inception_d(in_channels: int) -> Branches:
    """Return the block ("D") that halves 17x17 to 8x8 and adds 512 channels.

    Args:
        in_channels: Channels of the input.

    >>> inception_d(768)(torch.zeros(1, 768, 17, 17)).shape
    torch.Size([1, 1280, 8, 8])
    """
    return Branches(
        [
            nn.MaxPool2d(3, 2),
            nn.Sequential(
                _same(in_channels, 192, 1, 1),
                _same(192, 192, 1, 7),
                _same(192, 192, 7, 1),
                ConvNormReLU(192, 192, 3, stride=2),
            ),
            nn.Sequential(_same(in_channels, 192, 1, 1), ConvNormReLU(192, 320, 3, stride=2)),
        ]
    )


def inception_e(in_channels: int) -> Branches:
    """Return the 8x8 block ("7") with split 3x3 convolutions; it has 2048 output channels.

    Args:
        in_channels: Channels of the input.

    >>> inception_e(1280)(torch.zeros(1, 1280, 8, 8)).shape
    torch.Size([1, 2048, 8, 8])
    """

    def split() -> Branches:
        return Branches([_same(384, 384, 1, 3), _same(384, 384, 3, 1)])

    return Branches(
        [
            _same(in_channels, 320, 1, 1),
            nn.Sequential(_same(in_channels, 384, 1, 1), split()),
            nn.Sequential(_same(in_channels, 448, 1, 1), _same(448, 384, 3, 3), split()),
            nn.Sequential(_avg_pool(), _same(in_channels, 192, 1, 1)),
        ]
    )


class InceptionOutput(NamedTuple):
    """What `InceptionV3` returns."""

    logits: Tensor  # (B, num_classes)
    aux_logits: Tensor | None  # (B, num_classes), or None where they were not computed


class InceptionV3(nn.Module):
    """Inception v3 with its auxiliary head (Szegedy et al. 2016).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_inception_v3.py`. Images of any size are
    resized to `resize_to`. Kernels from Glorot uniform, dense biases 0. The original asked for
    dropout, but it never took effect, so the rate is 0 by default. The branches are concatenated in
    another order than torchvision's. Input (B, in_channels, H, W). The batch norm of the auxiliary
    head sees one position of each image, so a batch for training must have two images at least;
    so does that of the last blocks where `resize_to` is below 107. Parameters by default::

        stem      3x3 and 1x1 convolutions     172672  (192, 35, 35)
        middle.0  inception_a(192, 32)         255904  (256, 35, 35)
        middle.1  inception_a(256, 64)         277472  (288, 35, 35)
        middle.2  inception_a(288, 64)         285152  (288, 35, 35)
        middle.3  inception_b(288)            1153280  (768, 17, 17)
        middle.4  inception_c(768, 128)       1297408  (768, 17, 17)
        middle.5  inception_c(768, 160)       1691008  (768, 17, 17)
        middle.6  inception_c(768, 160)       1691008  (768, 17, 17)
        middle.7  inception_c(768, 192)       2141952  (768, 17, 17)
        aux_head  pooling, 1x1, 5x5, dense    3327465  (num_classes)
        last.0    inception_d(768)            1698304  (1280, 8, 8)
        last.1    inception_e(1280)           5044608  (2048, 8, 8)
        last.2    inception_e(2048)           6076800  (2048, 8, 8)
        dense     Linear(2048, 1001)          2051049
        total                                27164082

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        resize_to: Height and width to which images are resized before the first layer: at least 75;
            with the auxiliary head 299 to 346.
        dropout: Dropout rate before the last layer.
        aux_head: Whether to build the auxiliary head.

    Raises:
        ValueError: A size below 1 or a `resize_to` out of range, a dropout rate outside [0, 1);
            images of another shape or of an integer type; a single image in training, where batch
            norm needs two.
    """

    head_names = ("dense", "aux_head.dense")

    def __init__(
        self,
        num_classes: int = 1001,
        *,
        in_channels: int = 3,
        resize_to: int = 299,
        dropout: float = 0.0,
        aux_head: bool = True,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        check_dropout(dropout=dropout)
        if resize_to < 75 or (aux_head and not 299 <= resize_to <= 346):
            raise ValueError(
                "resize_to of InceptionV3 must be at least 75, and 299 to 346 with the auxiliary "
                f"head, got {resize_to}. Use 299, or aux_head=False."
            )
        self.in_channels = in_channels
        # Every strided layer of the stem and the blocks is unpadded with kernel 3 and stride 2. At
        # 75 to 106 pixels the last blocks see one position, at 107 to 138 they see 2 x 2.
        self.single_position = resize_to < 107
        self.resize = LegacyBilinearResize(resize_to)
        self.stem = nn.Sequential(
            ConvNormReLU(in_channels, 32, 3, stride=2),
            ConvNormReLU(32, 32, 3),
            ConvNormReLU(32, 64, 3, padding=1),
            nn.MaxPool2d(3, 2),
            ConvNormReLU(64, 80, 1),
            ConvNormReLU(80, 192, 3),
            nn.MaxPool2d(3, 2),
        )
        self.middle = nn.Sequential(
            inception_a(192, 32),
            inception_a(256, 64),
            inception_a(288, 64),
            inception_b(288),
            inception_c(768, 128),
            inception_c(768, 160),
            inception_c(768, 160),
            inception_c(768, 192),
        )
        self.aux_head: nn.Sequential | None = None
        if aux_head:
            self.aux_head = nn.Sequential()
            self.aux_head.pool = nn.AvgPool2d(5, 3)
            self.aux_head.conv1 = ConvNormReLU(768, 128, 1)
            self.aux_head.conv2 = ConvNormReLU(128, 768, 5)
            self.aux_head.flatten = nn.Flatten()
            self.aux_head.dense = build_layer(
                nn.Linear, 768, num_classes, weight_init=glorot_uniform_
            )
        self.last = nn.Sequential(inception_d(768), inception_e(1280), inception_e(2048))
        self.pool = GlobalAvgPool2d()
        self.dropout = nn.Dropout(dropout)
        self.dense = build_layer(nn.Linear, 2048, num_classes, weight_init=glorot_uniform_)

    def _check_single_image(self, aux_head: nn.Module | None) -> None:
        """Raise a `ValueError` if a batch norm in training mode would see a single value."""
        parts = [aux_head, self.last if self.single_position else None]
        layers = [layer for part in parts if part is not None for layer in part.modules()]
        if any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in layers):
            where = "last blocks" if aux_head is None else "auxiliary head"
            raise ValueError(
                "InceptionV3 trains on batches of at least 2 images, got 1: the batch norm of the "
                f"{where} sees one position of each image, and one value has no variance. Drop the "
                "last batch where it is that small, or use eval()."
            )

    def forward(self, x: Tensor, aux: bool | None = None) -> InceptionOutput:
        """Return the logits of images x (B, C, H, W), and in training those of the auxiliary head.

        Args:
            x: Images (B, in_channels, H, W).
            aux: Whether to compute the auxiliary logits where there is such a head; None means in
                training mode only. ``model.eval(); model(x, aux=True)`` gives both in eval mode.
        """
        check_images(x, "InceptionV3", self.in_channels)
        if aux is None:
            aux = self.training
        aux_head = self.aux_head if aux else None
        if self.training and x.shape[0] == 1:
            self._check_single_image(aux_head)
        x = self.middle(self.stem(self.resize(x)))
        aux_logits = None if aux_head is None else aux_head(x)
        x = self.dropout(self.pool(self.last(x)))
        return InceptionOutput(self.dense(x), aux_logits)
