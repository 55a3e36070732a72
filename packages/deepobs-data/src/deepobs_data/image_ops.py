"""The image operations of the original input pipelines, batched and free of randomness.

Images are (B, C, H, W). Operations that move pixels keep the type; operations that compute give
float32 (float64 stays float64). Values are expected on the scale 0..255, but nothing is clipped.
Factors have shape (B,) or are one number. With `inplace=True` a floating-point argument is
overwritten instead of copied, for callers that own it.

Source: DeepOBS 1.1.2, deepobs/tensorflow/datasets/{mnist,cifar10,svhn,imagenet}.py, which call
`tf.image` of TensorFlow 1.x; checked against numbers computed with TensorFlow 1.15.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def scale_to_unit(x: Tensor) -> Tensor:
    """Scale bytes 0..255 to float32 in [0, 1]: any shape in, the same shape out."""
    return x.to(torch.float32).div_(255.0) if not x.is_floating_point() else x / 255.0


def pad_zeros(x: Tensor, padding: int) -> Tensor:
    """Add `padding` rows and columns of zeros on each side: (B, C, H, W) -> (B, C, H+2p, W+2p)."""
    return F.pad(x, (padding, padding, padding, padding))


def crop(x: Tensor, top: Tensor, left: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Cut one window of `size` out of every image, each at its own place.

    Args:
        x: (B, C, H, W).
        top: (B,) int64 first rows, 0..H - size.
        left: (B,) int64 first columns, 0..W - size.
        size: Height and width of the window, or one number for both.

    Returns:
        (B, C, height, width) of the type of `x`.

    Raises:
        ValueError: The window is larger than the image, or a place is outside (this check waits for
            the device).
    """
    height, width = (size, size) if isinstance(size, int) else size
    for places, name, last in (
        (top, "top", x.shape[-2] - height),
        (left, "left", x.shape[-1] - width),
    ):
        if places.shape != x.shape[:1]:
            raise ValueError(f"{name} has shape {tuple(places.shape)} for {len(x)} images.")
        # A window larger than the image is refused below.
        if last >= 0 and ((places < 0) | (places > last)).any():
            raise ValueError(
                f"{name} holds {int(places.min())} to {int(places.max())}; windows of "
                f"{height}x{width} in images of {x.shape[-2]}x{x.shape[-1]} start at 0 to {last}."
            )
    return cut_windows(x, top, left, height, width)


def cut_windows(x: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """`crop` for places known to be right: nothing waits for the device.

    Places outside the image give the pixels of a neighbour.
    """
    batch, channels, rows, columns = x.shape
    if not (0 < height <= rows and 0 < width <= columns):
        raise ValueError(f"Cannot cut {height}x{width} out of images of {rows}x{columns}.")
    # Every stretch of `width` neighbours in memory is one row of an overlapping view; picking
    # the rows of all windows from it is a single gather that copies whole image rows.
    flat = x.reshape(-1)
    if flat.numel() == 0:
        return x.new_empty(batch, channels, height, width)
    stretches = flat.unfold(0, width, 1)  # (all - width + 1, width)
    planes = torch.arange(batch * channels, device=x.device).view(batch, channels, 1) * rows
    lines = planes + top.view(-1, 1, 1) + torch.arange(height, device=x.device)  # (B, C, height)
    starts = lines * columns + left.view(-1, 1, 1)
    return stretches.index_select(0, starts.view(-1)).view(batch, channels, height, width)


def center_crop_or_pad(x: Tensor, height: int, width: int) -> Tensor:
    """Cut or zero-pad around the centre to (B, C, height, width).

    A crop leaves out (H - height) // 2 rows above, a pad adds (height - H) // 2 above; the odd
    row goes to the bottom, the odd column to the right, as in `resize_image_with_crop_or_pad`.
    """
    rows, columns = x.shape[-2:]
    top, left = max(rows - height, 0) // 2, max(columns - width, 0) // 2
    x = x[..., top : top + min(height, rows), left : left + min(width, columns)]
    above, before = max(height - rows, 0), max(width - columns, 0)
    if not (above or before):
        return x
    return F.pad(x, (before // 2, before - before // 2, above // 2, above - above // 2))


def flip_left_right(x: Tensor, flip: Tensor) -> Tensor:
    """Mirror the images where `flip` (B,) is true."""
    # One gather from both versions is several times faster than `torch.where` on bytes.
    both = torch.cat([x, x.flip(-1)])
    rows = torch.arange(len(x), device=x.device)
    return both.index_select(0, rows + flip.to(torch.int64) * len(x))


def adjust_brightness(x: Tensor, delta: Tensor | float, *, inplace: bool = False) -> Tensor:
    """Add `delta` to every value of an image."""
    return _own(x, inplace).add_(_per_image(x, delta))


def adjust_saturation(x: Tensor, factor: Tensor | float, *, inplace: bool = False) -> Tensor:
    """Multiply the saturation (HSV) of every pixel by `factor` >= 0, hue and value unchanged.

    With V and m the largest and smallest of the pixel's three channels and S = (V - m) / V, a
    channel x becomes V - (V - x) * clip(S * factor, 0, 1) / S; grey pixels stay as they are.
    Factors in a tensor are not looked at; there a negative one has the effect of 0.

    Raises:
        ValueError: The images do not have three channels, or the factor is a negative number.
    """
    if not isinstance(factor, Tensor) and not factor >= 0:
        raise ValueError(f"The saturation factor is {factor}; it must be at least 0.")
    if x.shape[1] != 3:
        raise ValueError(f"Saturation needs 3 channels, got images with {x.shape[1]}.")
    x = _own(x, inplace)
    red, green, blue = (channel.unsqueeze(1) for channel in x.unbind(1))  # (B, 1, H, W)
    value = torch.maximum(red, green)
    torch.maximum(value, blue, out=value)
    scale = torch.minimum(red, green)
    torch.minimum(scale, blue, out=scale)
    # clip(S f, 0, 1) / S = min(f, 1 / S) = min(f, V / (V - m)), and nothing is divided by S = 0.
    torch.sub(value, scale, out=scale).clamp_min_(torch.finfo(x.dtype).tiny)
    torch.div(value, scale, out=scale).clamp_min_(0.0)
    limit = torch.as_tensor(_per_image(x, factor), dtype=x.dtype).clamp_min(0.0)
    torch.minimum(scale, limit, out=scale)
    # V - (V - x) s = x s + V (1 - s): two passes over x instead of three.
    value.sub_(value * scale)
    return x.mul_(scale).add_(value)


def adjust_contrast(x: Tensor, factor: Tensor | float, *, inplace: bool = False) -> Tensor:
    """Move every channel away from its mean over the image: (x - mean) * factor + mean."""
    x = _own(x, inplace)
    mean = x.mean((-2, -1), keepdim=True)  # (B, C, 1, 1)
    factor = _per_image(x, factor)
    return x.mul_(factor).add_(mean * (1.0 - factor))


def standardize(x: Tensor, *, inplace: bool = False) -> Tensor:
    """Shift and scale every image to mean 0 and standard deviation 1 over all its values.

    (x - mean) / max(std, 1 / sqrt(C * H * W)) with the population standard deviation, as
    `tf.image.per_image_standardization`. A constant image becomes 0.
    """
    x = _own(x, inplace)
    flat = x.flatten(1)  # (B, C * H * W)
    count = max(flat.shape[1], 1)
    flat.sub_(flat.mean(1, keepdim=True))
    std = torch.linalg.vector_norm(flat, dim=1, keepdim=True).div_(count**0.5)
    flat.div_(std.clamp_min_(count**-0.5))
    return x


def normalize_channels(
    x: Tensor, mean: Sequence[float], std: Sequence[float], *, inplace: bool = False
) -> Tensor:
    """Scale values 0..255 to [0, 1], then shift and scale every channel: (x / 255 - mean) / std.

    Raises:
        ValueError: `mean` or `std` does not have one entry per channel.
    """
    if not len(mean) == len(std) == x.shape[1]:
        raise ValueError(f"{len(mean)} means, {len(std)} deviations, {x.shape[1]} channels.")
    x = _own(x, inplace)
    scale = torch.tensor(std, dtype=x.dtype, device=x.device).mul_(255.0)
    shift = torch.tensor(mean, dtype=x.dtype, device=x.device).mul_(255.0)
    return x.sub_(shift.view(-1, 1, 1)).div_(scale.view(-1, 1, 1))


def smaller_side_size(height: int, width: int, smaller: int = 256) -> tuple[int, int]:
    """Height and width after a resize that keeps the aspect and makes the smaller side `smaller`.

    The larger side is rounded half to even after a float32 product, as the original does it.
    """
    scale = torch.tensor(float(smaller)).div(min(height, width))
    sides = torch.tensor([height, width], dtype=torch.float32).mul(scale).round()
    return int(sides[0]), int(sides[1])


def resize_legacy(x: Tensor, height: int, width: int) -> Tensor:
    """Resize as `tf.image.resize_images` of TensorFlow 1: bilinear, without antialiasing.

    Pixel i of the result lies at i·(old size / new size) of the image: neither half-pixel centres
    nor aligned corners, the two ways that `torch.nn.functional.interpolate` knows.

    x (B, C, H, W) floating point -> (B, C, height, width).
    """
    return _resize_axis(_resize_axis(x, -2, height), -1, width)


def _resize_axis(x: Tensor, axis: int, size: int) -> Tensor:
    old = x.shape[axis]
    if size == old:
        return x
    position = torch.arange(size, device=x.device) * old  # in units of 1 / size
    lower = position // size
    upper = (lower + 1).clamp_(max=old - 1)
    weight = (position % size).to(x.dtype) / size
    weight = weight.unsqueeze(-1) if axis == -2 else weight
    return torch.lerp(x.index_select(axis, lower), x.index_select(axis, upper), weight)


def _own(x: Tensor, inplace: bool) -> Tensor:
    """A contiguous floating-point tensor that may be overwritten."""
    if not x.is_floating_point():
        return x.to(torch.float32).contiguous()
    if inplace and x.is_contiguous():
        return x
    return x.clone(memory_format=torch.contiguous_format)


def _per_image(x: Tensor, value: Tensor | float) -> Tensor | float:
    return value.to(x.device).view(-1, 1, 1, 1) if isinstance(value, Tensor) else value
