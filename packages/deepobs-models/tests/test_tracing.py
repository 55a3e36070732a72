"""Tracers see the networks: torch.fx, torch.jit.trace, torch.export with named dimensions."""

import logging
import pickle

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional as F

import deepobs_models as dm

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit"),
    pytest.mark.filterwarnings("ignore:.*were assigned during export"),
]


def build(name: str, **kwargs) -> nn.Module:
    torch.manual_seed(0)
    return dm.create_model(name, **kwargs)


# ---------------------------------------------------------------------------------------- torch.fx


@pytest.mark.parametrize("train", [False, True])
def test_fx_graph_computes_the_same(case, train):
    model = case.model().train(train)
    inputs = case.inputs(2)
    graph = torch.fx.symbolic_trace(model)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    torch.manual_seed(1)
    with torch.no_grad():
        expected = case.losses(model(*inputs))
    torch.manual_seed(1)
    with torch.no_grad():
        actual = case.losses(graph(*inputs))
    if train and any(isinstance(layer, nn.BatchNorm2d) for layer in model.modules()):
        torch.testing.assert_close(actual, expected)
    else:
        assert torch.equal(actual, expected)


def test_fx_graph_of_the_character_model_takes_a_state():
    model = build("char_lstm").eval()
    graph = torch.fx.symbolic_trace(model)
    x = torch.randint(0, 83, (2, 5))
    _, state = model(x)
    assert torch.equal(graph(x, state)[0], model(x, state)[0])


TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])


@pytest.mark.parametrize("name", ["logreg", "2c2d", "vae", "char_lstm", "beale"])
def test_fx_graph_checks_its_input(name):
    """The checks are part of the graph, also after dead code has been eliminated."""
    graph = torch.fx.symbolic_trace(build(name))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    if TORCH >= (2, 14):  # torch 2.13 cannot pickle a graph with a text among its globals
        graph = pickle.loads(pickle.dumps(graph))
    with pytest.raises(ValueError, match=r" takes .*, got shape \(3,\)"):
        graph(torch.zeros(3))


# -------------------------------------------------------------------------------- slices, plain use

SEQUENTIAL = ["logreg", "mlp", "2c2d", "3c3d", "allcnnc", "wrn", "vgg11"]


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_slices_of_sequential_networks(name):
    model = build(name, **({"image_size": 32} if name == "vgg11" else {})).eval()
    images = (1, 28, 28) if name in ("logreg", "mlp", "2c2d") else (3, 32, 32)
    x = torch.rand(2, *images)
    for cut in (1, len(model) // 2, -1):
        first, last = model[:cut], model[cut:]
        assert type(first) is type(last) is nn.Sequential
        assert first[0] is model[0]
        assert last[-1] is model[-1]
        assert list(first.state_dict()) + list(last.state_dict()) == list(model.state_dict())
        assert torch.equal(last(first(x)), model(x))


@pytest.mark.parametrize("block", [dm.ConvNormReLU(3, 4, 1), dm.Conv2dSame(3, 4, 2)])
def test_slices_of_blocks(block):
    assert [type(layer) for layer in block[-1:]] == [type(block[-1])]


def test_inception_feeds_a_plain_loss():
    model = build("inception_v3", num_classes=3, image_size=75, aux_head=False).eval()
    x, y = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
    traced = torch.jit.trace(model, x, check_trace=False)
    with torch.no_grad():
        torch.testing.assert_close(F.cross_entropy(traced(x), y), F.cross_entropy(model(x), y))


# ---------------------------------------------------------------------------------- torch.jit.trace

KERNELS_AND_STRIDES = [(3, 2), (4, 1), (1, 3), (2, 5)]


@pytest.mark.parametrize(("kernel_size", "stride"), KERNELS_AND_STRIDES)
def test_traced_padding_follows_the_size(kernel_size, stride):
    module = nn.Sequential(dm.SamePad2d(kernel_size, stride), nn.Conv2d(1, 1, kernel_size, stride))
    traced = torch.jit.trace(module, torch.rand(1, 1, 12, 13))
    for size in range(2, 14):
        x = torch.rand(1, 1, size, 15 - size)
        assert torch.equal(traced(x), module(x)), size


@pytest.mark.parametrize("size", [3, 12, 20])
def test_traced_resize_follows_the_size(size):
    module = dm.LegacyBilinearResize(12)
    traced = torch.jit.trace(module, torch.rand(1, 1, 12, 5))
    x = torch.rand(1, 1, size, size)
    torch.testing.assert_close(traced(x), module(x))


# ------------------------------------------------------------------------------------- torch.export


def export(module, x, least, strict):
    dims = {0: Dim("batch"), 2: Dim("height", min=least), 3: Dim("width", min=least)}
    # torch logs each guard that it gives up.
    logging.disable(logging.ERROR)
    try:
        return torch.export.export(module, (x,), dynamic_shapes=(dims,), strict=strict).module()
    finally:
        logging.disable(logging.NOTSET)


# Module, and the least height and width: every later layer must see two rows and columns, since
# torch.export takes a size of 1 for a constant.
EXPORTED = {
    "wrn": (lambda: dm.WideResNet(10, 1, 3).eval(), 5),
    "resize": (lambda: dm.LegacyBilinearResize(12), 2),
    "max pool": (lambda: dm.MaxPool2dSame(3, 2), 4),
    "average pool": (lambda: dm.AvgPool2dSame(3, 2), 4),
    "transposed": (lambda: dm.ConvTranspose2dSame(3, 4, 4), 4),
    **{
        f"conv {k}/{s}": (lambda k=k, s=s: dm.Conv2dSame(3, 2, k, s), 4)
        for k, s in KERNELS_AND_STRIDES[:3]
    },
}


TORCH = tuple(map(int, torch.__version__.split(".")[:2]))
NAMED_DIMENSIONS_SINCE = {"max pool": (2, 13), "average pool": (2, 13), "conv 1/3": (2, 8)}
"""Releases of torch that were seen to accept a padding that depends on a named dimension."""


@pytest.mark.parametrize("name", EXPORTED)
@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_export_with_named_dimensions(name, strict):
    construct, least = EXPORTED[name]
    if NAMED_DIMENSIONS_SINCE.get(name, (2, 6)) > TORCH:
        pytest.skip("this torch pins the padding to one size")
    module = construct()
    exported = export(module, torch.rand(2, 3, 12, 13), least, strict)
    for shape in [(3, 3, 9, 17), (1, 3, 12, 12), (2, 3, 14, 8), (4, 3, least, 21)]:
        x = torch.rand(shape)
        torch.testing.assert_close(exported(x), module(x))


@pytest.mark.parametrize("name", ["2c2d", "3c3d", "allcnnc", "vgg11"])
def test_export_with_a_dynamic_batch(name):
    model = build(name, **({"image_size": 32} if name == "vgg11" else {})).eval()
    shape = (1, 28, 28) if name == "2c2d" else (3, 32, 32)
    dims = ({0: Dim("batch")},)
    exported = torch.export.export(model, (torch.rand(2, *shape),), dynamic_shapes=dims).module()
    x = torch.rand(5, *shape)
    torch.testing.assert_close(exported(x), model(x))
