"""Every network computes what the original computed (see reference/README.md).

Weights and inputs are drawn again as each file says; outputs, losses and gradients must agree in
double precision. `DEEPOBS_REFERENCE_DIR` names another folder of such files.
"""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import deepobs_models as dm

REFERENCE_DIR = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")
RTOL = 1e-9


def load(problem: str) -> dict:
    return json.loads((REFERENCE_DIR / f"{problem}.json").read_text())


def assert_close(actual, expected, scale=None, rtol=RTOL):
    """Compare, allowing `rtol` relative to `scale` (by default the largest expected value)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if scale is None:
        scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * scale)


# ------------------------------------------------------------------------ weights, TensorFlow order


@dataclass(frozen=True)
class Slot:
    """A tensor that holds one variable of the original, and how the layouts relate."""

    tensor: Tensor
    from_tf: Callable[[Tensor], Tensor] = lambda value: value
    to_tf: Callable[[Tensor], Tensor] = lambda value: value


# Height, width and channels of what is flattened before a dense layer, by the layer's width: the
# original flattens (H, W, C), PyTorch (C, H, W).
FLATTENED = {
    1152: (3, 3, 128),
    3136: (7, 7, 64),
    12544: (14, 14, 64),
    25088: (7, 7, 512),
}


def conv_slot(weight: Tensor) -> Slot:
    return Slot(weight, lambda w: w.permute(3, 2, 0, 1), lambda w: w.permute(2, 3, 1, 0))


def dense_slot(weight: Tensor) -> Slot:
    outputs, inputs = weight.shape
    height, width, channels = FLATTENED.get(inputs, (1, 1, inputs))
    return Slot(
        weight,
        lambda w: (
            w.reshape(height, width, channels, outputs).permute(3, 2, 0, 1).reshape(outputs, inputs)
        ),
        lambda w: (
            w.reshape(outputs, channels, height, width).permute(2, 3, 1, 0).reshape(inputs, outputs)
        ),
    )


def slots(model: nn.Module) -> Iterator[Slot]:
    """Yield the slots of all tensors, in the order in which the original created its variables."""
    for layer in model.modules():
        match layer:
            case nn.Conv2d() | nn.ConvTranspose2d():
                yield conv_slot(layer.weight)
            case nn.Linear():
                yield dense_slot(layer.weight)
            case nn.BatchNorm2d():
                yield Slot(layer.weight)
                yield Slot(layer.bias)
                yield Slot(layer.running_mean)
                yield Slot(layer.running_var)
                continue
            case _:
                assert not list(layer.parameters(recurse=False))
                continue
        if layer.bias is not None:
            yield Slot(layer.bias)


def draw_variable(variable: dict) -> Tensor:
    rng = np.random.RandomState(variable["rng_seed"])
    shape = tuple(variable["shape"])
    if variable["transform"] == "normal":
        value = rng.normal(variable["loc"], variable["scale"], size=shape)
    else:
        assert variable["transform"] == "abs_normal_plus_half"
        value = np.abs(rng.normal(0, 1, size=shape)) + 0.5
    return torch.from_numpy(np.asarray(value, dtype=np.float32)).double()


def fill(model_slots: list[Slot], variables: list[dict]) -> None:
    assert len(model_slots) == len(variables)
    for slot, variable in zip(model_slots, variables, strict=True):
        with torch.no_grad():
            value = slot.from_tf(draw_variable(variable))
            assert value.shape == slot.tensor.shape, variable["name"]
            slot.tensor.copy_(value)


def draw_images(inputs: dict) -> Tensor:
    shape = tuple(inputs["shape"])
    x = np.random.RandomState(inputs["rng_seed"]).uniform(0, 1, size=shape).astype(np.float32)
    assert x.ravel()[:4].tolist() == inputs["first4"]
    return torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).double()


# ------------------------------------------------------------------------------------- comparisons


def check_outputs(actual: Tensor, expected: dict) -> None:
    actual = actual.detach()
    assert list(actual.shape) == expected["shape"]
    if "full" in expected:
        assert_close(actual, expected["full"])
        return
    flat = actual.flatten(1)
    assert_close(flat[:, :32], expected["first32"])
    assert_close(flat.norm(dim=1), expected["l2_per_example"])
    assert_close(flat.norm(), expected["l2"])
    assert_close(flat.sum(dim=1), expected["sum_per_example"], scale=expected["l2"])


def check_gradients(model_slots: list[Slot], variables: list[dict], expected: list[dict]) -> None:
    trainable = [
        slot for slot, variable in zip(model_slots, variables, strict=True) if variable["trainable"]
    ]
    for slot, entry in zip(trainable, expected, strict=True):
        gradient = slot.tensor.grad
        l2 = entry.get("l2", 0.0)  # no number: the loss does not depend on this variable
        if gradient is None:
            assert l2 == 0.0, entry["name"]
            continue
        assert_close(gradient.norm(), l2)
        weight = slot.tensor.detach()
        assert_close((gradient * weight).sum(), entry["dot_w"], scale=l2 * weight.norm())
        assert_close(gradient.sum(), entry["sum"], scale=l2 * math.sqrt(weight.numel()))
        assert_close(slot.to_tf(gradient).flatten()[:4], entry["first4"], scale=l2)


def check_losses(losses: Tensor, l2_term: Tensor, expected: dict) -> None:
    assert_close(losses.detach(), expected["losses"])
    assert_close(losses.mean().detach(), expected["mean_loss"])
    assert_close(l2_term.detach(), expected["regularizer"])


def l2_regularizer(model_slots: list[Slot], reference: dict) -> Tensor:
    decay = reference["defaults"]["weight_decay"] or 0.0
    terms = [
        0.5 * decay * slot.tensor.square().sum()
        for slot, variable in zip(model_slots, reference["variables"], strict=True)
        if variable["regularized"]
    ]
    return sum(terms, torch.zeros((), dtype=torch.float64))


# -------------------------------------------------------------------------------------- classifiers


def case(problem, model, *, slow=False):
    return pytest.param(problem, model, id=problem, marks=[pytest.mark.slow] if slow else [])


CLASSIFIERS = [
    case("mnist_logreg", lambda: dm.LogisticRegression(10)),
    case("fmnist_logreg", lambda: dm.LogisticRegression(10)),
    case("mnist_mlp", lambda: dm.MLP(10)),
    case("fmnist_mlp", lambda: dm.MLP(10)),
    case("mnist_2c2d", lambda: dm.Net2c2d(10)),
    case("fmnist_2c2d", lambda: dm.Net2c2d(10)),
    case("cifar10_3c3d", lambda: dm.Net3c3d(10)),
    case("cifar100_3c3d", lambda: dm.Net3c3d(100)),
    case("svhn_3c3d", lambda: dm.Net3c3d(10)),
    case("cifar100_allcnnc", lambda: dm.AllCNNC(100)),
    case("svhn_wrn164", lambda: dm.WideResNet(16, 4, 10)),
    case("cifar100_wrn404", lambda: dm.WideResNet(40, 4, 100)),
    case("cifar10_vgg16", lambda: dm.VGG(16, 10), slow=True),
    case("cifar10_vgg19", lambda: dm.VGG(19, 10), slow=True),
    case("cifar100_vgg16", lambda: dm.VGG(16, 100), slow=True),
    case("cifar100_vgg19", lambda: dm.VGG(19, 100), slow=True),
    case("imagenet_vgg16", lambda: dm.VGG(16, 1001), slow=True),
    case("imagenet_vgg19", lambda: dm.VGG(19, 1001), slow=True),
    case("imagenet_inception_v3", lambda: dm.InceptionV3(1001), slow=True),
]


def run_classifier(model, x, labels) -> tuple[Tensor, Tensor | None, Tensor]:
    """Return (logits, auxiliary logits or None, losses)."""
    if not isinstance(model, dm.InceptionV3):
        logits = model(x)
        return logits, None, F.cross_entropy(logits, labels, reduction="none")
    logits, aux_logits = model(x, aux=True)
    smoothed = partial(F.cross_entropy, target=labels, reduction="none", label_smoothing=0.1)
    losses = smoothed(logits)
    if model.training:
        losses = losses + 0.4 * smoothed(aux_logits)
    return logits, aux_logits, losses


def check_statistics(model_slots, variables, expected: list[dict]) -> None:
    statistics = [
        slot.tensor
        for slot, variable in zip(model_slots, variables, strict=True)
        if not variable["trainable"]
    ]
    for value, entry in zip(statistics, expected, strict=True):
        assert_close(value.norm(), entry["l2"], rtol=1e-6)
        assert_close(value.sum(), entry["sum"], scale=value.abs().sum(), rtol=1e-6)
        assert_close(value[:4], entry["first4"], scale=value.abs().max(), rtol=1e-6)


@pytest.mark.parametrize(("problem", "make_model"), CLASSIFIERS)
def test_classifier_agrees_with_reference(problem, make_model):
    reference = load(problem)
    variables = reference["variables"]
    x = draw_images(reference["inputs"])
    labels = torch.tensor(reference["labels"]["values"])
    model = make_model().double()
    model_slots = list(slots(model))
    fill(model_slots, variables)
    results = reference["results"]["float64"]
    assert ("train" in results) == reference["train_mode"]["uses_batch_norm"]

    for mode in ("eval", "train"):
        if mode not in results:
            continue
        expected = results[mode]
        model.train(mode == "train").zero_grad()
        logits, aux_logits, losses = run_classifier(model, x, labels)
        l2_term = l2_regularizer(model_slots, reference)
        (losses.mean() + l2_term).backward()
        check_outputs(logits, expected["outputs"])
        if aux_logits is not None:
            check_outputs(aux_logits, expected["aux_outputs"])
        check_losses(losses, l2_term, expected)
        check_gradients(model_slots, variables, expected["gradients"])

    if "train" in results:
        check_statistics(model_slots, variables, results["bn_after_one_train_update"])
        expected = results["eval_after_one_bn_update"]
        with torch.no_grad():
            logits, _, losses = run_classifier(model.eval(), x, labels)
        # The updated statistics agree to 1e-6 only, and a deep net amplifies that.
        assert_close(losses, expected["losses"], rtol=1e-5)
    elif reference["train_mode"]["equals_eval"]:
        with torch.no_grad():
            train_logits, _, _ = run_classifier(model.train(), x, labels)
        assert torch.equal(train_logits, logits)


# ------------------------------------------------------------------------ variational autoencoder


@pytest.mark.parametrize("problem", ["mnist_vae", "fmnist_vae"])
def test_vae_agrees_with_reference(problem):
    reference = load(problem)
    variables = reference["variables"]
    x = draw_images(reference["inputs"])
    rng = np.random.RandomState(reference["epsilon"]["rng_seed"])
    noise = rng.normal(0, 1, size=(reference["batch_size"], 8))
    noise = torch.from_numpy(noise.astype(np.float32)).double()
    model = dm.VAE().double().eval()
    model_slots = list(slots(model))
    fill(model_slots, variables)

    expected = reference["results"]["float64"]["eval"]
    reconstruction, mean, log_sigma = model(x, noise)
    divergence = -0.5 * (1 + 2 * log_sigma - mean**2 - torch.exp(2 * log_sigma)).sum(dim=1)
    losses = (reconstruction - x).square().sum(dim=(1, 2, 3)) + divergence
    losses.mean().backward()
    check_outputs(reconstruction.squeeze(1), expected["outputs"])
    check_outputs(mean, expected["z_mean"])
    check_outputs(log_sigma, expected["z_std_dev"])
    check_losses(losses, torch.zeros(()), expected)
    check_gradients(model_slots, variables, expected["gradients"])


# ---------------------------------------------------------------------------- character model


def swap_gates(blocks: Tensor) -> Tensor:
    """Reorder the gates along the last axis from i, j, f, o to i, f, j, o, or back."""
    i, j, f, o = blocks.chunk(4, dim=-1)
    return torch.cat([i, f, j, o], dim=-1)


def fill_char_lstm(model: dm.CharLSTM, variables: list[dict]) -> None:
    embedding, *kernels_and_biases, dense_weight, dense_bias = map(draw_variable, variables)
    with torch.no_grad():
        model.embedding.weight.copy_(embedding)
        layers = [model.lstm1, model.lstm2]
        kernels, biases = kernels_and_biases[::2], kernels_and_biases[1::2]
        for lstm, kernel, bias in zip(layers, kernels, biases, strict=True):
            size = lstm.hidden_size
            kernel = swap_gates(kernel)  # (input + hidden, 4·hidden)
            lstm.weight_ih_l0.copy_(kernel[:-size].T)
            lstm.weight_hh_l0.copy_(kernel[-size:].T)
            lstm.bias_ih_l0.copy_(swap_gates(bias))
            lstm.bias_ih_l0[size : 2 * size] += 1.0  # added at run time by the original
        model.dense.weight.copy_(dense_weight.T)
        model.dense.bias.copy_(dense_bias)


def char_lstm_gradients(model: dm.CharLSTM) -> list[Tensor]:
    """Return the gradients in the original's order and layout."""
    result = [model.embedding.weight.grad]
    for lstm in (model.lstm1, model.lstm2):
        assert lstm.bias_hh_l0.grad is None
        kernel = torch.cat([lstm.weight_ih_l0.grad.T, lstm.weight_hh_l0.grad.T])
        result += [swap_gates(kernel), swap_gates(lstm.bias_ih_l0.grad)]
    return [*result, model.dense.weight.grad.T, model.dense.bias.grad]


def test_char_lstm_with_carried_state_agrees_with_reference():
    reference = load("tolstoi_char_rnn")
    variables = reference["variables"]
    rng = np.random.RandomState(reference["inputs"]["rng_seed"])
    chars = rng.randint(0, 83, size=(reference["batch_size"], 101))
    assert chars.ravel()[:8].tolist() == reference["inputs"]["first8"]
    chars = torch.from_numpy(chars)
    model = dm.CharLSTM().double().eval()
    fill_char_lstm(model, variables)

    results = reference["results"]["float64"]
    state = None
    for name, start in [("batch_1", 0), ("batch_2", 50)]:
        expected = results[name]
        x, y = chars[:, start : start + 50], chars[:, start + 1 : start + 51]
        model.zero_grad()
        logits, state = model(x, state)
        losses = F.cross_entropy(logits.transpose(1, 2), y, reduction="none").mean(dim=1)
        losses.mean().backward()
        state = tuple((h.detach(), c.detach()) for h, c in state)

        assert list(logits.shape) == expected["logits_shape"]
        logits = logits.detach()
        assert_close(logits[:, 0], expected["logits_t0"])
        assert_close(logits[:, 49], expected["logits_t49"])
        assert_close(logits.norm(dim=2), expected["logits_l2_per_example_and_step"])
        assert_close(losses.detach(), expected["losses"])
        final = [tensor.squeeze(0) for h, c in state for tensor in (c, h)]  # c0, h0, c1, h1
        for tensor, entry in zip(final, expected["final_state"], strict=True):
            assert_close(tensor.norm(), entry["l2"])
            assert_close(tensor.flatten()[:8], entry["first8"], scale=entry["l2"])
        gradients = char_lstm_gradients(model)
        for gradient, variable, entry in zip(
            gradients, variables, expected["gradients"], strict=True
        ):
            value = draw_variable(variable)
            assert_close(gradient.norm(), entry["l2"])
            scale = entry["l2"] * value.norm()
            assert_close((gradient * value).sum(), entry["dot_w"], scale=scale)
            assert_close(gradient.flatten()[:4], entry["first4"], scale=entry["l2"])

    with torch.no_grad():
        logits, _ = model(chars[:, 50:100])
        losses = F.cross_entropy(logits.transpose(1, 2), chars[:, 51:101], reduction="none")
    assert_close(losses.mean(dim=1), results["batch_2_from_zero_state_losses"])


# ------------------------------------------------------------------------------- analytic functions


def test_quadratic_agrees_with_reference():
    reference = load("quadratic_deep")
    spec = reference["hessian_first_instance_in_process"]
    hessian = official_hessian()
    assert_close(hessian.trace(), spec["trace"])
    assert_close(hessian.norm(), spec["frobenius"])
    assert_close(hessian.diag()[:8], spec["diag_first8"])
    assert_close(hessian[0, :8], spec["row0_first8"])
    inputs = reference["inputs"]
    rng = np.random.RandomState(inputs["rng_seed"])
    points = rng.normal(0, 0.6, size=(reference["batch_size"], 100))
    x = torch.from_numpy(points.astype(np.float32)).double()
    assert_close(x.flatten()[:4], inputs["first4"])
    theta = np.random.RandomState(reference["seed"]).normal(0, 1, size=100).astype(np.float32)

    model = dm.Quadratic(hessian)
    for name, value in [("theta_ones", None), ("theta_random", torch.from_numpy(theta).double())]:
        if value is not None:
            model.theta.data.copy_(value)
        expected = reference["results"]["float64"][name]
        losses = model(x)
        (gradient,) = torch.autograd.grad(losses.mean(), model.theta)
        assert_close(losses.detach(), expected["losses"])
        assert_close(gradient, expected["gradient"])


def official_hessian() -> Tensor:
    """Return the Hessian of the first `quadratic_deep` built in a process of the original."""
    rng = np.random.RandomState(42)
    eigenvalues = np.concatenate([rng.uniform(0, 1, 90), rng.uniform(30, 60, 10)])
    rotation = random_rotation(rng, 100)
    return torch.from_numpy(rotation.T @ np.diag(eigenvalues) @ rotation)


def random_rotation(rng: np.random.RandomState, dimension: int) -> np.ndarray:
    """Return a uniform rotation by the subgroup algorithm (Diaconis and Shahshahani 1987)."""
    angle = 2 * np.pi * rng.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for size in range(2, dimension):
        direction = rng.normal(size=(size + 1, 1))
        direction /= np.linalg.norm(direction)
        unit = np.zeros((size + 1, 1))
        unit[0] = 1.0
        reflection = (unit - direction) / np.linalg.norm(unit - direction)
        larger = np.eye(size + 1)
        larger[1:, 1:] = rotation
        rotation = larger - 2 * reflection @ (reflection.T @ larger)
    return -rotation


@pytest.mark.parametrize(
    ("problem", "make_model"),
    [
        ("two_d_rosenbrock", dm.Rosenbrock),
        ("two_d_beale", dm.Beale),
        ("two_d_branin", dm.Branin),
    ],
)
def test_two_d_agrees_with_reference(problem, make_model):
    reference = load(problem)
    model = make_model()
    assert [model.u.item(), model.v.item()] == reference["starting_point"]
    model = model.double()
    rng = np.random.RandomState(reference["inputs"]["rng_seed"])
    noise = rng.normal(0, 1, size=(2, reference["batch_size"])).astype(np.float32).T
    assert noise[:, 0].tolist() == reference["inputs"]["x"]
    noise = torch.from_numpy(noise.copy()).double()
    kinds = set()
    for expected in reference["results"]["float64"]:
        kinds.add(expected["noise"])
        model.u.data.fill_(expected["u"])
        model.v.data.fill_(expected["v"])
        losses = model(noise if expected["noise"] == "noisy" else torch.zeros_like(noise))
        gradient_u, gradient_v = torch.autograd.grad(losses.mean(), [model.u, model.v])
        assert_close(losses.detach(), expected["losses"])
        # The gradient is a sum of terms that may cancel: compare relative to the loss, too.
        scale = abs(expected["mean_loss"])
        assert_close(gradient_u, expected["grad_u"], scale=max(scale, abs(expected["grad_u"])))
        assert_close(gradient_v, expected["grad_v"], scale=max(scale, abs(expected["grad_v"])))
    assert len(kinds) == 2
