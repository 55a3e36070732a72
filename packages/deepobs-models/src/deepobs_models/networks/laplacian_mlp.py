"""A network with its own Laplacian, for partial differential equations."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, build_layer, reset_parameters
from deepobs_models.checks import check_features, check_positive
from deepobs_models.initializers import normal_

torch.fx.wrap("check_features")


class LaplacianMLP(nn.Module):
    """MLP with tanh that returns its value and its Laplacian with respect to the input.

    Value, gradient and Laplacian are carried forward through the layers, so that one backward pass
    gives the gradient of a loss of second derivatives. Network and initialisation are those of
    Müller and Zeinhofer, ICML 2023 (github.com/MariusZeinhofer/Natural-Gradient-PINNs-ICML23): all
    weights and biases normal with std 0.1. Input points (B, dimension), output (B, 2): u and Δu.
    By default::

        layers.0  Linear(2, 32)   96
        layers.1  Linear(32, 1)   33
        total                    129

    Args:
        dimension: Coordinates of a point.
        hidden: Widths of the hidden layers, at least one.
        std: Of the initial weights and biases.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1, no hidden layer; points of another size or of an integer type.

    >>> LaplacianMLP()(torch.zeros(5, 2, dtype=torch.float64)).shape
    torch.Size([5, 2])
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        dimension: int = 2,
        *,
        hidden: Sequence[int] = (32,),
        std: float = 0.1,
        device: Device = None,
        dtype: torch.dtype | None = torch.float64,
    ) -> None:
        super().__init__()
        check_positive(dimension=dimension, hidden=len(hidden))
        for width in hidden:
            check_positive(hidden=width)
        self.dimension = dimension
        sizes = [dimension, *hidden, 1]
        self.layers = nn.ModuleList(
            build_layer(
                nn.Linear,
                inputs,
                outputs,
                weight_init=partial(normal_, std=std),
                bias_init=partial(normal_, std=std),
                device=device,
                dtype=dtype,
            )
            for inputs, outputs in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Value and Laplacian (B, 2) at points x (B, dimension)."""
        x = check_features(x, "LaplacianMLP", self.dimension)
        first, *others = self.layers
        assert isinstance(first, nn.Linear)
        value = first(x)  # (B, width)
        gradient = first.weight.T  # (dimension, width): the same at every point
        laplacian: Tensor | None = None  # of a linear function: zero
        for layer in others:
            # Of t = tanh(z): t' = 1 - t², t'' = -2 t t'; Δt = t' Δz + t'' |∇z|².
            t = value.tanh()
            slope = 1 - t.square()
            bend = -2 * t * slope * gradient.square().sum(dim=-2)
            bend = bend if laplacian is None else bend + slope * laplacian
            if layer is not others[-1]:  # the gradient of the output is not asked for
                gradient = (
                    slope.unsqueeze(-2) * gradient
                ) @ layer.weight.T  # (B, dimension, width)
            value, laplacian = layer(t), bend @ layer.weight.T
        assert laplacian is not None
        return torch.cat([value, laplacian], dim=-1)
