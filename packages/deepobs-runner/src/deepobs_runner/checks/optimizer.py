"""Conformance tests of an optimizer, for `deepobs check`.

Every check builds a new small network with dropout and batch norm and takes a few steps.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from deepobs_runner.backend.memory import tensor_bytes
from deepobs_runner.checks.small_training import (
    ComplexNetwork,
    CountingNetwork,
    SmallTraining,
    generator_state,
    network_without_draws,
)
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import (
    GRAPH_HINT,
    MakeOptimizer,
    lacks_graph,
    make_optimizer,
    set_mode,
    takes_model,
)
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.text import count, first_line
from deepobs_runner.training.checkpoint import Checkpoint, on_cpu

STEPS = 5
State = Literal["ok", "no", "info"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: name of the check.
        state: `ok`, `no` (runs with this optimizer may fail), or `info` (neither).
        message: the finding.
    """

    name: str
    state: State
    message: str


def check_optimizer(
    name: str, hyperparams: Mapping[str, Any], *, create_graph: bool = False
) -> list[Finding]:
    """Test an optimizer: one finding per check; a check that raises is a `no`.

    Args:
        name: name as on the command line.
        hyperparams: its arguments, resolved.
        create_graph: keep the graph of every gradient.

    Raises:
        UsageError: unknown optimizer.
    """

    def maker(groups: Callable[[nn.Module], Any]) -> MakeOptimizer:
        make = make_optimizer(name, hyperparams, groups)
        return _with_graph(make) if create_graph else make

    make = maker(nn.Module.parameters)
    checks = {title: partial(check, make) for title, check in CHECKS.items()}
    rate = hyperparams.get("lr")
    if isinstance(rate, float) and not takes_model(name):  # else it makes its groups itself
        grouped = (maker(_last_layer_apart(lr)) for lr in (rate, rate / 2))
        checks["parameter groups"] = partial(_parameter_groups, *grouped)
    findings = []
    for title, check in checks.items():
        try:
            findings.append(Finding(title, *check()))
        except Exception as error:  # whatever the optimizer raises is the finding
            if lacks_graph(error) and not create_graph:  # further checks would fail likewise
                reason = first_line(error).rstrip(".")
                return [Finding("graph", "no", GRAPH_HINT.format(type(error).__name__, reason))]
            raised = f"raised {type(error).__name__}: {first_line(error)}"
            findings.append(Finding(title, "no", raised))
    return findings


def _with_graph(make: MakeOptimizer) -> MakeOptimizer:
    def made(model: nn.Module) -> Any:
        optimizer = make(model)
        optimizer.create_graph = True
        return optimizer

    return made


def _last_layer_apart(lr: float | None) -> Callable[[nn.Module], list[dict[str, Any]]]:
    """Function that makes two groups: all parameters but the last layer's, and those."""
    options = {} if lr is None else {"lr": lr}

    def groups(model: nn.Module) -> list[dict[str, Any]]:
        parameters = list(model.parameters())
        return [{"params": parameters[:4]}, {"params": parameters[4:], **options}]

    return groups


def _same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether all tensors are equal, a NaN equal to a NaN."""
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
    return "info", f"{count(f'{calls:g}', 'call')} per step, {forward:g} without gradient"


def _repeatable(make: MakeOptimizer) -> Seen:
    one, other = SmallTraining(make), SmallTraining(make)
    equal = _same_numbers(one.steps(0, STEPS), other.steps(0, STEPS))
    if equal and _same(one.weights(), other.weights()):
        return "ok", "two runs with one seed are bit-identical"
    return (
        "no",
        "two runs with one seed differ: draw from torch's generators for all randomness",
    )


def _state_dict_round_trip(make: MakeOptimizer) -> Seen:
    whole = SmallTraining(make)
    whole.steps(0, STEPS)
    model, state = on_cpu(whole.model.state_dict()), on_cpu(whole.optimizer.state_dict())
    expected = whole.steps(STEPS, STEPS)
    resumed = SmallTraining(make, seed=1)
    resumed.batch = whole.batch
    resumed.load(model, state)
    equal = _same_numbers(resumed.steps(STEPS, STEPS), expected)
    if equal and _same(whole.weights(), resumed.weights()):
        return "ok", "a resumed run is bit-identical to an uninterrupted one"
    return "no", "a resumed run differs: put all state into state_dict()"


def _checkpoint_reads_back(make: MakeOptimizer) -> Seen:
    whole = SmallTraining(make)
    whole.steps(0, STEPS)
    state = Checkpoint(
        run_id="check", epoch=1, steps=STEPS, counters={},
        model=on_cpu(whole.model.state_dict()), optimizer=on_cpu(whole.optimizer.state_dict()),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = save_checkpoint(state, Path(folder))
        try:
            read = load_checkpoint(path, "check")
        except UsageError as error:
            found = re.search(r"GLOBAL ([\w.]+)", str(error.__context__))
            kind = found.group(1) if found else "something else than numbers, texts and tensors"
            return "no", f"a checkpoint cannot be read back: its state holds {kind}"
    expected = whole.steps(STEPS, STEPS)
    resumed = SmallTraining(make, seed=1)
    resumed.batch = whole.batch
    resumed.load(read.model, read.optimizer)
    if _same_numbers(resumed.steps(STEPS, STEPS), expected):
        return "ok", "a checkpoint reads back from its file, and training continues from it"
    return "no", "training continues otherwise from a checkpoint that was read back from its file"


def _parameter_without_gradient(make: MakeOptimizer) -> Seen:
    unused = nn.Parameter(torch.ones(4, 3))
    SmallTraining(make, unused=unused).steps(0, STEPS)
    if torch.equal(unused.detach(), torch.ones(4, 3)):
        return "ok", "parameters without a gradient stay unchanged"
    return "info", "parameters without a gradient are changed"


def _learning_rate(make: MakeOptimizer) -> Seen:
    if any(group.get("lr") is None for group in SmallTraining(make).optimizer.param_groups):
        return "info", "a group has no lr: schedules are refused"

    def weights(factor: float) -> list[Tensor]:
        training = SmallTraining(make)
        training.steps(0, STEPS)
        training.scale_rates(factor)
        training.steps(STEPS, 2)
        return training.weights()

    if _same(weights(1.0), weights(0.5)):
        return "no", "half the lr in the groups gives the same steps: schedules have no effect"
    return "ok", "is read from the group in every step"


def _learning_rate_after_load(make: MakeOptimizer) -> Seen:
    saved = SmallTraining(make)
    saved.steps(0, STEPS)
    if any(group.get("lr") is None for group in saved.optimizer.param_groups):
        return "info", "a group has no lr: schedules are refused"

    def weights(factor: float) -> list[Tensor]:
        training = SmallTraining(make)
        training.load(saved.model.state_dict(), on_cpu(saved.optimizer.state_dict()))
        training.scale_rates(factor)
        training.steps(STEPS, 2)
        return training.weights()

    if _same(weights(1.0), weights(0.5)):
        return "no", (
            "half the lr gives the same steps after load_state_dict, which replaces the groups: a "
            "wrapper returns those of the optimizer inside from a property"
        )
    return "ok", "is read from the group after load_state_dict, too"


def _parameter_groups(make: MakeOptimizer, make_slower: MakeOptimizer) -> Seen:
    one, other = SmallTraining(make), SmallTraining(make_slower)
    one.steps(0, STEPS)
    other.steps(0, STEPS)
    if _same(one.weights()[4:], other.weights()[4:]):
        return "no", "half the lr in one parameter group gives the same steps"
    return "ok", "each group is stepped at its own learning rate"


def _bf16(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make, dtype=torch.bfloat16)
    before = training.weights()
    training.steps(0, STEPS)
    if not all(bool(weight.isfinite().all()) for weight in training.weights()):
        return "no", "weights in bfloat16 become infinite or NaN"
    if _same(before, training.weights()):
        return "info", "weights in bfloat16 do not change: the steps are too small"
    return "ok", "steps on weights in bfloat16"


def _complex_weights(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make, network=ComplexNetwork)
    (spectrum,) = (p for p in training.model.parameters() if p.is_complex())
    before = spectrum.detach().clone()
    try:
        objectives = training.steps(0, 2 * STEPS)
    except Exception as error:
        return "info", f"refuses complex weights: {type(error).__name__}: {first_line(error)}"
    change = spectrum.detach() - before
    if not (change.real.any() and change.imag.any()):
        return "no", "complex weights: real or imaginary parts do not change"
    if objectives[-1] >= objectives[0]:
        return "no", f"complex weights: from {objectives[0]:.3g} to {objectives[-1]:.3g}"
    return "ok", "trains complex weights"


def _draws(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make, network=network_without_draws)
    training.steps(0, STEPS)
    drawn_from = training.counted.drawn_from
    if not drawn_from:
        return "info", "uses no random numbers"
    if len(set(drawn_from)) < len(drawn_from):
        return "no", "gets the same random numbers from a global generator repeatedly"
    noisy = SmallTraining(make)
    seen: list[bytes] = []
    noisy.model.register_forward_pre_hook(lambda *_: seen.append(generator_state()))
    noisy.steps(0, 1)
    if len(set(seen)) > 1:
        return "no", "the calls of one step see different dropout masks"
    return "ok", "draws random numbers of its own, and every call sees the same dropout mask"


def _buffers(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make, network=CountingNetwork)
    training.steps(0, STEPS)
    model, calls = training.model, training.counted.calls / STEPS
    counts = {int(buffer) for name, buffer in model.named_buffers() if buffer.ndim == 0}
    if counts == {STEPS}:
        return "ok", f"buffers advance once per step ({count(f'{calls:g}', 'call')})"
    return "no", f"after {STEPS} steps of {calls:g} calls, counting buffers are at {sorted(counts)}"


def _evaluation_first(make: MakeOptimizer) -> Seen:
    training = SmallTraining(make)
    before = training.weights()
    try:
        has_modes = set_mode(training.optimizer, training=False)
        evaluated = training.weights()
        set_mode(training.optimizer, training=True)
    except Exception as error:
        return "no", (
            f"eval() fails before the first step, {type(error).__name__}: {first_line(error)}; "
            "exchange weights only where there is state"
        )
    if not has_modes:
        return "info", "no eval()"
    if _same(before, evaluated) and _same(before, training.weights()):
        return "ok", "eval() before the first step keeps the weights"
    return "no", "eval() before the first step changes the weights"


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
        return "no", "eval() and train() do not restore the weights"
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
    "checkpoint": _checkpoint_reads_back,
    "no gradient": _parameter_without_gradient,
    "learning rate": _learning_rate,
    "rate after load": _learning_rate_after_load,
    "bf16": _bf16,
    "complex weights": _complex_weights,
    "draws": _draws,
    "buffers": _buffers,
    "eval first": _evaluation_first,
    "modes": _modes,
    "memory": _memory,
}
