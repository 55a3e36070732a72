"""Losses and metrics against formulas written out in numpy or torch.distributions."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from deepobs_problems import Batch
from deepobs_problems.losses import (
    cross_entropy,
    inception_accuracy,
    inception_loss,
    model_output,
    sequence_accuracy,
    sequence_cross_entropy,
    vae_loss,
)


@pytest.fixture
def rng():
    return np.random.RandomState(0)


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_cross_entropy(rng):
    logits, labels = rng.normal(size=(6, 4)), rng.randint(0, 4, size=6)
    found = cross_entropy(torch.from_numpy(logits), Batch(torch.zeros(6), torch.tensor(labels)))
    np.testing.assert_allclose(found, -log_softmax(logits)[range(6), labels], rtol=1e-12)


def test_inception_loss_is_label_smoothed_with_an_auxiliary_head_in_training(rng):
    classes, labels = 1001, rng.randint(0, 1001, size=3)
    target = 0.9 * np.eye(classes)[labels] + 0.1 / classes
    main, auxiliary = rng.normal(size=(2, 3, classes))
    batch = Batch(torch.zeros(3), torch.from_numpy(labels))

    def smoothed(logits):
        return -(target * log_softmax(logits)).sum(axis=1)

    logits = torch.from_numpy(main)
    both = SimpleNamespace(logits=logits, aux_logits=torch.from_numpy(auxiliary))
    expected = smoothed(main) + 0.4 * smoothed(auxiliary)
    np.testing.assert_allclose(inception_loss(logits, batch), smoothed(main), rtol=1e-12)
    np.testing.assert_allclose(inception_loss(both, batch), expected, rtol=1e-12)
    for output in (logits, both):
        assert inception_accuracy(output, batch).tolist() == (main.argmax(1) == labels).tolist()


def test_vae_loss_is_squared_error_plus_kl_to_the_standard_normal(rng):
    x, reconstruction = torch.from_numpy(rng.uniform(size=(2, 5, 1, 28, 28)))
    mean, log_sigma = torch.from_numpy(rng.normal(size=(2, 5, 8)))
    found = vae_loss(
        SimpleNamespace(reconstruction=reconstruction, mean=mean, log_sigma=log_sigma),
        Batch(x, torch.zeros(5, 8)),
    )
    kl = kl_divergence(Normal(mean, log_sigma.exp()), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(found, (x - reconstruction).pow(2).sum(dim=(1, 2, 3)) + kl)


def test_sequence_losses_are_means_over_time(rng):
    logits, labels = rng.normal(size=(3, 7, 5)), rng.randint(0, 5, size=(3, 7))
    batch = Batch(torch.zeros(3, 7), torch.from_numpy(labels))
    picked = np.take_along_axis(log_softmax(logits), labels[:, :, None], axis=2)[:, :, 0]
    found = sequence_cross_entropy(torch.from_numpy(logits), batch)
    np.testing.assert_allclose(found, -picked.mean(axis=1), rtol=1e-12)
    found = sequence_accuracy(torch.from_numpy(logits), batch)
    np.testing.assert_allclose(found, (logits.argmax(2) == labels).mean(axis=1), rtol=1e-12)


def test_model_output_is_the_loss_of_a_test_function():
    values = torch.tensor([1.0, 2.0])
    assert model_output(values, Batch(values, values)) is values
