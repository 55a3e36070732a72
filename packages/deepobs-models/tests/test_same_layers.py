"""'SAME' layers against loops over every output and tap, and against timm's."""

import itertools
import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import deepobs_models as dm

PADS = {1: dm.SamePad1d, 2: dm.SamePad2d, 3: dm.SamePad3d}
CONVS = {1: dm.Conv1dSame, 2: dm.Conv2dSame, 3: dm.Conv3dSame}
DECONVS = {1: dm.ConvTranspose1dSame, 2: dm.ConvTranspose2dSame, 3: dm.ConvTranspose3dSame}
CROPS = {1: dm.SameCrop1d, 2: dm.SameCrop2d, 3: dm.SameCrop3d}
STOCK_DECONVS = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
MAX_POOLS = {1: dm.MaxPool1dSame, 2: dm.MaxPool2dSame, 3: dm.MaxPool3dSame}
AVG_POOLS = {1: dm.AvgPool1dSame, 2: dm.AvgPool2dSame, 3: dm.AvgPool3dSame}


def outputs(size, stride):
    return [math.ceil(n / s) for n, s in zip(size, stride, strict=True)]


def places(position, size, kernel, stride, dilation):
    """Yield (tap, place) of the window of an output: TensorFlow's definition, axis by axis.

    ceil(n/s) outputs; the total padding is shared, and the odd one comes last.
    """
    starts = []
    for p, n, k, s, d in zip(position, size, kernel, stride, dilation, strict=True):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        starts.append(p * s - total // 2)
    for tap in itertools.product(*map(range, kernel)):
        place = tuple(start + t * d for start, t, d in zip(starts, tap, dilation, strict=True))
        if all(0 <= q < n for q, n in zip(place, size, strict=True)):
            yield tap, place


def convolve(x, weight, bias, stride, dilation, groups):
    """x (C, *size), weight (O, C/groups, *kernel) -> (O, *outputs)."""
    size, kernel = x.shape[1:], weight.shape[2:]
    result = np.empty((len(weight), *outputs(size, stride)))
    inputs, per_group = weight.shape[1], len(weight) // groups
    for channel in range(len(weight)):
        first = channel // per_group * inputs
        for position in np.ndindex(*result.shape[1:]):
            result[(channel, *position)] = bias[channel] + sum(
                x[(slice(first, first + inputs), *place)] @ weight[(channel, slice(None), *tap)]
                for tap, place in places(position, size, kernel, stride, dilation)
            )
    return result


def deconvolve(x, weight, bias, stride, dilation, groups):
    """x (C, *size), weight (C, O/groups, *kernel) -> (O, *size·stride): the transpose."""
    size = [n * s for n, s in zip(x.shape[1:], stride, strict=True)]
    per_group, inputs = weight.shape[1], len(x) // groups
    result = np.zeros((per_group * groups, *size))
    for channel in range(len(x)):
        first = channel // inputs * per_group
        for position in np.ndindex(*x.shape[1:]):
            for tap, place in places(position, size, weight.shape[2:], stride, dilation):
                result[(slice(first, first + per_group), *place)] += (
                    x[(channel, *position)] * weight[(channel, slice(None), *tap)]
                )
    return result + bias.reshape(-1, *[1] * len(size))


def pool(x, kernel, stride, dilation, reduce):
    """x (C, *size) -> (C, *outputs), over what of each window is inside."""
    size = x.shape[1:]
    result = np.empty((len(x), *outputs(size, stride)))
    for position in np.ndindex(*result.shape[1:]):
        inside = [x[(slice(None), *place)] for _, place in places(
            position, size, kernel, stride, dilation
        )]  # fmt: skip
        result[(slice(None), *position)] = reduce(inside, axis=0)
    return result


def cases(number: int, seed: int, *, dilated: bool = True):
    """Yield random (axes, size, kernel, stride, dilation)."""
    draw = random.Random(seed)
    for _ in range(number):
        axes = draw.choice([1, 2, 2, 3])
        longest = {1: 14, 2: 8, 3: 4}[axes]

        def one(most, axes=axes):
            return tuple(draw.randint(1, most) for _ in range(axes))

        yield axes, one(longest), one(4), one(4), one(3) if dilated else (1,) * axes


def image(seed, channels, size):
    return np.random.RandomState(seed).normal(size=(channels, *size))


def run(layer, x):
    with torch.no_grad():
        return layer.double()(torch.from_numpy(x).unsqueeze(0))[0].numpy()


def equal(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", list(cases(60, seed=0)))
def test_convolution(case):
    axes, size, kernel, stride, dilation = case
    x, groups = image(1, 4, size), 2
    layer = CONVS[axes](4, 6, kernel, stride, dilation=dilation, groups=groups).double()
    nn.init.normal_(layer.conv.bias)
    weight, bias = (p.detach().numpy() for p in layer.parameters())
    equal(run(layer, x), convolve(x, weight, bias, stride, dilation, groups))


@pytest.mark.parametrize("case", list(cases(60, seed=1)))
def test_transposed_convolution(case):
    axes, size, kernel, stride, dilation = case
    size = size[:1] if axes == 1 else tuple(min(n, 4) for n in size)
    x, groups = image(1, 4, size), 2
    options = {"dilation": dilation, "groups": groups}
    layer = DECONVS[axes](4, 6, kernel, stride, **options).double()
    nn.init.normal_(layer.conv.bias)
    weight, bias = (p.detach().numpy() for p in layer.parameters())
    expected = deconvolve(x, weight, bias, stride, dilation, groups)
    equal(run(layer, x), expected)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    crop = CROPS[axes]
    if any(s > r for s, r in zip(stride, reach, strict=True)):
        with pytest.raises(ValueError, match=r"stride must be at most .*gaps to fill"):
            crop(kernel, stride, dilation=dilation)
        return
    stock = STOCK_DECONVS[axes](4, 6, kernel, stride, **options).double()
    stock.load_state_dict(layer.conv.state_dict())
    equal(run(nn.Sequential(stock, crop(kernel, stride, dilation=dilation)), x), expected)


@pytest.mark.parametrize("case", list(cases(60, seed=2)))
def test_max_pooling(case):
    axes, size, kernel, stride, dilation = case
    if not all(
        any(True for _ in places(position, size, kernel, stride, dilation))
        for position in np.ndindex(*outputs(size, stride))
    ):
        pytest.skip("a dilated window without a pixel has no maximum")
    x = -1 - np.abs(image(1, 3, size))  # all negative: a padded zero would win
    layer = MAX_POOLS[axes](kernel, stride, dilation=dilation)
    equal(run(layer, x), pool(x, kernel, stride, dilation, np.max))


@pytest.mark.parametrize("case", list(cases(60, seed=3, dilated=False)))
def test_average_pooling(case):
    axes, size, kernel, stride, dilation = case
    x = image(1, 3, size)
    equal(run(AVG_POOLS[axes](kernel, stride), x), pool(x, kernel, stride, dilation, np.mean))


@pytest.mark.parametrize("case", [c for c in cases(90, seed=4, dilated=False) if c[0] == 2])
def test_stock_pooling_of_one_size(case):
    _, size, kernel, stride, dilation = case
    x = -1 - np.abs(image(1, 3, size))
    for build, reduce in ((dm.same_max_pool2d, np.max), (dm.same_avg_pool2d, np.mean)):
        if any(k % 2 == 0 and s == 1 for k, s in zip(kernel, stride, strict=True)):
            with pytest.raises(ValueError, match="stride 1 and an even kernel"):
                build(kernel, stride, input_size=size)
        else:
            layer = build(kernel, stride, input_size=size)
            equal(run(layer, x), pool(x, kernel, stride, dilation, reduce))


@pytest.mark.parametrize("case", list(cases(40, seed=5)))
def test_padding(case):
    axes, size, kernel, stride, dilation = case
    x = image(1, 2, size)
    paddings = list(map(dm.same_padding, size, kernel, stride, dilation))
    padded = run(PADS[axes](kernel, stride, dilation=dilation, value=7.0), x)
    equal(padded, np.pad(x, [(0, 0), *paddings], constant_values=7.0))
    if axes == 2:
        stock = dm.same_zero_pad2d(kernel, stride, input_size=size, dilation=dilation)
        equal(run(stock, x), np.pad(x, [(0, 0), *paddings]))


@pytest.mark.parametrize(
    ("size", "kernel_size", "stride", "expected"),
    [
        (32, 3, 1, (1, 1)),
        (28, 5, 1, (2, 2)),
        (32, 3, 2, (0, 1)),
        (28, 4, 2, (1, 1)),
        (7, 4, 1, (1, 2)),
        (32, 1, 2, (0, 0)),
        (28, 2, 2, (0, 0)),
        (27, 2, 2, (0, 1)),
    ],
)
def test_same_padding_of_the_cases_in_the_original(size, kernel_size, stride, expected):
    assert dm.same_padding(size, kernel_size, stride) == expected


@pytest.mark.parametrize("size", [7, 8, 31, 32])
def test_symmetric_padding_is_not_same_for_kernel_3_stride_2_and_even_sizes(size):
    """It looks one pixel further to the top and left, so every output differs."""
    x, weight = torch.rand(1, 1, size, size).double(), torch.rand(1, 1, 3, 3).double()
    same = F.conv2d(dm.SamePad2d(3, 2)(x), weight, stride=2)
    symmetric = F.conv2d(x, weight, stride=2, padding=1)
    if size % 2:
        torch.testing.assert_close(symmetric, same)
        return
    assert (symmetric != same).all()
    torch.testing.assert_close(symmetric, F.conv2d(F.pad(x, (1, 0, 1, 0)), weight, stride=2))
    torch.testing.assert_close(same, F.conv2d(F.pad(x, (0, 1, 0, 1)), weight, stride=2))


@pytest.mark.parametrize("build", [dm.same_max_pool2d, dm.same_avg_pool2d])
def test_error_of_stock_pooling_names_the_layer_for_any_size(build):
    with pytest.raises(ValueError, match=r"Use (Max|Avg)Pool2dSame\(4, 1\)\.") as error:
        build(4, 1, input_size=7)
    advice = str(error.value).partition("Use ")[2].rstrip(".")
    assert eval(advice, vars(dm))(torch.zeros(1, 1, 7, 9)).shape == (1, 1, 7, 9)


def test_symmetric_convolutions_are_stock_layers_alone():
    assert [type(layer) for layer in dm.Conv2dSame(1, 1, (3, 5))] == [nn.Conv2d]
    assert len(dm.Conv2dSame(1, 1, 3, dilation=2)) == 1
    assert len(dm.Conv2dSame(1, 1, 2)) == len(dm.Conv2dSame(1, 1, 3, 2)) == 2
    assert list(dm.Conv2dSame(1, 1, 2, bias=False).state_dict()) == ["conv.weight"]
    assert len(dm.ConvTranspose2dSame(1, 1, 4, 2)) == 1


def test_one_number_per_axis_or_one_for_all():
    assert str(dm.SamePad2d((3, 5), 2)) == "SamePad2d((3, 5), stride=2, dilation=1, value=0.0)"
    for build in (dm.SamePad2d, dm.SameCrop2d, dm.MaxPool2dSame, dm.AvgPool2dSame):
        with pytest.raises(ValueError, match=r"kernel_size must be one number or 2.*got 3: \(1"):
            build((1, 2, 3))
    with pytest.raises(ValueError, match="stride must be at least 1, got 0"):
        dm.Conv3dSame(1, 1, 3, (1, 0, 1))


# ------------------------------------------------------------------------------------------- timm


@pytest.mark.slow  # timm takes seconds to import
@pytest.mark.parametrize("size", [(7, 12), (8, 9)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (4, 1), (5, 3), (2, 2)])
def test_equal_to_timm(size, kernel, stride):
    """Its average pooling is left out: it counts the padding where that depends on the size."""
    layers = pytest.importorskip("timm.layers")
    x = torch.rand(2, 4, *size, dtype=torch.float64)
    ours = dm.Conv2dSame(4, 6, kernel, stride, dilation=2 if stride == 1 else 1, groups=2)
    theirs = layers.Conv2dSame(4, 6, kernel, stride, dilation=2 if stride == 1 else 1, groups=2)
    theirs.load_state_dict(ours.conv.state_dict())
    torch.testing.assert_close(ours.double()(x), theirs.double()(x))
    torch.testing.assert_close(
        dm.MaxPool2dSame(kernel, stride)(x),
        layers.create_pool2d("max", kernel, stride, padding="same")(x),
    )


@pytest.mark.parametrize(
    "build",
    [
        lambda **kwargs: dm.Conv2dSame(1, 1, 3, **kwargs),
        lambda **kwargs: dm.ConvTranspose2dSame(1, 1, 3, **kwargs),
        lambda **kwargs: dm.MaxPool2dSame(3, **kwargs),
        lambda **kwargs: dm.AvgPool2dSame(3, **kwargs),
    ],
)
def test_padding_is_always_same(build):
    assert repr(build(padding="same")) == repr(build(padding="SAME")) == repr(build())
    for padding in ("valid", 1):
        with pytest.raises(ValueError, match=f"is always 'same', got {padding!r}"):
            build(padding=padding)


def test_sizes_of_kernels_are_integers():
    with pytest.raises(TypeError, match=r"kernel_size must be an integer, got 2\.5\."):
        dm.Conv2dSame(1, 1, 2.5)
    with pytest.raises(TypeError, match="stride must be an integer, got 's'"):
        dm.MaxPool2dSame(3, "st")
