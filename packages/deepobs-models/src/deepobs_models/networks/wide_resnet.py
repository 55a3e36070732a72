"""Wide residual networks and their pre-activation block."""

from functools import partial

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, Factory, build_layer, reset_parameters
from deepobs_models.checks import ImageSize, check_dropout, check_image_size, check_positive
from deepobs_models.classifier import ImageClassifier
from deepobs_models.initializers import glorot_uniform_
from deepobs_models.layers.padding import SamePad2d
from deepobs_models.layers.pooling import GlobalAvgPool2d


def _batch_norm(channels: int, factory: Factory) -> nn.BatchNorm2d:
    # TensorFlow's fused kernel raises the epsilon of 1e-5 that was asked for to 1.001e-5.
    return nn.BatchNorm2d(channels, eps=1.001e-5, momentum=0.1, **factory)


def _conv(
    inputs: int, outputs: int, kernel_size: int, stride: int, padding: int, factory: Factory
) -> nn.Conv2d:
    return build_layer(
        nn.Conv2d,
        inputs,
        outputs,
        kernel_size,
        stride=stride,
        padding=padding,
        bias=False,
        weight_init=glorot_uniform_,
        **factory,
    )


class PreActResidualBlock(nn.Module):
    """Residual block with batch norm and ReLU before its two 3x3 convolutions.

    He et al. 2016, "Identity mappings in deep residual networks"; DeepOBS 1.1.2,
    `deepobs/tensorflow/testproblems/_wrn.py`. Input (B, in_channels, H, W), output
    (B, out_channels, H/stride, W/stride), rounded up; strided convolutions pad as TensorFlow's
    'SAME'. Where the shape changes, or with `project`, the shortcut is a 1x1 convolution of the
    activated input; otherwise it is the input itself.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: Stride of the first convolution and of the shortcut.
        project: Whether the shortcut is a convolution even where the shape stays.
        dropout: Dropout rate between the convolutions.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, a dropout rate outside [0, 1).

    >>> PreActResidualBlock(16, 64, stride=2)(torch.zeros(1, 16, 32, 32)).shape
    torch.Size([1, 64, 16, 16])
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int = 1,
        *,
        project: bool = False,
        dropout: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(in_channels=in_channels, out_channels=out_channels, stride=stride)
        check_dropout(dropout=dropout)
        factory: Factory = {"device": device, "dtype": dtype}
        self.norm1 = _batch_norm(in_channels, factory)
        self.relu1 = nn.ReLU()
        self.shortcut: nn.Conv2d | None = None
        if project or stride != 1 or in_channels != out_channels:
            self.shortcut = _conv(in_channels, out_channels, 1, stride, 0, factory)
        self.pad = nn.Identity() if stride == 1 else SamePad2d(3, stride)
        padding = 1 if stride == 1 else 0
        self.conv1 = _conv(in_channels, out_channels, 3, stride, padding, factory)
        self.norm2 = _batch_norm(out_channels, factory)
        self.relu2 = nn.ReLU()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = _conv(out_channels, out_channels, 3, 1, 1, factory)

    def forward(self, x: Tensor) -> Tensor:
        """Return shortcut plus residual."""
        activated = self.relu1(self.norm1(x))
        shortcut: Tensor = x if self.shortcut is None else self.shortcut(activated)
        residual: Tensor = self.conv1(self.pad(activated))
        residual = self.conv2(self.dropout(self.relu2(self.norm2(residual))))
        return shortcut + residual


class WideResNet(ImageClassifier):
    """Wide ResNet of depth 6n+4 (Zagoruyko and Komodakis 2016).

    Port of DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_wrn.py`, which has no dropout. Three
    groups of n pre-activation blocks with 16, 32 and 64 times `widen_factor` channels and strides
    1, 2 and 2. Kernels from Glorot uniform, the dense bias 0. Input (B, in_channels, H, W), output
    logits (B, num_classes).
    Parameters of ``WideResNet(16, 4, 10)``::

        conv       Conv2d(3, 16, 3)        432  (16, 32, 32)
        block1_1   16 to 64 channels     47264  (64, 32, 32)
        block1_2   64 to 64 channels     73984
        block2_1   64 to 128 channels   229760  (128, 16, 16)
        block2_2   128 to 128 channels  295424
        block3_1   128 to 256 channels  918272  (256, 8, 8)
        block3_2   256 to 256 channels 1180672
        norm       BatchNorm2d(256)        512  then ReLU and the mean over all positions
        dense      Linear(256, 10)        2570
        total                          2748890

    Args:
        depth: 6n+4 for an n of at least 1: 10, 16, 22, 28, 34, 40, ...
        widen_factor: Multiple of the channels of a plain ResNet.
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: The only height and width to accept, one number or both; None accepts all.
        dropout: Dropout rate between the convolutions of a block.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: `depth` is not 6n+4, a size below 1, a dropout rate outside [0, 1); images of
            another shape or of an integer type.
    """

    head_name = "pool"
    classifier_name = "dense"

    def __init__(
        self,
        depth: int = 16,
        widen_factor: int = 4,
        num_classes: int = 10,
        *,
        in_channels: int = 3,
        image_size: ImageSize | None = None,
        dropout: float = 0.0,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        blocks, rest = divmod(depth - 4, 6)
        if blocks < 1 or rest:
            raise ValueError(
                f"depth of WideResNet must be 6n+4 (10, 16, 22, 28, 34, 40, ...), got {depth}."
            )
        check_positive(widen_factor=widen_factor, num_classes=num_classes, in_channels=in_channels)
        size = None if image_size is None else check_image_size(image_size, "WideResNet")
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = size
        factory: Factory = {"device": device, "dtype": dtype}
        self.conv = _conv(in_channels, 16, 3, 1, 1, factory)
        self.feature_info = [{"num_chs": 16, "reduction": 1, "module": "conv"}]
        channels = 16
        for group in (1, 2, 3):
            width = 16 * widen_factor * 2 ** (group - 1)
            for index in range(1, blocks + 1):
                first = index == 1
                block = PreActResidualBlock(
                    channels,
                    width,
                    stride=2 if first and group > 1 else 1,
                    project=first,
                    dropout=dropout,
                    **factory,
                )
                self.add_module(f"block{group}_{index}", block)
                channels = width
            self.feature_info.append(
                {
                    "num_chs": width,
                    "reduction": 2 ** (group - 1),
                    "module": f"block{group}_{blocks}",
                }
            )
        self.num_features = channels
        self.new_classifier = partial(
            build_layer, nn.Linear, channels, weight_init=glorot_uniform_, **factory
        )
        self.norm = _batch_norm(channels, factory)
        self.relu = nn.ReLU()
        self.pool = GlobalAvgPool2d()
        self.dense = self.new_classifier(num_classes)
