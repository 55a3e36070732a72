"""Optimizers by name and their hyperparameters."""

import sys

import pytest
import torch
from torch import nn

from deepobs_problems import ProblemError
from deepobs_runner import RunConfig, resolve_config
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import (
    find_optimizer,
    known_optimizers,
    make_optimizer,
    parse_hyperparams,
    resolve_hyperparams,
)


def trainable(model):
    return list(model.parameters())


def test_every_torch_optimizer_is_known():
    assert {"SGD", "Adam", "AdamW", "LBFGS", "Momentum"} <= set(known_optimizers())
    assert "Optimizer" not in known_optimizers()


def test_momentum_is_the_official_one():
    hyperparams = resolve_hyperparams("Momentum", {"lr": 0.1})
    optimizer = make_optimizer("Momentum", hyperparams, trainable)(nn.Linear(2, 1))
    assert type(optimizer) is torch.optim.SGD
    group = optimizer.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["lr"]) == (0.99, False, 0.1)


def test_defaults_are_filled_in_but_no_switches():
    resolved = resolve_hyperparams("Adam", {"lr": 0.1})
    assert resolved["betas"] == [0.9, 0.999]
    assert resolved["eps"] == 1e-8
    assert not {"foreach", "fused", "capturable", "differentiable", "maximize"} & set(resolved)


def test_a_false_that_is_the_default_is_no_difference():
    with_default = resolve_hyperparams("Adam", {"lr": 0.1, "amsgrad": False})
    assert with_default == resolve_hyperparams("Adam", {"lr": 0.1})
    assert resolve_hyperparams("Adam", {"lr": 0.1, "amsgrad": True})["amsgrad"] is True


def test_no_silent_learning_rate():
    with pytest.raises(UsageError, match="needs lr="):
        resolve_hyperparams("Adam", {})
    assert resolve_hyperparams("Adam", {}, official_lr=0.03)["lr"] == 0.03
    assert resolve_hyperparams("Adam", {"lr": 0.1}, official_lr=0.03)["lr"] == 0.1


@pytest.mark.parametrize(
    ("name", "hyperparams", "said"),
    [
        ("Adamm", {}, "'Adam'"),
        ("Adam", {"lr": 0.1, "beta": 1}, "'betas'"),
        ("Adam", {"lr": float("nan")}, "finite numbers"),
        ("Adam", {"lr": 0.1, "betas": [0.9, float("inf")]}, "finite numbers"),
        ("Adam", {"lr": 0.1, "betas": 0.9}, "a list of numbers"),
        ("Adam", {"lr": None}, "a number; got none"),
        ("sgd", {"lr": 0.1}, "'SGD'"),
        ("SparseAdam", {"lr": 0.1}, "sparse gradients only"),
        ("Muon", {"lr": 0.1}, "two-dimensional"),
        ("no_such_module:Adam", {}, "no module 'no_such_module'"),
        ("torch.optim:Adan", {}, "'Adam'"),
    ],
)
def test_errors_name_what_is_near(name, hyperparams, said):
    with pytest.raises((UsageError, ProblemError)) as error:
        resolve_hyperparams(name, hyperparams)
    assert said in str(error.value)


def test_broken_import_in_user_code_is_not_hidden(tmp_path, monkeypatch):
    (tmp_path / "mine_broken.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        find_optimizer("mine_broken:Optimizer")


def test_factory_gets_the_model_if_it_asks_for_it(tmp_path, monkeypatch):
    (tmp_path / "mine_split.py").write_text(
        "import torch\n"
        "def split(model, lr):\n"
        "    assert isinstance(model, torch.nn.Module)\n"
        "    return torch.optim.SGD(model.parameters(), lr=lr)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_split", raising=False)
    hyperparams = resolve_hyperparams("mine_split:split", {"lr": 0.5})
    optimizer = make_optimizer("mine_split:split", hyperparams, trainable)(nn.Linear(2, 1))
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_optimizer_in_a_file_and_its_edit_is_another_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import torch\nclass Mine(torch.optim.SGD):\n    pass\n")
    config = RunConfig(
        problem="quadratic_deep", optimizer=f"{path}:Mine", hyperparams={"lr": 0.1}, epochs=1
    )
    before = resolve_config(config)
    assert before.id.startswith("quadratic_deep-Mine-42-")
    assert resolve_config(config).id == before.id
    path.write_text(path.read_text() + "# edited\n")
    assert resolve_config(config).id != before.id


def test_parse_values():
    assert parse_hyperparams(["a=0.9,inf", "b=[1,2]", "c=1,2,x"]) == {
        "a": [0.9, float("inf")],
        "b": [1, 2],
        "c": [1, 2, "x"],
    }
    words = ["lr=1e-3", "betas=0.9,0.99", "nesterov=true", "n=3", "name=cubic", "x=none"]
    assert parse_hyperparams(words) == {
        "lr": 1e-3,
        "betas": [0.9, 0.99],
        "nesterov": True,
        "n": 3,
        "name": "cubic",
        "x": None,
    }


@pytest.mark.parametrize("words", [["lr"], ["=1"], ["lr="], ["lr=1", "lr=2"]])
def test_words_that_are_no_hyperparameters(words):
    with pytest.raises(UsageError):
        parse_hyperparams(words)
