"""What an optimizer does: a conformance suite that ends in a table, `deepobs check`.

Every check builds a small network with dropout and batch norm afresh and takes a few steps.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepobs_data import Batch
from deepobs_problems import Problem
from deepobs_runner.optimizers import MakeOptimizer, make_optimizer, set_mode, takes_model
from deepobs_runner.seeds import generator, global_stream
from deepobs_runner.training.checkpoint import on_cpu
from deepobs_runner.training.closure import Closure

STEPS = 5
Verdict = Literal["ok", "no", "info"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: of the check.
        verdict: `ok`; `no` if a run with this optimizer may go wrong; `info` if it is a fact that
            is neither.
        sentence: what was seen.
    """

    name: str
    verdict: Verdict
    sentence: str


class CountingClosure:
    """Passes calls on to a closure and counts them."""

    def __init__(self, closure: Closure) -> None:
        self._closure = closure
        self.calls = 0
        self.forward_only = 0

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Call the closure."""
        self.calls += 1
        self.forward_only += not backward
        return self._closure(backward, create_graph)


class Trial:
    """A small network in training with the optimizer under test.

    Args:
        make: builds the optimizer.
        dtype: of the parameters.
        seed: of network and data.
        unused: a further parameter that the loss does not depend on.
    """

    def __init__(
        self,
        make: MakeOptimizer,
        *,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        unused: nn.Parameter | None = None,
    ) -> None:
        with global_stream(seed, "init"):
            self.model = small_network().to(dtype)
        if unused is not None:
            self.model.register_parameter("unused", unused)
        self.optimizer: Any = make(self.model)
        self.closure = Closure(
            SMALL_PROBLEM,
            self.model,
            l2=0.0,
            create_graph=bool(getattr(self.optimizer, "create_graph", False)),
        )
        self.counted = CountingClosure(self.closure)
        stream = generator(seed, "data", 1)
        x = torch.randn(32, 8, generator=stream).to(dtype)
        y = (x.float() @ torch.randn(8, 3, generator=stream)).argmax(dim=1)
        self.batch = Batch(x, y)

    def steps(self, first: int, count: int) -> list[float]:
        """Take steps; each has a noise stream of its own. Return the objectives."""
        set_mode(self.optimizer, training=True)
        self.model.train()
        objectives = []
        for step in range(first, first + count):
            with global_stream(0, "noise", step):
                self.closure.begin(self.batch)
                self.optimizer.step(self.counted)
                objectives.append(self.closure.finish().item())
        return objectives

    def weights(self) -> list[Tensor]:
        """Return copies of all parameters."""
        return [p.detach().clone() for p in self.model.parameters()]


def small_network() -> nn.Module:
    """Return a network of 8 inputs and 3 classes with dropout and batch norm."""
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.25), nn.Linear(16, 3)
    )


def _no_data(*_: Any, **__: Any) -> Any:
    raise RuntimeError("The conformance suite makes its own data.")


SMALL_PROBLEM = Problem(name="conformance", data=_no_data, model=small_network)


def check_optimizer(name: str, hyperparams: Mapping[str, Any]) -> list[Finding]:
    """Return what an optimizer does, one finding a check; a check that raises is a `no`.

    Args:
        name: as on the command line.
        hyperparams: its arguments, resolved.

    Raises:
        UsageError: there is no such optimizer.
    """
    make = make_optimizer(name, hyperparams, lambda model: model.parameters())
    grouped = make_optimizer(name, hyperparams, _two_groups)
    checks: list[tuple[str, Callable[[MakeOptimizer], Finding], MakeOptimizer]] = [
        ("lowers the loss", _lowers_the_loss, make),
        ("closure", _closure_use, make),
        ("same twice", _repeatable, make),
        ("state dict", _state_dict_round_trip, make),
        ("checkpoint", _checkpoint_is_safe, make),
        ("no gradient", _parameter_without_gradient, make),
        ("learning rate", _learning_rate, make),
        ("parameter groups", _parameter_groups, grouped),
        ("bf16", _bf16, make),
        ("modes", _modes, make),
        ("memory", _memory, make),
    ]
    if takes_model(name):  # it makes its groups itself
        checks = [check for check in checks if check[0] != "parameter groups"]
    findings = []
    for title, check, build in checks:
        try:
            findings.append(check(build))
        except Exception as error:  # whatever the optimizer raises is the finding
            first_line = next(iter(str(error).splitlines()), "")
            sentence = f"raised {type(error).__name__}: {first_line}"
            findings.append(Finding(title, "no", sentence))
    return findings


def _two_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return all parameters but the last layer's, and those at learning rate 0."""
    parameters = list(model.parameters())
    return [{"params": parameters[:4]}, {"params": parameters[4:], "lr": 0.0}]


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether all tensors are equal, a NaN equal to a NaN."""
    pairs = zip(one, other, strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)


def _same_numbers(one: list[float], other: list[float]) -> bool:
    return _same([torch.tensor(one)], [torch.tensor(other)])


def _lowers_the_loss(make: MakeOptimizer) -> Finding:
    objectives = Trial(make).steps(0, 4 * STEPS)
    first, last = objectives[0], sum(objectives[-STEPS:]) / STEPS
    sentence = f"from {first:.3g} to {last:.3g} in {4 * STEPS} steps on a small network"
    if last != last:
        sentence = f"the objective is NaN after {4 * STEPS} steps: diverged at these settings"
    return Finding("lowers the loss", "ok" if last < first else "no", sentence)


def _closure_use(make: MakeOptimizer) -> Finding:
    trial = Trial(make)
    trial.steps(0, STEPS)
    calls, forward = trial.counted.calls / STEPS, trial.counted.forward_only / STEPS
    sentence = f"{calls:g} calls a step, {forward:g} of them without gradient"
    return Finding("closure", "info", sentence)


def _repeatable(make: MakeOptimizer) -> Finding:
    one, other = Trial(make), Trial(make)
    equal = _same_numbers(one.steps(0, STEPS), other.steps(0, STEPS))
    equal = equal and _same(one.weights(), other.weights())
    sentence = "two runs with one seed are equal bit for bit"
    if not equal:
        sentence = "two runs with one seed differ: is there randomness without torch's generator?"
    return Finding("same twice", "ok" if equal else "no", sentence)


def _state_dict_round_trip(make: MakeOptimizer) -> Finding:
    whole = Trial(make)
    whole.steps(0, STEPS)
    model, state = on_cpu(whole.model.state_dict()), on_cpu(whole.optimizer.state_dict())
    expected = whole.steps(STEPS, STEPS)
    resumed = Trial(make, seed=1)
    resumed.batch = whole.batch
    resumed.model.load_state_dict(model)
    resumed.optimizer.load_state_dict(state)
    equal = _same_numbers(resumed.steps(STEPS, STEPS), expected)
    equal = equal and _same(whole.weights(), resumed.weights())
    sentence = "a resumed run equals an uninterrupted one bit for bit"
    if not equal:
        sentence = "a resumed run differs: something the steps depend on is not in state_dict()"
    return Finding("state dict", "ok" if equal else "no", sentence)


def _checkpoint_is_safe(make: MakeOptimizer) -> Finding:
    trial = Trial(make)
    trial.steps(0, STEPS)
    file = io.BytesIO()
    torch.save(on_cpu(trial.optimizer.state_dict()), file)
    file.seek(0)
    torch.load(file, weights_only=True)
    return Finding("checkpoint", "ok", "its state loads with weights_only=True")


def _parameter_without_gradient(make: MakeOptimizer) -> Finding:
    unused = nn.Parameter(torch.ones(4, 3))
    Trial(make, unused=unused).steps(0, STEPS)
    if torch.equal(unused.detach(), torch.ones(4, 3)):
        return Finding("no gradient", "ok", "parameters without a gradient are left as they are")
    return Finding("no gradient", "info", "parameters without a gradient are changed")


def _learning_rate(make: MakeOptimizer) -> Finding:
    trial = Trial(make)
    groups = trial.optimizer.param_groups
    if any(group.get("lr") is None for group in groups):
        return Finding("learning rate", "info", "a group has no lr: schedules do not apply")
    for group in groups:
        group["lr"] = 0.0 * group["lr"]
    before = trial.weights()
    trial.steps(0, 1)
    if not _same(before, trial.weights()):
        return Finding("learning rate", "no", "weights move at lr 0: schedules do not apply")
    return Finding("learning rate", "ok", "is read from the group in every step")


def _parameter_groups(make_grouped: MakeOptimizer) -> Finding:
    trial = Trial(make_grouped)
    before = trial.weights()
    trial.steps(0, 1)
    moved = [not torch.equal(a, b) for a, b in zip(before, trial.weights(), strict=True)]
    if moved[0] and not any(moved[4:]):
        return Finding("parameter groups", "ok", "each group is stepped at its own rate")
    return Finding("parameter groups", "no", "a group with lr 0 moves, or one with a rate does not")


def _bf16(make: MakeOptimizer) -> Finding:
    trial = Trial(make, dtype=torch.bfloat16)
    before = trial.weights()
    trial.steps(0, STEPS)
    finite = all(bool(weight.isfinite().all()) for weight in trial.weights())
    if not finite:
        return Finding("bf16", "no", "weights in bfloat16 become infinite or NaN")
    if _same(before, trial.weights()):
        return Finding("bf16", "info", "weights in bfloat16 do not move: the steps are too small")
    return Finding("bf16", "ok", "steps on weights in bfloat16")


def _modes(make: MakeOptimizer) -> Finding:
    trial = Trial(make)
    trial.steps(0, STEPS)
    before = trial.weights()
    if not set_mode(trial.optimizer, training=False):
        return Finding("modes", "info", "evaluates at the weights it trains")
    exchanged = not _same(before, trial.weights())
    set_mode(trial.optimizer, training=True)
    close = all(
        torch.allclose(a, b, rtol=1e-4, atol=1e-6)
        for a, b in zip(before, trial.weights(), strict=True)
    )
    if not close:
        return Finding("modes", "no", "eval() and train() do not bring the weights back")
    where = "other weights" if exchanged else "the same weights"
    return Finding("modes", "info", f"has train() and eval(), evaluates at {where}")


def _memory(make: MakeOptimizer) -> Finding:
    trial = Trial(make)
    trial.steps(0, STEPS)
    parameters = sum(p.numel() for p in trial.model.parameters())
    per_parameter = _bytes_in(trial.optimizer.state_dict()) / parameters
    sentence = f"{per_parameter:.1f} bytes of state a parameter ({parameters} parameters)"
    return Finding("memory", "info", sentence)


def _bytes_in(state: Any) -> int:
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(_bytes_in(value) for value in state.values())
    if isinstance(state, list | tuple):
        return sum(_bytes_in(value) for value in state)
    return 0
