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
from deepobs_runner.backend.memory import tensor_bytes
from deepobs_runner.optimizers import MakeOptimizer, make_optimizer, set_mode, takes_model
from deepobs_runner.seeds import generator, global_stream
from deepobs_runner.text import first_line
from deepobs_runner.training.checkpoint import on_cpu
from deepobs_runner.training.closure import Closure

STEPS = 5
State = Literal["ok", "no", "info"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: of the check.
        state: `ok`; `no` if a run with this optimizer may go wrong; `info` if it is a fact that
            is neither.
        message: what was seen.
    """

    name: str
    state: State
    message: str


def check_optimizer(name: str, hyperparams: Mapping[str, Any]) -> list[Finding]:
    """Return what an optimizer does, one finding per check; a check that raises is a `no`.

    Args:
        name: as on the command line.
        hyperparams: its arguments, resolved.

    Raises:
        UsageError: there is no such optimizer.
    """
    make = make_optimizer(name, hyperparams, lambda model: model.parameters())
    grouped = make_optimizer(name, hyperparams, _two_groups)
    findings = []
    for title, check in CHECKS.items():
        in_groups = check is _parameter_groups
        if in_groups and takes_model(name):  # it makes its groups itself
            continue
        try:
            findings.append(Finding(title, *check(grouped if in_groups else make)))
        except Exception as error:  # whatever the optimizer raises is the finding
            raised = f"raised {type(error).__name__}: {first_line(error)}"
            findings.append(Finding(title, "no", raised))
    return findings


def _two_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Return all parameters but the last layer's, and those at learning rate 0."""
    parameters = list(model.parameters())
    return [{"params": parameters[:4]}, {"params": parameters[4:], "lr": 0.0}]


class CountingClosure:
    """Passes calls on to a closure and counts them."""

    def __init__(self, closure: Closure) -> None:
        self._closure = closure
        self.calls = self.forward_only = 0

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Call the closure."""
        self.calls += 1
        self.forward_only += not backward
        return self._closure(backward, create_graph)


class SmallTraining:
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


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Return whether all tensors are equal, a NaN equal to a NaN."""
    pairs = zip(one, other, strict=True)
    return all(torch.allclose(a, b, rtol=0, atol=0, equal_nan=True) for a, b in pairs)


def _same_numbers(one: list[float], other: list[float]) -> bool:
    return _same([torch.tensor(one)], [torch.tensor(other)])


Seen = tuple[State, str]


def _lowers_the_loss(make: MakeOptimizer) -> Seen:
    objectives = SmallTraining(make).steps(0, 4 * STEPS)
    first, last = objectives[0], sum(objectives[-STEPS:]) / STEPS
    if last != last:
        return "no", f"the objective is NaN after {4 * STEPS} steps: diverged at these settings"
    seen = f"from {first:.3g} to {last:.3g} in {4 * STEPS} steps on a small network"
    return "ok" if last < first else "no", seen


def _closure_use(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    training.steps(0, STEPS)
    calls, forward = training.counted.calls / STEPS, training.counted.forward_only / STEPS
    return "info", f"{calls:g} calls per step, {forward:g} of them without gradient"


def _repeatable(make: MakeOptimizer) -> Seen:
    one, other = SmallTraining(make), SmallTraining(make)
    equal = _same_numbers(one.steps(0, STEPS), other.steps(0, STEPS))
    if equal and _same(one.weights(), other.weights()):
        return "ok", "two runs with one seed are equal bit for bit"
    return "no", "two runs with one seed differ: is there randomness without torch's generator?"


def _state_dict_round_trip(make: MakeOptimizer) -> Seen:
    whole = SmallTraining(make)
    whole.steps(0, STEPS)
    model, state = on_cpu(whole.model.state_dict()), on_cpu(whole.optimizer.state_dict())
    expected = whole.steps(STEPS, STEPS)
    resumed = SmallTraining(make, seed=1)
    resumed.batch = whole.batch
    resumed.model.load_state_dict(model)
    resumed.optimizer.load_state_dict(state)
    equal = _same_numbers(resumed.steps(STEPS, STEPS), expected)
    if equal and _same(whole.weights(), resumed.weights()):
        return "ok", "a resumed run equals an uninterrupted one bit for bit"
    return "no", "a resumed run differs: something the steps depend on is not in state_dict()"


def _checkpoint_is_safe(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    training.steps(0, STEPS)
    file = io.BytesIO()
    torch.save(on_cpu(training.optimizer.state_dict()), file)
    file.seek(0)
    torch.load(file, weights_only=True)
    return "ok", "its state loads with weights_only=True"


def _parameter_without_gradient(make: MakeOptimizer) -> Seen:
    unused = nn.Parameter(torch.ones(4, 3))
    SmallTraining(make, unused=unused).steps(0, STEPS)
    if torch.equal(unused.detach(), torch.ones(4, 3)):
        return "ok", "parameters without a gradient are left as they are"
    return "info", "parameters without a gradient are changed"


def _learning_rate(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    groups = training.optimizer.param_groups
    if any(group.get("lr") is None for group in groups):
        return "info", "a group has no lr: schedules do not apply"
    for group in groups:
        group["lr"] = 0.0 * group["lr"]
    before = training.weights()
    training.steps(0, 1)
    if not _same(before, training.weights()):
        return "no", "weights move at lr 0: schedules do not apply"
    return "ok", "is read from the group in every step"


def _parameter_groups(make_grouped: MakeOptimizer) -> Seen:
    training = SmallTraining(make_grouped)
    before = training.weights()
    training.steps(0, 1)
    moved = [not torch.equal(a, b) for a, b in zip(before, training.weights(), strict=True)]
    if moved[0] and not any(moved[4:]):
        return "ok", "each group is stepped at its own learning rate"
    return "no", "a group with lr 0 moves, or one with another lr does not"


def _bf16(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make, dtype=torch.bfloat16)
    before = training.weights()
    training.steps(0, STEPS)
    if not all(bool(weight.isfinite().all()) for weight in training.weights()):
        return "no", "weights in bfloat16 become infinite or NaN"
    if _same(before, training.weights()):
        return "info", "weights in bfloat16 do not move: the steps are too small"
    return "ok", "steps on weights in bfloat16"


def _modes(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    training.steps(0, STEPS)
    before = training.weights()
    if not set_mode(training.optimizer, training=False):
        return "info", "evaluates at the weights it trains"
    exchanged = not _same(before, training.weights())
    set_mode(training.optimizer, training=True)
    pairs = zip(before, training.weights(), strict=True)
    if not all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in pairs):
        return "no", "eval() and train() do not bring the weights back"
    where = "other weights" if exchanged else "the same weights"
    return "info", f"has train() and eval(), evaluates at {where}"


def _memory(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    training.steps(0, STEPS)
    parameters = sum(p.numel() for p in training.model.parameters())
    per_parameter = tensor_bytes(training.optimizer.state_dict()) / parameters
    return "info", f"{per_parameter:.1f} bytes of state per parameter ({parameters} parameters)"


CHECKS: Mapping[str, Callable[[MakeOptimizer], Seen]] = {
    "lowers the loss": _lowers_the_loss,
    "closure": _closure_use,
    "same twice": _repeatable,
    "state dict": _state_dict_round_trip,
    "checkpoint": _checkpoint_is_safe,
    "no gradient": _parameter_without_gradient,
    "learning rate": _learning_rate,
    "parameter groups": _parameter_groups,
    "bf16": _bf16,
    "modes": _modes,
    "memory": _memory,
}
