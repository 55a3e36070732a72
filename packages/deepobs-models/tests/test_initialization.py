"""Fresh weights have the original's distributions, and do not depend on the device."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import deepobs_models as dm

REFERENCE_DIR = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")

SLOW = [pytest.mark.slow]
NETWORKS = [
    pytest.param(problem, name, {"num_classes": classes}, id=problem, marks=marks)
    for problem, name, classes, marks in [
        ("mnist_logreg", "logreg", 10, []),
        ("mnist_mlp", "mlp", 10, []),
        ("mnist_2c2d", "2c2d", 10, []),
        ("cifar10_3c3d", "3c3d", 10, []),
        ("cifar100_3c3d", "3c3d", 100, []),
        ("cifar100_allcnnc", "allcnnc", 100, []),
        ("svhn_wrn164", "wrn164", 10, []),
        ("cifar100_wrn404", "wrn404", 100, []),
        ("cifar10_vgg16", "vgg16", 10, SLOW),
        ("cifar100_vgg19", "vgg19", 100, SLOW),
        ("imagenet_inception_v3", "inception_v3", 1001, SLOW),
    ]
] + [
    pytest.param("mnist_vae", "vae", {}, id="mnist_vae"),
    pytest.param("tolstoi_char_rnn", "char_lstm", {}, id="tolstoi_char_rnn"),
]


def fresh_values(model: nn.Module) -> list[np.ndarray]:
    """Return the values of each variable of the original, in its order, as float64 vectors."""
    result = []
    for layer in model.modules():
        match layer:
            case nn.LSTM():
                size = layer.hidden_size
                bias = layer.bias_ih_l0.clone()
                bias[size : 2 * size] -= 1.0  # the forget bias, no part of the original's variable
                assert not layer.bias_hh_l0.any()
                result += [torch.cat([layer.weight_ih_l0, layer.weight_hh_l0], dim=1), bias]
            case nn.BatchNorm2d():
                result += [layer.weight, layer.bias, layer.running_mean, layer.running_var]
            case _:
                result += layer.parameters(recurse=False)
    return [value.detach().flatten().double().numpy() for value in result]


def distribution(variable: dict):
    """Return (cumulative distribution function, lowest, highest value) of an initialiser.

    The numbers handed to the original's sampler are in the file as float32 values; None stands for
    a constant.
    """
    constants = {key.rpartition("/")[2]: v for key, v in variable["initializer_constants"].items()}
    if "stddev" in constants:
        std = constants["stddev"]
        tail = 0.5 * (1 + math.erf(-2 / math.sqrt(2)))

        def cdf(x):
            below = 0.5 * (1 + torch.erf(torch.from_numpy(x) / (std * math.sqrt(2))).numpy())
            return (below - tail) / (1 - 2 * tail)

        return cdf, -2 * std, 2 * std
    if "max" in constants:
        low, high = constants["min"], constants["max"]
        return (lambda x: (x - low) / (high - low)), low, high
    return None


def kolmogorov_smirnov(values: np.ndarray, cdf) -> float:
    """Return the largest distance between the empirical and the theoretical distribution."""
    theory = cdf(np.sort(values))
    steps = np.arange(len(values) + 1) / len(values)
    return max(np.abs(theory - steps[1:]).max(), np.abs(theory - steps[:-1]).max())


@pytest.mark.parametrize(("problem", "name", "kwargs"), NETWORKS)
def test_initial_weights_follow_the_reference_distribution(problem, name, kwargs):
    variables = json.loads((REFERENCE_DIR / f"{problem}.json").read_text())["variables"]
    torch.manual_seed(0)
    draws = [fresh_values(dm.create_model(name, **kwargs))]
    if sum(map(len, draws[0])) < 3_000_000:  # more draws of the networks that are quick to build
        draws += [fresh_values(dm.create_model(name, **kwargs)) for _ in range(4)]

    for index, variable in enumerate(variables):
        once = draws[0][index]
        values = np.concatenate([draw[index] for draw in draws])
        n = len(once)
        assert n == math.prod(variable["shape"])
        original = variable["deepobs_init"]
        theory = distribution(variable)
        if theory is None:
            assert original["min"] == original["max"]
            assert (values == original["mean"]).all(), variable["name"]
            continue
        cdf, low, high = theory
        # The bounds are exact up to the rounding of float32, in which the weights are.
        assert low * (1 + 2e-7) <= values.min(), variable["name"]
        assert values.max() <= high * (1 + 2e-7), variable["name"]
        # One false alarm in a million tests; the seed is fixed.
        sample = values[:: max(1, len(values) // 200_000)]
        critical = math.sqrt(-math.log(1e-6 / 2) / (2 * len(sample)))
        assert kolmogorov_smirnov(sample, cdf) < critical, variable["name"]
        # One draw of ours against one of the original: six standard errors of their difference;
        # the extremes lie within 100 mean gaps of the bounds.
        error = 6 * math.sqrt(2 / n) * original["std"]
        assert once.mean() == pytest.approx(original["mean"], abs=error)
        assert once.std() == pytest.approx(original["std"], abs=error)
        assert once.min() == pytest.approx(original["min"], abs=100 * (high - low) / n)
        assert once.max() == pytest.approx(original["max"], abs=100 * (high - low) / n)


@pytest.mark.parametrize("std", [1e-3, 0.05, 1.0, 30.0])
def test_truncated_normal_is_truncated_at_two_std(std):
    values = dm.truncated_normal_(
        torch.empty(200_000), std, mean=std, generator=torch.Generator().manual_seed(0)
    )
    low, high = torch.tensor([-std, 3 * std]).tolist()
    assert values.min().item() >= low
    assert values.max().item() <= high
    assert values.min().item() == pytest.approx(low, abs=1e-2 * std)
    assert values.std().item() == pytest.approx(0.87962566 * std, rel=1e-2)


@pytest.mark.parametrize("mean", [0.0, -1.5])
def test_truncated_normal_without_spread_is_its_mean(mean):
    values = dm.truncated_normal_(torch.full((4, 3), 7.0), 0.0, mean=mean)
    assert torch.equal(values, torch.full((4, 3), mean))


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "initializer",
    [
        dm.truncated_normal_,
        lambda tensor: dm.truncated_normal_(tensor, 0.0),
        dm.glorot_normal_,
        dm.glorot_uniform_,
    ],
)
def test_initializers_refuse_integer_tensors(initializer, device):
    tensor = torch.ones(4, 3, dtype=torch.int64, device=device)
    with pytest.raises(ValueError, match=r"floating-point type, got torch.int64"):
        initializer(tensor)
    assert device == "meta" or tensor.eq(1).all()


def test_glorot_normal_has_the_stated_std_and_bound():
    values = dm.glorot_normal_(
        torch.empty(64, 32, 5, 5), generator=torch.Generator().manual_seed(0)
    )
    std = math.sqrt(2 / (25 * (64 + 32)))
    assert values.std().item() == pytest.approx(std, rel=1e-2)
    assert values.abs().max().item() <= 2 / 0.87962566 * std * (1 + 1e-6)
    assert values.abs().max().item() == pytest.approx(2 / 0.87962566 * std, rel=1e-2)


@pytest.mark.parametrize(
    ("shape", "fans"),
    [((7,), (7, 7)), ((5, 3), (3, 5)), ((64, 32, 5, 5), (800, 1600)), ((8, 4, 1, 7), (28, 56))],
)
def test_glorot_uniform_bound_follows_the_fans(shape, fans):
    generator = torch.Generator().manual_seed(0)
    values = torch.stack(
        [
            dm.glorot_uniform_(torch.empty(shape), generator=generator)
            for _ in range(200_000 // math.prod(shape) + 1)
        ]
    )
    bound = math.sqrt(6 / sum(fans))
    assert values.abs().max().item() <= bound * (1 + 1e-6)
    assert values.abs().max().item() == pytest.approx(bound, rel=1e-2)


def test_initializers_fill_half_precision_from_single_precision_draws():
    half = dm.truncated_normal_(
        torch.empty(1000, dtype=torch.bfloat16), 0.05, generator=torch.Generator().manual_seed(0)
    )
    single = dm.truncated_normal_(
        torch.empty(1000), 0.05, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(half, single.bfloat16())


# ---------------------------------------------------------------------------- seeds and devices

SMALL = [
    ("logreg", {}),
    ("mlp", {"hidden": (8,)}),
    ("2c2d", {}),
    ("3c3d", {}),
    ("vgg16", {"num_classes": 2, "image_size": 32}),
    ("allcnnc", {}),
    ("wrn164", {"num_classes": 2}),
    ("inception_v3", {"num_classes": 2}),
    ("vae", {}),
    ("char_lstm", {}),
    ("beale", {}),
]


@pytest.mark.parametrize(("name", "kwargs"), SMALL)
def test_building_under_a_seed_is_reproducible(name, kwargs):
    def build():
        torch.manual_seed(3)
        return dm.create_model(name, **kwargs).state_dict()

    first, second = build(), build()
    assert list(first) == list(second)
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize(("name", "kwargs"), SMALL)
def test_building_on_a_gpu_gives_the_same_weights(name, kwargs):
    torch.manual_seed(3)
    on_cpu = dm.create_model(name, **kwargs).state_dict()
    torch.manual_seed(3)
    before = torch.cuda.get_rng_state()
    with torch.device("cuda"):
        on_gpu = dm.create_model(name, **kwargs).state_dict()
    assert torch.equal(torch.cuda.get_rng_state(), before)
    for key, value in on_cpu.items():
        assert on_gpu[key].device.type == "cuda"
        assert torch.equal(on_gpu[key].cpu(), value)


@pytest.mark.parametrize(("name", "kwargs"), SMALL)
def test_building_on_the_meta_device_allocates_and_draws_nothing(name, kwargs):
    before = torch.get_rng_state()
    with torch.device("meta"):
        model = dm.create_model(name, **kwargs)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(tensor.is_meta for tensor in model.state_dict().values())
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    real = dm.create_model(name, **kwargs).state_dict()
    assert shapes == {key: value.shape for key, value in real.items()}


@pytest.mark.parametrize("context", ["cpu", "meta"])
@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quadratic_is_where_its_hessian_is(context, device, dtype):
    """A device context neither moves it nor tears parameter and matrix apart."""
    hessian = torch.eye(4, dtype=dtype, device=device)
    with torch.device(context):
        model = dm.Quadratic(hessian)
    for tensor in (model.theta, model.hessian):
        assert (tensor.device.type, tensor.dtype) == (device, dtype)
    losses = model(torch.zeros(2, 4, dtype=dtype, device=device))
    assert losses.shape == (2,)
    if device == "cpu":
        assert losses.tolist() == [2.0, 2.0]
        assert all(tensor.is_meta for tensor in model.to("meta").state_dict().values())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_quadratic_stays_with_its_hessian_on_a_gpu():
    model = dm.Quadratic(torch.eye(4, device="cuda"))
    assert model.theta.device == model.hessian.device
    assert model.theta.device.type == "cuda"


def test_initializers_draw_from_the_given_generator_alone():
    before = torch.get_rng_state()
    generator = torch.Generator().manual_seed(1)
    for initializer in (dm.truncated_normal_, dm.glorot_normal_, dm.glorot_uniform_):
        initializer(torch.empty(4, 3), generator=generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_uninitialized_layers_move_no_generator():
    before = torch.get_rng_state()
    layers = [(nn.Linear, 3, 2), (nn.Conv2d, 3, 2, 3), (nn.Embedding, 3, 2), (nn.LSTM, 3, 2)]
    for layer, *sizes in layers:
        dm.build_uninitialized(layer, *sizes)
    assert torch.equal(torch.get_rng_state(), before)
