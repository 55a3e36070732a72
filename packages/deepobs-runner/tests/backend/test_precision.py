"""fp16's loss scaling: as `torch.amp.GradScaler`, inside the closure."""

import math
from contextlib import suppress

import pytest
import torch
from torch import nn

from deepobs_data import Batch
from deepobs_problems import Problem
from deepobs_problems.losses import model_output
from deepobs_runner import Execution, train
from deepobs_runner.backend.backend import Backend
from deepobs_runner.backend.precision import FIRST_SCALE, STEPS_TO_GROW, LossScale, SkippedStep
from deepobs_runner.errors import UsageError
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.training.closure import Closure


class Line(nn.Module):
    """Per-example losses `w * x`, so the gradient is the mean of the batch."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, x):
        return (x * self.w).sum(dim=1)


LINE = Problem(name="line", data=None, model=Line, loss=model_output, metrics={})


def batch(value):
    return Batch(torch.full((4, 2), value, dtype=torch.float64), torch.zeros(4))


def step(closure, optimizer, value):
    """Take a step as training does; return whether it was skipped."""
    closure.begin(batch(value))
    skipped = closure.counts["skipped_steps"]
    with suppress(SkippedStep):
        optimizer.step(closure)
    closure.finish()
    return closure.counts["skipped_steps"] > skipped


# Where the gradient overflows: at the start, twice in a row, and on its own.
FP16 = Backend(precision="fp16")
VALUES = [math.inf, math.inf, 1.0, 2.0, -1.0, math.nan, 0.5, math.inf, 3.0, 1.0]


def test_scales_and_weights_are_those_of_grad_scaler(monkeypatch):
    """With momentum and weight decay, which a step that is only zeroed would still apply."""
    monkeypatch.setattr("deepobs_runner.backend.precision.STEPS_TO_GROW", 3)
    settings = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    model = Line()
    optimizer = torch.optim.SGD(model.parameters(), **settings)
    closure = Closure(LINE, model, l2=0.0, backend=FP16)
    scale = closure.gradient.scale

    reference, scaler = Line(), torch.amp.GradScaler("cpu", growth_interval=3)
    theirs = torch.optim.SGD(reference.parameters(), **settings)
    for value in VALUES:
        skipped = step(closure, optimizer, value)
        theirs.zero_grad()
        scaler.scale(reference(batch(value).x).mean()).backward()
        scaler.step(theirs)
        scaler.update()
        assert skipped == (not math.isfinite(value))
        assert scale.scale == scaler.get_scale()
        assert torch.equal(model.w, reference.w)
    assert closure.counts["skipped_steps"] == 4
    assert closure.counts["closure_calls"] == len(VALUES)


def test_a_skipped_step_leaves_weights_and_state_alone():
    model = Line()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    closure = Closure(LINE, model, l2=0.0, backend=FP16)
    step(closure, optimizer, 1.0)
    before = model.w.detach().clone(), optimizer.state_dict()["state"][0]["step"].item()
    assert step(closure, optimizer, math.inf)
    assert torch.equal(model.w, before[0])
    assert optimizer.state_dict()["state"][0]["step"].item() == before[1] == 1


def test_gradients_and_objective_are_those_of_the_loss_itself():
    """Clipping, too, is of the unscaled gradient."""
    model = Line()
    closure = Closure(LINE, model, l2=0.0, clip_norm=1.0, backend=FP16)
    closure.begin(batch(3.0))
    assert closure().item() == 6.0
    assert torch.linalg.vector_norm(model.w.grad).item() == pytest.approx(1.0, rel=1e-4)


def test_a_float16_loss_is_scaled_without_overflow():
    objective = torch.tensor(300.0, dtype=torch.float16, requires_grad=True)
    scaled = LossScale().apply(objective)
    assert scaled.dtype == torch.float32
    assert scaled.item() == 300 * FIRST_SCALE


def test_the_scale_grows_after_its_interval():
    scale, parameter = LossScale(), nn.Parameter(torch.ones(1))
    for steps in range(1, STEPS_TO_GROW + 1):
        parameter.grad = torch.ones(1)
        assert scale.unscale([parameter])
        assert scale.scale == (FIRST_SCALE if steps < STEPS_TO_GROW else 2 * FIRST_SCALE)


def test_optimizers_that_call_twice_are_refused():
    model = Line()
    closure = Closure(LINE, model, l2=0.0, backend=FP16)
    with pytest.raises(UsageError, match=r"more than once per step.*bf16"):
        step(closure, torch.optim.LBFGS(model.parameters()), 1.0)


def test_optimizers_that_move_the_weights_first_are_refused():
    """Their step could not be skipped: the weights are elsewhere when the gradient overflows."""

    class Ahead(torch.optim.SGD):
        def step(self, closure):
            with torch.no_grad():
                self.param_groups[0]["params"][0].add_(0.1)
            return super().step(closure)

    model = Line()
    closure = Closure(LINE, model, l2=0.0, backend=FP16)
    with pytest.raises(UsageError, match="moves the weights"):
        step(closure, Ahead(model.parameters(), lr=0.1), 1.0)


def test_fp16_on_a_cpu_is_refused(problem, configure):
    config = configure(precision="fp16")
    records = train(
        problem, optimizer_of(config, problem), config=config, execution=Execution(device="cpu")
    )
    with pytest.raises(UsageError, match=r"fp16.*cpu.*bf16"):
        next(records)


def test_the_scale_is_part_of_a_checkpoint(problem, configure, tmp_path, monkeypatch):
    """Resumed equals uninterrupted, with overflows; on the CPU, where torch can autocast too."""
    monkeypatch.setattr("deepobs_runner.backend.devices.LACKING", {})
    monkeypatch.setattr("deepobs_runner.backend.precision.FIRST_SCALE", 2.0**22)
    config = configure("Adam", {"lr": 0.01}, precision="fp16", epochs=4)
    build, execution = optimizer_of(config, problem), Execution(device="cpu")
    whole = []
    for record in train(problem, build, config=config, execution=execution):
        whole.append(record)
        if record.epoch == 2:
            checkpoint = load_checkpoint(save_checkpoint(record.snapshot(), tmp_path), config.id)
    assert 0 < whole[2].counters["skipped_steps"] < whole[2].steps
    assert checkpoint.loss_scale["scale"] < 2.0**22
    rest = list(train(problem, build, config=config, execution=execution, resume=checkpoint))
    for one, other in zip(rest, whole[3:], strict=True):
        assert one.metrics == other.metrics
        assert one.counters["skipped_steps"] == other.counters["skipped_steps"]
        assert one.step_objectives.tobytes() == other.step_objectives.tobytes()
