"""The examples of the README run, each alone."""

import re
import warnings
from pathlib import Path

import pytest
import torch

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.M | re.S)
OPTIONAL = ("backpack", "lightning")


def final_accuracy(names: dict) -> float:
    return names["evaluate"](names["problem"], names["model"], names["data"].test)["accuracy"]


def mean_gradient(names: dict) -> dict:
    model, problem, batch = (names[key] for key in ("model", "problem", "batch"))
    gradients = torch.autograd.grad(
        problem.losses(model, batch)[0].mean(), list(model.parameters())
    )
    return dict(zip([name for name, _ in model.named_parameters()], gradients, strict=True))


CHECKS = {
    "# {'loss'": lambda n: final_accuracy(n) > 0.5,
    "functional_call": lambda n: torch.allclose(
        n["gradients"]["dense3.bias"].mean(dim=0), mean_gradient(n)["dense3.bias"], atol=1e-6
    ),
    "BatchGrad": lambda n: torch.allclose(
        n["first"].grad_batch.sum(dim=0), n["first"].grad, atol=1e-5
    ),
    "LBFGS": lambda n: (n["model"].theta - n["noise"]).norm() < 1e-2,
    "trainer": lambda n: n["trainer"].global_step == 4,
    "check_problem": lambda n: n["check_problem"](n["mine"], examples=2).ok,
    "SUITES": lambda n: n["problems_with"](["image", "cheap"], without=["convex"]),
}


def test_every_example_is_checked():
    assert len(EXAMPLES) == len(CHECKS)


@pytest.mark.parametrize(
    ("word", "code"), list(zip(CHECKS, EXAMPLES, strict=False)), ids=list(CHECKS)
)
def test_example_runs(word, code, tmp_path, monkeypatch):
    assert word in code
    for package in OPTIONAL:
        if f"import {package}" in code or f"from {package}" in code:
            pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    names: dict = {"__name__": "readme"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other people's packages
        exec(compile(code, README.name, "exec"), names)
    assert CHECKS[word](names)
