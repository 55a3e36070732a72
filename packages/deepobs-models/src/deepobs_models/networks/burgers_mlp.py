"""A network with its own derivatives in space and time, for Burgers' equation."""

import math
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from deepobs_models.building import Device, build_layer, reset_parameters
from deepobs_models.checks import check_features, check_positive
from deepobs_models.initializers import truncated_normal_

torch.fx.wrap("check_features")


class BurgersMLP(nn.Module):
    """MLP with tanh that returns its value and the derivatives of it in Burgers' equation.

    Derivatives are carried forward through the layers, so that one backward pass gives the gradient
    of a loss of second derivatives. Network and initialisation are those of Raissi, Perdikaris and
    Karniadakis, J. Comput. Phys. 378, 2019 (github.com/maziarraissi/PINNs): the input is scaled to
    [-1, 1], weights are truncated normal with std sqrt(2 / (inputs + outputs)), biases zero.
    Input points (x, t) (B, 2), output (B, 4): u, u_x, u_xx, u_t. By default::

        layers.0  Linear(2, 20)     60
        layers.1  Linear(20, 20)   420
        layers.2  Linear(20, 20)   420
        layers.3  Linear(20, 20)   420
        layers.4  Linear(20, 20)   420
        layers.5  Linear(20, 20)   420
        layers.6  Linear(20, 20)   420
        layers.7  Linear(20, 20)   420
        layers.8  Linear(20, 1)     21
        total                     3021

    Args:
        width: Units of each hidden layer.
        depth: Number of hidden layers.
        last: End of the time interval that is scaled to [-1, 1].
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A size below 1; points of another size or of an integer type.

    >>> BurgersMLP()(torch.zeros(5, 2, dtype=torch.float64)).shape
    torch.Size([5, 4])
    """

    reset_parameters = reset_parameters

    def __init__(
        self,
        width: int = 20,
        depth: int = 8,
        *,
        last: float = 0.99,
        device: Device = None,
        dtype: torch.dtype | None = torch.float64,
    ) -> None:
        super().__init__()
        check_positive(width=width, depth=depth)
        if not last > 0:
            raise ValueError(f"last must be above 0, got {last}.")
        self.time_scale = 2 / last
        sizes = [2, *[width] * depth, 1]
        self.layers = nn.ModuleList(
            build_layer(
                nn.Linear,
                inputs,
                outputs,
                weight_init=partial(truncated_normal_, std=math.sqrt(2 / (inputs + outputs))),
                bias_init=nn.init.zeros_,
                device=device,
                dtype=dtype,
            )
            for inputs, outputs in pairwise(sizes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return u, u_x, u_xx and u_t (B, 4) at points (x, t) (B, 2)."""
        x = check_features(x, "BurgersMLP", 2)
        first, *others = self.layers
        assert isinstance(first, nn.Linear)
        place, time = x.unbind(dim=-1)
        value = first(torch.stack([place, self.time_scale * time - 1], dim=-1))  # (B, width)
        by_x, by_t = first.weight.unbind(dim=-1)  # (width,): the same at every point
        by_t = self.time_scale * by_t
        by_xx: Tensor | None = None  # of a linear function: zero
        for layer in others:
            assert isinstance(layer, nn.Linear)
            # Of a = tanh(z): a' = 1 - a², a'' = -2 a a'; a_xx = a' z_xx + a'' z_x².
            a = value.tanh()
            slope = 1 - a.square()
            bend = -2 * a * slope * by_x.square()
            bend = bend if by_xx is None else bend + slope * by_xx
            value = layer(a)
            derivatives = torch.stack([slope * by_x, bend, slope * by_t])
            by_x, by_xx, by_t = nn.functional.linear(derivatives, layer.weight)
        assert by_xx is not None
        return torch.cat([value, by_x, by_xx, by_t], dim=-1)
