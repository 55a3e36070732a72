"""Stand-ins have the shapes, types and splits that `info` states, and nothing of the real data."""

import pytest
import torch

import deepobs_data as dd

NAMES = [entry.name for entry in dd.list_datasets()]


def first(split, n=2):
    return next(split.batches(torch.arange(n), n))


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_types(name):
    facts = dd.info(name)
    data = dd.synthetic_like(name, n=40, valid_size=8)
    assert not data.comparable
    assert data.name == name
    assert list(data.splits()) == ["train", "train_eval", "valid", "test"]
    for split in data.splits().values():
        x, y = first(split)
        assert x.shape[1:] == facts.x_shape
        if name == "bigram_pairs" and split is not data.train:
            facts = dd.info("bigram")  # evaluation is exact
        assert y.shape[1:] == facts.y_shape
        assert str(x.dtype) == f"torch.{facts.x_dtype}"
        assert str(y.dtype) == f"torch.{facts.y_dtype}"
        assert x.isfinite().all()
        assert isinstance(split, dd.Split)
    facts = dd.info(name)
    assert (data.augment is not None) == (facts.augmented or name == "shakespeare")
    assert len(data.valid) == 8
    if facts.num_classes:
        y = first(data.train, len(data.train)).y
        assert 0 <= y.min() <= y.max() < facts.num_classes


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_data(name):
    def sample(seed):
        return first(dd.synthetic_like(name, n=10, seed=seed).train).x

    assert torch.equal(sample(0), sample(0))
    assert not torch.equal(sample(0), sample(1))


@pytest.mark.parametrize("name", [e.name for e in dd.list_datasets() if e.augmented])
def test_augmentation_and_its_absence(name):
    data = dd.synthetic_like(name, n=10)
    order = torch.arange(4)
    draws = data.augment.draw(4, torch.Generator().manual_seed(0))
    plain = next(data.train.batches(order, 4)).x
    changed = next(data.train.batches(order, 4, draws=draws)).x
    assert plain.shape == changed.shape
    assert not torch.allclose(plain, changed)
    off = dd.synthetic_like(name, n=10, augment=False)
    assert off.augment is None
    with pytest.raises(ValueError, match="no augmentation"):
        next(off.train.batches(order, 4, draws=draws))


AUGMENT = {
    "cifar10": dd.CIFAR_AUGMENT,
    "cifar100": dd.CIFAR_AUGMENT,
    "svhn": dd.SVHN_AUGMENT,
    "imagenet": dd.IMAGENET_AUGMENT,
}


@pytest.mark.parametrize("name", AUGMENT)
def test_train_eval_takes_draws_in_recipe_2019_only(name):
    data = dd.synthetic_like(name, n=10, recipe="2019")
    assert data.augment == AUGMENT[name]
    order = torch.arange(4)
    draws = data.augment.draw(4, torch.Generator().manual_seed(0))
    got = next(data.train_eval.batches(order, 4, draws=draws)).x
    # The same rows through train give the same images.
    rows = data.train_eval.rows[order]
    torch.testing.assert_close(got, next(data.train.batches(rows, 4, draws=draws)).x)
    assert not torch.allclose(got, first(data.train_eval, 4).x)
    for split in (data.test, dd.synthetic_like(name, n=10).train_eval):
        with pytest.raises(ValueError, match="no augmentation"):
            split.batches(order, 4, draws=draws)
    off = dd.synthetic_like(name, n=10, recipe="2019", augment=False)
    assert off.train_eval.augment is None


@pytest.mark.parametrize("recipe", ["standard", "2019"])
@pytest.mark.parametrize("name", NAMES)
def test_sizes(name, recipe):
    data = dd.synthetic_like(name, n=100, recipe=recipe)
    facts = dd.info(name)
    whole = facts.train_eval_size == facts.train_size or (name == "tolstoi" and recipe == "2019")
    sizes = len(data.train), len(data.train_eval), len(data.test)
    assert sizes == (100, 100 if whole else 50, 50)


@pytest.mark.parametrize("name", ["cifar10", "imagenet"])
def test_channel_normalisation(name):
    per_image = first(dd.synthetic_like(name, n=4).train).x
    per_channel = first(dd.synthetic_like(name, n=4, normalization="channel").train).x
    assert not torch.allclose(per_image, per_channel)
    with pytest.raises(ValueError, match="'image' and 'channel'"):
        dd.synthetic_like(name, normalization="batch")


def test_images_of_a_class_are_alike():
    data = dd.synthetic_like("cifar10", n=512, augment=False)
    x, y = first(data.train, 512)
    means = torch.stack([x[y == k].mean(0) for k in range(10)])
    nearest = torch.cdist(x.flatten(1), means.flatten(1)).argmin(1)
    assert (nearest == y).float().mean() > 0.9


def test_imagenet_labels_leave_out_the_background():
    data = dd.synthetic_like("imagenet", n=8)
    assert data.train.y.min() >= 1
    assert dd.info("imagenet").classes[1] == "tench"


def test_recipe_2019_puts_the_label_into_the_first_pixel():
    shifted = dd.synthetic_like("cifar100", n=20, recipe="2019")
    right = dd.synthetic_like("cifar100", n=20)
    assert torch.equal(shifted.train.x[:, 0, 0, 0].long(), right.train.y)
    assert torch.equal(shifted.train.x.flatten(1)[:, 1:], right.train.x.flatten(1)[:, :-1])
    assert torch.equal(shifted.train.y, right.train.y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "cifar11"}, "Did you mean 'cifar10"),
        ({"name": "mnist", "n": 1}, "at least 2"),
        ({"name": "mnist", "valid_size": -1}, "allowed are 0"),
        ({"name": "mnist", "valid_size": 300}, "to 256"),
        ({"name": "mnist", "valid_size": 0.1}, "whole number of examples, 0 to 256"),
        ({"name": "quadratic", "valid_size": 0.1}, "whole number"),
        ({"name": "tolstoi", "valid_size": 0.1}, "whole number"),
        ({"name": "mnist", "recipe": "old"}, "'standard' and '2019'"),
        ({"name": "mnist", "seq_length": 5}, "mnist has examples of images"),
        ({"name": "tolstoi", "order": "sorted"}, "'stateful' and 'shuffled'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        dd.synthetic_like(**arguments)
