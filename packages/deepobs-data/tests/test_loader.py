"""The familiar way: DataLoaders whose batches do not depend on the workers."""

import pytest
import torch

import deepobs_data as dd


@pytest.fixture
def data():
    return dd.synthetic_like("cifar10", n=50)


def epochs(loader, n=2):
    return [torch.cat([batch.x for batch in loader]) for _ in range(n)]


@pytest.mark.parametrize("arguments", [{"workers": 2}, {"workers": 2, "persistent_workers": True}])
def test_workers_do_not_change_the_result(data, arguments):
    state = torch.get_rng_state()
    common = {"shuffle": True, "augment": data.augment, "seed": 3}
    alone = epochs(dd.loader(data.train, 16, **common))
    shared = epochs(dd.loader(data.train, 16, **common, **arguments))
    for a, b in zip(alone, shared, strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(alone[0], alone[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_every_row_once_an_epoch(data):
    loader = dd.loader(data.train, 16, shuffle=True)
    assert len(loader) == 4
    seen = torch.cat([batch.x for batch in loader])
    assert seen.shape == (50, 3, 32, 32)
    everything = next(data.train.batches(torch.arange(50), 50)).x
    assert torch.equal(seen.flatten(1).sum(1).sort()[0], everything.flatten(1).sum(1).sort()[0])
    batch = next(iter(loader))
    assert isinstance(batch, dd.Batch)
    dropped = dd.loader(data.train, 16, drop_last=True)
    assert len(dropped) == len(list(dropped)) == 3


def test_unshuffled_is_the_order_of_the_split(data):
    got = torch.cat([batch.y for batch in dd.loader(data.test, 10)])
    assert torch.equal(got, data.test.y)


@pytest.mark.parametrize("batch_size", [0, 51, -1])
def test_bad_batch_size(data, batch_size):
    with pytest.raises(ValueError, match="between 1 and 50"):
        dd.loader(data.train, batch_size)


def test_splits_work_in_a_plain_dataloader(data):
    plain = torch.utils.data.DataLoader(data.test, batch_size=10, num_workers=2)
    got = torch.cat([x for x, _ in plain])
    assert torch.equal(got, next(data.test.batches(torch.arange(25), 25)).x)
