"""The splits: fixed, disjoint, and the same as the documented permutation."""

import numpy as np
import pytest
import torch

from deepobs_data import partition


@pytest.mark.parametrize("valid_size", [0, 1, 300, 500])
def test_partition(valid_size):
    rows = partition.partition_rows(1000, 500, valid_size)
    permutation = np.random.RandomState(42).permutation(1000)
    train = set(range(1000)) if rows.train is None else set(rows.train.tolist())
    valid = set() if rows.valid is None else set(rows.valid.tolist())
    np.testing.assert_array_equal(sorted(valid), sorted(permutation[:valid_size]))
    np.testing.assert_array_equal(rows.train_eval, permutation[valid_size : valid_size + 500])
    assert not train & valid
    assert train | valid == set(range(1000))
    assert set(rows.train_eval.tolist()) <= train


def test_partition_of_the_real_sizes_keeps_the_documented_train_eval():
    for n, size in [(60_000, 10_000), (50_000, 10_000), (73_257, 26_032), (64_000, 26_032)]:
        assert len(partition.partition_rows(n, size).train_eval) == size


@pytest.mark.parametrize("valid_size", [-1, 501])
def test_partition_refuses(valid_size):
    with pytest.raises(ValueError, match="to 500"):
        partition.partition_rows(1000, 500, valid_size)


def test_the_global_generators_are_left_alone():
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    partition.partition_rows(100, 10, 5)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])
