"""Optimizers by name and their hyperparameters."""

import inspect
import json
import sys

import numpy as np
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
    with pytest.raises(UsageError, match="needs a learning rate"):
        resolve_hyperparams("Adam", {})
    assert resolve_hyperparams("Adam", {}, official_lr=0.03)["lr"] == 0.03
    assert resolve_hyperparams("Adam", {"lr": 0.1}, official_lr=0.03)["lr"] == 0.1


@pytest.mark.parametrize(
    ("name", "hyperparams", "said"),
    [
        ("Adamm", {}, "'Adam'"),
        ("Adam", {"lr": 0.1, "beta": 1}, "'betas'"),
        ("Adam", {"lr": float("nan")}, "must be finite"),
        ("Adam", {"lr": "inf"}, "must be finite"),
        ("Adam", {"lr": 0.1, "betas": 0.9}, "a list of 2 numbers"),
        ("Adam", {"lr": None}, "a number; got none"),
        ("sgd", {"lr": 0.1}, "'SGD'"),
        ("SparseAdam", {"lr": 0.1}, "sparse gradients only"),
        ("no_such_module:Adam", {}, "Cannot find the module 'no_such_module'"),
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


@pytest.mark.parametrize(
    ("name", "given", "key", "expected"),
    [
        ("SGD", {"lr": 1}, "lr", 1.0),
        ("SGD", {"lr": 1, "momentum": 0}, "momentum", 0.0),
        ("Momentum", {"lr": 1}, "lr", 1.0),
        ("Adam", {"lr": 1, "betas": [0, 0.9]}, "betas", [0.0, 0.9]),
        ("LBFGS", {"lr": 1, "max_iter": 5.0}, "max_iter", 5),
    ],
)
def test_values_have_the_type_of_the_argument(name, given, key, expected):
    value = resolve_hyperparams(name, given)[key]
    assert value == expected
    assert type(value) is type(expected)
    if isinstance(value, list):
        assert [type(item) for item in value] == [float, float]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": "fast"}, "lr of SGD must be a number"),
        ({"lr": True}, "lr of SGD must be a number"),
        ({"lr": 0.1, "nesterov": 1}, "true or false"),
    ],
)
def test_values_of_the_wrong_type(given, said):
    with pytest.raises(UsageError, match=said):
        resolve_hyperparams("SGD", given)


TYPED = """
from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Optional

import torch

if TYPE_CHECKING:
    from somewhere import Params, Rate


class Mode(enum.Enum):
    fast = 1
    slow = 2


class Typed(torch.optim.SGD):
    def __init__(
        self,
        params: Params,
        lr: float | Rate,
        coefficients: str | tuple[float, float] | list[tuple[float, float]] = "original",
        growth: float = float("inf"),
        momenta: list[float] = [0.9],
        scales: dict[str, float] | None = None,
        norm: Literal["l2", "inf", 1] = "l2",
        damping: float | str = "auto",
        milestones: tuple[int, ...] = (3, 6),
        widths: Sequence[int] = (1,),
        flags=(True, False),
        pair=(0.9, 1),
        counts=(3, 6),
        decay=0,
        wrong: int = 0.5,
        anything: Any = None,
        every: Optional[int] = None,
        dtype: torch.dtype = torch.float32,
        mode: Mode = Mode.fast,
        guess: bool | float = False,
        state: Literal["float32", "bfloat16"] = "float32",
    ):
        super().__init__(params, lr=lr)
        self.given = {k: v for k, v in locals().items() if k not in ("self", "params", "__class__")}


def factory(params: Params, lr: Rate, betas: tuple[float, float] = (0.9, 0.99)):
    return torch.optim.Adam(params, lr=lr, betas=betas)


partly = partial(Typed, decay=0.5)
"""

INF = float("inf")


@pytest.fixture
def typed(tmp_path):
    """Return the name of a module with annotations of many kinds."""
    (tmp_path / "typed.py").write_text(TYPED)
    return f"{tmp_path / 'typed.py'}:"


def given_to(name, **hyperparams):
    """Return the JSON form of hyperparameters, and what the optimizer got."""
    resolved = resolve_hyperparams(name, {"lr": 0.1, **hyperparams})
    assert resolve_hyperparams(name, resolved) == resolved
    assert json.loads(json.dumps(resolved, allow_nan=False)) == resolved
    return resolved, make_optimizer(name, resolved, trainable)(nn.Linear(2, 1)).given


def test_a_default_is_never_refused(typed):
    resolved, given = given_to(f"{typed}Typed")
    assert resolved == {
        "lr": 0.1, "coefficients": "original", "growth": "inf", "momenta": [0.9], "norm": "l2",
        "damping": "auto", "milestones": [3, 6], "widths": [1], "flags": [True, False],
        "pair": [0.9, 1.0], "counts": [3, 6], "decay": 0, "wrong": 0.5, "state": "float32",
    }  # fmt: skip
    assert given["growth"] == INF
    assert given["flags"] == (True, False)
    assert given["flags"][0] is True


@pytest.mark.parametrize(
    ("key", "value", "stored", "argument"),
    [
        ("coefficients", [1, 2], [1.0, 2.0], (1.0, 2.0)),
        ("coefficients", [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]], [(1.0, 2.0), (3.0, 4.0)]),
        ("coefficients", "cubic", "cubic", "cubic"),
        ("growth", 2, 2.0, 2.0),
        ("growth", -INF, "-inf", -INF),
        ("momenta", [0, 0.5], [0.0, 0.5], [0.0, 0.5]),
        ("scales", {"a": 1}, {"a": 1.0}, {"a": 1.0}),
        ("scales", {"a": INF}, {"a": "inf"}, {"a": INF}),
        ("norm", "inf", "inf", "inf"),
        ("norm", INF, "inf", "inf"),  # as `norm=inf` is read on the command line
        ("norm", 1, 1, 1),
        ("damping", 1, 1.0, 1.0),
        ("damping", "none", "none", "none"),
        ("milestones", [1, 2.0], [1, 2], (1, 2)),
        ("widths", (4, 8), [4, 8], (4, 8)),
        ("flags", [False, True], [False, True], (False, True)),
        ("pair", [1, 1], [1.0, 1.0], (1.0, 1.0)),
        ("counts", [1, 2.5], [1.0, 2.5], (1.0, 2.5)),
        ("decay", 0.01, 0.01, 0.01),
        ("decay", 5.0, 5, 5),
        ("wrong", 3, 3, 3),
        ("anything", [1, "x"], [1, "x"], (1, "x")),
        ("every", 3.0, 3, 3),
        ("every", None, None, None),
        ("dtype", "bfloat16", "bfloat16", torch.bfloat16),
        ("dtype", torch.float16, "float16", torch.float16),
        ("mode", "slow", "slow", None),
        ("guess", 0.5, 0.5, 0.5),
        ("guess", True, True, True),
        ("state", "bfloat16", "bfloat16", "bfloat16"),
        ("lr", np.float64(0.5), 0.5, 0.5),
        ("decay", np.int64(3), 3, 3),
        ("momenta", np.array([1, 2]), [1.0, 2.0], [1.0, 2.0]),
        ("growth", torch.tensor(2.0), 2.0, 2.0),
    ],
)
def test_values_fit_annotations_and_defaults(typed, key, value, stored, argument):
    resolved, given = given_to(f"{typed}Typed", **{key: value})
    assert (resolved[key], repr(resolved[key])) == (stored, repr(stored))
    if key == "mode":
        argument = type(given["mode"]).slow
    assert repr(given[key]) == repr(argument)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("coefficients", 3, "a text or a list of 2 numbers or a list of values"),
        ("momenta", 0.9, "a list of numbers"),
        ("scales", {"a": "b"}, "a mapping or none"),
        ("norm", "l3", "'l2' or 'inf' or 1"),
        ("milestones", [1.5], "a list of whole numbers"),
        ("every", 2.5, "a whole number or none"),
        ("dtype", "float31", "a dtype such as float32"),
        ("mode", "slowest", "fast or slow"),
        ("flags", [1, 0], "a list of true or false"),
        ("guess", "x", "true or false or a number"),
    ],
)
def test_values_that_fit_neither(typed, key, value, said):
    with pytest.raises(UsageError) as error:
        resolve_hyperparams(f"{typed}Typed", {"lr": 0.1, key: value})
    assert f"{key} of {typed}Typed must be {said}; got" in str(error.value)


def test_types_of_functions_and_partials(typed):
    resolved = resolve_hyperparams(f"{typed}factory", {"lr": 1, "betas": [0, 0.9]})
    assert repr(resolved) == "{'betas': [0.0, 0.9], 'lr': 1}"
    assert given_to(f"{typed}partly", milestones=[1, 2])[1]["milestones"] == (1, 2)
    assert resolve_hyperparams(f"{typed}partly", {"lr": 0.1})["decay"] == 0.5


@pytest.mark.parametrize("library", ["pytorch_optimizer", "schedulefree"])
def test_every_class_of_a_library_takes_its_defaults(library):
    module = pytest.importorskip(library)
    resolved = 0
    for name, found in vars(module).items():
        if not inspect.isclass(found) or not hasattr(found, "step"):
            continue
        arguments = inspect.signature(found).parameters
        needed = [p for p in arguments.values() if p.default is p.empty and p.name != "lr"]
        rate = arguments["lr"].default if "lr" in arguments else None
        if isinstance(rate, float) and all(p.kind is p.VAR_KEYWORD for p in needed[1:]):
            given_back = resolve_hyperparams(f"{library}:{name}", {"lr": rate})
            json.dumps(given_back, allow_nan=False)
            make_optimizer(f"{library}:{name}", given_back, trainable)  # back to arguments
            resolved += 1
    assert resolved > 8


def test_an_infinite_default_is_no_part_of_a_label(typed):
    from deepobs_runner.results.labels import show

    assert show(resolve_hyperparams(f"{typed}Typed", {"lr": 0.1})["growth"]) == "inf"
