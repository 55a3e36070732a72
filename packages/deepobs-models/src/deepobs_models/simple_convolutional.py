"""The two plain convolutional networks: 2c2d and 3c3d."""

from functools import partial

from torch import Tensor, nn

from deepobs_models.checks import check_images, check_positive
from deepobs_models.initializers import (
    build_layer,
    glorot_normal_,
    glorot_uniform_,
    truncated_normal_,
)
from deepobs_models.padding import same_max_pool2d, same_output_size


class Net2c2d(nn.Sequential):
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
        image_size: Height and width of the images.

    Raises:
        ValueError: A size below 1; images of another shape or of an integer type.
    """

    def __init__(
        self, num_classes: int = 10, *, in_channels: int = 1, image_size: int = 28
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels, image_size=image_size)
        super().__init__()
        self.in_channels = in_channels
        self.image_size = image_size
        weight = partial(truncated_normal_, std=0.05)
        conv = partial(build_layer, nn.Conv2d, weight_init=weight, bias_init=0.05)
        dense = partial(build_layer, nn.Linear, weight_init=weight, bias_init=0.05)
        halved = same_output_size(image_size, 2)
        quartered = same_output_size(halved, 2)
        self.conv1 = conv(in_channels, 32, 5, padding=2)
        self.relu1 = nn.ReLU()
        self.pool1 = same_max_pool2d(2, 2, input_size=image_size)
        self.conv2 = conv(32, 64, 5, padding=2)
        self.relu2 = nn.ReLU()
        self.pool2 = same_max_pool2d(2, 2, input_size=halved)
        self.flatten = nn.Flatten()
        self.dense1 = dense(64 * quartered**2, 1024)
        self.relu3 = nn.ReLU()
        self.dense2 = dense(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, num_classes) of images x (B, C, H, W)."""
        check_images(x, "Net2c2d", self.in_channels, size=self.image_size)
        for layer in self:
            x = layer(x)
        return x


class Net3c3d(nn.Sequential):
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
        image_size: Height and width of the images, at least 9.

    Raises:
        ValueError: A size below 1 or images too small for the net; images of another shape
            or of an integer type.
    """

    def __init__(
        self, num_classes: int = 10, *, in_channels: int = 3, image_size: int = 32
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if image_size < 9:
            raise ValueError(f"image_size must be at least 9 for Net3c3d, got {image_size}.")
        super().__init__()
        self.in_channels = in_channels
        self.image_size = image_size
        after1 = image_size - 4
        after2 = same_output_size(after1, 2) - 2
        after3 = same_output_size(after2, 2)
        last = same_output_size(after3, 2)
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_normal_)
        dense = partial(build_layer, nn.Linear, weight_init=glorot_uniform_)
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
        self.dense1 = dense(128 * last**2, 512)
        self.relu4 = nn.ReLU()
        self.dense2 = dense(512, 256)
        self.relu5 = nn.ReLU()
        self.dense3 = dense(256, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, num_classes) of images x (B, C, H, W)."""
        check_images(x, "Net3c3d", self.in_channels, size=self.image_size)
        for layer in self:
            x = layer(x)
        return x
