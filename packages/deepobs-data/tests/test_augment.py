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


@pytest.mark.parametrize(
    ("top", "left", "message"),
    [
        ([3, 0], [2, 0], "top holds 0 to 3; windows of 2x2 in images of 4x4 start at 0 to 2"),
        ([0, 0], [0, 3], "left holds 0 to 3"),
        ([-1, 0], [0, 0], "top holds -1 to 0"),
        ([0], [0, 0], r"top has shape \(1,\) for 2 images"),
    ],
)
def test_crop_refuses_places_outside(top, left, message):
    x = torch.arange(32.0).view(2, 1, 4, 4)
    with pytest.raises(ValueError, match=message):
        dd.crop(x, torch.tensor(top), torch.tensor(left), 2)
    assert dd.crop(x, torch.tensor([2, 0]), torch.tensor([2, 2]), 2)[0, 0, 0, 0] == 10


def test_random_crop_stays_inside_for_any_draws():
    x = images(2)
    got = dd.RandomCrop(30).apply(x, torch.tensor([[-0.5, -3.0], [1.0, 7.0]]))
    assert torch.equal(got[0], x[0, :, :30, :30])
    assert torch.equal(got[1], x[1, :, 2:, 2:])


class Middle:
    """Someone's operation that returns a view of its argument."""

    width = 1

    def draw(self, n, generator):
        return torch.rand(n, 1, generator=generator)

    def apply(self, x, draws, *, inplace=False):
        return x[:, :, 2:, :]


class Kept(Middle):
    """Someone's operation that returns a tensor it keeps."""

    def __init__(self):
        self.x = images(1).float()

    def apply(self, x, draws, *, inplace=False):
        return self.x


LATER = [dd.RandomBrightness(20.0), dd.RandomSaturation(), dd.RandomContrast()]


@pytest.mark.parametrize("later", LATER, ids=lambda operation: type(operation).__name__)
@pytest.mark.parametrize("first", [(), (dd.Compose((Middle(),)),), (dd.Compose(()),)])
def test_compose_never_overwrites_what_an_operation_did_not_make(first, later):
    x = images(1).float()
    before = x.clone()
    augment = dd.Compose((*first, Middle(), later))
    assert not torch.equal(augment.apply(x, augment.draw(1, generator())), before[:, :, 2:])
    assert torch.equal(x, before)

    kept = Kept()
    augment = dd.Compose((dd.RandomFlip(), kept, later))
    augment.apply(x, augment.draw(1, generator()))
    assert torch.equal(kept.x, before)


def test_compose_does_not_copy_between_its_own_operations():
    seen = []

    class Spy(Middle):
        def apply(self, x, draws, *, inplace=False):
            seen.append((x.data_ptr(), inplace))
            return x

    x = images(1).float()
    augment = dd.Compose((dd.RandomBrightness(), dd.RandomSaturation(), dd.RandomContrast(), Spy()))
    augment.apply(x, augment.draw(1, generator()))
    augment.apply(x, augment.draw(1, generator()), inplace=True)
    assert [inplace for _, inplace in seen] == [True, True]
    assert seen[0][0] != x.data_ptr()
    assert seen[1][0] == x.data_ptr()  # all three have overwritten the one tensor


def test_augmentation_compiles_into_one_graph():
    x, draws = images(4), dd.CIFAR_AUGMENT.draw(4, generator())
    compiled = torch.compile(dd.CIFAR_AUGMENT.apply, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(x, draws), dd.CIFAR_AUGMENT.apply(x, draws))


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


def test_negative_saturation():
    x = images(2)
    with pytest.raises(ValueError, match=r"factor is -0\.5; it must be at least 0"):
        dd.adjust_saturation(x, -0.5)
    # clip(S * factor, 0, 1) is 0
    grey = dd.adjust_saturation(x, torch.tensor([-0.5, -3.0]))
    torch.testing.assert_close(grey, dd.adjust_saturation(x, 0.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dd.RandomFlip(2.0), "p = 2.0; p must be"),
        (lambda: dd.RandomFlip(-0.1), "p = -0.1"),
        (lambda: dd.RandomFlip(float("nan")), "p = nan"),
        (lambda: dd.RandomSaturation(-0.5, 0.5), "RandomSaturation got factors from -0.5 to 0.5"),
        (lambda: dd.RandomContrast(1.0, 0.5), "RandomContrast got factors from 1.0 to 0.5"),
        (lambda: dd.RandomBrightness(-1.0), "got -1.0; it must be at least 0"),
        (lambda: dd.RandomCrop(0), "size 0 and padding 0"),
        (lambda: dd.RandomCrop(4, -1), "size 4 and padding -1"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_standardisation_of_nearly_constant_images_has_a_floor():
    # The deviation 0.001 is below 1 / sqrt(3 * 32 * 32), which divides instead.
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat(3 * 32 * 16).view(1, 3, 32, 32)
    got = dd.standardize(5.0 + 0.001 * signs)
    torch.testing.assert_close(got, signs * 0.001 * 3072**0.5, rtol=1e-9, atol=0)


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


N = 20_000


def spread(values, lower, upper):
    """Check that values (N,) are uniform between the bounds: all deciles, 7 deviations apart."""
    assert lower <= values.min() <= values.max() <= upper
    shares = ((values - lower) / (upper - lower)).sort().values
    deciles = torch.arange(1, 10) / 10
    places = (deciles * len(values)).long()
    torch.testing.assert_close(shares[places], deciles.to(shares.dtype), rtol=0, atol=0.025)


def drawn(operation, probe):
    """N copies of a probe image (C, H, W), each changed by draws of its own."""
    x = probe.double().expand(N, *probe.shape)
    return operation.apply(x, operation.draw(N, generator()))


def test_half_of_the_images_are_flipped():
    flipped = drawn(dd.RandomFlip(), torch.tensor([[[0.0, 1.0]]]))[:, 0, 0, 0]
    assert flipped.mean().item() == pytest.approx(0.5, abs=0.025)


def test_saturation_factors():
    # V = 100 and S = 0.1, so that no factor up to 10 is clipped: 100 - 10 f remains.
    got = drawn(dd.RandomSaturation(), torch.tensor([100.0, 90.0, 90.0]).view(3, 1, 1))
    spread((100 - got[:, 1, 0, 0]) / 10, 0.5, 1.5)


def test_contrast_factors():
    got = drawn(dd.RandomContrast(), torch.tensor([[[9.0, 11.0]]]))  # 10 - f and 10 + f
    spread(got[:, 0, 0, 1] - 10, 0.2, 1.8)


def test_brightness_changes():
    spread(
        drawn(dd.RandomBrightness(), torch.full((1, 1, 1), 9.0)).view(-1) - 9, -63 / 255, 63 / 255
    )


def test_places_of_crops():
    # Each pixel of the 8 x 8 probe holds its row and its column, counted in the padded frame.
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    probe = torch.stack([rows + 2, columns + 2])
    corners = drawn(dd.RandomCrop(8, padding=2), probe)[:, :, 4, 4].long() - 4
    counts = torch.bincount(corners[:, 0] * 5 + corners[:, 1], minlength=25)
    assert len(counts) == 25
    torch.testing.assert_close(counts / N, torch.full((25,), 0.04), rtol=0, atol=0.01)


def test_augmentations_are_those_of_the_original():
    colours = (
        dd.RandomBrightness(max_delta=63 / 255),
        dd.RandomSaturation(lower=0.5, upper=1.5),
        dd.RandomContrast(lower=0.2, upper=1.8),
    )
    crop, flip = dd.RandomCrop(32, padding=2), dd.RandomFlip(p=0.5)
    assert dd.Compose((crop, flip, *colours)) == dd.CIFAR_AUGMENT
    assert dd.Compose((crop, *colours)) == dd.SVHN_AUGMENT
    assert dd.Compose((dd.RandomCrop(224, padding=0), flip)) == dd.IMAGENET_AUGMENT


def test_digits_are_never_flipped():
    x = torch.arange(32.0).expand(500, 3, 32, 32)  # grows to the right
    got = dd.SVHN_AUGMENT.apply(x, dd.SVHN_AUGMENT.draw(500, generator()))
    assert (got[..., 4:28, 20] > got[..., 4:28, 10]).all()  # but for the zeros of the frame


def test_draws_are_reproducible_and_checked():
    augment = dd.CIFAR_AUGMENT
    draws = augment.draw(5, generator(3))
    assert torch.equal(draws, augment.draw(5, generator(3)))
    assert draws.shape == (5, augment.width) == (5, 6)
    assert isinstance(augment, dd.Augment)
    with pytest.raises(ValueError, match=r"expected \(4, 6\)"):
        augment.apply(images(4), draws)
