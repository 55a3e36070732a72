"""Networks of dense layers: logistic regression and the multi-layer perceptron."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, build_layer
from deepobs_models.checks import check_features, check_positive
from deepobs_models.classifier import SequentialClassifier
from deepobs_models.initializers import truncated_normal_

torch.fx.wrap("check_features")


class _DenseClassifier(SequentialClassifier):
    """A sequential classifier of anything with `in_features` values per example."""

    in_features: int

    def _check_input(self, x: Tensor) -> Tensor:
        return check_features(x, type(self).__name__, self.in_features)


class LogisticRegression(_DenseClassifier):
    """Multinomial logistic regression: one dense layer that starts at zero.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_logreg.py`. Input (B, ...) with `in_features`
    values per example, output logits (B, num_classes). Layers and parameters by default::

        dense  Linear(784, 10)  7850
        total                   7850

    Args:
        num_classes: Number of classes.
        in_features: Values per example.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    head_name = classifier_name = "dense"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_features: int = 784,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(num_classes=num_classes, in_features=in_features)
        super().__init__()
        self.num_classes = num_classes
        self.in_features = self.num_features = in_features
        self.feature_info = []
        self.flatten = nn.Flatten()
        self.new_classifier = partial(
            build_layer,
            nn.Linear,
            in_features,
            weight_init=nn.init.zeros_,
            device=device,
            dtype=dtype,
        )
        self.dense = self.new_classifier(num_classes)


class MLP(_DenseClassifier):
    """Multi-layer perceptron with ReLU between the dense layers.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_mlp.py`. Kernels from a normal distribution
    with std 0.03 truncated at two std, biases 0. Input (B, ...) with `in_features` values per
    example, output logits (B, num_classes). Layers and parameters by default::

        dense1  Linear(784, 1000)   785000
        dense2  Linear(1000, 500)   500500
        dense3  Linear(500, 100)     50100
        dense4  Linear(100, 10)       1010
        total                      1336610

    Args:
        num_classes: Number of classes.
        in_features: Values per example.
        hidden: Widths of the hidden layers.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    def __init__(
        self,
        num_classes: int = 10,
        *,
        in_features: int = 784,
        hidden: Sequence[int] = (1000, 500, 100),
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        check_positive(num_classes=num_classes, in_features=in_features)
        for width in hidden:
            check_positive(hidden=width)
        super().__init__()
        self.num_classes = num_classes
        self.in_features = in_features
        self.flatten = nn.Flatten()
        dense = partial(
            build_layer,
            nn.Linear,
            weight_init=partial(truncated_normal_, std=0.03),
            device=device,
            dtype=dtype,
        )
        self.feature_info = []
        inputs = in_features
        for index, width in enumerate(hidden, start=1):
            self.add_module(f"dense{index}", dense(inputs, width))
            self.add_module(f"relu{index}", nn.ReLU())
            self.feature_info.append({"num_chs": width, "reduction": 1, "module": f"relu{index}"})
            inputs = width
        self.num_features = inputs
        self.new_classifier = partial(dense, inputs)
        self.head_name = self.classifier_name = f"dense{len(hidden) + 1}"
        self.add_module(self.classifier_name, self.new_classifier(num_classes))
