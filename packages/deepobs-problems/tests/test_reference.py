"""Every problem computes what the original computed (see reference/README.md).

Through `Problem`: loss, objective, regularizer, metrics and gradients, on weights and inputs that
are drawn again as each file says, in double precision. `DEEPOBS_REFERENCE_DIR` names another folder
of such files.
"""

import json
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deepobs_problems import CATALOG, Batch, Problem, evaluate

REFERENCE_DIR = Path(os.environ.get("DEEPOBS_REFERENCE_DIR") or Path(__file__).parent / "reference")
RTOL = 1e-9

SPECIAL = ("quadratic_deep", "tolstoi_char_rnn")
ORIGINAL = [name for name in CATALOG if (REFERENCE_DIR / f"{name}.json").exists()]
# The tests of deepobs-models compare the outputs and gradients of these at full size.
LARGE = [name for name in CATALOG if name.endswith(("vgg16", "vgg19", "wrn404"))]


def load(problem: str) -> dict:
    return json.loads((REFERENCE_DIR / f"{problem}.json").read_text())


def assert_close(actual, expected, scale=None, rtol=RTOL):
    """Compare, allowing `rtol` relative to `scale` (by default the largest expected value)."""
    actual, expected = (
        np.asarray(value.cpu() if isinstance(value, Tensor) else value)
        for value in (actual, expected)
    )
    scale = scale.item() if isinstance(scale, Tensor) else scale
    assert actual.shape == expected.shape
    if scale is None:
        scale = np.abs(expected).max()
    np.testing.assert_allclose(actual, expected, rtol=0, atol=rtol * scale)


# ------------------------------------------------------------------------ weights, TensorFlow order


def keep(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Slot:
    """A tensor that holds one variable of the original, and how the layouts relate."""

    tensor: Tensor
    from_tf: Callable[[Tensor], Tensor] = keep
    to_tf: Callable[[Tensor], Tensor] = keep


# Height, width and channels of what is flattened before a dense layer, by the layer's width: the
# original flattens (H, W, C), PyTorch (C, H, W).
FLATTENED = {1152: (3, 3, 128), 3136: (7, 7, 64), 12544: (14, 14, 64), 25088: (7, 7, 512)}


def convolution_slot(weight: Tensor) -> Slot:
    return Slot(weight, lambda w: w.permute(3, 2, 0, 1), lambda w: w.permute(2, 3, 1, 0))


def dense_slot(weight: Tensor) -> Slot:
    outputs, inputs = weight.shape
    hwc = FLATTENED.get(inputs, (1, 1, inputs))
    chw = (hwc[2], hwc[0], hwc[1])
    return Slot(
        weight,
        lambda w: w.reshape(*hwc, outputs).permute(3, 2, 0, 1).reshape(outputs, inputs),
        lambda w: w.reshape(outputs, *chw).permute(2, 3, 1, 0).reshape(inputs, outputs),
    )


def slots(model: nn.Module) -> Iterator[Slot]:
    """Yield the slots of all tensors, in the order in which the original created its variables."""
    for layer in model.modules():
        match layer:
            case nn.Conv2d() | nn.ConvTranspose2d():
                yield convolution_slot(layer.weight)
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
    with torch.no_grad():
        for slot, variable in zip(model_slots, variables, strict=True):
            value = slot.from_tf(draw_variable(variable))
            assert value.shape == slot.tensor.shape, variable["name"]
            slot.tensor.copy_(value)


def draw_batch(reference: dict, device: str) -> Batch:
    """Return images and labels, or for a VAE images and latent noise."""
    inputs, shape = reference["inputs"], tuple(reference["inputs"]["shape"])
    x = np.random.RandomState(inputs["rng_seed"]).uniform(0, 1, size=shape).astype(np.float32)
    assert x.ravel()[:4].tolist() == inputs["first4"]
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).double()
    if "epsilon" not in reference:
        labels = torch.tensor(reference["labels"]["values"])
        return Batch(images.to(device), labels.to(device))
    rng = np.random.RandomState(reference["epsilon"]["rng_seed"])
    noise = rng.normal(0, 1, size=(shape[0], 8)).astype(np.float32)
    return Batch(images.to(device), torch.from_numpy(noise).double().to(device))


# ------------------------------------------------------------------------------------- comparisons


def check_gradients(model_slots: list[Slot], variables: list[dict], expected: list[dict]) -> None:
    pairs = zip(model_slots, variables, strict=True)
    trained = [slot for slot, variable in pairs if variable["trainable"]]
    for slot, entry in zip(trained, expected, strict=True):
        gradient = slot.tensor.grad
        l2 = entry.get("l2", 0.0)  # no number: the loss does not depend on this variable
        if gradient is None:
            assert l2 == 0.0, entry["name"]
            continue
        assert_close(gradient.norm(), l2)
        weight = slot.tensor.detach()
        assert_close((gradient * weight).sum(), entry["dot_w"], scale=l2 * weight.norm())
        assert_close(gradient.sum(), entry["sum"], scale=l2 * math.sqrt(weight.numel()))
        first = slot.to_tf(gradient).flatten()[:4]
        assert_close(first, np.ravel(entry["first4"])[: len(first)], scale=l2)


def check_losses(problem: Problem, model: nn.Module, batch: Batch, expected: dict) -> None:
    """Compare losses, regularizer, objective and accuracy; leave the objective's gradients."""
    model.zero_grad()
    output, _ = problem.forward(model, batch, None)
    losses = problem.loss(output, batch)
    assert_close(losses.detach(), expected["losses"])
    assert_close(losses.mean().detach(), expected["mean_loss"])
    regularizer = torch.as_tensor(problem.regularizer(model))
    assert_close(regularizer.detach(), expected["regularizer"])
    objective = losses.mean() + regularizer
    assert_close(objective.detach(), expected["total_loss"])
    objective.backward()
    if expected["accuracy"] is None:
        assert not problem.metrics
    else:
        found = problem.metrics["accuracy"](output, batch).mean().item()
        assert found == pytest.approx(float(expected["accuracy"]), abs=1e-6)


def check_decayed(problem: Problem, model, model_slots, variables) -> None:
    """L2 acts on exactly the tensors that the original regularizes, in either form."""
    pairs = zip(model_slots, variables, strict=True)
    regularized = {id(slot.tensor) for slot, variable in pairs if variable["regularized"]}
    decayed = {id(p) for p in problem.decayed(model)} if problem.l2 else set()
    assert decayed == regularized
    grouped = {
        id(p)
        for group in problem.parameter_groups(model)
        if group["weight_decay"] == problem.l2 > 0
        for p in group["params"]
    }
    assert grouped == regularized


# ------------------------------------------------------------------------- networks on images


def cases() -> list:
    names = [n for n in ORIGINAL if n not in (*SPECIAL, *LARGE) and not n.startswith("two_d")]
    slow = pytest.mark.slow
    return [pytest.param(n, marks=[slow] if n.endswith("inception_v3") else []) for n in names]


@pytest.mark.parametrize("name", cases())
def test_image_problem_agrees_with_reference(name, device):
    problem, reference = CATALOG[name], load(name)
    variables, results = reference["variables"], reference["results"]["float64"]
    batch = draw_batch(reference, device)
    model = problem.model().double().to(device)
    model_slots = list(slots(model))
    fill(model_slots, variables)
    assert problem.l2 == (reference["defaults"]["weight_decay"] or 0.0)
    check_decayed(problem, model, model_slots, variables)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == reference["num_params"]["trainable"]

    for mode in ("eval", "train"):
        if mode in results:
            check_losses(problem, model.train(mode == "train"), batch, results[mode])
            check_gradients(model_slots, variables, results[mode]["gradients"])
    if "train" in results:
        # The updated statistics agree to 1e-6 only, and a deep net amplifies that.
        losses, _ = problem.losses(model.eval(), batch)
        expected = results["eval_after_one_bn_update"]["losses"]
        assert_close(losses.detach(), expected, rtol=1e-5)
    elif reference["train_mode"]["equals_eval"]:
        check_losses(problem, model.train(), batch, results["eval"])
    if "accuracy_alt" in reference and "train" not in results:
        labels = torch.tensor(reference["accuracy_alt"]["labels"], device=device)
        alternative = Batch(batch.x, labels)
        output, _ = problem.forward(model.eval(), alternative, None)
        found = problem.metrics["accuracy"](output, alternative).mean().item()
        assert found == reference["accuracy_alt"]["accuracy"]


@pytest.mark.parametrize("name", LARGE)
def test_large_network_has_the_variables_of_the_reference(name):
    problem, reference = CATALOG[name], load(name)
    variables = reference["variables"]
    with torch.device("meta"):
        model = problem.model()
        values = [torch.empty(variable["shape"]) for variable in variables]
    model_slots = list(slots(model))
    for slot, value in zip(model_slots, values, strict=True):
        assert slot.from_tf(value).shape == slot.tensor.shape
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == reference["num_params"]["trainable"]
    assert problem.l2 == reference["defaults"]["weight_decay"]
    check_decayed(problem, model, model_slots, variables)
    assert problem.loss is CATALOG["cifar10_3c3d"].loss
    assert problem.metrics is CATALOG["cifar10_3c3d"].metrics


def test_all_26_problems_of_the_original_have_a_reference():
    assert len(ORIGINAL) == 26


@pytest.mark.parametrize("name", ORIGINAL)
def test_defaults_agree_with_reference(name):
    defaults, expected = CATALOG[name].defaults, load(name)["defaults"]
    assert expected["batch_size"] in (None, defaults.batch_size)
    assert expected["num_epochs"] in (None, defaults.epochs)


# -------------------------------------------------------------------------------- the quadratic


def test_quadratic_deep_agrees_with_reference(device):
    problem, reference = CATALOG["quadratic_deep"], load("quadratic_deep")
    inputs = reference["inputs"]
    x = np.random.RandomState(inputs["rng_seed"]).normal(0, 0.6, size=(4, 100)).astype(np.float32)
    assert x.ravel()[:4].tolist() == inputs["first4"]
    batch = Batch(torch.from_numpy(x).double().to(device), torch.zeros(4, device=device))
    start = np.random.RandomState(reference["seed"]).normal(0, 1, size=(1, 100)).astype(np.float32)
    assert start.ravel()[:4].tolist() == reference["theta_random"]["first4"]
    points = {"theta_ones": torch.ones(100), "theta_random": torch.from_numpy(start[0])}
    model = problem.model().double().to(device)
    for name, theta in points.items():
        expected = reference["results"]["float64"][name]
        with torch.no_grad():
            model.theta.copy_(theta)
        check_losses(problem, model, batch, {"accuracy": None, **expected})
        assert_close(model.theta.grad, np.ravel(expected["gradient"]))


def test_quadratic_deep_hessian_is_the_reference_in_every_instance():
    expected = load("quadratic_deep")["hessian_first_instance_in_process"]
    first, second = (CATALOG["quadratic_deep"].model().hessian for _ in range(2))
    assert torch.equal(first, second)
    assert_close(first[0, :8], expected["row0_first8"])
    assert_close(first.diagonal()[:8], expected["diag_first8"])
    assert_close(first.trace(), expected["trace"])
    assert_close(first.norm(), expected["frobenius"])
    assert_close(torch.linalg.eigvalsh(first), expected["eigenvalues_sorted"])


def test_quadratic_deep_data_agrees_with_reference():
    problem, expected = CATALOG["quadratic_deep"], load("quadratic_deep")["dataset"]["train"]
    found = evaluate(problem, problem.model(), problem.data().train, dtype=torch.float64)
    assert found["loss"] == pytest.approx(expected["mean_loss_at_theta_ones_all_1000"], rel=1e-9)


# ---------------------------------------------------------------- functions of two parameters


@pytest.mark.parametrize("name", ["two_d_rosenbrock", "two_d_beale", "two_d_branin"])
def test_function_of_two_parameters_agrees_with_reference(name, device):
    problem, reference = CATALOG[name], load(name)
    rng = np.random.RandomState(reference["inputs"]["rng_seed"])
    noise = np.stack([rng.normal(0, 1, 4).astype(np.float32) for _ in range(2)], axis=1)
    assert noise[:, 0].tolist() == reference["inputs"]["x"]
    assert noise[:, 1].tolist() == reference["inputs"]["y"]
    model = problem.model().double().to(device)
    assert [model.u.item(), model.v.item()] == reference["starting_point"]
    for expected in reference["results"]["float64"]:
        noisy = expected["noise"] == "noisy"
        x = torch.from_numpy(noise if noisy else np.zeros_like(noise)).double()
        with torch.no_grad():
            model.u.fill_(expected["u"])
            model.v.fill_(expected["v"])
        losses = np.broadcast_to(expected["losses"], 4)
        batch = Batch(x.to(device), torch.zeros(4, device=device))
        check_losses(problem, model, batch, {**expected, "losses": losses, "accuracy": None})
        gradient, scale = [expected["grad_u"], expected["grad_v"]], np.abs(losses).max()
        scale = max(scale, *np.abs(gradient))
        assert_close([model.u.grad.item(), model.v.grad.item()], gradient, scale=scale)


def test_data_of_two_parameters_agrees_with_reference():
    problem, expected = CATALOG["two_d_beale"], load("two_d_beale")["dataset"]
    train = problem.data().train
    batch = next(train.batches(torch.arange(len(train)), len(train)))
    assert_close(batch.x[:4, 0], expected["train_x_first4"], rtol=1e-7)
    assert_close(batch.x[:4, 1], expected["train_y_first4"], rtol=1e-7)
    found = batch.x.double().mean(dim=0)
    assert_close(found, [expected["train_x_mean"], expected["train_y_mean"]], rtol=1e-6)


# ------------------------------------------------------------------------- the character model


def swap_gates(blocks: Tensor) -> Tensor:
    """Reorder the gates along the last axis from i, j, f, o to i, f, j, o, or back."""
    i, j, f, o = blocks.chunk(4, dim=-1)
    return torch.cat([i, f, j, o], dim=-1)


def fill_character_model(model: nn.Module, variables: list[dict]) -> None:
    embedding, *kernels_and_biases, dense_weight, dense_bias = map(draw_variable, variables)
    kernels, biases = kernels_and_biases[::2], kernels_and_biases[1::2]
    with torch.no_grad():
        model.embedding.weight.copy_(embedding)
        for lstm, kernel, bias in zip((model.lstm1, model.lstm2), kernels, biases, strict=True):
            size = lstm.hidden_size
            kernel = swap_gates(kernel)  # (input + hidden, 4 * hidden)
            lstm.weight_ih_l0.copy_(kernel[:-size].T)
            lstm.weight_hh_l0.copy_(kernel[-size:].T)
            lstm.bias_ih_l0.copy_(swap_gates(bias))
            lstm.bias_ih_l0[size : 2 * size] += 1.0  # added at run time by the original
        model.dense.weight.copy_(dense_weight.T)
        model.dense.bias.copy_(dense_bias)


def check_character_gradients(model, variables: list[dict], expected: list[dict]) -> None:
    gradients = [model.embedding.weight.grad]
    for lstm in (model.lstm1, model.lstm2):
        kernel = torch.cat([lstm.weight_ih_l0.grad.T, lstm.weight_hh_l0.grad.T])
        gradients += [swap_gates(kernel), swap_gates(lstm.bias_ih_l0.grad)]
    gradients += [model.dense.weight.grad.T, model.dense.bias.grad]
    for gradient, variable, entry in zip(gradients, variables, expected, strict=True):
        # The variable itself: without the 1 that the forget gate's bias has here.
        weight = draw_variable(variable).to(gradient.device)
        assert_close(gradient.norm(), entry["l2"])
        assert_close((gradient * weight).sum(), entry["dot_w"], scale=entry["l2"] * weight.norm())
        scale = entry["l2"] * math.sqrt(weight.numel())
        assert_close(gradient.sum(), entry["sum"], scale=scale)
        assert_close(gradient.flatten()[:4], np.ravel(entry["first4"]), scale=entry["l2"])


def test_character_model_with_carried_state_agrees_with_reference(device):
    problem, reference = CATALOG["tolstoi_char_rnn"], load("tolstoi_char_rnn")
    inputs, results = reference["inputs"], reference["results"]["float64"]
    chars = np.random.RandomState(inputs["rng_seed"]).randint(0, 83, size=(4, 101))
    assert chars.ravel()[:8].tolist() == inputs["first8"]
    chars = torch.from_numpy(chars).to(device)
    model = problem.model().double().to(device)
    model.dropout.eval()  # and not the whole model: cuDNN differentiates LSTMs in training alone
    fill_character_model(model, reference["variables"])
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trained == reference["num_params"]["trainable"]

    state = None
    for name, start in (("batch_1", 0), ("batch_2", 50)):
        expected = results[name]
        batch = Batch(chars[:, start : start + 50], chars[:, start + 1 : start + 51])
        model.zero_grad()
        output, after = problem.forward(model, batch, state)
        losses = problem.loss(output, batch)
        assert_close(losses.detach(), expected["losses"])
        objective, _ = problem.objective(model, batch, state)
        assert_close(objective.detach(), expected["total_loss"])
        objective.backward()
        check_character_gradients(model, reference["variables"], expected["gradients"])
        found = problem.metrics["accuracy"](output, batch).mean().item()
        assert found == pytest.approx(expected["accuracy"], abs=1e-6)
        state = tuple((h.detach(), c.detach()) for h, c in after)
        final = [tensor.squeeze(0) for h, c in state for tensor in (c, h)]  # c0, h0, c1, h1
        for tensor, entry in zip(final, expected["final_state"], strict=True):
            assert_close(tensor.norm(), entry["l2"])
            assert_close(tensor.flatten()[:8], entry["first8"], scale=entry["l2"])
    losses, _ = problem.losses(model, batch)  # the second batch from the zero state
    assert_close(losses.detach(), results["batch_2_from_zero_state_losses"])
