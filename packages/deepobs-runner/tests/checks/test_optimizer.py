"""The conformance suite finds what is wrong with an optimizer, and nothing with a right one."""

import sys

import pytest

from deepobs_runner.checks.optimizer import check_optimizer
from deepobs_runner.optimizers import (
    ADAPTERS,
    NOT_RUNNABLE,
    known_optimizers,
    resolve_hyperparams,
)

RATES = {"SGD": 0.1, "Momentum": 0.01, "Adadelta": 1.0, "ASGD": 0.1, "LBFGS": 0.05, "Adagrad": 0.1}
KNOWN_LIMITS = {
    "LBFGS": {"parameter groups"},  # it takes one group only
    "Rprop": {"learning rate", "parameter groups"},  # it reads its rate in the first step only
}
RUNNABLE = [n for n in known_optimizers() if n not in ADAPTERS and n not in NOT_RUNNABLE]


def findings_of(name, **hyperparams):
    return {f.name: f for f in check_optimizer(name, resolve_hyperparams(name, hyperparams))}


@pytest.mark.parametrize("name", RUNNABLE)
def test_every_torch_optimizer(name):
    found = findings_of(name, lr=RATES.get(name, 0.01))
    refused = {f.name for f in found.values() if f.state == "no"}
    assert refused == KNOWN_LIMITS.get(name, set()), found


def test_facts_of_adam_and_lbfgs():
    adam = findings_of("Adam", lr=0.01)
    assert adam["closure"].message == "1 calls per step, 0 of them without gradient"
    assert adam["memory"].message.startswith("8.")  # two float32 moments, a step count each
    lbfgs = findings_of("LBFGS", lr=0.5, max_iter=4)
    assert float(lbfgs["closure"].message.split()[0]) > 1


BAD = """
import itertools
import torch

class Forgetful(torch.optim.SGD):
    "Momentum that is not in its state dict."
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.velocity = {}
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    v = self.velocity.get(p, torch.zeros_like(p)) * 0.9 + p.grad
                    self.velocity[p] = v
                    p.data -= group["lr"] * v
        return loss

class Stubborn(torch.optim.SGD):
    "Uses the learning rate of its construction, and fails on parameters without a gradient."
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.rate = lr
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= self.rate * p.grad
        return loss

_calls = itertools.count()

class Restless(torch.optim.SGD):
    "Has randomness of its own."
    def step(self, closure):
        loss = super().step(closure)
        generator = torch.Generator().manual_seed(next(_calls))
        for group in self.param_groups:
            for p in group["params"]:
                p.data += 1e-3 * torch.randn(p.shape, generator=generator).to(p.dtype)
        return loss

class Uphill(torch.optim.SGD):
    def __init__(self, params, lr):
        super().__init__(params, lr=lr, maximize=True)
"""


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("Forgetful", {"state dict"}),
        ("Stubborn", {"no gradient", "learning rate", "parameter groups"}),
        ("Restless", {"same twice", "state dict", "learning rate", "parameter groups"}),
        ("Uphill", {"lowers the loss"}),
    ],
)
def test_faults_are_found(name, refused, tmp_path, monkeypatch):
    (tmp_path / "mine_bad.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_bad", raising=False)
    found = findings_of(f"mine_bad:{name}", lr=0.1)
    assert {f.name for f in found.values() if f.state == "no"} == refused
