"""TensorFlow 1's bilinear resize.

deepobs-data has its own for preparing images, since neither package needs the other; a test of the
repository compares them.
"""

import torch
from torch import Tensor, nn

from deepobs_models.checks import ImageSize, check_floating, check_positive, pair
from deepobs_models.tracing import is_symbolic


def _interpolate(x: Tensor, dim: int, size: int) -> Tensor:
    """Interpolate one axis linearly; output i lies at i·(n/size) of the input."""
    n = x.shape[dim]
    if not is_symbolic(n) and n == size:
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
        ValueError: A size below 1, or images of an integer type, since integer arithmetic wraps
            around.

    >>> legacy_bilinear_resize(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
    tensor([[[[0.0000, 0.5000, 1.0000, 1.0000]]]])
    """
    check_positive(height=size[0], width=size[1])
    check_floating(x, "legacy_bilinear_resize")
    return _interpolate(_interpolate(x, -2, size[0]), -1, size[1])


torch.fx.wrap("legacy_bilinear_resize")


class LegacyBilinearResize(nn.Module):
    """`legacy_bilinear_resize` as a layer: (B, C, H, W) to (B, C, height, width).

    Args:
        size: The new height and width, one number or both.

    Raises:
        ValueError: A size below 1; images of an integer type.

    >>> LegacyBilinearResize(224)(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 3, 224, 224])
    """

    def __init__(self, size: ImageSize) -> None:
        super().__init__()
        self.size = pair(size)
        check_positive(size=min(self.size))

    def forward(self, x: Tensor) -> Tensor:
        """Resized images."""
        return legacy_bilinear_resize(x, self.size)

    def extra_repr(self) -> str:
        """Arguments, for printing the module."""
        height, width = self.size
        return str(height) if height == width else f"({height}, {width})"
