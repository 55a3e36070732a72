"""TensorFlow's 'SAME' padding for convolution, transposed convolution and pooling.

'SAME' gives ceil(n / stride) outputs. Where the padding is odd, the extra row or column goes to the
bottom or right; PyTorch's symmetric padding then computes something else: for kernel 3, stride 2
and an even size every window lies one pixel further to the top and left. None of these layers has
parameters.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from deepobs_models.checks import check_positive


def same_output_size(size: int, stride: int) -> int:
    """Return ceil(size / stride), the length of an axis after a layer with 'SAME' padding.

    >>> same_output_size(27, stride=2)
    14
    """
    return -(-size // stride)


def same_padding(
    size: int, kernel_size: int, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """Return the (before, after) padding of one axis under TensorFlow's 'SAME'.

    Args:
        size: Length of the input along the axis.
        kernel_size: Kernel length along the axis.
        stride: Step of the kernel.
        dilation: Spacing of the kernel's taps.

    >>> same_padding(32, kernel_size=3, stride=2)
    (0, 1)
    """
    outputs = same_output_size(size, stride)
    reach = (kernel_size - 1) * dilation + 1
    total = max((outputs - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


class SamePad2d(nn.Module):
    """Pad images so that the unpadded layer that follows computes TensorFlow's 'SAME'.

    Input (B, C, H, W); output (B, C, H', W') with the padding of `same_padding` on both axes.

    Args:
        kernel_size: Kernel size of the layer that follows.
        stride: Its stride.
        dilation: Its dilation.
        value: What to pad with: 0 before a convolution, -inf before max-pooling.

    Raises:
        ValueError: A size below 1.

    >>> conv = nn.Sequential(SamePad2d(3, stride=2), nn.Conv2d(3, 8, 3, stride=2))
    >>> conv(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 8, 16, 16])
    """

    def __init__(
        self, kernel_size: int, stride: int = 1, *, dilation: int = 1, value: float = 0.0
    ) -> None:
        super().__init__()
        check_positive(kernel_size=kernel_size, stride=stride, dilation=dilation)
        self.kernel_size = kernel_size
        self.stride = stride
        self.dilation = dilation
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        """Return the padded images."""
        top, bottom = same_padding(x.shape[-2], self.kernel_size, self.stride, self.dilation)
        left, right = same_padding(x.shape[-1], self.kernel_size, self.stride, self.dilation)
        return F.pad(x, (left, right, top, bottom), value=self.value)

    def extra_repr(self) -> str:
        """Return the arguments, for printing the module."""
        return (
            f"{self.kernel_size}, stride={self.stride}, dilation={self.dilation}, "
            f"value={self.value}"
        )


class SameCrop2d(nn.Module):
    """Crop the output of an unpadded transposed convolution to TensorFlow's 'SAME'.

    'SAME' gives n·stride outputs; an unpadded `nn.ConvTranspose2d` gives kernel_size - stride more.
    Input (B, C, H, W); output (B, C, H - k + s, W - k + s). Where kernel_size - stride is even,
    `nn.ConvTranspose2d(..., padding=(kernel_size - stride) // 2)` does the same.

    Args:
        kernel_size: Kernel size of the transposed convolution before it.
        stride: Its stride, at most the kernel size.

    Raises:
        ValueError: A size below 1, or a stride above the kernel size.

    >>> conv = nn.Sequential(nn.ConvTranspose2d(1, 8, 4), SameCrop2d(4))
    >>> conv(torch.zeros(1, 1, 14, 14)).shape
    torch.Size([1, 8, 14, 14])
    """

    def __init__(self, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        check_positive(kernel_size=kernel_size, stride=stride)
        if stride > kernel_size:
            raise ValueError(
                f"stride must be at most kernel_size ({kernel_size}), got {stride}: such a "
                "transposed convolution has gaps to fill, not pixels to crop."
            )
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Return the cropped images."""
        extra = self.kernel_size - self.stride
        before = extra // 2
        height, width = x.shape[-2] - extra, x.shape[-1] - extra
        return x[..., before : before + height, before : before + width]

    def extra_repr(self) -> str:
        """Return the arguments, for printing the module."""
        return f"{self.kernel_size}, stride={self.stride}"


def same_zero_pad2d(kernel_size: int, stride: int, *, input_size: int) -> nn.ZeroPad2d:
    """Return the stock `nn.ZeroPad2d` that is `SamePad2d` for inputs of one size.

    For libraries that dispatch on classes, such as BackPACK.

    Args:
        kernel_size: Kernel size of the layer that follows.
        stride: Its stride.
        input_size: Height and width of the input.

    Raises:
        ValueError: A size below 1.

    >>> same_zero_pad2d(3, 2, input_size=32).padding
    (0, 1, 0, 1)
    """
    check_positive(kernel_size=kernel_size, stride=stride, input_size=input_size)
    return nn.ZeroPad2d(same_padding(input_size, kernel_size, stride) * 2)


def _pool_padding(kernel_size: int, stride: int, input_size: int, instead: str) -> tuple[int, bool]:
    """Return the (padding, ceil_mode) with which a stock pooling layer is 'SAME'.

    With `ceil_mode` the last window may hang over the bottom and right edge: the odd pixel.
    `instead` is what the error recommends where there is no such layer.
    """
    check_positive(kernel_size=kernel_size, stride=stride, input_size=input_size)
    before, after = same_padding(input_size, kernel_size, stride)
    if after > before and stride == 1:
        raise ValueError(
            f"No stock pooling layer is 'SAME' with stride 1 and an even kernel ({kernel_size}). "
            f"Use {instead}."
        )
    return before, after > before


def same_max_pool2d(kernel_size: int, stride: int, *, input_size: int) -> nn.MaxPool2d:
    """Return the stock `nn.MaxPool2d` that is TensorFlow's 'SAME' for inputs of one size.

    A stock layer is faster than padding and known to libraries that dispatch on classes. For inputs
    of any size use `SamePad2d(k, s, value=-math.inf)` and `nn.MaxPool2d(k, s)`.

    Args:
        kernel_size: Kernel size on both axes.
        stride: Stride on both axes.
        input_size: Height and width of the input.

    Raises:
        ValueError: A size below 1, or stride 1 with an even kernel.

    >>> same_max_pool2d(3, 2, input_size=28)(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 1, 14, 14])
    """
    instead = (
        f"nn.Sequential(SamePad2d({kernel_size}, value=-math.inf), nn.MaxPool2d({kernel_size}, 1))"
    )
    padding, ceil_mode = _pool_padding(kernel_size, stride, input_size, instead)
    return nn.MaxPool2d(kernel_size, stride, padding=padding, ceil_mode=ceil_mode)


def same_avg_pool2d(kernel_size: int, stride: int, *, input_size: int) -> nn.AvgPool2d:
    """Return the stock `nn.AvgPool2d` that is TensorFlow's 'SAME' for inputs of one size.

    Padding does not count in the mean. With stride 1 and an odd kernel it fits every input size.

    Args:
        kernel_size: Kernel size on both axes.
        stride: Stride on both axes.
        input_size: Height and width of the input.

    Raises:
        ValueError: A size below 1, or stride 1 with an even kernel.

    >>> same_avg_pool2d(3, 2, input_size=28)(torch.ones(1, 1, 28, 28)).unique()
    tensor([1.])
    """
    # SamePad2d would count in the mean; here the first row and column are those of one pixel too
    # much of padding at the top and left.
    instead = (
        f"nn.Sequential(nn.AvgPool2d({kernel_size}, 1, padding={kernel_size // 2}, "
        "count_include_pad=False), nn.ZeroPad2d((-1, 0, -1, 0)))"
    )
    padding, ceil_mode = _pool_padding(kernel_size, stride, input_size, instead)
    return nn.AvgPool2d(
        kernel_size, stride, padding=padding, ceil_mode=ceil_mode, count_include_pad=False
    )
