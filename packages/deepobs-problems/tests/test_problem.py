"""The objective and its L2 term, parameter groups, fingerprints."""

import copy
import json
import subprocess
import sys
from dataclasses import FrozenInstanceError, replace
from functools import partial

import pytest
import torch
from torch import nn

from deepobs_problems import (
    CATALOG,
    Batch,
    Problem,
    ProblemError,
    accuracy,
    convolution_weights,
    load_problem,
    weights_not_biases,
)
from deepobs_problems.fingerprints import describe
from deepobs_problems.problem import half_sum_of_squares


def first_batch(problem, size=8):
    return next(problem.data().train.batches(torch.arange(size), size))


def test_objective_is_mean_loss_plus_half_l2_sum_of_squares(toy):
    model, batch = toy.model(), first_batch(toy)
    losses, state = toy.losses(model, batch)
    assert losses.shape == (8,)
    assert state is None
    objective, _ = toy.objective(model, batch)
    squares = sum(model[i].weight.square().sum().item() for i in (0, 2))
    assert objective.item() == pytest.approx(losses.mean().item() + 0.05 * squares, rel=1e-6)
    without, _ = toy.objective(model, batch, l2=0.0)
    assert without.item() == losses.mean().item()
    assert toy.regularizer(model, 0.0) == 0.0
    assert toy.regularizer(model, 0.2).item() == pytest.approx(0.1 * squares, rel=1e-6)


def test_l2_through_the_optimizer_is_l2_in_the_objective(toy):
    inside = toy.model()
    outside = copy.deepcopy(inside)
    batch = first_batch(toy)
    optimizers = (
        torch.optim.SGD(inside.parameters(), lr=0.5),
        torch.optim.SGD(toy.parameter_groups(outside), lr=0.5),
    )
    for _ in range(5):
        for model, optimizer, l2 in zip((inside, outside), optimizers, (None, 0.0), strict=True):
            optimizer.zero_grad()
            toy.objective(model, batch, l2=l2)[0].backward()
            optimizer.step()
    for a, b in zip(inside.parameters(), outside.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_l2_on_nothing_is_an_error_that_says_so():
    problem = CATALOG["quadratic_deep"]
    model = problem.model()
    for apply in (problem.regularizer, problem.parameter_groups):
        with pytest.raises(ProblemError, match=r"l2 is 0\.1, .* of quadratic_deep picks"):
            apply(model, 0.1)


def test_parameter_groups_hold_every_trained_parameter_once(toy):
    model = toy.model()
    model[0].bias.requires_grad_(False)
    groups = toy.parameter_groups(model)
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    assert [g["weight_decay"] for g in toy.parameter_groups(model, 0.0)] == [0.0]


def test_decayed_weights_of_layers():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ConvTranspose2d(2, 2, 3), nn.Linear(4, 4)
    )
    assert [p.ndim for p in weights_not_biases(model)] == [4, 4, 2]
    assert [id(p) for p in convolution_weights(model)] == [id(model[0].weight)]
    assert half_sum_of_squares([torch.tensor([3.0, 4.0])]).item() == 12.5


def test_a_problem_cannot_be_changed(toy):
    with pytest.raises(FrozenInstanceError):
        toy.l2 = 0.0


def test_accuracy_per_example():
    batch = Batch(torch.zeros(2, 1), torch.tensor([1, 0]))
    assert accuracy(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), batch).tolist() == [1.0, 0.0]


# --------------------------------------------------------------------------------- fingerprints


def other_loss(output, batch):
    return output.square().sum(dim=1)


CHANGES = {
    "name": "another",
    "data": partial(int, "7"),
    "model": partial(nn.Linear, 5, 4),
    "loss": other_loss,
    "metrics": {},
    "l2": 0.2,
    "decayed": convolution_weights,
    "source": "f" * 64,
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with_what_defines_the_numbers(toy, change):
    assert replace(toy, **{change: CHANGES[change]}).fingerprint != toy.fingerprint


def test_fingerprint_keeps_when_nothing_that_matters_changes(toy):
    same = replace(toy, tags=frozenset({"image"}), stand_in=None, stock_loss=None)
    assert same.fingerprint == toy.fingerprint


def test_fingerprints_of_the_catalog_are_distinct_and_the_same_in_every_process():
    here = {name: load_problem(name).fingerprint for name in CATALOG}
    assert len(set(here.values())) == len(here)
    code = (
        "import json; from deepobs_problems import CATALOG; "
        "print(json.dumps({n: p.fingerprint for n, p in CATALOG.items()}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == here


def test_fingerprint_of_a_stored_result_still_holds():
    # Results of finished runs carry this; a change makes every run of the problem start again.
    assert CATALOG["quadratic_deep"].fingerprint == "e2d1a567d3f5c4d1"


def test_describe_names_callables_by_package_not_by_address():
    assert describe(partial(Problem, name="x")) == "deepobs_problems:Problem(name='x')"
    assert describe(nn.ReLU) == "torch:ReLU"
    assert describe(nn.ReLU()) == describe(nn.ReLU())
    assert describe(partial(nn.Linear, 3, 2)) == "torch:Linear(3, 2)"


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"metrics": {"loss": accuracy}}, "metric called 'loss'"),
        ({"metrics": {"objective": accuracy}}, "metric called 'objective'"),
        ({"l2": -1.0}, "must be a number >= 0"),
    ],
)
def test_definitions_that_make_no_sense(toy, setting, said):
    with pytest.raises(ProblemError, match=said):
        replace(toy, **setting)


def test_accuracy_wants_class_indices_and_invents_nothing():
    logits = torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])
    correct = accuracy(logits, Batch(logits, torch.tensor([1, 0])))
    assert correct[0] == 1
    assert correct[1].isnan()
    with pytest.raises(ValueError, match="class indices"):
        accuracy(logits, Batch(logits, logits))
