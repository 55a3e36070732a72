"""The All-CNN-C network."""

from functools import partial

import torch
from torch import nn

from deepobs_models.building import Device, Factory, build_layer
from deepobs_models.checks import (
    ImageSize,
    check_dropout,
    check_image_size,
    check_positive,
    unpair,
)
from deepobs_models.classifier import ImageClassifier
from deepobs_models.initializers import glorot_normal_
from deepobs_models.layers.padding import same_output_size, same_zero_pad2d


class AllCNNC(ImageClassifier):
    """All-CNN-C: convolutions alone (Springenberg et al. 2015, table 1).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/cifar100_allcnnc.py`. Every convolution has a
    ReLU, the last one too, so logits are never negative. Kernels from Keras' truncated Glorot
    normal, biases 0.1. Input (B, in_channels, image_size, image_size), output logits
    (B, num_classes). Layers and parameters by default::

        conv1  Conv2d(3, 96, 3)      2688  (96, 32, 32), after dropout
        conv2  Conv2d(96, 96, 3)    83040
        conv3  Conv2d(96, 96, 3)    83040  (96, 16, 16), stride 2, then dropout
        conv4  Conv2d(96, 192, 3)  166080  (192, 16, 16)
        conv5  Conv2d(192, 192, 3) 331968
        conv6  Conv2d(192, 192, 3) 331968  (192, 8, 8), stride 2, then dropout
        conv7  Conv2d(192, 192, 3) 331968  (192, 6, 6), unpadded
        conv8  Conv2d(192, 192, 1)  37056
        conv9  Conv2d(192, 100, 1)  19300  (100, 6, 6), then the mean over all positions
        total                     1387108

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width of the images, at least 9, one number or both.
        input_dropout: Dropout rate of the images.
        dropout: Dropout rate after the convolutions of stride 2.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1 or images too small for the net, a dropout rate outside [0, 1);
            images of another shape or of an integer type.
    """

    head_name = classifier_name = "conv9"

    def __init__(
        self,
        num_classes: int = 100,
        *,
        in_channels: int = 3,
        image_size: ImageSize = 32,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels)
        size = check_image_size(image_size, "AllCNNC", at_least=9)
        check_dropout(input_dropout=input_dropout, dropout=dropout)
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = size
        self.num_features = 192
        self.feature_info = [
            {"num_chs": 96, "reduction": 1, "module": "relu2"},
            {"num_chs": 96, "reduction": 2, "module": "relu3"},
            {"num_chs": 192, "reduction": 2, "module": "relu5"},
            {"num_chs": 192, "reduction": 4, "module": "relu6"},
            {"num_chs": 192, "reduction": 4, "module": "relu8"},
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_normal_, bias_init=0.1, **factory)
        self.new_classifier = partial(conv, self.num_features, kernel_size=1)
        halved = same_output_size(size, 2)
        height, width = same_output_size(halved, 2)
        self.dropout1 = nn.Dropout(input_dropout)
        self.conv1 = conv(in_channels, 96, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(96, 96, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pad3 = same_zero_pad2d(3, 2, input_size=size)
        self.conv3 = conv(96, 96, 3, stride=2)
        self.relu3 = nn.ReLU()
        self.dropout2 = nn.Dropout(dropout)
        self.conv4 = conv(96, 192, 3, padding=1)
        self.relu4 = nn.ReLU()
        self.conv5 = conv(192, 192, 3, padding=1)
        self.relu5 = nn.ReLU()
        self.pad6 = same_zero_pad2d(3, 2, input_size=halved)
        self.conv6 = conv(192, 192, 3, stride=2)
        self.relu6 = nn.ReLU()
        self.dropout3 = nn.Dropout(dropout)
        self.conv7 = conv(192, 192, 3)
        self.relu7 = nn.ReLU()
        self.conv8 = conv(192, 192, 1)
        self.relu8 = nn.ReLU()
        self.conv9 = self.new_classifier(num_classes)
        self.relu9 = nn.ReLU()
        self.pool = nn.AvgPool2d(unpair((height - 2, width - 2)))
        self.flatten = nn.Flatten()
