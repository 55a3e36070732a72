"""Losses and metrics of the test problems, one value per example.

Means, sums and weights are derived from these vectors in one place, `problem.py`; per-example
gradients and exact evaluation follow from them.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from deepobs_data import Batch

LABEL_SMOOTHING = 0.1
"""Of Inception v3, over all 1,001 classes (DeepOBS 1.1.2, `imagenet_inception_v3.py`)."""

AUXILIARY_WEIGHT = 0.4
"""Of Inception v3's auxiliary head, in training only."""


def cross_entropy(output: Tensor, batch: Batch) -> Tensor:
    """Softmax cross-entropy of logits `(B, C)` with class indices `(B,)`: `(B,)`."""
    return F.cross_entropy(output, batch.y, reduction="none")


def accuracy(output: Tensor, batch: Batch) -> Tensor:
    """Return 1.0 where the largest logit `(B, C)` is the label's, else 0.0: `(B,)`.

    NaN where a logit is NaN: its largest has no meaning.

    Raises:
        ValueError: the labels are not class indices `(B,)`.
    """
    if batch.y.ndim != 1:
        raise ValueError(f"Labels must be class indices (B,), got {tuple(batch.y.shape)}.")
    correct = (output.argmax(dim=1) == batch.y).to(output.dtype)
    return correct.masked_fill(output.isnan().any(dim=1), torch.nan)


def model_output(output: Tensor, batch: Batch) -> Tensor:
    """Output of the model itself, `(B,)`: the model of a test function is its loss."""
    return output


def inception_loss(output: Any, batch: Batch) -> Tensor:
    """Inception v3's label-smoothed cross-entropy, `(B,)`.

    The output is logits `(B, C)`, in training also those of the auxiliary head, as
    `output.logits` and `output.aux_logits`, which count with weight 0.4 (DeepOBS 1.1.2,
    `imagenet_inception_v3.py`).
    """

    def smoothed(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits, batch.y, reduction="none", label_smoothing=LABEL_SMOOTHING)

    if isinstance(output, Tensor):
        return smoothed(output)
    return smoothed(output.logits) + AUXILIARY_WEIGHT * smoothed(output.aux_logits)


def inception_accuracy(output: Any, batch: Batch) -> Tensor:
    """Accuracy `(B,)` of Inception v3's main head."""
    return accuracy(output if isinstance(output, Tensor) else output.logits, batch)


def vae_loss(output: Any, batch: Batch) -> Tensor:
    """Squared reconstruction error plus KL divergence of a Gaussian VAE, `(B,)`.

    Both terms are sums, over the 784 pixels and the latent dimensions; `output.log_sigma` is the
    logarithm of the standard deviation (DeepOBS 1.1.2, `mnist_vae.py`).
    """
    pixels: Tensor = (output.reconstruction - batch.x).square().flatten(1).sum(dim=1)
    log_variance = 2 * output.log_sigma  # (B, D)
    kl: Tensor = -0.5 * (1 + log_variance - output.mean.square() - log_variance.exp()).sum(dim=1)
    return pixels + kl


def sequence_cross_entropy(output: Tensor, batch: Batch) -> Tensor:
    """Mean over time of the cross-entropy of logits `(B, T, V)` with `(B, T)`: `(B,)`.

    A character of weight 1/T each: DeepOBS 1.1.2, `tolstoi_char_rnn.py`.
    """
    return F.cross_entropy(output.transpose(1, 2), batch.y, reduction="none").mean(dim=1)


def sequence_accuracy(output: Tensor, batch: Batch) -> Tensor:
    """Fraction of the T characters predicted right, from `(B, T, V)`: `(B,)`."""
    return (output.argmax(dim=2) == batch.y).to(output.dtype).mean(dim=1)
