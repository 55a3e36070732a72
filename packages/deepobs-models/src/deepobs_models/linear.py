"""Networks of dense layers: logistic regression and the multi-layer perceptron."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from deepobs_models.checks import check_features, check_positive
from deepobs_models.initializers import build_layer, truncated_normal_


class LogisticRegression(nn.Sequential):
    """Multinomial logistic regression: one dense layer that starts at zero.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_logreg.py`. Input (B, ...) with `in_features`
    numbers an example, output logits (B, num_classes). Layers and parameters by default::

        dense  Linear(784, 10)  7850
        total                   7850

    Args:
        num_classes: Number of classes.
        in_features: Numbers in one example.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    def __init__(self, num_classes: int = 10, *, in_features: int = 784) -> None:
        check_positive(num_classes=num_classes, in_features=in_features)
        super().__init__()
        self.in_features = in_features
        self.flatten = nn.Flatten()
        self.dense = build_layer(nn.Linear, in_features, num_classes, weight_init=nn.init.zeros_)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, num_classes) of examples x (B, ...)."""
        check_features(x, "LogisticRegression", self.in_features)
        for layer in self:
            x = layer(x)
        return x


class MLP(nn.Sequential):
    """Multi-layer perceptron with ReLU between the dense layers.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_mlp.py`. Kernels from a normal distribution
    with std 0.03 truncated at two std, biases 0. Input (B, ...) with `in_features` numbers an
    example, output logits (B, num_classes). Layers and parameters by default::

        dense1  Linear(784, 1000)   785000
        dense2  Linear(1000, 500)   500500
        dense3  Linear(500, 100)     50100
        dense4  Linear(100, 10)       1010
        total                      1336610

    Args:
        num_classes: Number of classes.
        in_features: Numbers in one example.
        hidden: Widths of the hidden layers.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_features: int = 784,
        hidden: Sequence[int] = (1000, 500, 100),
    ) -> None:
        check_positive(num_classes=num_classes, in_features=in_features)
        for width in hidden:
            check_positive(hidden=width)
        super().__init__()
        self.in_features = in_features
        self.flatten = nn.Flatten()
        dense = partial(build_layer, nn.Linear, weight_init=partial(truncated_normal_, std=0.03))
        sizes = [in_features, *hidden, num_classes]
        for index, (inputs, outputs) in enumerate(pairwise(sizes), start=1):
            if index > 1:
                self.add_module(f"relu{index - 1}", nn.ReLU())
            self.add_module(f"dense{index}", dense(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, num_classes) of examples x (B, ...)."""
        check_features(x, "MLP", self.in_features)
        for layer in self:
            x = layer(x)
        return x
