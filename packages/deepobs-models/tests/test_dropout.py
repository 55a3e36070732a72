"""Dropout has the original's rates and places.

DeepOBS 1.1.2: `cifar100_allcnnc.py`, `_vgg.py`, `_vae.py`, `tolstoi_char_rnn.py` and
`_inception_v3.py` in `deepobs/tensorflow/testproblems/`. The rates here are those of dropping; the
character model's is written there as a probability of 0.8 to keep.
"""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import deepobs_models as dm

# ------------------------------------------------------------------------------------------- rates


def gpt_rates(layers: int, rate: float) -> dict[str, float]:
    places = [
        f"blocks.{k}.{place}"
        for k in range(layers)
        for place in ("attention.out_dropout", "dropout")
    ]
    return dict.fromkeys(["dropout", *places], rate)


RATES = {
    "logreg": {},
    "mlp": {},
    "2c2d": {},
    "3c3d": {},
    **{key: {"dropout1": 0.5, "dropout2": 0.5} for key in dm.list_models("vgg*")},
    "allcnnc": {"dropout1": 0.2, "dropout2": 0.5, "dropout3": 0.5},
    **{key: {} for key in dm.list_models("wrn*")},
    "inception_v3": {"dropout": 0.0},
    "vae": {
        "encoder.dropout1": 0.2,
        "encoder.dropout2": 0.2,
        "encoder.dropout3": 0.2,
        "decoder.dropout1": 0.2,
        "decoder.dropout2": 0.2,
    },
    "char_lstm": {"dropout": 0.2},
    "quadratic": {},
    "rosenbrock": {},
    "beale": {},
    "branin": {},
    "char_gpt": gpt_rates(6, 0.2),
    "char_gpt_small": gpt_rates(4, 0.0),
    **{key: {} for key in dm.list_models(["signal_*", "*bigram*", "noisy_quadratic"])},
    **{
        key: {} for key in ("laplacian_mlp", "burgers_mlp", "self_attention", "modular_transformer")
    },
}


def dropout_rates(model: nn.Module) -> dict[str, float]:
    return {
        path: layer.p
        for path, layer in model.named_modules()
        if isinstance(layer, nn.modules.dropout._DropoutNd)
    }


def build_on_meta(name: str, **kwargs) -> nn.Module:
    with torch.device("meta"):
        return dm.create_model(name, **kwargs)


@pytest.mark.parametrize("name", dm.list_models())
def test_default_rates_are_the_originals(name):
    assert dropout_rates(build_on_meta(name)) == RATES[name]


@pytest.mark.parametrize("name", [name for name, rates in RATES.items() if rates])
def test_rates_follow_the_argument(name):
    expected = dict.fromkeys(RATES[name], 0.3)
    if name == "allcnnc":
        expected["dropout1"] = 0.2
        only_input = dropout_rates(build_on_meta(name, input_dropout=0.3))
        assert only_input == RATES[name] | {"dropout1": 0.3}
    assert dropout_rates(build_on_meta(name, dropout=0.3)) == expected


# ------------------------------------------------------------------------------------------ places
#
# With positive weights, biases and inputs all activations are positive, so each zero that a layer
# sees has been dropped on the way from the layer before it.


def make_positive(model: nn.Module) -> nn.Module:
    """Materialise a model from the meta device with weights that average, and small biases."""
    model.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(0.1 if parameter.ndim < 2 else 1 / parameter[0].numel())
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
    return model


def set_training(model: nn.Module) -> None:
    """Turn on training mode, but not in batch norm, which would shift values below zero."""
    model.train()
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def without_padding(x: Tensor) -> Tensor:
    """Cut off the zeros with which a padding layer surrounds an image."""
    return x[..., 2:-2, 2:-2] if x.ndim == 4 and min(x.shape[2:]) > 4 else x


def watched_layers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the layers before which something could be dropped: all with weights, and pooling."""
    pools = (nn.AvgPool2d, nn.MaxPool2d, dm.GlobalAvgPool2d)
    for path, layer in model.named_modules():
        if isinstance(layer, pools) or next(layer.parameters(recurse=False), None) is not None:
            yield path, layer


def observe(model: nn.Module, *inputs: Tensor) -> dict[str, Tensor]:
    """Return what each layer sees, by its path, and the output under the name "output"."""
    seen = {}
    hooks = []
    for path, layer in watched_layers(model):

        def remember(_, args, path=path):
            seen[path] = without_padding(args[0])

        hooks.append(layer.register_forward_pre_hook(remember))
    with torch.no_grad():
        output = model(*inputs)
    for hook in hooks:
        hook.remove()
    seen["output"] = output if isinstance(output, Tensor) else output[0]
    return seen


def zeros_in(x: Tensor) -> float:
    return x.eq(0).double().mean().item()


def images(batch: int, *shape: int) -> tuple[Tensor, ...]:
    return (torch.rand(batch, *shape, generator=torch.Generator().manual_seed(0)) + 0.5,)


def characters(batch: int, steps: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (torch.randint(0, 83, (batch, steps), generator=generator),)


# Network, arguments, input, and the fraction that is dropped before each layer; it is 0 before all
# layers that are not named.
PLACES = [
    pytest.param(name, kwargs, inputs, places, id="-".join([name, *kwargs]))
    for name, kwargs, inputs, places in [
        ("logreg", {}, images(4, 1, 28, 28), {}),
        ("mlp", {}, images(4, 1, 28, 28), {}),
        ("2c2d", {}, images(4, 1, 28, 28), {}),
        ("3c3d", {}, images(4, 3, 32, 32), {}),
        ("vgg16", {"image_size": 32}, images(4, 3, 32, 32), {"dense2": 0.5, "dense3": 0.5}),
        ("vgg19", {"image_size": 32}, images(4, 3, 32, 32), {"dense2": 0.5, "dense3": 0.5}),
        ("allcnnc", {}, images(4, 3, 32, 32), {"conv1": 0.2, "conv4": 0.5, "conv7": 0.5}),
        ("wrn164", {}, images(2, 3, 16, 16), {}),
        ("inception_v3", {"aux_head": False, "image_size": 75}, images(2, 3, 75, 75), {}),
        (
            "inception_v3",
            {"aux_head": False, "image_size": 75, "dropout": 0.8},
            images(2, 3, 75, 75),
            {"dense": 0.8},
        ),
        (
            "vae",
            {},
            (*images(8, 1, 28, 28), torch.zeros(8, 8)),
            {
                "encoder.conv2": 0.2,
                "encoder.conv3": 0.2,
                "mean": 0.2,
                "raw_log_sigma": 0.2,
                "decoder.deconv2": 0.2,
                "decoder.deconv3": 0.2,
            },
        ),
        # Dropped twice between the layers: 0.8 · 0.8 is left.
        (
            "char_lstm",
            {},
            characters(8, 50),
            {"lstm1": 0.2, "lstm2": 1 - 0.8 * 0.8, "dense": 0.2},
        ),
    ]
]


@pytest.mark.parametrize(("name", "kwargs", "inputs", "places"), PLACES)
def test_values_are_dropped_at_the_originals_places(name, kwargs, inputs, places):
    model = make_positive(build_on_meta(name, **kwargs))
    whole = observe(model.eval(), *inputs)
    assert places.keys() <= whole.keys()
    paths = [path for path in whole if path != "embedding"]  # which sees characters, not values
    for path in paths:
        assert zeros_in(whole[path]) == 0, path

    torch.manual_seed(0)
    set_training(model)
    thinned = observe(model, *inputs)
    for path in paths:
        rate = places.get(path, 0.0)
        # Six standard deviations of a binomial distribution.
        tolerance = 6 * math.sqrt(rate * (1 - rate) / whole[path].numel())
        assert zeros_in(thinned[path]) == pytest.approx(rate, abs=tolerance), path
        if not places:
            assert torch.equal(thinned[path], whole[path]), path


def test_tolerance_of_the_places_is_small_enough_to_tell_rates_apart():
    for parameter in PLACES:
        name, kwargs, inputs, places = parameter.values
        seen = observe(make_positive(build_on_meta(name, **kwargs)).eval(), *inputs)
        for path, rate in places.items():
            assert 6 * math.sqrt(rate * (1 - rate) / seen[path].numel()) < 0.05, (name, path)


def test_character_model_drops_anew_at_each_step_and_not_in_the_recurrence():
    model = make_positive(build_on_meta("char_lstm")).train()
    torch.manual_seed(0)
    seen = observe(model, *characters(4, 50))
    for path in ("lstm1", "lstm2", "dense"):
        masks = seen[path].eq(0)  # (B, T, hidden_size)
        assert (masks[:, 1:] != masks[:, :-1]).any(dim=2).all(), path
        assert (masks[1:] != masks[:-1]).any(dim=2).all(), path
    with torch.no_grad():
        _, state = model(*characters(4, 50))
    assert all(zeros_in(tensor) == 0 for pair in state for tensor in pair)


def test_inception_is_deterministic_in_training_by_default():
    """With batch norm in training mode, too; the original's dropout never took effect."""
    torch.manual_seed(0)
    model = dm.InceptionV3(5, aux_head=False, image_size=75).train()
    x = torch.rand(2, 3, 75, 75)
    before = torch.get_rng_state()
    with torch.no_grad():
        assert torch.equal(model(x), model(x))
    assert torch.equal(torch.get_rng_state(), before)
