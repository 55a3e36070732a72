"""The layers for downstream use: padding, pooling, resizing, blocks."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import deepobs_models as dm

REFERENCE_DIR = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")
SIZES = [1, 2, 3, 5, 8, 13, 32]
KERNELS_AND_STRIDES = [
    (1, 1),
    (1, 2),
    (2, 1),
    (2, 2),
    (3, 1),
    (3, 2),
    (4, 1),
    (4, 2),
    (5, 3),
    (7, 2),
]


def same_windows(x: Tensor, kernel_size: int, stride: int, dilation: int = 1, fill: float = 0.0):
    """Return each output's window (outputs, kernel_size) of a vector, written from the definition.

    TensorFlow: ceil(n/s) outputs; the total padding is shared, the odd one comes last.
    """
    n = len(x)
    outputs = math.ceil(n / stride)
    total = max((outputs - 1) * stride + (kernel_size - 1) * dilation + 1 - n, 0)
    windows = []
    for output in range(outputs):
        start = output * stride - total // 2
        places = [start + tap * dilation for tap in range(kernel_size)]
        windows.append([x[p].item() if 0 <= p < n else fill for p in places])
    return torch.tensor(windows, dtype=x.dtype)


def vector(size: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(size).normal(size=size))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel_size", "stride"), KERNELS_AND_STRIDES)
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_pad_gives_the_windows_of_the_definition(size, kernel_size, stride, dilation):
    x = vector(size)
    padded = dm.SamePad2d(kernel_size, stride, dilation=dilation)(x.expand(1, 1, size, size))
    row = padded[0, 0, dm.same_padding(size, kernel_size, stride, dilation)[0]]
    taps = torch.eye(kernel_size, dtype=x.dtype).unsqueeze(1)  # channel t is tap t of the window
    windows = F.conv1d(row.reshape(1, 1, -1), taps, stride=stride, dilation=dilation)[0].T
    assert torch.equal(windows, same_windows(x, kernel_size, stride, dilation))
    if dilation == 1:
        stock = dm.same_zero_pad2d(kernel_size, stride, input_size=size)
        assert type(stock) is nn.ZeroPad2d
        assert torch.equal(stock(x.expand(1, 1, size, size)), padded)


def test_same_pad_treats_height_and_width_alike():
    x = torch.rand(2, 3, 6, 9)
    pad = dm.SamePad2d(3, 2)
    assert pad(x).shape == (2, 3, 7, 11)
    assert torch.equal(pad(x), pad(x.mT).mT)


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride", "expected"),
    [
        (32, 3, 1, (1, 1)),
        (28, 5, 1, (2, 2)),
        (32, 3, 2, (0, 1)),
        (28, 4, 2, (1, 1)),
        (7, 4, 1, (1, 2)),
        (32, 1, 2, (0, 0)),
        (28, 2, 2, (0, 0)),
        (27, 2, 2, (0, 1)),
    ],
)
def test_same_padding_of_the_cases_in_the_original(size, kernel_size, stride, expected):
    assert dm.same_padding(size, kernel_size, stride) == expected


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(1, 1), (2, 2), (3, 1), (3, 2), (5, 3), (4, 2)]
)
def test_stock_pooling_is_same_for_its_size(size, kernel_size, stride):
    x = vector(size)
    image = x.reshape(1, 1, size, 1).expand(1, 1, size, size)
    maxima = same_windows(x, kernel_size, stride, fill=-math.inf).amax(dim=1)
    means = same_windows(x, kernel_size, stride, fill=math.nan).nanmean(dim=1)
    max_pool = dm.same_max_pool2d(kernel_size, stride, input_size=size)
    avg_pool = dm.same_avg_pool2d(kernel_size, stride, input_size=size)
    assert type(max_pool) is nn.MaxPool2d
    assert type(avg_pool) is nn.AvgPool2d
    assert torch.equal(max_pool(image)[0, 0], maxima.unsqueeze(1).expand(-1, len(maxima)))
    torch.testing.assert_close(
        avg_pool(image)[0, 0], means.unsqueeze(1).expand(-1, len(means)), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel_size", [2, 4, 6])
@pytest.mark.parametrize("function", [dm.same_max_pool2d, dm.same_avg_pool2d])
def test_what_the_error_recommends_for_even_kernels_is_same(size, kernel_size, function):
    with pytest.raises(ValueError, match="stride 1 and an even kernel") as error:
        function(kernel_size, 1, input_size=size)
    advice = re.search(r"Use (\w+\(.*\))\.$", str(error.value))[1]
    pool = eval(advice, vars(dm))
    x = vector(size)
    if function is dm.same_max_pool2d:
        expected = same_windows(x, kernel_size, 1, fill=-math.inf).amax(dim=1)
    else:
        expected = same_windows(x, kernel_size, 1, fill=math.nan).nanmean(dim=1)
    pooled = pool(x.reshape(1, 1, size, 1).expand(1, 1, size, size))[0, 0]
    torch.testing.assert_close(pooled, expected.unsqueeze(1).expand(size, size))


@pytest.mark.parametrize("size", [7, 8, 31, 32])
def test_symmetric_padding_is_not_same_for_kernel_3_stride_2_and_even_sizes(size):
    """It looks one pixel further to the top and left, so every output differs."""
    x, weight = torch.rand(1, 1, size, size).double(), torch.rand(1, 1, 3, 3).double()
    same = F.conv2d(dm.SamePad2d(3, 2)(x), weight, stride=2)
    symmetric = F.conv2d(x, weight, stride=2, padding=1)
    if size % 2:
        torch.testing.assert_close(symmetric, same)
        return
    assert (symmetric != same).all()
    torch.testing.assert_close(symmetric, F.conv2d(F.pad(x, (1, 0, 1, 0)), weight, stride=2))
    torch.testing.assert_close(same, F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2))


@pytest.mark.parametrize("size", SIZES)
def test_padding_with_minus_infinity_before_max_pooling(size):
    x = -1 - torch.rand(1, 2, size, size)  # all negative: a padded zero would win
    pool = nn.Sequential(dm.SamePad2d(3, 2, value=-math.inf), nn.MaxPool2d(3, 2))
    assert torch.equal(pool(x), dm.same_max_pool2d(3, 2, input_size=size)(x))


@pytest.mark.parametrize("size", [2, 5, 8])
@pytest.mark.parametrize(
    ("kernel_size", "stride"), [(1, 1), (2, 1), (3, 1), (4, 1), (3, 2), (4, 2), (5, 3)]
)
def test_same_crop_is_the_transpose_of_same_pad(size, kernel_size, stride):
    """TensorFlow defines the transposed convolution as the gradient of the convolution."""
    weight = torch.rand(3, 2, kernel_size, kernel_size, dtype=torch.float64)
    large = torch.rand(1, 2, size * stride, size * stride, dtype=torch.float64)
    small = torch.rand(1, 3, size, size, dtype=torch.float64)
    convolved = F.conv2d(dm.SamePad2d(kernel_size, stride)(large), weight, stride=stride)
    transposed = dm.SameCrop2d(kernel_size, stride)(
        F.conv_transpose2d(small, weight, stride=stride)
    )
    assert transposed.shape == large.shape
    torch.testing.assert_close((convolved * small).sum(), (large * transposed).sum())


# ----------------------------------------------------------------------------------------- resizing

RESIZES = {
    "resize_32x32_to_224x224": (224, 224),
    "resize_224x224_to_299x299": (299, 299),
    "resize_37x53_to_18x26": (18, 26),
    "resize_5x7_to_16x16": (16, 16),
}


def draw_image(seed: int, size: str) -> Tensor:
    """Return the image (1, 3, H, W) that the file describes for this size."""
    height, width = map(int, size.split("x"))
    shape = (height, width, 3)
    match size:
        case "32x32":
            image = np.random.RandomState(seed + 10000).randint(0, 256, size=shape)
        case "5x7":
            image = np.random.RandomState(seed + 10001).randint(0, 256, size=shape)
        case "37x53":
            image = np.random.RandomState(seed + 10002).uniform(0, 1, size=shape)
        case "224x224":
            image = np.random.RandomState(seed + 10003).uniform(0, 1, size=shape)
    image = torch.from_numpy(image.astype(np.float32)).double()
    return image.permute(2, 0, 1).unsqueeze(0)


@pytest.mark.parametrize("name", RESIZES)
def test_legacy_resize_agrees_with_reference(name):
    """TensorFlow computed in single precision, hence the tolerance."""
    reference = json.loads((REFERENCE_DIR / "preprocessing.json").read_text())
    expected = reference["results"][name]
    image = draw_image(reference["seed"], name.split("_")[1])
    resized = dm.legacy_bilinear_resize(image, RESIZES[name])[0].permute(1, 2, 0)  # (H, W, C)
    assert list(resized.shape) == expected["shape"]
    tolerance = 1e-4 * resized.abs().max().item()
    flat = resized.flatten()
    assert flat.norm().item() == pytest.approx(expected["l2"], rel=1e-5)
    assert flat.sum().item() == pytest.approx(expected["sum"], abs=1e-5 * flat.abs().sum().item())
    assert flat[:6].tolist() == pytest.approx(expected["first6"], abs=tolerance)
    assert flat[-3:].tolist() == pytest.approx(expected["last3"], abs=tolerance)
    if "channel0" in expected:
        expected_channel = torch.tensor(expected["channel0"], dtype=flat.dtype)
        torch.testing.assert_close(resized[..., 0], expected_channel, rtol=0, atol=tolerance)


def test_legacy_image_size_the_same_size_changes_nothing():
    x = torch.rand(1, 3, 5, 7)
    assert dm.legacy_bilinear_resize(x, (5, 7)) is x


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.bool])
def test_legacy_resize_refuses_integers(dtype):
    x = torch.ones(1, 1, 2, 2, dtype=dtype)
    for resize in (dm.LegacyBilinearResize(4), dm.LegacyBilinearResize(2)):
        with pytest.raises(ValueError, match=f"floating-point type, got {dtype}.*/ 255"):
            resize(x)


@pytest.mark.parametrize(("before", "after"), [(5, 16), (16, 5), (7, 7), (1, 4), (3, 1)])
def test_legacy_resize_is_exact_for_linear_images(before, after):
    """Output i lies at i·before/after; beyond the last pixel the image is constant."""
    ramp = torch.arange(before, dtype=torch.float64).expand(1, 1, before, before)
    resized = dm.legacy_bilinear_resize(ramp, (before, after))
    expected = (torch.arange(after, dtype=torch.float64) * before / after).clamp(max=before - 1)
    torch.testing.assert_close(resized[0, 0], expected.expand(before, after))


# ------------------------------------------------------------------------------------------- blocks


def test_global_average_pooling():
    x = torch.rand(2, 3, 4, 5)
    torch.testing.assert_close(dm.GlobalAvgPool2d()(x), F.adaptive_avg_pool2d(x, 1).flatten(1))


@pytest.mark.parametrize(
    ("outputs", "stride", "project", "projects"),
    [(8, 1, False, False), (8, 1, True, True), (16, 1, False, True), (8, 2, False, True)],
)
def test_residual_block_adds_shortcut_and_residual(outputs, stride, project, projects):
    torch.manual_seed(0)
    block = dm.PreActResidualBlock(8, outputs, stride, project=project).eval()
    assert (block.shortcut is not None) == projects
    x = torch.randn(2, 8, 7, 6)
    nn.init.zeros_(block.conv2.weight)
    with torch.no_grad():
        out = block(x)
        activated = block.norm1(x).relu()
    expected = block.shortcut(activated) if projects else x
    assert out.shape == (2, outputs, math.ceil(7 / stride), math.ceil(6 / stride))
    torch.testing.assert_close(out, expected)


def test_gaussian_sample_has_the_stated_moments_and_gradients():
    torch.manual_seed(0)
    mean = torch.full((200_000,), 3.0, requires_grad=True)
    log_sigma = torch.full((200_000,), math.log(0.5), requires_grad=True)
    sample = dm.sample_gaussian(mean, log_sigma)
    assert sample.mean().item() == pytest.approx(3.0, abs=0.01)
    assert sample.std().item() == pytest.approx(0.5, abs=0.01)
    sample.sum().backward()
    assert torch.equal(mean.grad, torch.ones_like(mean))
    torch.testing.assert_close(log_sigma.grad, (sample - mean).detach())
