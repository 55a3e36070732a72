"""Tables, batches, orders: plain tensors against plain indexing."""

import numpy as np
import pytest
import torch

import deepobs_data as dd
from deepobs_data.table import Table, batches_at_once


@pytest.fixture
def table():
    x = torch.arange(20, dtype=torch.uint8).view(10, 2)
    return dd.Table(x, torch.arange(10), transform=lambda x: x.float() * 2)


def test_batches_follow_the_order_and_keep_the_rest(table):
    order = torch.tensor([3, 3, 9, 0, 5])
    got = list(table.batches(order, 2))
    assert [len(b.x) for b in got] == [2, 2, 1]
    assert torch.equal(torch.cat([b.y for b in got]), order)
    assert torch.equal(torch.cat([b.x for b in got]), table.x[order].float() * 2)


def test_small_batches_are_those_of_single_rows():
    """Several gathers of several batches, with draws, a transform that overwrites, and a rest."""

    class Shift:
        def apply(self, x, draws):
            return x + draws

    x = torch.arange(5000.0 * 40).view(5000, 40)
    y = torch.arange(5000)
    table = Table(x, y, transform=lambda x: x.mul_(2), augment=Shift())
    order = torch.randperm(5000, generator=torch.Generator().manual_seed(0))[:4321]
    draws = torch.arange(4321.0).view(-1, 1)
    assert 1 < batches_at_once(100, x, y) < 43 / 2
    batches = list(table.batches(order, 100, draws=draws))
    assert [len(batch.x) for batch in batches] == 43 * [100] + [21]
    assert torch.equal(torch.cat([batch.y for batch in batches]), order)
    assert torch.equal(torch.cat([batch.x for batch in batches]), 2 * (x[order] + draws))


def test_large_targets_count_for_what_is_gathered_at_once():
    table = Table(torch.arange(1000), torch.zeros(1000, 2, 1000))
    assert batches_at_once(1000, table.x) > 1 == batches_at_once(1000, table.x, table.y)
    order = torch.arange(1000).repeat(3)
    assert [len(batch.y) for batch in table.batches(order, 1000)] == [1000] * 3


def test_small_batches_may_be_changed_in_place():
    """By a network that changes its input, and is differentiated through that."""
    scale = torch.ones((), requires_grad=True)
    table = Table(torch.ones(100, 3), torch.zeros(100))
    for batch in table.batches(torch.arange(100), 10):
        batch.x.mul_(scale).sum().backward()
    assert scale.grad == 300


def test_empty_order_gives_no_batch(table):
    assert list(table.batches(torch.empty(0, dtype=torch.int64), 4)) == []


def test_rows_show_a_part(table):
    part = dd.Table(table.x, table.y, rows=torch.tensor([7, 2, 4]))
    assert len(part) == 3
    assert part[1].y.item() == 2
    assert part[-1].y.item() == 4
    assert next(part.batches(torch.tensor([2, 0]), 2)).y.tolist() == [4, 7]
    with pytest.raises(IndexError, match="3 examples"):
        part[3]


@pytest.mark.parametrize(
    ("order", "size", "draws", "message"),
    [
        (torch.arange(4), 0, None, "at least 1"),
        (torch.arange(4.0), 2, None, "whole numbers in one axis, got 1-d float32"),
        (3, 2, None, "whole numbers in one axis, got 0-d int64"),
        ([0.5], 2, None, "1-d float64"),
        (["a"], 2, None, "1-d <U1"),
        (torch.zeros(2, 2, dtype=torch.int64), 2, None, "2-d int64"),
        (torch.tensor([True] * 10), 2, None, r"mask\.nonzero"),
        (np.array([True, False]), 2, None, "is a mask"),
        ([0, 10], 2, None, "names row 10; this split has rows 0 to 9"),
        (torch.tensor([3, -1]), 2, None, "names row -1"),
        (torch.arange(4), 2, torch.zeros(4, 1), "no augmentation"),
    ],
)
def test_bad_arguments(table, order, size, draws, message):
    with pytest.raises(ValueError, match=message):
        table.batches(order, size, draws=draws)  # without asking for a batch


@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        torch.tensor,
        lambda rows: np.array(rows, np.uint16),
        lambda rows: np.array(rows, ">i4"),
        lambda rows: np.array(rows[::-1])[::-1],
        lambda rows: torch.tensor(rows, dtype=torch.int32),
    ],
)
def test_orders_of_every_kind(table, make):
    assert [y.tolist() for _, y in table.batches(make([7, 2, 2]), 2)] == [[7, 2], [2]]
    assert table[make([7, 2])].y.tolist() == [7, 2]


def test_an_empty_list_gives_no_batch(table):
    assert list(table.batches([], 4)) == []


@pytest.mark.parametrize("i", [3, -7, np.int64(3), torch.tensor(3)])
def test_one_example(table, i):
    assert table[i].y.item() == 3
    assert table[i].x.shape == (2,)


def test_slices_are_stacked(table):
    assert table[2:8:3].y.tolist() == [2, 5]
    assert table[-2:].x.shape == (2, 2)
    assert table[range(3)].y.tolist() == [0, 1, 2]
    with pytest.raises(IndexError, match="No rows"):
        table[5:5]


@pytest.mark.parametrize("i", [1.5, "train", None])
def test_what_is_no_index(table, i):
    with pytest.raises(TypeError):
        table[i]


def test_the_device_may_be_named(table):
    assert next(table.batches(torch.arange(2), 2, device="meta")).x.device.type == "meta"
    assert next(table.batches(torch.arange(2), 2, device="cpu")).y.tolist() == [0, 1]


def test_mismatched_rows():
    with pytest.raises(ValueError, match="10 rows but y has 9"):
        dd.Table(torch.zeros(10), torch.zeros(9))


def test_table_works_in_a_plain_dataloader(table):
    batches = list(torch.utils.data.DataLoader(table, batch_size=4))
    assert isinstance(batches[0], dd.Batch)
    assert torch.equal(torch.cat([b.x for b in batches]), table.x.float() * 2)


@pytest.mark.parametrize(("n", "size"), [(10, 3), (12, 4), (5, 5), (7, 1)])
def test_stateful_order_continues_every_row(n, size):
    order = dd.stateful_order(n, size).view(-1, size)  # (steps, rows)
    assert len(order) == n // size
    assert (order[1:] - order[:-1] == 1).all()
    assert order[0].tolist() == [row * (n // size) for row in range(size)]


def test_stateful_order_refuses_large_batches():
    with pytest.raises(ValueError, match="between 1 and 5"):
        dd.stateful_order(5, 6)


def test_unknown_split():
    data = dd.quadratic()
    assert data.split("train") is data.train
    with pytest.raises(ValueError, match="'train', 'train_eval', 'test'"):
        data.split("evaluation")
    with pytest.raises(ValueError, match="valid_size="):
        data.split("valid")


def test_splits_by_name():
    data = dd.quadratic()
    assert data["test"] is data.test
    assert list(data) == ["train", "train_eval", "test"]
    assert "valid" not in data
    with pytest.raises(KeyError, match="Unknown split 'eval'"):
        data["eval"]


@pytest.mark.parametrize("name", ["mnist", "tolstoi", "shakespeare", "two_d"])
def test_the_repr_is_a_few_lines(name):
    text = repr(dd.synthetic_like(name, n=2000, valid_size=8))
    assert len(text.splitlines()) == 5
    assert len(text) < 500
    assert f"Dataset {name!r}" in text
    assert "1,992" in text or name == "two_d"


def test_moving_keeps_shared_storage_shared():
    moved = dd.quadratic().to("meta")
    assert moved.train.x.device.type == "meta"
    assert moved.train.x is moved.train_eval.x


def test_moving_copies_every_tensor_once(monkeypatch):
    data = dd.synthetic_like("mnist", n=20, valid_size=4)
    copied = []
    to = torch.Tensor.to

    def count(tensor, *arguments, **keywords):
        copied.append(tensor.shape)
        return to(tensor, *arguments, **keywords)

    monkeypatch.setattr(torch.Tensor, "to", count)
    moved = data.to("meta")
    # x and y of train and of test, the rows of train, train_eval and valid
    assert len(copied) == 7
    assert moved.train.x is moved.train_eval.x is moved.valid.x
