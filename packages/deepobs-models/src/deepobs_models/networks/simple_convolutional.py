"""The two plain convolutional networks: 2c2d and 3c3d."""

from functools import partial

import torch
from torch import nn

from deepobs_models.building import Device, Factory, build_layer
from deepobs_models.checks import ImageSize, check_image_size, check_positive
from deepobs_models.classifier import ImageClassifier
from deepobs_models.initializers import glorot_normal_, glorot_uniform_, truncated_normal_
from deepobs_models.layers.padding import same_output_size
from deepobs_models.layers.pooling import same_max_pool2d


class Net2c2d(ImageClassifier):
    """Two convolutions with max-pooling, then two dense layers.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_2c2d.py`. Kernels from a normal distribution
    with std 0.05 truncated at two std, biases 0.05. Input (B, in_channels, image_size, image_size),
    output logits (B, num_classes). Layers and parameters by default::

        conv1   Conv2d(1, 32, 5)       832  (32, 28, 28), then ReLU and max-pooling 2/2
        conv2   Conv2d(32, 64, 5)    51264  (64, 14, 14), then ReLU and max-pooling 2/2
        dense1  Linear(3136, 1024) 3212288  then ReLU
        dense2  Linear(1024, 10)     10250
        total                      3274634

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width of the images, one number or both.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; images of another shape or of an integer type.
    """

    head_name = "flatten"
    classifier_name = "dense2"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_channels: int = 1,
        image_size: ImageSize = 28,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels)
        size = check_image_size(image_size, "Net2c2d")
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = size
        self.num_features = 1024
        self.feature_info = [
            {"num_chs": 32, "reduction": 2, "module": "pool1"},
            {"num_chs": 64, "reduction": 4, "module": "pool2"},
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        weight = partial(truncated_normal_, std=0.05)
        conv = partial(build_layer, nn.Conv2d, weight_init=weight, bias_init=0.05, **factory)
        dense = partial(build_layer, nn.Linear, weight_init=weight, bias_init=0.05, **factory)
        self.new_classifier = partial(dense, self.num_features)
        halved = same_output_size(size, 2)
        height, width = same_output_size(halved, 2)
        self.conv1 = conv(in_channels, 32, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = same_max_pool2d(2, 2, input_size=size)
        self.conv2 = conv(32, 64, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = same_max_pool2d(2, 2, input_size=halved)
        self.flatten = nn.Flatten()
        self.dense1 = dense(64 * height * width, 1024)
        self.relu3 = nn.ReLU()
        self.dense2 = self.new_classifier(num_classes)


class Net3c3d(ImageClassifier):
    """Three convolutions with max-pooling, then three dense layers.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_3c3d.py`. Convolution kernels from Keras'
    truncated Glorot normal, dense kernels from Glorot uniform, biases 0. The first two convolutions
    are unpadded, the third and the pooling are 'SAME'. Input (B, in_channels, image_size,
    image_size), output logits (B, num_classes). Layers and parameters by default::

        conv1   Conv2d(3, 64, 5)      4864  (64, 28, 28), then ReLU and max-pooling 3/2
        conv2   Conv2d(64, 96, 3)    55392  (96, 12, 12), then ReLU and max-pooling 3/2
        conv3   Conv2d(96, 128, 3)  110720  (128, 6, 6), then ReLU and max-pooling 3/2
        dense1  Linear(1152, 512)   590336  then ReLU
        dense2  Linear(512, 256)    131328  then ReLU
        dense3  Linear(256, 10)       2570
        total                       895210

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the images.
        image_size: Height and width of the images, at least 9, one number or both.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1 or images too small for the net; images of another shape
            or of an integer type.
    """

    head_name = "flatten"
    classifier_name = "dense3"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_channels: int = 3,
        image_size: ImageSize = 32,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels)
        size = check_image_size(image_size, "Net3c3d", at_least=9)
        super().__init__()
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.image_size = size
        self.num_features = 256
        self.feature_info = [
            {"num_chs": 64, "reduction": 2, "module": "pool1"},
            {"num_chs": 96, "reduction": 4, "module": "pool2"},
            {"num_chs": 128, "reduction": 8, "module": "pool3"},
        ]
        factory: Factory = {"device": device, "dtype": dtype}
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_normal_, **factory)
        dense = partial(build_layer, nn.Linear, weight_init=glorot_uniform_, **factory)
        self.new_classifier = partial(dense, self.num_features)
        after1 = _unpadded(size, 5)
        after2 = _unpadded(same_output_size(after1, 2), 3)
        after3 = same_output_size(after2, 2)
        height, width = same_output_size(after3, 2)
        self.conv1 = conv(in_channels, 64, 5)
        self.relu1 = nn.ReLU()
        self.pool1 = same_max_pool2d(3, 2, input_size=after1)
        self.conv2 = conv(64, 96, 3)
        self.relu2 = nn.ReLU()
        self.pool2 = same_max_pool2d(3, 2, input_size=after2)
        self.conv3 = conv(96, 128, 3, padding=1)
        self.relu3 = nn.ReLU()
        self.pool3 = same_max_pool2d(3, 2, input_size=after3)
        self.flatten = nn.Flatten()
        self.dense1 = dense(128 * height * width, 512)
        self.relu4 = nn.ReLU()
        self.dense2 = dense(512, 256)
        self.relu5 = nn.ReLU()
        self.dense3 = self.new_classifier(num_classes)


def _unpadded(size: tuple[int, int], kernel_size: int) -> tuple[int, int]:
    """Size after an unpadded convolution of stride 1."""
    return size[0] - kernel_size + 1, size[1] - kernel_size + 1
