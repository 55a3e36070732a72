"""Layers and networks start as the original's, wherever they are built and whenever they are reset.

`test_initialization.py` compares fresh networks with the original; here, a reset with a seed must
give exactly the same numbers as a fresh network with this seed.
"""

import copy
import gc
import hashlib
import json
import math
import pickle
import weakref
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import deepobs_models as dm

SMALL = [
    ("logreg", {}),
    ("mlp", {"hidden": (8, 8)}),
    ("2c2d", {"image_size": 8}),
    ("3c3d", {"image_size": 9}),
    ("vgg11", {"image_size": 32}),
    ("allcnnc", {"num_classes": 3}),
    ("wrn", {"depth": 10, "widen_factor": 1}),
    ("inception_v3", {"num_classes": 2}),
    ("vae", {"image_size": 8}),
    ("char_lstm", {}),
    ("quadratic", {}),
    ("rosenbrock", {}),
    ("beale", {}),
    ("branin", {"start": (1.0, 2.0)}),
]
BLOCKS = {
    "conv": partial(dm.Conv2dSame, 3, 4, 4, 2),
    "deconv": partial(dm.ConvTranspose1dSame, 3, 4, 4, 2, weight_init=dm.glorot_normal_),
    "residual": partial(dm.PreActResidualBlock, 3, 4),
    "conv norm": partial(dm.ConvNormReLU, 3, 4, 1),
    "inception": partial(dm.inception_e, 8),
    "stem": partial(dm.inception_stem, 3),
    "aux": partial(dm.inception_aux_head, 8, 3),
}
BUILD = {
    **{name: partial(dm.create_model, name, **kwargs) for name, kwargs in SMALL},
    **BLOCKS,
}


def seeded(action) -> dict[str, torch.Tensor]:
    """Return the copied state of the module that `action` builds or resets, under a seed."""
    torch.manual_seed(3)
    return {key: value.clone() for key, value in action().state_dict().items()}


def reset(module: nn.Module) -> nn.Module:
    dm.reset_parameters(module) if isinstance(module, nn.Sequential) else module.reset_parameters()
    return module


def spoil(module: nn.Module) -> nn.Module:
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(7)
    return module


def assert_same(actual: dict, expected: dict) -> None:
    assert list(actual) == list(expected)
    for key, value in expected.items():
        assert actual[key].dtype == value.dtype
        assert torch.equal(actual[key], value), key


@pytest.mark.parametrize("name", BUILD)
def test_reset_gives_what_a_fresh_module_has(name):
    fresh = seeded(BUILD[name])
    module = BUILD[name]()
    if name == "quadratic":
        nn.init.constant_(module.theta, 7.0)  # its Hessian is an argument
    else:
        spoil(module)
    assert_same(seeded(lambda: reset(module)), fresh)


@pytest.mark.parametrize("name", [name for name in BUILD if name != "quadratic"])
def test_built_on_meta_and_reset_elsewhere(name):
    with torch.device("meta"):
        module = BUILD[name]()
    assert all(tensor.is_meta for tensor in module.state_dict().values())
    assert_same(seeded(lambda: reset(module.to_empty(device="cpu"))), seeded(BUILD[name]))


@pytest.mark.parametrize("name", BUILD)
def test_device_and_dtype_are_arguments(name):
    module = BUILD[name](device="meta", dtype=torch.float64)
    state = module.state_dict()
    assert all(tensor.is_meta for tensor in state.values())
    assert {tensor.dtype for tensor in state.values()} <= {torch.float64, torch.int64}
    shapes = {key: value.shape for key, value in BUILD[name](device="meta").state_dict().items()}
    assert shapes == {key: value.shape for key, value in state.items()}


@pytest.mark.parametrize("name", ["mlp", "allcnnc", "wrn", "vae", "char_lstm", "beale", *BLOCKS])
def test_half_precision_holds_the_rounded_numbers(name):
    half = seeded(partial(BUILD[name], dtype=torch.bfloat16))
    for key, value in seeded(BUILD[name]).items():
        if value.is_floating_point():
            assert torch.equal(half[key], value.bfloat16()), key


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", BUILD)
def test_reset_on_a_gpu_gives_the_same_numbers(name):
    module = BUILD[name](device="cuda")
    state = seeded(lambda: reset(module))
    assert_same({key: value.cpu() for key, value in state.items()}, seeded(BUILD[name]))


# ---------------------------------------------------------------------------------- single layers


def layers_with_parameters(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (path, layer)
        for path, layer in module.named_modules()
        if path and next(layer.parameters(recurse=False), None) is not None
    ]


@pytest.mark.parametrize("name", [name for name, _ in SMALL[:10] if name != "vgg11"])
def test_every_layer_resets_itself_with_its_own_law(name):
    """As FSDP does it: layer by layer, in the order of `modules()`."""
    module = spoil(BUILD[name]())
    fresh = seeded(BUILD[name])

    def reset_layers():
        for _, layer in layers_with_parameters(module):
            layer.reset_parameters()
        return module

    assert_same(seeded(reset_layers), fresh)


COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
}


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("name", ["3c3d", "char_lstm", "wrn"])
def test_copies_reset_themselves(name, copied):
    original = spoil(BUILD[name]())
    module = COPIES[copied](original)
    assert_same(seeded(lambda: reset(module)), seeded(BUILD[name]))
    assert all((tensor == 7).all() for tensor in original.state_dict().values())


def test_a_network_is_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        module = BUILD["3c3d"]()
        alive = weakref.ref(module.conv1)
        again = module.conv1.reset_parameters
        del module
        assert alive() is None
        with pytest.raises(RuntimeError, match="no longer exists"):
            again()
    finally:
        gc.enable()


def test_initialize_layer_keeps_any_law():
    layer = dm.initialize_layer(nn.Conv2d(1, 1, 3, bias=False), lambda c: nn.init.ones_(c.weight))
    assert layer.weight.sum() == 9
    nn.init.zeros_(layer.weight)
    layer.reset_parameters()
    assert layer.weight.sum() == 9


def test_constants_of_the_original_come_back():
    model = spoil(dm.AllCNNC(3))
    model.reset_parameters()
    assert (model.conv5.bias == torch.tensor(0.1)).all()
    bound = math.sqrt(2 / (9 * (192 + 192))) * 2.2738
    assert 0.9 * bound < model.conv5.weight.abs().max() < bound
    lstm = spoil(dm.CharLSTM(5, hidden_size=4))
    lstm.lstm1.reset_parameters()
    assert lstm.lstm1.bias_ih_l0.tolist() == [0.0] * 4 + [1.0] * 4 + [0.0] * 8
    assert not lstm.lstm1.bias_hh_l0.any()
    assert not lstm.lstm1.bias_hh_l0.requires_grad


# ------------------------------------------------------------- what must never change: keys, draws

PINNED = Path(__file__).parent / "pinned.json"


def fingerprint(name: str) -> dict:
    """Return what stored weights and seeds rely on: names, shapes and a few drawn numbers."""
    with torch.device("meta"):
        model = dm.create_model(name)
    entries = [f"{key} {list(t.shape)} {t.dtype}" for key, t in model.state_dict().items()]
    digest = hashlib.sha256("\n".join(entries).encode()).hexdigest()
    return {"entries": len(entries), "sha256": digest}


@pytest.mark.parametrize("name", dm.list_models())
def test_names_and_shapes_of_state_dicts_are_pinned(name):
    assert json.loads(PINNED.read_text())["keys"][name] == fingerprint(name)


DRAWN = ["mlp", "2c2d", "3c3d", "allcnnc", "wrn164", "vae", "char_lstm"]


def draws(name: str) -> dict[str, list[float]]:
    """Return the last three numbers of each matrix, which depend on all draws before them."""
    torch.manual_seed(42)
    model = dm.create_model(name)
    tensors = {key: value for key, value in model.state_dict().items() if value.ndim > 1}
    return {key: value.flatten()[-3:].tolist() for key, value in tensors.items()}


@pytest.mark.parametrize("name", DRAWN)
def test_draws_of_a_seed_are_pinned(name):
    """Releases of torch may round differently, but draw the same numbers in the same order."""
    pinned, actual = json.loads(PINNED.read_text())["draws"][name], draws(name)
    assert list(actual) == list(pinned)
    for key, values in pinned.items():
        assert actual[key] == pytest.approx(values, rel=1e-5, abs=1e-9), key


if __name__ == "__main__":  # after a deliberate change: python test_reset.py
    pinned = {
        "keys": {name: fingerprint(name) for name in dm.list_models()},
        "draws": {name: draws(name) for name in DRAWN},
    }
    PINNED.write_text(json.dumps(pinned, indent=1) + "\n")
