"""Order and draws of an epoch."""

import pytest
import torch

from deepobs_runner.errors import UsageError
from deepobs_runner.training.data_order import training_order


def order(problem, epoch, recipe="standard", seed=42, batch_size=16):
    return training_order(problem.data(), batch_size, seed=seed, epoch=epoch, recipe=recipe)


def test_whole_batches_without_repetition(problem):
    rows = order(problem, 1).rows
    assert len(rows) == 64  # of 70, four batches of 16
    assert len(set(rows.tolist())) == 64


def test_standard_is_fresh_every_epoch(problem):
    first, second = order(problem, 1), order(problem, 2)
    assert not torch.equal(first.rows, second.rows)
    assert not torch.equal(first.draws, second.draws)


def test_2019_repeats_order_and_draws(problem):
    first, later = order(problem, 1, "2019"), order(problem, 9, "2019")
    assert torch.equal(first.rows, later.rows)
    assert torch.equal(first.draws, later.draws)


def test_order_depends_on_the_seed_alone(problem):
    torch.manual_seed(0)
    one = order(problem, 3)
    torch.manual_seed(1)
    two = order(problem, 3)
    assert torch.equal(one.rows, two.rows)
    assert not torch.equal(one.rows, order(problem, 3, seed=43).rows)


def test_draws_belong_to_their_rows_when_cut(problem):
    whole = order(problem, 1)
    cut = whole.first(16)
    assert torch.equal(cut.rows, whole.rows[:16])
    assert torch.equal(cut.draws, whole.draws[:16])


def test_batch_larger_than_the_split(problem):
    with pytest.raises(UsageError, match="training split has 70"):
        order(problem, 1, batch_size=71)
