"""Data sets that are made, against published numbers and what follows from their definition."""

import hashlib
import math
import random

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data.datasets.bigram import frequencies
from deepobs_data.datasets.burgers import VISCOSITY, burgers_solution
from deepobs_data.datasets.mnist1d import generate

MADE = ["bigram", "bigram_pairs", "burgers", "mnist1d", "poisson", "modular_addition", "nqm"]


def whole(split):
    return next(split.batches(torch.arange(len(split)), len(split)))


@pytest.mark.parametrize("name", MADE)
def test_sizes_and_shapes_are_those_of_the_row(name):
    row, data = dd.info(name), dd.load_dataset(name)
    assert row.download_size == 0
    assert row.sizes() == {key: len(split) for key, split in data.splits().items()}
    example = data.train[0]
    assert (tuple(example.x.shape), tuple(example.y.shape)) == (row.x_shape, row.y_shape)
    dtypes = [str(part.dtype).removeprefix("torch.") for part in example]
    assert dtypes == [row.x_dtype, row.y_dtype]
    assert data.comparable
    assert len(dd.load_dataset(name, valid_size=9).valid) >= 9
    with pytest.raises(ValueError, match="allowed are 0"):
        dd.load_dataset(name, valid_size=-1)
    with pytest.raises(ValueError, match="'standard' and '2019'"):
        dd.load_dataset(name, recipe="2020")


# -------------------------------------------------------------------------------------- epochs


def test_an_epoch_is_several_passes_or_part_of_one():
    assert dd.bigram().steps_per_epoch(1000) == 20
    assert dd.bigram().steps_per_epoch(400) == 40
    assert dd.bigram_pairs().steps_per_epoch(256) == 256
    assert dd.poisson().steps_per_epoch(900) == 500
    assert dd.mnist1d().steps_per_epoch(100) == 40


def test_the_same_split_stays_the_same_on_another_device():
    moved = dd.bigram(valid_size=1).to("cpu")
    assert moved.train is moved.train_eval is moved.valid is moved.test


# -------------------------------------------------------------------------------------- bigrams


def test_bigrams_follow_zipfs_law():
    shares = frequencies()
    assert shares[0] == pytest.approx(0.13359213049244015, rel=1e-14)
    assert np.square(shares).sum() == pytest.approx(0.029339065670614253, rel=1e-14)
    x, y = whole(dd.bigram().train)
    assert torch.equal(x, torch.arange(1000))
    weighted, log = y[:, 0].numpy(), y[:, 1].numpy()  # (V, V)
    np.testing.assert_allclose(weighted.sum(1), 1000 * shares, rtol=1e-12)
    np.testing.assert_allclose(weighted, 1000 * shares[:, None] * np.exp(log), rtol=1e-12)
    rng = np.random.RandomState(42)
    for row in np.exp(log)[:3]:
        np.testing.assert_allclose(row, shares[rng.permutation(1000)], rtol=1e-12)


def test_the_excess_loss_at_zero_is_known():
    """Of uniform predictions, and of zeros in place of probabilities."""
    y = whole(dd.bigram().train).y
    weighted, log = y[:, 0], y[:, 1]
    entropy = -(frequencies() * np.log(frequencies())).sum()
    excess = (weighted * (log + math.log(1000))).sum(1).mean().item()
    assert excess == pytest.approx(math.log(1000) - entropy, rel=1e-12)
    assert excess == pytest.approx(1.7167443, abs=1e-7)
    squares = 0.5 * (weighted * log.exp()).sum(1).mean().item()
    assert squares == pytest.approx(0.014669532835307126, rel=1e-12)


def test_pairs_are_drawn_from_the_population():
    data = dd.bigram_pairs()
    x, y = data.train.x.numpy(), data.train.y.numpy()
    shares = frequencies()
    counts = np.bincount(x, minlength=1000)
    assert (np.abs(counts - len(x) * shares) < 6 * np.sqrt(len(x) * shares)).all()
    conditional = whole(dd.bigram().train).y[:, 1].exp().numpy()
    # The mean probability of what came next is sum pi^2, whatever came before.
    found = conditional[x, y]
    for before in (x == 0, x == 7, x > 100):
        error = found[before].std() / math.sqrt(before.sum())
        assert abs(found[before].mean() - np.square(shares).sum()) < 5 * error
    assert data.test is data.train_eval
    assert torch.equal(whole(data.test).y, whole(dd.bigram().train).y)


# -------------------------------------------------------------------------------------- MNIST-1D


def test_mnist1d_is_the_authors_file():
    """The checksum of its training labels, its first values, and what float32 makes of them all."""
    data = dd.mnist1d()
    labels = data.train.y.numpy().astype("<i8")
    assert hashlib.sha256(labels.tobytes()).hexdigest().startswith("d97dc7aecec8ad6b")
    assert labels[:10].tolist() == [2, 6, 4, 5, 6, 6, 6, 0, 3, 1]
    first = [-0.33200567, -0.47191037, -0.77869708]
    np.testing.assert_allclose(data.train.x[0, :3], first, atol=1e-8)
    signals = np.concatenate([data.train.x.numpy(), data.test.x.numpy()]).astype("<f4")
    assert hashlib.sha256(signals.tobytes()).hexdigest().startswith("0b2b548d14a498bf")
    assert signals.mean() == pytest.approx(0, abs=1e-6)
    assert signals.std() == pytest.approx(1, rel=1e-6)


def test_mnist1d_is_what_the_authors_code_makes():
    """A development test: the package is no dependency."""
    made = pytest.importorskip("mnist1d.data").make_dataset()
    signals, labels = generate()
    assert np.array_equal(labels, np.concatenate([made["y"], made["y_test"]]))
    expected = np.concatenate([made["x"], made["x_test"]])
    np.testing.assert_allclose(signals, expected, rtol=0, atol=1e-14)


# --------------------------------------------------------------------------------------- Poisson


def test_poisson_has_the_value_of_its_loss_at_zero():
    data = dd.poisson()
    x, y = whole(data.train)
    equation, boundary, u = y.unbind(1)
    source = 2 * math.pi**2 * u
    assert (equation * source.square()).mean().item() == pytest.approx(
        104.49112954030109, rel=1e-12
    )
    assert ((equation > 0) != (boundary > 0)).all()
    on_boundary = ((x == 0) | (x == 1)).any(dim=1)
    assert torch.equal(on_boundary, boundary > 0)
    assert int(on_boundary.sum()) == 116
    assert len(torch.unique(x, dim=0)) == 900
    assert u[on_boundary].abs().max() < 1e-15
    # The weights make a mean over all points of two means.
    assert equation.mean().item() == pytest.approx(1)
    assert boundary.mean().item() == pytest.approx(4)
    assert whole(data.test).y[:, 2].square().mean().item() == pytest.approx(
        0.25253162942556884, rel=1e-12
    )


# --------------------------------------------------------------------------------------- Burgers


def test_burgers_solution_is_that_of_a_spectral_method():
    """Fourier modes in space, fourth-order Runge-Kutta with an integrating factor in time."""
    modes, steps, last = 2048, 5000, 0.5  # at t = 0.5 the solution is steepest
    x = -1 + 2 * np.arange(modes) / modes
    frequency = np.fft.fftfreq(modes, 1 / modes)
    kept, k, step = np.abs(frequency) < modes / 3, 1j * np.pi * frequency, last / steps
    decay = np.exp(VISCOSITY * k**2 * step / 2)

    def change(v):
        return -0.5 * step * k * kept * np.fft.fft(np.fft.ifft(v).real ** 2)

    v = np.fft.fft(-np.sin(np.pi * x))
    for _ in range(steps):
        a = change(v)
        b = change(decay * (v + a / 2))
        c = change(decay * v + b / 2)
        d = change(decay**2 * v + decay * c)
        v = decay**2 * (v + a / 6) + decay * (b + c) / 3 + d / 6
    found = burgers_solution(np.stack([x, np.full(modes, last)], axis=1))
    np.testing.assert_allclose(found, np.fft.ifft(v).real, rtol=0, atol=1e-8)


def test_burgers_solution_is_as_steep_as_published():
    """Basdevant et al. 1986: 152.00516 at x = 0 and πt = 1.6037."""
    h, t = 1e-5, 1.6037 / math.pi
    right, left = burgers_solution(np.array([[h, t], [-h, t]]))
    assert (left - right) / (2 * h) == pytest.approx(152.00516, rel=2e-6)


def test_burgers_points():
    data = dd.burgers()
    x, y = whole(data.train)
    equation, known, u = y.unbind(1)
    assert equation.tolist() == [1.0] * 10456
    assert known.mean().item() == pytest.approx(1)  # the mean is that of the 100 points
    assert int((known > 0).sum()) == 100
    at_start = (known > 0) & (x[:, 1] == 0)
    torch.testing.assert_close(u[at_start], -torch.sin(math.pi * x[at_start, 0]))
    assert ((known == 0) | (x[:, 1] == 0) | (x[:, 0].abs() == 1)).all()
    inner = x[:10000]
    for column, low, width in ((0, -1.0, 2.0), (1, 0.0, 0.99)):
        cells = torch.floor((inner[:, column] - low) / width * 10000)
        assert torch.equal(cells.sort().values, torch.arange(10000.0, dtype=torch.float64))
    assert len(data.test) == 25600
    assert dd.burgers().steps_per_epoch(10456) == 250


# ------------------------------------------------------------------------------------ diagnostics


def test_modular_addition_has_the_authors_pairs():
    data = dd.modular_addition(valid_size=100)
    pairs = [(i, j, 113) for i in range(113) for j in range(113)]
    random.seed(0)
    random.shuffle(pairs)
    found = torch.cat([whole(data.split(name)).x for name in ("train", "valid", "test")])
    assert found.tolist() == [list(pair) for pair in pairs]
    assert len(data.train) == int(0.3 * 113**2) == 3830
    for split in data.splits().values():
        x, y = whole(split)
        assert torch.equal(y, (x[:, 0] + x[:, 1]) % 113)


def test_the_attention_teacher_answers_as_attention_does():
    data = dd.attention_teacher(sizes=(6, 3), valid_size=2)
    assert [len(split) for split in data.splits().values()] == [6, 3, 2, 3]
    x, y = whole(data.train)
    generator = torch.Generator().manual_seed(271828)
    assert torch.equal(x, torch.randn(6, 64, 128, generator=generator))
    generator = torch.Generator().manual_seed(1729)
    shapes = [(384, 128), (384,), (128, 128), (128,)]
    weight, bias, out, shift = (
        torch.empty(shape).uniform_(-1, 1, generator=generator).double() for shape in shapes
    )
    query, key, value = (x.double() @ weight.T + bias).chunk(3, dim=2)
    mixed = (query @ key.mT / math.sqrt(128)).softmax(dim=-1) @ value
    torch.testing.assert_close(y.double(), mixed @ out.T + shift, rtol=1e-3, atol=1e-3)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    for name in MADE:
        dd.load_dataset(name)
    dd.attention_teacher(sizes=(2, 2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


def test_noise_of_the_noisy_quadratic_is_in_training_alone():
    data = dd.nqm(valid_size=5)
    expected = np.random.RandomState(50).standard_normal((10_000, 1000))[:3]
    np.testing.assert_array_equal(data.train.x[:3], expected.astype(np.float32))
    for name in ("train_eval", "valid", "test"):
        assert not whole(data.split(name)).x.any()
