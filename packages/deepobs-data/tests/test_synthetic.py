"""The random sets against the generator that defines them."""

import numpy as np
import pytest
import torch

import deepobs_data as dd


def test_quadratic():
    data = dd.quadratic(valid_size=10)
    draw = {s: np.random.RandomState(s).normal(0, 0.6, (1000, 100)) for s in (42, 43, 44)}
    for split, seed, n in [("train", 42, 1000), ("train_eval", 42, 1000), ("test", 43, 896)]:
        x = data.split(split).x
        np.testing.assert_array_equal(x, draw[seed][:n].astype(np.float32))
    np.testing.assert_array_equal(data.valid.x, draw[44][:10].astype(np.float32))
    assert data.train.y.shape == (1000,)
    assert not data.train.y.any()


def test_two_d():
    data = dd.two_d()
    rng = np.random.RandomState(42)
    first, second = rng.normal(0, 1, 10_000), rng.normal(0, 1, 10_000)
    np.testing.assert_array_equal(data.train.x[:, 0], first.astype(np.float32))
    np.testing.assert_array_equal(data.train.x[:, 1], second.astype(np.float32))
    assert data.test.x.shape == (10_000, 2)
    assert not data.test.x.any()
    assert data.train.x.is_contiguous()


@pytest.mark.parametrize("make", [dd.quadratic, dd.two_d])
def test_bad_arguments(make):
    with pytest.raises(ValueError, match="allowed are 0"):
        make(valid_size=-1)
    with pytest.raises(ValueError, match="'standard' and '2019'"):
        make(recipe="2020")
    assert make(recipe="2019").train.x.dtype == torch.float32
