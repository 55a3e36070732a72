"""A small Keras network in PyTorch, the same in shapes, padding and initial distributions."""

from functools import partial

from torch import nn

from deepobs_models import GlobalAvgPool2d, SamePad2d, build_layer, glorot_uniform_


class Encoder(nn.Sequential):
    """Images (B, 3, H, W) of any size to logits (B, num_classes).

    The port of::

        keras.Sequential([
            keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(num_classes),
        ])
    """

    def __init__(self, num_classes: int) -> None:
        # Keras' defaults: Glorot uniform kernels, biases 0.
        build = partial(build_layer, weight_init=glorot_uniform_, bias_init=0.0)
        super().__init__(
            SamePad2d(3, stride=2),  # Keras pads below and to the right first
            build(nn.Conv2d, 3, 16, 3, stride=2),
            nn.ReLU(),
            SamePad2d(3, stride=2),
            build(nn.Conv2d, 16, 32, 3, stride=2),
            nn.ReLU(),
            GlobalAvgPool2d(),
            build(nn.Linear, 32, num_classes),
        )
