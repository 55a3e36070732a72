"""Order and draws of an epoch."""

from dataclasses import replace
from itertools import combinations

import pytest
import torch

from deepobs_runner.errors import UsageError
from deepobs_runner.training.data import training_order


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


# ----------------------------------------------------------------- epochs that are not one pass


def test_an_epoch_of_several_passes_orders_each_anew(problem):
    data = replace(problem.data(), passes_per_epoch=3)
    rows = training_order(data, 16, seed=42, epoch=1, recipe="standard").rows.view(3, 64)
    assert data.steps_per_epoch(16) == 12
    for one, other in combinations(rows, 2):
        assert len(set(one.tolist())) == 64
        assert not torch.equal(one, other)
    assert torch.equal(rows[0], order(problem, 1).rows)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_part_of_a_pass_goes_on_where_the_epoch_before_ended(problem, parts):
    data = replace(problem.data(), epochs_per_pass=parts)
    steps = 4 // parts
    assert data.steps_per_epoch(16) == steps
    epochs = [
        training_order(data, 16, seed=42, epoch=epoch, recipe="standard")
        for epoch in range(1, 2 * parts + 1)
    ]
    for number in (1, 2):
        mine = epochs[(number - 1) * parts : number * parts]
        whole = order(problem, number).first(parts * steps * 16)
        assert torch.equal(torch.cat([part.rows for part in mine]), whole.rows)
        assert torch.equal(torch.cat([part.draws for part in mine]), whole.draws)


def test_a_batch_larger_than_a_part_of_a_pass(problem):
    data = replace(problem.data(), epochs_per_pass=7)
    with pytest.raises(UsageError, match="11, but the training split has 70 examples in 7 parts"):
        training_order(data, 11, seed=42, epoch=1, recipe="standard")


def test_a_full_batch_is_the_split_in_its_order(problem):
    data = replace(problem.data(), passes_per_epoch=2, augment=None)
    rows = training_order(data, 70, seed=42, epoch=5, recipe="standard").rows
    assert torch.equal(rows, torch.arange(70).repeat(2))
    # Where a pass is an epoch, as in all problems of 2019, a full batch is shuffled like others.
    rows = training_order(problem.data(), 70, seed=42, epoch=5, recipe="standard").rows
    assert not torch.equal(rows, torch.arange(70))
