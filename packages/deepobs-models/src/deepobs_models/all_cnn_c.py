"""The All-CNN-C network."""

from functools import partial

from torch import Tensor, nn

from deepobs_models.checks import check_dropout, check_images, check_positive
from deepobs_models.initializers import build_layer, glorot_normal_
from deepobs_models.padding import same_output_size, same_zero_pad2d


class AllCNNC(nn.Sequential):
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
        image_size: Height and width of the images, at least 9.
        input_dropout: Dropout rate of the images.
        dropout: Dropout rate after the convolutions of stride 2.

    Raises:
        ValueError: A size below 1 or images too small for the net, a dropout rate outside [0, 1);
            images of another shape or of an integer type.
    """

    def __init__(
        self,
        num_classes: int = 100,
        *,
        in_channels: int = 3,
        image_size: int = 32,
        input_dropout: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        check_positive(num_classes=num_classes, in_channels=in_channels)
        if image_size < 9:
            raise ValueError(f"image_size must be at least 9 for AllCNNC, got {image_size}.")
        check_dropout(input_dropout=input_dropout, dropout=dropout)
        super().__init__()
        self.in_channels = in_channels
        self.image_size = image_size
        halved = same_output_size(image_size, 2)
        conv = partial(build_layer, nn.Conv2d, weight_init=glorot_normal_, bias_init=0.1)
        self.dropout1 = nn.Dropout(input_dropout)
        self.conv1 = conv(in_channels, 96, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = conv(96, 96, 3, padding=1)
        self.relu2 = nn.ReLU()
        self.pad3 = same_zero_pad2d(3, 2, input_size=image_size)
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
        self.conv9 = conv(192, num_classes, 1)
        self.relu9 = nn.ReLU()
        self.pool = nn.AvgPool2d(same_output_size(halved, 2) - 2)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, num_classes) of images x (B, C, H, W)."""
        check_images(x, "AllCNNC", self.in_channels, size=self.image_size)
        for layer in self:
            x = layer(x)
        return x
