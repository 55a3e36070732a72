"""Test functions without a network: two noisy quadratics and three functions of two parameters.

All are plain arithmetic on parameters and inputs, so both may have further dimensions in front, the
same number of them, which broadcast. A function at many points at once needs no `torch.func.vmap`
then: with parameters (R, 1) or (R, 1, D) in place of () and (D,), and inputs (1, B, D), the losses
are (R, B).
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from deepobs_models.building import Device
from deepobs_models.checks import check_floating, check_positive


def _check_points(x: Tensor, size: int, name: str, what: str) -> Tensor:
    if x.ndim < 2 or x.shape[-1] != size:
        raise ValueError(f"{name} takes {what} (B, {size}), got shape {tuple(x.shape)}.")
    return x


torch.fx.wrap("_check_points")


class Quadratic(nn.Module):
    """The noisy quadratic ½ (θ - x)ᵀ H (θ - x), one value per example x.

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/_quadratic.py`. Input x (B, D), output losses
    (B,). Its parameter `theta` (D,) starts at ones; the Hessian is a buffer. Both have the device
    and the type of the matrix that is given: unlike the other networks, which make all their
    tensors themselves, this one is not moved by ``with torch.device(...)``. Give a matrix that is
    there already, or use ``.to(device)``.

    Args:
        hessian: A symmetric matrix H (D, D) of a floating-point type, on any device; None is the
            identity (2, 2). On the meta device its values, and so its symmetry, are unknown and not
            checked.
        device: Where to copy the matrix; None leaves it where it is.
        dtype: Type to cast the matrix to; None keeps its own.

    Raises:
        ValueError: `hessian` is not a symmetric square matrix of a floating-point type; `x` has
            another size.

    >>> Quadratic(2 * torch.eye(3))(torch.zeros(1, 3)).tolist()
    [3.0]
    """

    broadcasts: ClassVar[bool] = True
    hessian: Tensor

    def __init__(
        self,
        hessian: Tensor | None = None,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        hessian = (torch.eye(2) if hessian is None else hessian).to(device, dtype)
        if hessian.ndim != 2 or hessian.shape[0] != hessian.shape[1]:
            raise ValueError(
                f"hessian must be a square matrix (D, D), got shape {tuple(hessian.shape)}."
            )
        check_floating(hessian, "Quadratic", "a hessian")
        if not hessian.is_meta and not torch.allclose(hessian, hessian.T):
            raise ValueError("hessian must be symmetric. Use (hessian + hessian.T) / 2.")
        self.register_buffer("hessian", hessian)
        self.theta = nn.Parameter(torch.empty_like(hessian[0]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the starting point; the Hessian, an argument, stays as it is."""
        nn.init.ones_(self.theta)

    def forward(self, x: Tensor) -> Tensor:
        """Losses (B,) of points x (B, D)."""
        x = _check_points(x, len(self.hessian), "This Quadratic", "points")
        difference = self.theta - x  # (B, D)
        return 0.5 * (difference @ self.hessian * difference).sum(dim=-1)  # (B,)


class NoisyQuadratic(nn.Module):
    """½ Σᵢ hᵢθᵢ² + Σᵢ √hᵢ zᵢθᵢ with hᵢ = 1/i, one value per noise vector z.

    Zhang et al., NeurIPS 2019, "Which algorithmic choices matter at which batch sizes?"
    (google/init2winit, `model_lib/nqm.py`, diagonal Hessian and covariance). For standard normal z
    the noise of the gradient has covariance diag(h). Input z (B, D), output losses (B,). The
    parameter `theta` (D,) starts at ones; the curvatures h are a buffer.

    Args:
        dimension: Number D of parameters.
        device: Device of the parameters.
        dtype: Type of the parameters.

    Raises:
        ValueError: A dimension below 1; noise of another size.

    >>> NoisyQuadratic(2)(torch.zeros(1, 2)).item()
    0.75
    """

    broadcasts: ClassVar[bool] = True
    curvature: Tensor

    def __init__(
        self,
        dimension: int = 1000,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_positive(dimension=dimension)
        self.register_buffer("curvature", torch.empty(dimension, device=device, dtype=dtype))
        self.theta = nn.Parameter(torch.empty_like(self.curvature))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the starting point."""
        nn.init.ones_(self.theta)
        numbers = torch.arange(1, len(self.curvature) + 1, dtype=torch.float64, device="cpu")
        self.curvature.copy_(1 / numbers)

    def forward(self, z: Tensor) -> Tensor:
        """Losses (B,) of noise z (B, D)."""
        z = _check_points(z, len(self.curvature), "This NoisyQuadratic", "noise")
        value = 0.5 * (self.curvature * self.theta.square()).sum(dim=-1)
        return value + (z * (self.curvature.sqrt() * self.theta)).sum(dim=-1)  # (B,)


class _NoisyFunction2d(nn.Module, ABC):
    """A function f(u, v) of two scalar parameters, tilted by noise: f(u, v) + u·x + v·y."""

    broadcasts: ClassVar[bool] = True

    default_start: ClassVar[tuple[float, float]]

    def __init__(
        self,
        start: tuple[float, float] | None = None,
        *,
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.start = self.default_start if start is None else (start[0], start[1])
        self.u = nn.Parameter(torch.empty((), device=device, dtype=dtype))
        self.v = nn.Parameter(torch.empty((), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Return to the starting point."""
        for parameter, value in zip((self.u, self.v), self.start, strict=True):
            nn.init.constant_(parameter, value)

    @abstractmethod
    def value(self, u: Tensor, v: Tensor) -> Tensor:
        """Return f(u, v), elementwise."""

    def forward(self, noise: Tensor) -> Tensor:
        """Losses (B,) for noise (B, 2)."""
        noise = _check_points(noise, 2, type(self).__name__, "noise")
        x, y = noise[..., 0], noise[..., 1]
        return self.value(self.u, self.v) + self.u * x + self.v * y  # (B,)


class Rosenbrock(_NoisyFunction2d):
    """Rosenbrock's valley (1-u)² + 100 (v-u²)², plus u·x + v·y for noise (x, y).

    DeepOBS 1.1.2, `deepobs/tensorflow/testproblems/two_d_rosenbrock.py`. Input noise (B, 2), output
    losses (B,); the parameters are the scalars `u` and `v`. The minimum is 0 at (1, 1).

    Args:
        start: First values of u and v; None is (-0.5, 1.5).
        device: Device of the parameters.
        dtype: Type of the parameters.

    >>> Rosenbrock(start=(1.0, 1.0))(torch.zeros(1, 2)).item()
    0.0
    """

    default_start = (-0.5, 1.5)

    def value(self, u: Tensor, v: Tensor) -> Tensor:
        """Rosenbrock's function at (u, v), elementwise."""
        return (1 - u) ** 2 + 100 * (v - u**2) ** 2


class Beale(_NoisyFunction2d):
    """Beale's function, plus u·x + v·y for noise (x, y).

    (1.5 - u + uv)² + (2.25 - u + uv²)² + (2.625 - u + uv³)². DeepOBS 1.1.2,
    `deepobs/tensorflow/testproblems/two_d_beale.py`. Input noise (B, 2), output losses (B,); the
    parameters are the scalars `u` and `v`. The minimum is 0 at (3, 0.5).

    Args:
        start: First values of u and v; None is (-4.5, 4.5).
        device: Device of the parameters.
        dtype: Type of the parameters.

    >>> Beale(start=(3.0, 0.5))(torch.zeros(1, 2)).item()
    0.0
    """

    default_start = (-4.5, 4.5)

    def value(self, u: Tensor, v: Tensor) -> Tensor:
        """Beale's function at (u, v), elementwise."""
        return (1.5 - u + u * v) ** 2 + (2.25 - u + u * v**2) ** 2 + (2.625 - u + u * v**3) ** 2


class Branin(_NoisyFunction2d):
    """Branin's function, plus u·x + v·y for noise (x, y).

    (v - 5.1/(4π²) u² + 5/π u - 6)² + 10 (1 - 1/(8π)) cos u + 10. DeepOBS 1.1.2,
    `deepobs/tensorflow/testproblems/two_d_branin.py`. Input noise (B, 2), output losses (B,); the
    parameters are the scalars `u` and `v`. The minimum is 0.3979 at (π, 2.275) and two more points.

    Args:
        start: First values of u and v; None is (2.5, 12.5).
        device: Device of the parameters.
        dtype: Type of the parameters.

    >>> round(Branin(start=(math.pi, 2.275))(torch.zeros(1, 2)).item(), 4)
    0.3979
    """

    default_start = (2.5, 12.5)

    def value(self, u: Tensor, v: Tensor) -> Tensor:
        """Branin's function at (u, v), elementwise."""
        valley = v - 5.1 / (4 * math.pi**2) * u**2 + 5 / math.pi * u - 6
        return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * torch.cos(u) + 10
