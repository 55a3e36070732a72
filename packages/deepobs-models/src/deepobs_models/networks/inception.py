"""Inception v3 and its blocks."""

from functools import partial
from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn

from deepobs_models.building import Block, Device, Factory, build_layer, reset_parameters
from deepobs_models.checks import (
    ImageSize,
    check_dropout,
    check_images,
    check_positive,
    pair,
    unpair,
)
from deepobs_models.classifier import Classifier, FeatureInfo
from deepobs_models.initializers import glorot_uniform_
from deepobs_models.layers.pooling import GlobalAvgPool2d
from deepobs_models.layers.resize import LegacyBilinearResize

torch.fx.wrap("check_images")

Size = int | tuple[int, int]


class ConvNormReLU(Block):
    """Convolution without bias, batch norm, ReLU. Input (B, C, H, W).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_size: Kernel size, one number or (height, width).
        stride: Stride of the convolution.
        padding: Padding of the convolution.
        device: Device of the parameters.
        dtype: Type of the parameters.

    >>> ConvNormReLU(3, 32, (1, 7), padding=(0, 3))(torch.zeros(1, 3, 9, 9)).shape
    torch.Size([1, 32, 9, 9])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        factory: Factory = {"device": device, "dtype": dtype}
        self.conv = build_layer(
            nn.Conv2d,
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=padding,
            bias=False,
            weight_init=glorot_uniform_,
            **factory,
        )
        # TensorFlow's momentum of 0.9997 weighs the old statistics, PyTorch's the new ones.
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3, momentum=0.0003, **factory)
        self.relu = nn.ReLU()


class Branches(nn.ModuleList):
    """Modules that all see the same input; their outputs are concatenated along the channels.

    >>> block = Branches([torch.nn.Conv2d(3, 4, 1), torch.nn.Conv2d(3, 5, 1)])
    >>> block(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 9, 8, 8])
    """

    reset_parameters = reset_parameters

    def forward(self, x: Tensor) -> Tensor:
        """Concatenated outputs."""
        return torch.cat([branch(x) for branch in self], dim=1)


def _same(
    inputs: int, outputs: int, height: int, width: int, **factory: Unpack[Factory]
) -> ConvNormReLU:
    """'SAME' convolution; kernels are odd and strides 1, so the padding is symmetric."""
    padding = (height // 2, width // 2)
    return ConvNormReLU(inputs, outputs, (height, width), padding=padding, **factory)


def _avg_pool() -> nn.AvgPool2d:
    return nn.AvgPool2d(3, 1, padding=1, count_include_pad=False)


def inception_a(in_channels: int, pool_channels: int, **factory: Unpack[Factory]) -> Branches:
    """35x35 block ("5"): 1x1, pooling, 5x5 and two 3x3 branches.

    Args:
        in_channels: Channels of the input.
        pool_channels: Channels of the pooling branch; the output has 224 more.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_a(192, 32)(torch.zeros(1, 192, 35, 35)).shape
    torch.Size([1, 256, 35, 35])
    """
    same = partial(_same, **factory)
    return Branches(
        [
            same(in_channels, 64, 1, 1),
            nn.Sequential(_avg_pool(), same(in_channels, pool_channels, 1, 1)),
            nn.Sequential(same(in_channels, 48, 1, 1), same(48, 64, 5, 5)),
            nn.Sequential(same(in_channels, 64, 1, 1), same(64, 96, 3, 3), same(96, 96, 3, 3)),
        ]
    )


def inception_b(in_channels: int, **factory: Unpack[Factory]) -> Branches:
    """Block ("10") that halves 35x35 to 17x17 and adds 480 channels.

    Args:
        in_channels: Channels of the input.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_b(288)(torch.zeros(1, 288, 35, 35)).shape
    torch.Size([1, 768, 17, 17])
    """
    same, conv = partial(_same, **factory), partial(ConvNormReLU, **factory)
    return Branches(
        [
            nn.MaxPool2d(3, 2),
            conv(in_channels, 384, 3, stride=2),
            nn.Sequential(
                same(in_channels, 64, 1, 1),
                same(64, 96, 3, 3),
                conv(96, 96, 3, stride=2),
            ),
        ]
    )


def inception_c(in_channels: int, width: int, **factory: Unpack[Factory]) -> Branches:
    """17x17 block ("6") with factorised 7x7 convolutions; it has 768 output channels.

    Args:
        in_channels: Channels of the input.
        width: Channels inside the 7x7 branches.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_c(768, 128)(torch.zeros(1, 768, 17, 17)).shape
    torch.Size([1, 768, 17, 17])
    """
    same = partial(_same, **factory)
    return Branches(
        [
            same(in_channels, 192, 1, 1),
            nn.Sequential(_avg_pool(), same(in_channels, 192, 1, 1)),
            nn.Sequential(
                same(in_channels, width, 1, 1),
                same(width, width, 1, 7),
                same(width, 192, 7, 1),
            ),
            nn.Sequential(
                same(in_channels, width, 1, 1),
                same(width, width, 7, 1),
                same(width, width, 1, 7),
                same(width, width, 7, 1),
                same(width, 192, 1, 7),
            ),
        ]
    )


def inception_d(in_channels: int, **factory: Unpack[Factory]) -> Branches:
    """Block ("D") that halves 17x17 to 8x8 and adds 512 channels.

    Args:
        in_channels: Channels of the input.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_d(768)(torch.zeros(1, 768, 17, 17)).shape
    torch.Size([1, 1280, 8, 8])
    """
    same, conv = partial(_same, **factory), partial(ConvNormReLU, **factory)
    return Branches(
        [
            nn.MaxPool2d(3, 2),
            nn.Sequential(
                same(in_channels, 192, 1, 1),
                same(192, 192, 1, 7),
                same(192, 192, 7, 1),
                conv(192, 192, 3, stride=2),
            ),
            nn.Sequential(same(in_channels, 192, 1, 1), conv(192, 320, 3, stride=2)),
        ]
    )


def inception_e(in_channels: int, **factory: Unpack[Factory]) -> Branches:
    """8x8 block ("7") with split 3x3 convolutions; it has 2048 output channels.

    Args:
        in_channels: Channels of the input.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_e(1280)(torch.zeros(1, 1280, 8, 8)).shape
    torch.Size([1, 2048, 8, 8])
    """
    same = partial(_same, **factory)

    def split() -> Branches:
        return Branches([same(384, 384, 1, 3), same(384, 384, 3, 1)])

    return Branches(
        [
            same(in_channels, 320, 1, 1),
            nn.Sequential(same(in_channels, 384, 1, 1), split()),
            nn.Sequential(same(in_channels, 448, 1, 1), same(448, 384, 3, 3), split()),
            nn.Sequential(_avg_pool(), same(in_channels, 192, 1, 1)),
        ]
    )


def inception_stem(in_channels: int, **factory: Unpack[Factory]) -> nn.Sequential:
    """Layers before the blocks: three convolutions, pooling, two convolutions, pooling.

    Args:
        in_channels: Channels of the images.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_stem(3)(torch.zeros(1, 3, 299, 299)).shape
    torch.Size([1, 192, 35, 35])
    """
    conv = partial(ConvNormReLU, **factory)
    return nn.Sequential(
        conv(in_channels, 32, 3, stride=2),
        conv(32, 32, 3),
        conv(32, 64, 3, padding=1),
        nn.MaxPool2d(3, 2),
        conv(64, 80, 1),
        conv(80, 192, 3),
        nn.MaxPool2d(3, 2),
    )


def inception_aux_head(
    in_channels: int, num_classes: int, **factory: Unpack[Factory]
) -> nn.Sequential:
    """Auxiliary head: pooling, 1x1 and 5x5 convolutions, a dense layer.

    Args:
        in_channels: Channels of the input; its height and width must be 17 to 19.
        num_classes: Number of classes.
        **factory: `device` and `dtype` of the parameters.

    >>> inception_aux_head(768, 10).eval()(torch.zeros(1, 768, 17, 17)).shape
    torch.Size([1, 10])
    """
    head = nn.Sequential()
    head.pool = nn.AvgPool2d(5, 3)
    head.conv1 = ConvNormReLU(in_channels, 128, 1, **factory)
    head.conv2 = ConvNormReLU(128, 768, 5, **factory)
    head.flatten = nn.Flatten()
    head.dense = _aux_classifier(num_classes, **factory)
    return head


def _aux_classifier(num_classes: int, **factory: Unpack[Factory]) -> nn.Linear:
    return build_layer(nn.Linear, 768, num_classes, weight_init=glorot_uniform_, **factory)


class InceptionOutput(NamedTuple):
    """What `InceptionV3` returns in training."""

    logits: Tensor  # (B, num_classes)
    aux_logits: Tensor  # (B, num_classes), of the auxiliary head


def _check_batch(x: Tensor, part: str | None) -> Tensor:
    """Return `x`, or raise a `ValueError` if a batch norm in `part` would see a single value."""
    if part is not None and x.shape[0] == 1:
        raise ValueError(
            "InceptionV3 trains on batches of at least 2 images, got 1: the batch norm of the "
            f"{part} sees one position of each image, and one value has no variance. Drop the "
            "last batch where it is that small, or use eval()."
        )
    return x


torch.fx.wrap("_check_batch")


class InceptionV3(Classifier):
    """Inception v3 with its auxiliary head (Szegedy et al. 2016).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_inception_v3.py`. Images of any size are
    resized to `image_size`. Kernels from Glorot uniform, dense biases 0. The original asked for
    dropout, but it never took effect, so the rate is 0 by default. The branches are concatenated in
    another order than torchvision's. Input (B, in_channels, H, W), output logits
    (B, num_classes), in training an `InceptionOutput`. The batch norm of the auxiliary
    head sees one position of each image, so a batch for training must have two images at least;
    so does that of the last blocks where `image_size` is below 107. Parameters by default::

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
        image_size: Height and width to which images are resized before the first layer, one number
            or both: at least 75; with the auxiliary head 299 to 346.
        dropout: Dropout rate before the last layer.
        aux_head: Whether to build the auxiliary head.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1 or an `image_size` out of range, a dropout rate outside [0, 1);
            images of another shape or of an integer type; a single image in training, where batch
            norm needs two.
    """

    head_names = ("dense", "aux_head.dense")
    classifier_name = "dense"

    def __init__(
        self,
        num_classes: int = 1001,
        *,
        in_channels: int = 3,
        image_size: ImageSize = 299,
        dropout: float = 0.0,
        aux_head: bool = True,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, in_channels=in_channels)
        check_dropout(dropout=dropout)
        size = pair(image_size)
        if min(size) < 75 or (aux_head and not 299 <= min(size) <= max(size) <= 346):
            raise ValueError(
                "image_size of InceptionV3 must be at least 75, and 299 to 346 with the auxiliary "
                f"head, got {image_size}. Use 299, or aux_head=False."
            )
        self.num_classes = num_classes
        self.num_features = 2048
        self.in_channels = in_channels
        self.image_size = size
        # Every strided layer of the stem and the blocks is unpadded with kernel 3 and stride 2. At
        # 75 to 106 pixels the last blocks see one position, at 107 to 138 they see 2 x 2.
        self.single_position = max(size) < 107
        self.feature_info: list[FeatureInfo] = [
            {"num_chs": 64, "reduction": 2, "module": "stem.2"},
            {"num_chs": 192, "reduction": 8, "module": "stem.6"},
            {"num_chs": 288, "reduction": 8, "module": "middle.2"},
            {"num_chs": 768, "reduction": 16, "module": "middle.7"},
            {"num_chs": 2048, "reduction": 32, "module": "last.2"},
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        self.resize = LegacyBilinearResize(unpair(size))
        self.stem = inception_stem(in_channels, **factory)
        self.middle = nn.Sequential(
            inception_a(192, 32, **factory),
            inception_a(256, 64, **factory),
            inception_a(288, 64, **factory),
            inception_b(288, **factory),
            inception_c(768, 128, **factory),
            inception_c(768, 160, **factory),
            inception_c(768, 160, **factory),
            inception_c(768, 192, **factory),
        )
        self.aux_head: nn.Sequential | None = None
        if aux_head:
            self.aux_head = inception_aux_head(768, num_classes, **factory)
        self.last = nn.Sequential(
            inception_d(768, **factory), inception_e(1280, **factory), inception_e(2048, **factory)
        )
        self.pool = GlobalAvgPool2d()
        self.dropout = nn.Dropout(dropout)
        self.new_classifier = partial(
            build_layer, nn.Linear, self.num_features, weight_init=glorot_uniform_, **factory
        )
        self.dense = self.new_classifier(num_classes)

    def forward(self, x: Tensor, aux: bool | None = None) -> Tensor | InceptionOutput:
        """Logits of images x (B, C, H, W), and in training those of the auxiliary head.

        Args:
            x: Images (B, in_channels, H, W).
            aux: Whether to compute the auxiliary logits where there is such a head; None means in
                training mode only. ``model.eval(); model(x, aux=True)`` gives both in eval mode.

        Returns:
            The logits (B, num_classes), or both in an `InceptionOutput` where there are two.
        """
        if aux is None or isinstance(aux, torch.fx.Proxy):  # torch.fx: as if it were not given
            aux = self.training
        aux_head = self.aux_head if aux else None
        x = self._forward_middle(x, aux_head)
        aux_logits = None if aux_head is None else aux_head(x)
        logits = self.forward_head(self._run(self._parts(self.last), x))
        return logits if aux_logits is None else InceptionOutput(logits, aux_logits)

    def _forward_middle(self, x: Tensor, aux_head: nn.Module | None) -> Tensor:
        x = check_images(x, "InceptionV3", self.in_channels)
        if self.training:
            x = _check_batch(x, self._single_position_part(aux_head))
        return self._run([[self.resize, self.stem], *self._parts(self.middle)], x)

    def _parts(self, blocks: nn.Sequential) -> list[list[nn.Module]]:
        """Return what `_run` takes: each block alone if only what they return is to be kept."""
        return [[block] for block in blocks] if self.grad_checkpointing else [[blocks]]

    def _single_position_part(self, aux_head: nn.Module | None) -> str | None:
        """Name a part where a batch norm in training mode sees one position of each image."""
        parts = {
            "auxiliary head": aux_head,
            "last blocks": self.last if self.single_position else None,
        }
        for name, part in parts.items():
            layers = [] if part is None else part.modules()
            if any(isinstance(layer, nn.BatchNorm2d) and layer.training for layer in layers):
                return name
        return None

    def forward_features(self, x: Tensor) -> Tensor:
        """Features (B, 2048, h, w) of images x (B, C, H, W)."""
        return self._run(self._parts(self.last), self._forward_middle(x, None))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Logits (B, num_classes) of features.

        Args:
            x: What `forward_features` returned.
            pre_logits: Leave out the classifier.
        """
        x = self.dropout(self.pool(x))
        return x if pre_logits else self.dense(x)

    def reset_classifier(self, num_classes: int, global_pool: None = None) -> None:
        """Replace the last layers of both heads by fresh ones, as `Classifier.reset_classifier`."""
        super().reset_classifier(num_classes, global_pool)
        if self.aux_head is not None:
            self.aux_head.dense = self._fresh(_aux_classifier, num_classes)
