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
EXPENSIVE = ("vgg16", "vgg19", "inception_v3", "wrn404")


def load(problem: str) -> dict:
    return json.loads((REFERENCE_DIR / f"{problem}.json").read_text())


def assert_close(actual, expected, scale=None, rtol=RTOL):
    """Compare, allowing `rtol` relative to `scale` (by default the largest expected value)."""
    actual, expected = np.asarray(actual), np.asarray(expected)
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


def draw_batch(reference: dict) -> Batch:
    """Return images and labels, or for a VAE images and latent noise."""
    inputs, shape = reference["inputs"], tuple(reference["inputs"]["shape"])
    x = np.random.RandomState(inputs["rng_seed"]).uniform(0, 1, size=shape).astype(np.float32)
    assert x.ravel()[:4].tolist() == inputs["first4"]
    images = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).double()
    if "epsilon" not in reference:
        return Batch(images, torch.tensor(reference["labels"]["values"]))
    rng = np.random.RandomState(reference["epsilon"]["rng_seed"])
    noise = rng.normal(0, 1, size=(shape[0], 8)).astype(np.float32)
    return Batch(images, torch.from_numpy(noise).double())


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
    assert_close(float(problem.regularizer(model)), expected["regularizer"])
    objective = losses.mean() + problem.regularizer(model)
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
    names = [n for n in CATALOG if n not in SPECIAL and not n.startswith("two_d")]
    slow = pytest.mark.slow
    return [pytest.param(n, marks=[slow] if n.endswith(EXPENSIVE) else []) for n in names]


@pytest.mark.parametrize("name", cases())
def test_image_problem_agrees_with_reference(name):
    problem, reference = CATALOG[name], load(name)
    variables, results = reference["variables"], reference["results"]["float64"]
    batch = draw_batch(reference)
    model = problem.model().double()
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
        alternative = Batch(batch.x, torch.tensor(reference["accuracy_alt"]["labels"]))
        output, _ = problem.forward(model.eval(), alternative, None)
        found = problem.metrics["accuracy"](output, alternative).mean().item()
        assert found == reference["accuracy_alt"]["accuracy"]


@pytest.mark.parametrize("name", list(CATALOG))
def test_defaults_agree_with_reference(name):
    defaults, expected = CATALOG[name].defaults, load(name)["defaults"]
    assert expected["batch_size"] in (None, defaults.batch_size)
    assert expected["num_epochs"] in (None, defaults.epochs)


# -------------------------------------------------------------------------------- the quadratic


def test_quadratic_deep_agrees_with_reference():
    problem, reference = CATALOG["quadratic_deep"], load("quadratic_deep")
    inputs = reference["inputs"]
    x = np.random.RandomState(inputs["rng_seed"]).normal(0, 0.6, size=(4, 100)).astype(np.float32)
    assert x.ravel()[:4].tolist() == inputs["first4"]
    batch = Batch(torch.from_numpy(x).double(), torch.zeros(4))
    start = np.random.RandomState(reference["seed"]).normal(0, 1, size=(1, 100)).astype(np.float32)
    assert start.ravel()[:4].tolist() == reference["theta_random"]["first4"]
    points = {"theta_ones": torch.ones(100), "theta_random": torch.from_numpy(start[0])}
    model = problem.model().double()
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
