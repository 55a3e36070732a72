"""Every image operation against the original's numbers (see reference/README.md)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from deepobs_data import augment
from deepobs_data import image_ops as ops

FOLDER = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")
REFERENCE = json.loads((FOLDER / "preprocessing.json").read_text())
SEED = REFERENCE["seed"]


def nchw(array):
    return torch.from_numpy(np.asarray(array)).permute(2, 0, 1).unsqueeze(0).float()


def image():
    return nchw(np.random.RandomState(SEED + 10000).randint(0, 256, size=(32, 32, 3)))


def small():
    return nchw(np.random.RandomState(SEED + 10002).uniform(0, 1, (37, 53, 3)).astype(np.float32))


def tiny():
    return nchw(np.random.RandomState(SEED + 10001).randint(0, 256, size=(5, 7, 3)))


def wide():
    noise = np.random.RandomState(SEED + 10003).uniform(0, 1, (224, 224, 3))
    return nchw(noise.astype(np.float32))


def everything():
    # Draws in the middle of the interval of each wanted value: row 1, column 3 of 0..4, flip.
    draws = [(1 + 0.5) / 5, (3 + 0.5) / 5, 0.25, 0.5 + 0.2 * 255 / 63 / 2, 1.0, 1.0]
    full = augment.CIFAR_AUGMENT.apply(image(), torch.tensor([draws]))
    return ops.standardize(full)


CASES = {
    "standardize": lambda: ops.standardize(image()),
    "standardize_constant_image": lambda: ops.standardize(torch.full((1, 3, 32, 32), 7.0)),
    "brightness_delta_0.2": lambda: ops.adjust_brightness(image(), 0.2),
    "brightness_delta_0.2_then_standardize": lambda: ops.standardize(
        ops.adjust_brightness(image(), 0.2)
    ),
    "saturation_factor_0.5": lambda: ops.adjust_saturation(image(), 0.5),
    "saturation_factor_1.5": lambda: ops.adjust_saturation(image(), torch.tensor([1.5])),
    "contrast_factor_0.2": lambda: ops.adjust_contrast(image(), 0.2),
    "contrast_factor_1.8": lambda: ops.adjust_contrast(image(), torch.tensor([1.8])),
    "flip_left_right": lambda: ops.flip_left_right(image(), torch.tensor([True])),
    "pad_to_36": lambda: ops.pad_zeros(image(), 2),
    "center_crop_37x53_to_32x32": lambda: ops.center_crop_or_pad(small(), 32, 32),
    "crop_or_pad_37x53_to_40x40": lambda: ops.center_crop_or_pad(small(), 40, 40),
    "all_with_fixed_draws_then_standardize": everything,
    "resize_5x7_to_16x16": lambda: ops.resize_legacy(tiny(), 16, 16),
    "resize_37x53_to_18x26": lambda: ops.resize_legacy(small(), 18, 26),
    "resize_32x32_to_224x224": lambda: ops.resize_legacy(image(), 224, 224),
    "resize_224x224_to_299x299": lambda: ops.resize_legacy(wide(), 299, 299),
    "aspect_preserving_resize_37x53_smaller_side_256": lambda: ops.resize_legacy(
        small(), *ops.smaller_side_size(37, 53)
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_reference_operation(name):
    expected = REFERENCE["results"][name]
    got = CASES[name]()[0].permute(1, 2, 0)  # (H, W, C) as the numbers are stored
    assert list(got.shape) == expected["shape"]
    flat = got.reshape(-1).double()
    l2 = flat.norm().item()
    assert l2 == pytest.approx(expected["l2"], rel=1e-4)
    # A sum near zero is a cancellation: its error scales with the norm.
    assert flat.sum().item() == pytest.approx(expected["sum"], rel=1e-4, abs=1e-3 * (l2 + 1))
    assert flat.std(correction=0).item() == pytest.approx(expected["std"], rel=1e-4, abs=1e-6)
    ends = flat[:6].tolist() + flat[-3:].tolist()
    assert ends == pytest.approx(expected["first6"] + expected["last3"], rel=1e-4, abs=1e-4)


def test_reference_is_covered():
    assert set(REFERENCE["results"]) - {"aspect_preserving_resize_shapes"} == set(CASES)


def test_reference_sizes_of_the_aspect_preserving_resize():
    for before, after in REFERENCE["results"]["aspect_preserving_resize_shapes"]:
        assert list(ops.smaller_side_size(*before)) == after
