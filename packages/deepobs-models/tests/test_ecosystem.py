"""Every network works with torch.func, torch.compile, torch.export and their like."""

import io
import os
import shutil
from functools import partial

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jvp, vmap

import deepobs_models as dm

pytestmark = [
    # Notes of torch about its own kernels, which say nothing about the networks.
    pytest.mark.filterwarnings("ignore:There is a performance drop"),
    pytest.mark.filterwarnings("ignore:TF32 acceleration on top of oneDNN"),
    pytest.mark.filterwarnings("ignore:.*were assigned during export"),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script:"),
]


FUNCTIONS = (dm.Quadratic, dm.NoisyQuadratic, dm.Rosenbrock, dm.Beale, dm.Branin)


def trained_parameters(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}


def mean_loss(case, model, parameters, *inputs):
    return case.losses(functional_call(model, parameters, inputs)).mean()


def random_direction(parameters, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(p.shape, generator=generator).to(p.dtype)
        for name, p in parameters.items()
    }


def inner(a, b):
    return sum((a[name] * b[name]).sum() for name in a)


@pytest.fixture
def no_onednn():
    """oneDNN's LSTM kernel has no forward-mode derivative."""
    with torch.backends.mkldnn.flags(enabled=False):
        yield


def test_parameters_live_in_stock_layers(case):
    model = case.model()
    for layer in model.modules():
        own = list(layer.parameters(recurse=False))
        if isinstance(model, FUNCTIONS):
            continue
        assert not own or type(layer).__module__.startswith("torch.nn.modules.")


@pytest.mark.parametrize("onednn", [True, False])
def test_per_example_gradients(case, onednn):
    """`vmap(grad)` gives the gradients whose mean is that of the batch; float32 uses oneDNN."""
    model = case.model()
    inputs = case.inputs(3)
    parameters = trained_parameters(model)

    def loss_of_one(parameters, *example):
        return mean_loss(case, model, parameters, *(value.unsqueeze(0) for value in example))

    in_dims = (None,) + (0,) * len(inputs)
    with torch.backends.mkldnn.flags(enabled=onednn):
        per_example = vmap(grad(loss_of_one), in_dims)(parameters, *inputs)
        of_batch = grad(partial(mean_loss, case, model))(parameters, *inputs)
    for name, gradient in of_batch.items():
        assert per_example[name].shape == (3, *gradient.shape)
        tolerance = 1e-4 * gradient.abs().max().item() + 1e-5
        torch.testing.assert_close(per_example[name].mean(0), gradient, rtol=1e-3, atol=tolerance)


def test_per_example_gradients_draw_dropout_masks_for_each_example(case):
    model = case.model()
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.train()
    dropped = any(layer.p > 0 for layer in model.modules() if isinstance(layer, nn.Dropout))
    inputs = tuple(value.expand(3, *value.shape[1:]) for value in case.inputs(1))
    parameters = trained_parameters(model)

    def loss_of_one(parameters, *example):
        return mean_loss(case, model, parameters, *(value.unsqueeze(0) for value in example))

    in_dims = (None,) + (0,) * len(inputs)
    gradients = vmap(grad(loss_of_one), in_dims, randomness="different")(parameters, *inputs)
    norms = sum(g.double().reshape(3, -1).square().sum(dim=1) for g in gradients.values())
    assert torch.isfinite(norms).all()
    if dropped:
        assert len(norms.unique()) == 3
    else:
        torch.testing.assert_close(norms, norms[:1].expand(3))


def test_forward_mode_derivative_equals_reverse_mode(case, no_onednn):
    model = case.model(torch.float64)
    inputs = case.inputs(2, torch.float64)
    parameters = trained_parameters(model)
    direction = random_direction(parameters, seed=2)
    loss = partial(mean_loss, case, model)
    _, derivative = jvp(lambda p: loss(p, *inputs), (parameters,), (direction,))
    gradient = grad(loss)(parameters, *inputs)
    torch.testing.assert_close(derivative, inner(gradient, direction), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_double_backward_is_symmetric(case, dtype):
    """uᵀ H v = vᵀ H u for the Hessian H, by differentiating the gradient of the stock backward."""
    model = case.model(dtype)
    inputs = case.inputs(2, dtype)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    u, v = (random_direction(parameters, seed) for seed in (2, 3))
    loss = case.losses(model(*inputs)).mean()
    gradient = torch.autograd.grad(loss, list(parameters.values()), create_graph=True)
    gradient = dict(zip(parameters, gradient, strict=True))

    def hessian_times(direction):
        product = torch.autograd.grad(
            inner(gradient, direction),
            list(parameters.values()),
            retain_graph=True,
            materialize_grads=True,
        )
        return dict(zip(parameters, product, strict=True))

    if isinstance(model, dm.LogisticRegression):
        assert torch.isfinite(inner(hessian_times(u), u))
    product_u, product_v = hessian_times(u), hessian_times(v)
    scale = inner(product_u, product_u).sqrt() * inner(v, v).sqrt()
    assert torch.isfinite(scale)
    assert scale > 0
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    assert abs(inner(v, product_u) - inner(u, product_v)) <= tolerance * scale


def compiled(model, backend):
    torch._dynamo.reset()
    return torch.compile(model, fullgraph=True, backend=backend)


def check_compiled(case, backend):
    model = case.model()
    inputs = case.inputs(2)
    with torch._dynamo.config.patch(allow_rnn=True):
        loss = case.losses(compiled(model, backend)(*inputs)).mean()
        loss.backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    reference = case.model()
    expected = case.losses(reference(*inputs)).mean()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-4)
    expected_gradients = [p.grad for p in reference.parameters() if p.requires_grad]
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        tolerance = 1e-3 * wanted.abs().max().item() + 1e-5
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=tolerance)


def test_compiles_without_graph_breaks(case):
    check_compiled(case, "aot_eager")


COMPILERS = [os.environ.get("CXX", ""), "g++", "c++", "clang++", "cl"]


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="Inductor needs a C++ compiler")
@pytest.mark.parametrize("name", ["3c3d", "wrn", "vae"])
def test_compiles_with_inductor(all_cases, name):
    check_compiled(all_cases[name], "inductor")


def test_exports(case):
    model = case.model()
    inputs = case.inputs(2)
    exported = torch.export.export(model, inputs)
    with torch.no_grad():
        actual = case.losses(exported.module()(*inputs))
        expected = case.losses(model(*inputs))
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


def test_channels_last_gives_the_same(case):
    model = case.model()
    x, *rest = case.inputs(2)
    if x.ndim != 4:
        pytest.skip("takes no images")
    with torch.no_grad():
        expected = case.losses(model(x, *rest))
        model = model.to(memory_format=torch.channels_last)
        actual = case.losses(model(x.to(memory_format=torch.channels_last), *rest))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def test_state_dict_round_trip_through_a_file(case):
    model = case.model()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = case.build().eval()
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.fill_(0.5)
    other.load_state_dict(torch.load(file, weights_only=True))
    inputs = case.inputs(2)
    with torch.no_grad():
        assert torch.equal(case.losses(other(*inputs)), case.losses(model(*inputs)))


def test_model_built_on_meta_runs_after_loading(case):
    model = case.model()
    with torch.device("meta"):
        other = case.build().eval()
    other.load_state_dict(model.state_dict(), assign=True)
    inputs = case.inputs(2)
    with torch.no_grad():
        assert torch.equal(case.losses(other(*inputs)), case.losses(model(*inputs)))


def test_autocast_to_bfloat16(case):
    if case.name == "char_lstm" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("torch has no LSTM in bfloat16 for this processor")
    model = case.model()
    inputs = case.inputs(2)
    with torch.autocast("cpu", torch.bfloat16):
        losses = case.losses(model(*inputs))
    losses.float().mean().backward()
    gradients = [p.grad for p in model.parameters() if p.requires_grad]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    with torch.no_grad():
        expected = case.losses(model(*inputs))
    error = (losses.float() - expected).abs().max() / expected.abs().max()
    assert error < 0.1


def test_batch_of_one_gives_the_same_as_in_a_larger_batch(case):
    model = case.model()
    inputs = case.inputs(3)
    with torch.no_grad():
        together = case.losses(model(*inputs))
        alone = case.losses(model(*(value[:1] for value in inputs)))
    torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-4)


def test_training_mode_trains_every_parameter(case):
    model = case.model().train()
    inputs = case.inputs(3)
    case.losses(model(*inputs)).mean().backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


ODD_SIZES = [
    (lambda: dm.Net2c2d(10, image_size=27), (1, 27, 27)),
    (lambda: dm.Net2c2d(10, image_size=1), (1, 1, 1)),
    (lambda: dm.Net3c3d(10, image_size=9), (3, 9, 9)),
    (lambda: dm.Net3c3d(10, image_size=33, in_channels=1), (1, 33, 33)),
    (lambda: dm.VGG(16, 10, image_size=33), (3, 5, 47)),
    (lambda: dm.AllCNNC(10, image_size=9), (3, 9, 9)),
    (lambda: dm.WideResNet(10, 1, 10), (3, 1, 1)),
    (lambda: dm.WideResNet(10, 1, 10, in_channels=1), (1, 31, 17)),
    (lambda: dm.InceptionV3(10, image_size=75, aux_head=False), (3, 9, 13)),
    (lambda: dm.MLP(10, in_features=6, hidden=()), (2, 3)),
    (lambda: dm.VAE(3), (1, 28, 28)),
]


@pytest.mark.parametrize(("build", "shape"), ODD_SIZES)
def test_odd_sizes(build, shape):
    output = build().eval()(torch.rand(1, *shape))
    output = output if isinstance(output, torch.Tensor) else output[0]
    assert output.shape[0] == 1
    assert torch.isfinite(output).all()


def test_auxiliary_logits_in_eval_mode_on_request():
    torch.manual_seed(0)
    model = dm.InceptionV3(3).eval()
    x = torch.rand(1, 3, 299, 299)
    with torch.no_grad():
        logits = model(x)
        same_logits, aux_logits = model(x, aux=True)
    assert aux_logits.shape == (1, 3)
    assert torch.equal(logits, same_logits)
    assert dm.InceptionV3(3, image_size=75, aux_head=False).train().aux_head is None
