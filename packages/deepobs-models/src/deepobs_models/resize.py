"""TensorFlow 1's bilinear resize, and pooling over all positions."""

import torch
from torch import Tensor, nn

from deepobs_models.checks import check_floating, check_positive


def _interpolate(x: Tensor, dim: int, size: int) -> Tensor:
    """Interpolate one axis linearly; output i lies at i·(n/size) of the input."""
    n = x.shape[dim]
    if n == size:
        return x
    position = torch.arange(size, device=x.device) * n
    lower = position // size
    upper = (lower + 1).clamp(max=n - 1)
    shape = [size if axis == dim % x.ndim else 1 for axis in range(x.ndim)]
    fraction = ((position % size).to(x.dtype) / size).reshape(shape)
    start = x.index_select(dim, lower)
    return start + (x.index_select(dim, upper) - start) * fraction


def legacy_bilinear_resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize images as `tf.image.resize_images` of TensorFlow 1 does (bilinear).

    Output pixel i lies at i·(n/size), without half-pixel centres and without aligned corners;
    `torch.nn.functional.interpolate` offers neither. No anti-aliasing.

    Args:
        x: Images (B, C, H, W), floating point.
        size: The new height and width.

    Returns:
        Images (B, C, H, W) of the new size; `x` itself where the size is right already.

    Raises:
        ValueError: A size below 1; images of an integer type, whose arithmetic would wrap around.

    >>> legacy_bilinear_resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
    tensor([[[[0.0000, 0.5000, 1.0000, 1.0000]]]])
    """
    check_positive(height=size[0], width=size[1])
    check_floating(x, "legacy_bilinear_resize")
    return _interpolate(_interpolate(x, -2, size[0]), -1, size[1])


class LegacyBilinearResize(nn.Module):
    """`legacy_bilinear_resize` to a square, as a layer. Input (B, C, H, W), output (B, C, n, n).

    Args:
        size: The new height and width.

    Raises:
        ValueError: A size below 1; images of an integer type.

    >>> LegacyBilinearResize(224)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 3, 224, 224])
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        check_positive(size=size)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the resized images."""
        return legacy_bilinear_resize(x, (self.size, self.size))

    def extra_repr(self) -> str:
        """Return the arguments, for printing the module."""
        return str(self.size)


class GlobalAvgPool2d(nn.Module):
    """Mean over all positions. Input (B, C, H, W), output (B, C).

    >>> GlobalAvgPool2d()(torch.ones(2, 8, 6, 6)).shape
    torch.Size([2, 8])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean of each channel."""
        return x.mean(dim=(2, 3))
