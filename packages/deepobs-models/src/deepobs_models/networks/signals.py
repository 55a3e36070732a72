"""The networks of MNIST-1D: residual MLP, convolutions in one dimension, bidirectional GRU."""

from functools import partial

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, Factory, build_stock
from deepobs_models.checks import check_features, check_positive
from deepobs_models.classifier import WithClassifier

torch.fx.wrap("check_features")


class SignalMLP(WithClassifier):
    """MLP with one residual layer: h = ReLU(W₁x), then h + ReLU(W₂h), then the logits.

    Greydanus and Kobak, ICML 2024 (github.com/greydanus/mnist1d, `notebooks/models.py`, MLPBase).
    Input (B, length), output logits (B, num_classes); torch's own initialisation. By default::

        dense1  Linear(40, 100)    4100
        dense2  Linear(100, 100)  10100
        dense3  Linear(100, 10)    1010
        total                     15210

    Args:
        num_classes: Number of classes.
        length: Numbers in one signal.
        hidden: Width of the two hidden layers.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    classifier_name = "dense3"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        length: int = 40,
        hidden: int = 100,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, length=length, hidden=hidden)
        self.length, self.num_classes, self.num_features = length, num_classes, hidden
        factory: Factory = {"device": device, "dtype": dtype}
        self.dense1 = build_stock(nn.Linear, length, hidden, **factory)
        self.dense2 = build_stock(nn.Linear, hidden, hidden, **factory)
        self.new_classifier = partial(build_stock, nn.Linear, hidden, **factory)
        self.dense3 = self.new_classifier(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of signals x (B, length)."""
        h = self.dense1(check_features(x, "SignalMLP", self.length)).relu()
        h = h + self.dense2(h).relu()
        logits: Tensor = self.dense3(h)
        return logits


class SignalConv(WithClassifier):
    """Three strided convolutions in one dimension with ReLU, and a dense layer.

    Greydanus and Kobak, ICML 2024 (github.com/greydanus/mnist1d, `notebooks/models.py`, ConvBase).
    Input (B, length), output logits (B, num_classes); torch's own initialisation. By default, with
    40 numbers that become 19, 10 and 5::

        conv1  Conv1d(1, 25, 5)    150  stride 2, padding 1
        conv2  Conv1d(25, 25, 3)  1900  stride 2, padding 1
        conv3  Conv1d(25, 25, 3)  1900  stride 2, padding 1
        dense  Linear(125, 10)    1260
        total                     5210

    Args:
        num_classes: Number of classes.
        length: Numbers in one signal, at least 3.
        channels: Channels of each convolution.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1 (`length`: 3); an input of another size or of an integer type.
    """

    classifier_name = "dense"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        length: int = 40,
        channels: int = 25,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, channels=channels)
        if length < 3:
            raise ValueError(f"length must be at least 3, got {length}.")
        left = (length - 3) // 2 + 1  # numbers after conv1
        left = ((left - 1) // 2) // 2 + 1
        self.length, self.num_classes, self.num_features = length, num_classes, channels * left
        factory: Factory = {"device": device, "dtype": dtype}
        conv = partial(build_stock, nn.Conv1d, stride=2, padding=1, **factory)
        self.conv1 = conv(1, channels, 5)
        self.conv2 = conv(channels, channels, 3)
        self.conv3 = conv(channels, channels, 3)
        self.new_classifier = partial(build_stock, nn.Linear, channels * left, **factory)
        self.dense = self.new_classifier(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of signals x (B, length)."""
        h = check_features(x, "SignalConv", self.length).unsqueeze(1)  # (B, 1, length)
        h = self.conv3(self.conv2(self.conv1(h).relu()).relu()).relu()
        logits: Tensor = self.dense(h.flatten(1))
        return logits


class SignalGRU(WithClassifier):
    """Bidirectional GRU that reads a signal number by number, and a dense layer on all its outputs.

    Greydanus and Kobak, ICML 2024 (github.com/greydanus/mnist1d, `notebooks/models.py`, GRUBase).
    Input (B, length), output logits (B, num_classes); torch's own initialisation, zero initial
    state. By default::

        gru    GRU(1, 6, bidirectional)   324
        dense  Linear(480, 10)           4810
        total                            5134

    Args:
        num_classes: Number of classes.
        length: Numbers in one signal.
        hidden: Size of the state, in each direction.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; an input of another size or of an integer type.
    """

    classifier_name = "dense"

    def __init__(
        self,
        num_classes: int = 10,
        *,
        length: int = 40,
        hidden: int = 6,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(num_classes=num_classes, length=length, hidden=hidden)
        self.length, self.num_classes = length, num_classes
        self.num_features = 2 * hidden * length
        factory: Factory = {"device": device, "dtype": dtype}
        self.gru = build_stock(nn.GRU, 1, hidden, batch_first=True, bidirectional=True, **factory)
        self.new_classifier = partial(build_stock, nn.Linear, self.num_features, **factory)
        self.dense = self.new_classifier(num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, num_classes) of signals x (B, length)."""
        x = check_features(x, "SignalGRU", self.length)
        # Made from x, so that it is batched where x is: nn.GRU's own zeros are not under vmap.
        start = x.new_zeros(2, x.shape[0], self.gru.hidden_size)
        outputs, _ = self.gru(x.unsqueeze(2), start)  # (B, length, 2 * hidden)
        logits: Tensor = self.dense(outputs.flatten(1))
        return logits
