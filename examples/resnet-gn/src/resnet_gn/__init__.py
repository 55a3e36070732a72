"""A small ResNet with GroupNorm on CIFAR-10, as a DeepOBS test problem.

Gradients per example are not defined with batch normalisation; with group normalisation (Wu and He
2018) they are.
"""

from functools import partial

from torch import Tensor, nn

from deepobs_data import cifar10
from deepobs_problems import Defaults, Problem, stand_in


class Block(nn.Module):
    """Two 3x3 convolutions with GroupNorm, plus the shortcut (He et al. 2016).

    (B, inputs, H, W) becomes (B, outputs, H / stride, W / stride).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.GroupNorm(groups, outputs),
        )
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.GroupNorm(groups, outputs)
            )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Return the activated sum of residual and shortcut."""
        return self.relu(self.residual(x) + self.shortcut(x))


class ResNetGN(nn.Sequential):
    """A ResNet of 8 layers with GroupNorm: images (B, 3, 32, 32) to logits (B, num_classes)."""

    def __init__(self, num_classes: int, *, width: int = 16, groups: int = 8) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            nn.GroupNorm(groups, width),
            nn.ReLU(),
            Block(width, width, 1, groups),
            Block(width, 2 * width, 2, groups),
            Block(2 * width, 4 * width, 2, groups),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4 * width, num_classes),
        )


cifar10_resnet_gn = Problem(
    name="cifar10_resnet_gn",
    data=cifar10,
    stand_in=stand_in("cifar10"),
    model=partial(ResNetGN, 10),
    l2=5e-4,
    defaults=Defaults(batch_size=128, epochs=100),
    tags=frozenset({"image", "medium", "per-example-safe"}),
)
