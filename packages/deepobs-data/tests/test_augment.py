"""The random operations against loops over single images."""

import pytest
import torch

import deepobs_data as dd


def images(n=16, height=32, width=32):
    generator = torch.Generator().manual_seed(0)
    shape = (n, 3, height, width)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def test_crop_cuts_the_named_windows():
    x = images(height=20, width=24)
    top, left = torch.arange(16) % 5, torch.arange(16) % 7
    got = dd.crop(x, top, left, (16, 18))
    for k in range(16):
        a, b = int(top[k]), int(left[k])
        assert torch.equal(got[k], x[k, :, a : a + 16, b : b + 18])


def test_crop_of_a_part_of_a_larger_tensor():
    x = images()[4:12]  # does not start at the beginning of its storage
    offset = torch.arange(8) % 3
    got = dd.crop(x, offset, offset, 30)
    for k, a in enumerate(offset.tolist()):
        assert torch.equal(got[k], x[k, :, a : a + 30, a : a + 30])
    assert dd.crop(x[:0], offset[:0], offset[:0], 30).shape == (0, 3, 30, 30)
    with pytest.raises(ValueError, match="33x33 out of images of 32x32"):
        dd.crop(x, offset, offset, 33)


def test_random_crop_reaches_every_place_and_no_other():
    operation = dd.RandomCrop(32, padding=2)
    ends = torch.tensor([[0.0, 0.0], [1 - 2**-24, 1 - 2**-24], [0.4, 0.6]])
    x = images(3)
    got = operation.apply(x, ends)
    padded = dd.pad_zeros(x, 2)
    assert torch.equal(got[0], padded[0, :, :32, :32])
    assert torch.equal(got[1], padded[1, :, 4:, 4:])
    assert torch.equal(got[2], padded[2, :, 2:34, 3:35])


@pytest.mark.parametrize("augment", [dd.CIFAR_AUGMENT, dd.SVHN_AUGMENT])
def test_a_batch_equals_its_images_one_by_one(augment):
    x = images()
    draws = augment.draw(16, generator())
    before = x.clone()
    together = augment.apply(x, draws)
    alone = torch.cat([augment.apply(x[k : k + 1], draws[k : k + 1]) for k in range(16)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-3)
    assert torch.equal(x, before)
    assert together.shape == (16, 3, 32, 32)


def test_float_images_are_not_overwritten():
    x = images().double()
    before = x.clone()
    draws = dd.CIFAR_AUGMENT.draw(16, generator())
    assert dd.CIFAR_AUGMENT.apply(x, draws).dtype == torch.float64
    dd.standardize(x), dd.adjust_saturation(x, 0.5), dd.adjust_contrast(x, 2.0)
    dd.adjust_brightness(x, 3.0), dd.normalize_channels(x, (0.5,) * 3, (0.5,) * 3)
    dd.scale_to_unit(x)
    assert torch.equal(x, before)


def test_saturation_equals_a_round_trip_through_hsv():
    import colorsys

    x = images(2, 4, 4)
    x[0, :, 0, 0] = 0  # black
    x[0, :, 0, 1] = 77  # grey
    factors = torch.tensor([0.6, 1.4])
    got = dd.adjust_saturation(x, factors)
    for k in range(2):
        for i in range(4):
            for j in range(4):
                h, s, v = colorsys.rgb_to_hsv(*x[k, :, i, j].double().tolist())
                want = colorsys.hsv_to_rgb(h, min(s * factors[k].item(), 1.0), v)
                assert got[k, :, i, j].tolist() == pytest.approx(want, abs=1e-3)


def test_saturation_needs_colour():
    with pytest.raises(ValueError, match="3 channels"):
        dd.adjust_saturation(torch.zeros(2, 1, 4, 4), 1.0)


def test_standardised_images_have_mean_0_and_deviation_1():
    flat = dd.standardize(images()).flatten(1)
    torch.testing.assert_close(flat.mean(1), torch.zeros(16), atol=1e-5, rtol=0)
    torch.testing.assert_close(flat.std(1, correction=0), torch.ones(16))


def test_channel_normalisation():
    mean, std = dd.CHANNEL_STATISTICS["cifar10"]
    x = images()
    expected = (x.double() / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(
        3, 1, 1
    )
    got = dd.normalize_channels(x, mean, std)
    torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="2 means"):
        dd.normalize_channels(x, (0.5, 0.5), (1.0, 1.0))


def test_brightness_has_no_effect_after_standardisation():
    x = images().double()
    brighter = dd.RandomBrightness().apply(x, torch.rand(16, 1, generator=generator()))
    assert not torch.equal(brighter, x)
    torch.testing.assert_close(dd.standardize(brighter), dd.standardize(x))


def test_flip_probability_and_involution():
    x = images()
    assert torch.equal(dd.RandomFlip(p=0.0).apply(x, torch.zeros(16, 1)), x)
    assert torch.equal(dd.RandomFlip(p=1.0).apply(x, torch.full((16, 1), 0.99)), x.flip(-1))


def test_draws_are_reproducible_and_checked():
    augment = dd.CIFAR_AUGMENT
    draws = augment.draw(5, generator(3))
    assert torch.equal(draws, augment.draw(5, generator(3)))
    assert draws.shape == (5, augment.width) == (5, 6)
    assert isinstance(augment, dd.Augment)
    with pytest.raises(ValueError, match=r"expected \(4, 6\)"):
        augment.apply(images(4), draws)
