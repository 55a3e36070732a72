"""MNIST-1D, generated as its authors' file was."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepobs_data.dataset import Dataset
from deepobs_data.datasets.images import make_dataset
from deepobs_data.partition import Recipe, check_recipe
from deepobs_data.registry import info

_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
_PER_CLASS = 500
_TRAIN = 4000
_PADDING = range(36, 61)
_PADDED = 72  # numbers after padding and stretching
_LENGTH = 40


def mnist1d(
    root: Path | str | None = None, *, valid_size: int = 0, recipe: Recipe = "standard"
) -> Dataset:
    """MNIST-1D: 5000 noisy signals of 40 numbers in ten classes, no download.

    x (40,) float32, y () int64; 4000 signals for training, 1000 for testing. Generated in half a
    second as in the authors' `mnist1d_data.pkl`, equal to it in float32.

    Source: S. Greydanus, D. Kobak: Scaling down deep learning with MNIST-1D. ICML 2024, arXiv
    2011.14439; github.com/greydanus/mnist1d.

    Args:
        root: Ignored; nothing is read.
        valid_size: Number of validation signals, taken from train; 0 for none.
        recipe: Both recipes give the same tables.

    Raises:
        ValueError: `valid_size` or `recipe` is not allowed.
    """
    check_recipe(recipe)
    tensors = dict(_signals())
    return make_dataset(
        info("mnist1d"), tensors, transform=None, valid_size=valid_size, recipe=recipe
    )


@cache
def _signals() -> dict[str, Tensor]:
    signals, labels = generate()
    x, y = torch.from_numpy(signals.astype(np.float32)), torch.from_numpy(labels)
    return {
        "train_x": x[:_TRAIN], "train_y": y[:_TRAIN], "test_x": x[_TRAIN:], "test_y": y[_TRAIN:]
    }  # fmt: skip


def generate() -> tuple[np.ndarray, np.ndarray]:
    """Make all signals (5000, 40) float64 and labels (5000,) int64, in the order of the file."""
    labels = np.repeat(np.arange(len(_TEMPLATES)), _PER_CLASS)
    rng = np.random.RandomState(42)
    draws = [_draw(rng) for _ in labels]
    padding, scale, shift, shear = (np.array([d[i] for d in draws]) for i in range(4))
    smooth, rough = (np.array([d[i] for d in draws]) for i in (4, 5))  # (5000, 72)

    x = _stretch(_templates()[labels] + 1e-8, padding)  # (5000, 72)
    x *= 1 + 0.4 * (scale - 0.5)[:, None]
    x = np.take_along_axis(x, (np.arange(_PADDED) - shift[:, None]) % _PADDED, axis=1)
    x = np.where(x == 0, _blur(0.25 * smooth), x) + 0.02 * rough
    x = x - 0.75 * (shear - 0.5)[:, None] * np.linspace(-0.5, 0.5, _PADDED)
    x = _interpolate(x, _LENGTH)

    order = rng.permutation(len(labels))
    x, labels = x[order], labels[order]
    return (x - x.mean()) / x.std(), labels


def _draw(rng: np.random.RandomState) -> tuple[int, float, int, float, np.ndarray, np.ndarray]:
    """Draw what one signal needs, in the order of the original."""
    padding = _PADDING[int(rng.rand() * len(_PADDING))]
    scale, shift = rng.rand(), rng.choice(48)
    smooth, rough = rng.randn(_PADDED), rng.randn(_PADDED)
    return padding, scale, shift, rng.rand(), smooth, rough


def _templates() -> np.ndarray:
    """The ten digits as signals (10, 12) that begin and end at 0."""
    x = np.array(_TEMPLATES)
    x -= x.mean(axis=1, keepdims=True)
    x /= x.std(axis=1, keepdims=True)
    x -= x[:, :1]
    return x / 6.0


def _stretch(x: np.ndarray, padding: np.ndarray) -> np.ndarray:
    """Append zeros (N,) to signals (N, L) and stretch them to 72 numbers."""
    stretched = np.empty((len(x), _PADDED))
    for zeros in np.unique(padding):
        rows = padding == zeros
        stretched[rows] = _interpolate(np.pad(x[rows], ((0, 0), (0, zeros))), _PADDED)
    return stretched


def _blur(x: np.ndarray) -> np.ndarray:
    """Gaussian filter of deviation 2 along signals (N, L), mirrored at both ends.

    With the arithmetic of `scipy.ndimage.gaussian_filter`, which ends at four deviations.
    """
    radius = 8
    weights = np.exp(-0.5 / 4 * np.arange(-radius, radius + 1) ** 2)
    weights /= weights.sum()
    padded = np.pad(x, ((0, 0), (radius, radius)), mode="symmetric")
    length = x.shape[1]
    total: np.ndarray = x * weights[radius]
    for j in range(radius):
        last = 2 * radius - j
        total += (padded[:, j : j + length] + padded[:, last : last + length]) * weights[j]
    return total


def _interpolate(x: np.ndarray, length: int) -> np.ndarray:
    """Interpolate signals (N, L) linearly at `length` places, with numpy.interp's arithmetic."""
    old, new = np.linspace(0, 1, x.shape[1]), np.linspace(0, 1, length)
    left = np.minimum(np.searchsorted(old, new, side="right") - 1, x.shape[1] - 2)
    slope = (x[:, left + 1] - x[:, left]) / (old[left + 1] - old[left])
    found: np.ndarray = slope * (new - old[left]) + x[:, left]
    found[:, new == 1] = x[:, -1:]
    return found
