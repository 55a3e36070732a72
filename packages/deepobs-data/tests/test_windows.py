"""Windows of a text with a random phase, and Tiny Shakespeare."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

import deepobs_data as dd


def draws_of(phase, n, seq_length):
    return torch.full((n, 1), (phase + 0.5) / seq_length)


@pytest.mark.parametrize("n", [41, 45, 49, 50])
@pytest.mark.parametrize("phase", range(8))
def test_an_epoch_reads_the_text_once(n, phase):
    split = dd.Windows(torch.arange(n), 8, dd.RandomPhase(8))
    count = (n - 1) // 8
    assert len(split) == count
    order = torch.arange(count)
    batches = list(split.batches(order, 2, draws=draws_of(phase, count, 8)))
    x, y = (torch.cat(column) for column in zip(*batches, strict=True))
    assert torch.equal(y, x + 1)
    starts = [min(phase + 8 * k, n - 9) for k in range(count)]  # the last ends with the text
    assert x[:, 0].tolist() == starts
    assert torch.equal(x, x[:, :1] + torch.arange(8))


def test_without_draws_the_windows_are_fixed():
    split = dd.Windows(torch.arange(30), 7, dd.RandomPhase(7))
    x, y = next(split.batches(torch.tensor([2, 0]), 2))
    assert x[:, 0].tolist() == [14, 0]
    assert torch.equal(split[2].x, x[0])
    assert torch.equal(split[-2].y, y[0])
    with pytest.raises(IndexError, match="4 examples"):
        split[4]
    assert x.is_contiguous()


def test_all_windows_of_an_epoch_have_one_phase():
    generator = torch.Generator().manual_seed(0)
    phase = dd.RandomPhase(64)
    seen = set()
    for _ in range(2000):
        draws = phase.draw(3, generator)
        assert draws.shape == (3, 1)
        moved = phase.apply(torch.tensor([0, 64, 640]), draws)
        assert (moved - torch.tensor([0, 64, 640])).unique().numel() == 1
        seen.add(int(moved[0]))
    assert seen == set(range(64))
    # Draws at and beyond the edges stay inside.
    edges = phase.apply(torch.zeros(2, dtype=torch.int64), torch.tensor([[1.0], [-1.0]]))
    assert edges.tolist() == [63, 0]


def test_windows_move_to_a_device_and_into_a_loader():
    data = dd.synthetic_like("shakespeare", n=40, seq_length=16)
    assert data.to("meta").train.ids.device.type == "meta"
    assert data.to("meta").train.seq_length == 16
    epochs = [
        torch.cat([x for x, _ in dd.loader(data.train, 10, augment=data.augment, workers=workers)])
        for workers in (0, 2)
    ]
    assert torch.equal(*epochs)
    plain = torch.utils.data.DataLoader(data.train, batch_size=10)
    assert torch.equal(next(iter(plain))[0], next(data.train.batches(torch.arange(10), 10)).x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"draws": torch.zeros(3, 1)}, "3 rows for 4"),
        ({"order": torch.arange(4.0)}, "float32"),
    ],
)
def test_bad_arguments(arguments, message):
    split = dd.Windows(torch.arange(100), 5, dd.RandomPhase(5))
    with pytest.raises(ValueError, match=message):
        split.batches(**{"order": torch.arange(4), "batch_size": 2, **arguments})
    with pytest.raises(ValueError, match="no augmentation"):
        replace(split, augment=None).batches(torch.arange(4), 2, draws=torch.zeros(4, 1))
    with pytest.raises(ValueError, match="at least 1"):
        dd.Windows(torch.arange(9), 0)


@pytest.fixture
def play(tmp_path, change_source):
    """A text in the place of Tiny Shakespeare, and its content."""
    rng = np.random.RandomState(0)
    content = "".join(rng.choice(list("To be, or not\n:'Zz"), 3000))
    (tmp_path / "shakespeare").mkdir()
    (tmp_path / "shakespeare" / "input.txt").write_text(content)
    file = dd.info("shakespeare").source.files[0]
    known = replace(file, checksum=hashlib.sha256(content.encode()).hexdigest(), size=3000)
    change_source("shakespeare", {"num_classes": len(set(content))}, files=(known,))
    return content


def test_shakespeare_is_numbered_and_cut_as_by_nanogpt(play, tmp_path):
    characters = sorted(set(play))
    number = {character: k for k, character in enumerate(characters)}
    cut = int(len(play) * 0.9)
    data = dd.shakespeare(tmp_path, seq_length=20, offline=True)
    assert data.classes == tuple(characters)
    assert data.train.ids.tolist() == [number[c] for c in play[:cut]]
    test = [number[c] for c in play[cut:]]
    assert data.test.x.flatten().tolist() == test[:280]
    assert data.test.y.flatten().tolist() == test[1:281]
    assert (data.order, len(data.train), len(data.train_eval)) == ("shuffled", 134, 14)
    assert torch.equal(data.train_eval.x[3], data.train[3].x)


def test_held_out_windows_are_never_trained_on(play, tmp_path):
    whole = dd.shakespeare(tmp_path, seq_length=20, offline=True)
    data = dd.shakespeare(tmp_path, seq_length=20, valid_size=30, offline=True)
    assert torch.equal(data.train.ids, whole.train.ids[600:])
    assert torch.equal(data.valid.x.flatten(), whole.train.ids[:600])
    assert len(data.train) == 104
    assert torch.equal(data.train_eval.x.flatten(), data.train.ids[:280])


@pytest.mark.parametrize("recipe", ["standard", "2019"])
def test_recipes_of_shakespeare_are_equal(play, tmp_path, recipe):
    by_name = dd.load_dataset("shakespeare", tmp_path, recipe=recipe, seq_length=20, offline=True)
    assert len(by_name.train_eval) == 14


def test_tolstoi_shuffled_has_the_windows_of_tolstoi():
    stateful = dd.synthetic_like("tolstoi", n=30)
    shuffled = dd.synthetic_like("tolstoi", n=30, order="shuffled")
    assert torch.equal(shuffled.train.ids[:1500].view(-1, 50), stateful.train.x)
    assert torch.equal(shuffled.test.x, stateful.test.x)
    assert (stateful.augment, stateful.order) == (None, "stateful")


@pytest.mark.parametrize("seq_length", [25, 64, 256])
def test_sizes_for_other_windows(seq_length):
    sizes = dd.info("shakespeare").sizes((seq_length,))
    assert abs(sizes["train"] - 1_003_853 // seq_length) <= 256 // seq_length
    assert abs(sizes["test"] - 111_539 // seq_length) <= 256 // seq_length
    assert dd.info("mnist").sizes((5, 5))["train"] == 60_000
