"""The layers for downstream use beside the 'SAME' ones: resizing, pooling, blocks."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import deepobs_models as dm

REFERENCE_DIR = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")

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
