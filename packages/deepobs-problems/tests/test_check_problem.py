"""`check_problem`: green on the catalog, and a sentence for each thing that can be wrong."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_data import Dataset, Table
from deepobs_problems import CATALOG, ProblemError
from deepobs_problems.losses import sequence_cross_entropy
from deepobs_problems.problem import recurrent
from deepobs_problems.testing import Check, Report, check_problem

SLOW = ("vgg16", "vgg19", "wrn404", "inception_v3")
CASES = [pytest.param(n, marks=[pytest.mark.slow] if n.endswith(SLOW) else []) for n in CATALOG]


@pytest.mark.parametrize("name", CASES)
def test_the_catalog_passes_on_stand_in_data(name):
    problem = CATALOG[name]
    if "vgg" in name:  # at 224 pixels it takes half a minute and finds the same
        problem = replace(problem, model=partial(problem.model, image_size=32))
    before = torch.random.get_rng_state()
    report = check_problem(problem)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert report.ok, report
    made = {check.name: check.sentence for check in report.checks}
    assert ("l2" in made) == (problem.l2 > 0)
    assert ("stock_loss" in made) == (problem.stock_loss is not None)
    assert ("state" in made) == ("recurrent" in problem.tags)
    assert ("per_example" in made) == ("per-example-safe" in problem.tags)
    assert "lowered the objective" in made["training"]


def failures(problem, **options) -> dict[str, str]:
    return {check.name: check.sentence for check in check_problem(problem, **options).failed}


def test_a_sound_problem_passes_on_its_own_data(toy):
    report = check_problem(replace(toy, stand_in=None, data=toy.stand_in))
    assert report.ok, report
    report.raise_for_failures()
    assert str(report).startswith("toy\n  ok   data: train 40, train_eval 40, test 30 examples")


def test_problems_are_found_by_name_and_data_is_taken_as_given(toy):
    assert check_problem("two_d_branin", examples=3).problem == "two_d_branin"
    table = Table(torch.zeros(9, 5), torch.zeros(9, dtype=torch.int64))
    dataset = Dataset(train=table, train_eval=table, valid=table, test=table)
    first = check_problem(toy, dataset=dataset).checks[0]
    assert first.sentence.startswith("train 9, train_eval 9, valid 9, test 9")
    with pytest.raises(ValueError, match="examples is 1"):
        check_problem(toy, examples=1)


# ------------------------------------------------------------------------------ broken problems


def mean_loss(output, batch):
    return nn.functional.cross_entropy(output, batch.y)


def loss_per_output(output, batch):
    return output.square()


def nan_loss(output, batch):
    return output.sum(dim=1) * float("nan")


def squared_error(output, batch):
    return (output - batch.y).square()


def no_dataset(root=None, *, valid_size=0, recipe="standard"):
    return {}


def no_parameter(model):
    return []


def foreign_parameter(model):
    return [torch.zeros(3)]


def same_parameter_twice(model):
    return [model[0].weight, model[0].weight]


@pytest.mark.parametrize(
    ("change", "check", "sentence"),
    [
        ({"loss": mean_loss}, "loss", r"returned \(\) for 4 examples.*one value for each, \(4,\)"),
        ({"loss": loss_per_output}, "loss", r"returned \(4, 3\) for 4 examples"),
        ({"loss": nan_loss}, "loss", r"untrained model is \[nan, .*must be finite"),
        ({"loss": squared_error}, "loss", r"cannot take the model's output \(4, 3\) with .*\(4,\)"),
        ({"metrics": {"mine": mean_loss}}, "metrics", r"metric 'mine' returned \(\)"),
        ({"decayed": no_parameter}, "l2", "l2 is 0.1, but `decayed` picks no parameter"),
        ({"decayed": foreign_parameter}, "l2", r"picks 1 tensor\(s\) that are no trained param"),
        ({"decayed": same_parameter_twice}, "l2", "more than once"),
        ({"model": partial(nn.Linear, 7, 3)}, "loss", r"model cannot take inputs \(4, 5\)"),
        ({"model": partial(nn.ReLU)}, "model", "no parameter that requires a gradient"),
        ({"model": dict}, "model", "returned a dict; it must return a torch.nn.Module"),
        ({"stand_in": no_dataset}, "data", "returned a dict; it must return a deepobs_data"),
        ({"stock_loss": nn.MultiMarginLoss}, "stock_loss", "but the mean of `loss` is"),
    ],
)
def test_what_is_wrong_is_said(toy, change, check, sentence):
    found = failures(replace(toy, **change))
    assert next(iter(found)) == check
    assert re.search(sentence, found[check]), found[check]


class Noisy(nn.Linear):
    def forward(self, x):
        return super().forward(x) + torch.randn(len(x), 3)


class Mixing(nn.Linear):
    def forward(self, x):
        return super().forward(x - x.mean(dim=0))


class Constant(nn.Linear):
    def forward(self, x):
        return super().forward(torch.zeros_like(x)).detach() + 0 * self.weight.sum()


class Detached(nn.Linear):
    def forward(self, x):
        return super().forward(x).detach()


class Hidden(nn.Linear):
    """Keeps a part of its state in a plain attribute."""

    def __init__(self):
        super().__init__(5, 3)
        self.scale = float(torch.rand(()))

    def forward(self, x):
        return super().forward(x) * self.scale


class OwnGenerator(nn.Linear):
    def __init__(self):
        super().__init__(5, 3)
        self.weight.data = torch.from_numpy(np.random.RandomState().rand(3, 5)).float()


@pytest.mark.parametrize(
    ("model", "check", "sentence"),
    [
        (partial(Noisy, 5, 3), "evaluation", "noise, or a statistic over the batch"),
        (partial(Noisy, 5, 3), "rows", "Rows must be independent"),
        (partial(Mixing, 5, 3), "evaluation", "noise, or a statistic over the batch"),
        (partial(Mixing, 5, 3), "rows", "Rows must be independent"),
        (partial(Mixing, 5, 3), "per_example", "remove the tag per-example-safe"),
        (partial(Constant, 5, 3), "training", "changed no parameter"),
        (partial(Detached, 5, 3), "training", "cannot be differentiated"),
        (Hidden, "state_dict", "in parameters or buffers"),
        (OwnGenerator, "model", "differ in weight.*torch's global generator"),
    ],
)
def test_a_model_that_misbehaves_is_found(toy, model, check, sentence):
    tags = frozenset({"per-example-safe"})
    found = failures(replace(toy, model=model, l2=0.0, tags=tags))
    assert re.search(sentence, found[check]), found


def test_a_definition_with_an_address_is_found(toy):
    class Odd(nn.Module):
        def extra_repr(self):
            return f"made at 0x{id(self):x}"

    problem = replace(toy, data=partial(toy.data, Odd()))
    assert "differs in every process" in failures(problem)["definition"]


def test_a_model_without_state_on_text_is_found(toy):
    ids = torch.arange(60).view(10, 6) % 4
    table = Table(ids, ids)
    data = Dataset(train=table, train_eval=table, valid=None, test=table, order="stateful")
    problem = replace(
        toy,
        model=partial(nn.Embedding, 4, 4),
        loss=sequence_cross_entropy,
        metrics={},
        l2=0.0,
        stock_loss=None,
    )
    assert "returns no state to carry on" in failures(problem, dataset=data)["state"]

    class Forgetful(nn.Embedding):
        def forward(self, x, state):
            return super().forward(x), x

    forgetful = replace(problem, model=partial(Forgetful, 4, 4), forward=recurrent)
    assert "do not depend on the incoming state" in failures(forgetful, dataset=data)["state"]


def test_few_examples_and_wrong_batches_are_found(toy):
    assert "test has 30 examples; this check needs 31" in failures(toy, examples=31)["data"]

    class Unruly(Table):
        def batches(self, order, batch_size, *, draws=None, device=None):
            yield from super().batches(order, 1)

    table = Unruly(torch.zeros(9, 5), torch.zeros(9, dtype=torch.int64))
    dataset = Dataset(train=table, train_eval=table, valid=None, test=table)
    assert "gave batches of" in failures(toy, dataset=dataset)["data"]


def test_an_error_of_the_users_code_is_kept(toy):
    def broken(root=None, *, valid_size=0, recipe="standard"):
        return {}["no such key"]

    report = check_problem(replace(toy, stand_in=broken))
    (check,) = report.checks
    assert not check.ok
    assert "KeyError was raised in test_check_problem.py, line" in check.sentence
    with pytest.raises(ProblemError, match=r"toy\n  FAIL data: KeyError") as caught:
        report.raise_for_failures()
    assert caught.value.__cause__ is check.error
    assert isinstance(check.error, KeyError)


def test_a_report_reads_line_by_line():
    report = Report("mine", (Check("a", True, "Fine."), Check("b", False, "Not so.")))
    assert str(report) == "mine\n  ok   a: Fine.\n  FAIL b: Not so."
    assert [check.name for check in report.failed] == ["b"]
