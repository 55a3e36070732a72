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

RATES = {"SGD": 0.1, "Momentum": 0.01, "Adadelta": 1.0, "ASGD": 0.1, "LBFGS": 0.003, "Adagrad": 0.1}
KNOWN_LIMITS = {
    "LBFGS": {"parameter groups"},  # it takes one group only
    "Rprop": {"learning rate", "rate after load"},  # it reads its rate in the first step only
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
    assert adam["closure"].message == "1 call per step, 0 without gradient"
    assert adam["memory"].message.startswith("8.")  # two float32 moments, a step count each
    lbfgs = findings_of("LBFGS", lr=0.5, max_iter=4)
    assert float(lbfgs["closure"].message.split()[0]) > 1


BAD = """
import collections
import fractions
import itertools
import random
import numpy as np
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


class Wrapper:
    "Its groups are those of the optimizer inside when it was made."
    def __init__(self, base):
        self.base = base
        self.param_groups = base.param_groups
    def step(self, closure):
        return self.base.step(closure)
    def state_dict(self):
        return self.base.state_dict()
    def load_state_dict(self, state):
        self.base.load_state_dict(state)

def stale_groups(params, lr):
    return Wrapper(torch.optim.SGD(params, lr=lr, momentum=0.9))

class RightWrapper(Wrapper):
    def __init__(self, base):
        self.base = base
    @property
    def param_groups(self):
        return self.base.param_groups

def right_groups(params, lr):
    return RightWrapper(torch.optim.SGD(params, lr=lr, momentum=0.9))

def copied_groups(params, lr):
    wrapper = stale_groups(params, lr)
    wrapper.param_groups = [dict(group) for group in wrapper.base.param_groups]
    return wrapper

class LoadsNoGroups(torch.optim.SGD):
    "Keeps the rates of the checkpoint beside the groups."
    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.rates = [group["lr"] for group in self.param_groups]
    def step(self, closure):
        for group, rate in zip(self.param_groups, getattr(self, "rates", ())):
            group["lr"] = rate
        return super().step(closure)


class WithState(torch.optim.SGD):
    "Keeps something for each parameter beside the step."
    def step(self, closure):
        loss = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["kept"] = self.keep(p)
        return loss

class Deque(WithState):
    def keep(self, p):
        return collections.deque([1.0])

class Fractions(WithState):
    def keep(self, p):
        return fractions.Fraction(1, 3)

class Counts(WithState):
    def keep(self, p):
        return collections.Counter(steps=1)

class Function(WithState):
    def keep(self, p):
        return max


class Exchanges(torch.optim.SGD):
    "Evaluates at a mean that is there from the first step on."
    lazy = True
    def step(self, closure):
        loss = super().step(closure)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p].setdefault("mean", p.detach().clone()).lerp_(p.detach(), 0.1)
        return loss
    def swap(self):
        for group in self.param_groups:
            for p in group["params"]:
                if self.lazy or "mean" in self.state[p]:
                    now = p.detach().clone()
                    p.data.copy_(self.state[p]["mean"])
                    self.state[p]["mean"].copy_(now)
    now = "train"
    def train(self):
        if self.now == "eval":
            self.swap()
        self.now = "train"
    def eval(self):
        if self.now == "train":
            self.swap()
        self.now = "eval"

class ExchangesIfThere(Exchanges):
    lazy = False

class Shrinks(torch.optim.SGD):
    "Evaluates at smaller weights, already before the first step."
    factor = 1.0
    def scale(self, factor):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(factor / self.factor)
        self.factor = factor
    def train(self):
        self.scale(1.0)
    def eval(self):
        self.scale(0.5)


class RealOnly(torch.optim.SGD):
    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(group["lr"] * p.grad.real) if p.grad is not None else None
        return loss

class RefusesComplex(torch.optim.SGD):
    def step(self, closure):
        if any(p.is_complex() for group in self.param_groups for p in group["params"]):
            raise ValueError("no complex weights")
        return super().step(closure)


class Noisy(torch.optim.SGD):
    "Draws after each of its calls."
    def step(self, closure):
        for _ in range(2):
            loss = closure()
            noise = [torch.randn_like(p) for group in self.param_groups for p in group["params"]]
        super().step(None)
        for p, draws in zip((p for g in self.param_groups for p in g["params"]), noise):
            p.data.add_(draws, alpha=1e-3 * self.param_groups[0]["lr"])
        return loss

class DrawsFirst(torch.optim.SGD):
    def step(self, closure):
        torch.rand(3)
        closure()
        return super().step(closure)

class DrawsElsewhere(torch.optim.SGD):
    "Draws from the global generators of Python and numpy, also when it is built."
    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.param_groups[0]["scale"] = random.random()
    def step(self, closure):
        closure()
        loss = super().step(closure)
        noise = self.param_groups[0]["scale"] * random.gauss(0, 1) * float(np.random.rand())
        for group in self.param_groups:
            for p in group["params"]:
                p.data += 1e-3 * group["lr"] * noise
        return loss

class CallsTwice(torch.optim.SGD):
    def step(self, closure):
        closure()
        return super().step(closure)
"""


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """Return the name of a module of optimizers with faults."""
    (tmp_path / "mine_bad.py").write_text(BAD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine_bad", raising=False)
    return "mine_bad:"


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        ("Forgetful", {"state dict", "checkpoint"}),
        ("Stubborn", {"no gradient", "learning rate", "rate after load", "parameter groups"}),
        ("Restless", {"same twice", "state dict", "checkpoint"}),
        ("Uphill", {"lowers the loss", "complex weights"}),
        ("stale_groups", {"rate after load"}),
        ("copied_groups", {"learning rate", "rate after load"}),
        ("LoadsNoGroups", {"rate after load"}),
        ("right_groups", set()),
        ("Fractions", {"checkpoint"}),
        ("Function", {"checkpoint"}),
        ("Counts", set()),
        ("Deque", set()),
        ("Exchanges", {"eval first"}),
        ("Shrinks", {"eval first"}),
        ("ExchangesIfThere", set()),
        ("RealOnly", {"complex weights"}),
        ("RefusesComplex", set()),
        ("Noisy", set()),
        ("DrawsFirst", set()),
        ("DrawsElsewhere", set()),
        ("CallsTwice", set()),
    ],
)
def test_faults_are_found(name, refused, bad):
    found = findings_of(f"{bad}{name}", lr=0.1)
    named = {f.name for f in found.values() if f.state == "no"}
    assert named == refused, found


@pytest.mark.parametrize(
    ("name", "check", "seen"),
    [
        ("Fractions", "checkpoint", "its state holds fractions.Fraction"),
        ("stale_groups", "rate after load", "the optimizer inside from a property"),
        ("Exchanges", "eval first", "KeyError: 'mean'"),
        ("Shrinks", "eval first", "changes the weights"),
        ("ExchangesIfThere", "eval first", "keeps the weights"),
        ("ExchangesIfThere", "modes", "evaluates at other weights"),
        ("RealOnly", "complex weights", "imaginary parts do not change"),
        ("RefusesComplex", "complex weights", "ValueError: no complex weights"),
        ("Uphill", "draws", "uses no random numbers"),
        ("Noisy", "draws", "draws random numbers of its own, and every call sees the same"),
        ("DrawsFirst", "draws", "draws random numbers of its own, and every call sees the same"),
        ("DrawsElsewhere", "draws", "draws random numbers of its own, and every call sees"),
        ("CallsTwice", "buffers", "advance once per step (2 calls)"),
        ("CallsTwice", "closure", "2 calls per step"),
    ],
)
def test_what_is_seen_is_said(name, check, seen, bad):
    assert seen in findings_of(f"{bad}{name}", lr=0.1)[check].message


GRAPH = """
import torch

class NeedsGraph(torch.optim.SGD):
    def step(self, closure):
        loss = closure()
        parameters = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        torch.autograd.grad([p.grad for p in parameters], parameters, parameters, allow_unused=True)
        return super().step(lambda: loss)
"""


@pytest.mark.filterwarnings("ignore:Using backward")
def test_a_missing_graph_is_one_finding(tmp_path):
    (tmp_path / "graph.py").write_text(GRAPH)
    name = f"{tmp_path / 'graph.py'}:NeedsGraph"
    (finding,) = check_optimizer(name, {"lr": 0.1})
    assert finding.state == "no"
    assert "run it with --create-graph" in finding.message
    assert {f.state for f in check_optimizer(name, {"lr": 0.1}, create_graph=True)} == {
        "ok",
        "info",
    }
