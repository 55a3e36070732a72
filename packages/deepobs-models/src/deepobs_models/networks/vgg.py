"""VGG with 11, 13, 16 or 19 layers."""

from functools import partial

import torch
from torch import nn

from deepobs_models.building import Device, Factory, build_layer
from deepobs_models.checks import ImageSize, check_dropout, check_image_size, check_positive, unpair
from deepobs_models.classifier import ImageClassifier
from deepobs_models.initializers import glorot_normal_, glorot_uniform_
from deepobs_models.layers.padding import same_output_size
from deepobs_models.layers.pooling import same_max_pool2d
from deepobs_models.layers.resize import LegacyBilinearResize

# Convolutions in the five blocks, by depth; the three dense layers make up the rest of the depth.
_CONVOLUTIONS = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
_CHANNELS = (64, 128, 256, 512, 512)


class VGG(ImageClassifier):
    """VGG-11, -13, -16 or -19 (Simonyan and Zisserman 2015, configurations A, B, D and E).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_vgg.py`, which has depths 16 and 19 without
    batch norm. Images of other sizes are resized to `image_size`. Convolution kernels from Keras'
    truncated Glorot normal, dense kernels from Glorot uniform, biases 0. Input (B, in_channels, H,
    W), output logits (B, num_classes). Layers and parameters of ``VGG(16, 10)``; after each block
    max-pooling 2/2::

        conv1_1  Conv2d(3, 64, 3)          1792  (64, 224, 224)
        conv1_2  Conv2d(64, 64, 3)        36928
        conv2_1  Conv2d(64, 128, 3)       73856  (128, 112, 112)
        conv2_2  Conv2d(128, 128, 3)     147584
        conv3_1  Conv2d(128, 256, 3)     295168  (256, 56, 56)
        conv3_2  Conv2d(256, 256, 3)     590080
        conv3_3  Conv2d(256, 256, 3)     590080
        conv4_1  Conv2d(256, 512, 3)    1180160  (512, 28, 28)
        conv4_2  Conv2d(512, 512, 3)    2359808
        conv4_3  Conv2d(512, 512, 3)    2359808
        conv5_1  Conv2d(512, 512, 3)    2359808  (512, 14, 14)
        conv5_2  Conv2d(512, 512, 3)    2359808
        conv5_3  Conv2d(512, 512, 3)    2359808
        dense1   Linear(25088, 4096)  102764544  then ReLU and dropout
        dense2   Linear(4096, 4096)    16781312  then ReLU and dropout
        dense3   Linear(4096, 10)         40970
        total                         134301514

    Args:
        depth: 11, 13, 16 or 19.
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width to which images are resized before the first layer, one number
            or both.
        dropout: Rate of the two dropout layers.
        batch_norm: Whether a batch norm (torch's defaults) follows each convolution.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: Another depth, a size below 1, a dropout rate outside [0, 1); images of another
            shape or of an integer type.
    """

    resizes = True
    head_name = "flatten"
    classifier_name = "dense3"

    def __init__(
        self,
        depth: int = 16,
        num_classes: int = 10,
        *,
        in_channels: int = 3,
        image_size: ImageSize = 224,
        dropout: float = 0.5,
        batch_norm: bool = False,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if depth not in _CONVOLUTIONS:
            raise ValueError(f"depth of VGG must be 11, 13, 16 or 19, got {depth}.")
        check_positive(num_classes=num_classes, in_channels=in_channels)
        size = check_image_size(image_size, "VGG")
        check_dropout(dropout=dropout)
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = size
        self.num_features = 4096
        self.feature_info = [
            {"num_chs": width, "reduction": 2**block, "module": f"pool{block}"}
            for block, width in enumerate(_CHANNELS, start=1)
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_normal_, **factory)
        dense = partial(build_layer, nn.Linear, weight_init=glorot_uniform_, **factory)
        self.new_classifier = partial(dense, self.num_features)
        self.resize = LegacyBilinearResize(unpair(size))
        channels = in_channels
        blocks = zip(_CONVOLUTIONS[depth], _CHANNELS, strict=True)
        for block, (convolutions, width) in enumerate(blocks, start=1):
            for index in range(1, convolutions + 1):
                self.add_module(f"conv{block}_{index}", conv(channels, width, 3, padding=1))
                if batch_norm:
                    self.add_module(f"norm{block}_{index}", nn.BatchNorm2d(width, **factory))
                self.add_module(f"relu{block}_{index}", nn.ReLU())
                channels = width
            self.add_module(f"pool{block}", same_max_pool2d(2, 2, input_size=size))
            size = same_output_size(size, 2)
        self.flatten = nn.Flatten()
        self.dense1 = dense(channels * size[0] * size[1], 4096)
        self.relu6 = nn.ReLU()
        self.dropout1 = nn.Dropout(dropout)
        self.dense2 = dense(4096, 4096)
        self.relu7 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.dense3 = self.new_classifier(num_classes)
