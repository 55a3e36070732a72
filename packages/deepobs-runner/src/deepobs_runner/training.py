"""The training loop: a generator that yields one record an evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_data import Dataset
from deepobs_problems import Problem
from deepobs_problems.evaluation import cast
from deepobs_runner.checkpoints import Checkpoint, on_cpu
from deepobs_runner.closure import Closure, Context
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.data_order import check_batch_size, training_order
from deepobs_runner.devices import choose_device, compute_dtype, numerics, synchronize
from deepobs_runner.errors import UsageError
from deepobs_runner.evaluating import Evaluator
from deepobs_runner.optimizers import MakeOptimizer, set_mode
from deepobs_runner.schedules import Constant
from deepobs_runner.seeds import global_stream
from deepobs_runner.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluation of a run.

    Attributes:
        epoch: 0 before training.
        steps: optimizer steps taken so far.
        lr: learning rate of each parameter group in the last step taken, or before the first;
            None for a group without one.
        clocks: seconds spent since the record before, by activity: `train`, `evaluate`.
        metrics: by split (`train_eval`, `valid`, `test`), then by name (`loss`, `objective`, the
            problem's metrics).
        telemetry: norms at the last step of the epoch, see `telemetry.py`; empty for epoch 0.
        step_objectives: objective of every step since the record before, `(steps,)`.
        snapshot: returns a checkpoint of the run; only to be called before the next record.
    """

    epoch: int
    steps: int
    lr: tuple[float | None, ...]
    clocks: dict[str, float]
    metrics: dict[str, dict[str, float]]
    telemetry: dict[str, Any]
    step_objectives: np.ndarray = field(repr=False, compare=False)
    snapshot: Callable[[], Checkpoint] = field(repr=False, compare=False)

    @property
    def finite(self) -> bool:
        """Whether the objective on `train_eval` and all its steps are finite numbers."""
        evaluated = self.metrics["train_eval"]["objective"]
        return bool(np.isfinite(evaluated) and np.isfinite(self.step_objectives).all())


def load_data(problem: Problem, config: RunConfig, execution: Execution) -> Dataset:
    """Return the data set a configuration trains on.

    Raises:
        UsageError: stand-in data is wanted and the problem has none.
    """
    source = problem.data if config.data == "real" else problem.stand_in
    if source is None:
        raise UsageError(
            f"{problem.name} has no stand-in data; give its Problem a stand_in, or use data=real."
        )
    try:
        return source(execution.data_dir, valid_size=config.valid_size, recipe=config.recipe)
    except ValueError as error:  # a valid_size that leaves nothing to train on
        raise UsageError(f"{problem.name}: {error}") from error


def build_model(problem: Problem, config: RunConfig, device: torch.device) -> nn.Module:
    """Return the model, initialised from the run's `init` stream: the same on every device."""
    with global_stream(config.seed, "init"):
        model = problem.model()
    return model.to(device=device, dtype=compute_dtype(config.precision))


def train(
    problem: Problem,
    make_optimizer: MakeOptimizer,
    *,
    config: RunConfig,
    execution: Execution | None = None,
    dataset: Dataset | None = None,
    resume: Checkpoint | None = None,
    around_backward: Context = nullcontext,
) -> Iterator[Record]:
    """Train a problem's model and yield a record per epoch, from 0 (before training) on.

    Early stopping, time limits, progress and trackers are ordinary code in the caller's loop.

    Args:
        problem: what to train.
        make_optimizer: builds the optimizer of the model.
        config: resolved, see `config.resolve`.
        execution: device and data folder.
        dataset: in place of the problem's own.
        resume: go on after this checkpoint; the first record is that of the next epoch.
        around_backward: context manager around every backward pass.

    Yields:
        A record before training, after every epoch, and after the last step if that is not the
        end of an epoch.

    Raises:
        UsageError: no such device, a batch larger than the training split.
    """
    execution = execution or Execution()
    device = choose_device(execution.device)
    with numerics(config.precision, execution.deterministic):
        run = _Run(problem, make_optimizer, config, device, execution, dataset, around_backward)
        if resume is not None:
            run.restore(resume)
    epoch = 0 if resume is None else resume.epoch + 1
    while not (resume is not None and run.ended(epoch - 1)):
        # Settings and generators are torch's globals: never held while the caller has control.
        with numerics(config.precision, execution.deterministic):
            record = run.epoch(epoch)
        yield record
        if run.ended(epoch):
            return
        epoch += 1


class _Run:
    """The state of one run between epochs: data, model, optimizer, number of steps."""

    def __init__(
        self,
        problem: Problem,
        make_optimizer: MakeOptimizer,
        config: RunConfig,
        device: torch.device,
        execution: Execution,
        dataset: Dataset | None,
        around_backward: Context,
    ) -> None:
        if config.batch_size is None or config.l2 is None:
            raise UsageError("train() wants a resolved configuration; see config.resolve.")
        self.config, self.device, self.batch_size = config, device, config.batch_size
        self.dataset = (dataset or load_data(problem, config, execution)).to(device)
        check_batch_size(len(self.dataset.train), self.batch_size)
        self.model = build_model(problem, config, device)
        if config.l2 and not list(problem.decayed(self.model)):
            raise UsageError(
                f"l2 is {config.l2}, but {problem.name} has no weights to regularize; leave it out."
            )
        self.optimizer: Any = make_optimizer(self.model)
        self.base_rates = [group.get("lr") for group in self.optimizer.param_groups]
        self.steps = 0
        self.dtype = compute_dtype(config.precision)
        autocast = partial(torch.autocast, device.type, dtype=torch.bfloat16)
        context: Context = autocast if config.precision == "bf16" else nullcontext
        self.evaluator = Evaluator(problem, self.dataset, config, device, self.dtype, context)
        self.telemetry = Telemetry(self.model)
        self.closure = Closure(
            problem,
            self.model,
            l2=config.l2 if config.l2_via == "objective" else 0.0,
            clip_norm=config.clip_norm,
            create_graph=bool(getattr(self.optimizer, "create_graph", False)),
            autocast=context,
            around_backward=around_backward,
        )

    def ended(self, epoch: int) -> bool:
        """Whether the run is over after this epoch."""
        return epoch == self.config.epochs or self.steps == self.config.steps

    def epoch(self, epoch: int) -> Record:
        """Train the epoch (none for 0), then evaluate."""
        objectives, telemetry, seconds = self._train(epoch) if epoch else (np.zeros(0), {}, 0.0)
        started = time.perf_counter()
        metrics = self._evaluate()
        return Record(
            epoch=epoch,
            steps=self.steps,
            lr=tuple(_number(group.get("lr")) for group in self.optimizer.param_groups),
            clocks={"train": seconds, "evaluate": time.perf_counter() - started},
            metrics=metrics,
            telemetry=telemetry,
            step_objectives=objectives,
            snapshot=partial(self._snapshot, epoch),
        )

    def _train(self, epoch: int) -> tuple[np.ndarray, dict[str, Any], float]:
        """Take the epoch's steps; return their objectives, telemetry and seconds."""
        started = time.perf_counter()
        order = training_order(
            self.dataset,
            self.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            recipe=self.config.recipe,
        )
        steps_per_epoch = len(order.rows) // self.batch_size
        if self.config.steps is not None:
            order = order.first((self.config.steps - self.steps) * self.batch_size)
        last = self.steps + len(order.rows) // self.batch_size - 1
        objectives: list[Tensor] = []
        telemetry: dict[str, Any] = {}
        unclocked = 0.0
        self.model.train()
        set_mode(self.optimizer, training=True)
        self.closure.reset_state()
        batches = self.dataset.train.batches(
            order.rows, self.batch_size, draws=order.draws, device=self.device
        )
        with global_stream(self.config.seed, "noise", epoch, device=self.device):
            for batch in batches:
                self._set_learning_rate(steps_per_epoch)
                self.closure.begin(cast(batch, self.dtype))
                if self.steps == last:
                    unclocked -= self._settle()
                    self.telemetry.before()
                    unclocked += time.perf_counter()
                self.optimizer.step(self.closure)
                objectives.append(self.closure.finish())
                self.steps += 1
            seconds = self._settle() - started - unclocked
            telemetry = self.telemetry.after()
        # One transfer an epoch: a loss read every step would stall an accelerator every step.
        return torch.stack(objectives).cpu().numpy(), telemetry, seconds

    def _settle(self) -> float:
        """Return the time at which the device has done what it was given."""
        synchronize(self.device)
        return time.perf_counter()

    def _set_learning_rate(self, steps_per_epoch: int) -> None:
        """Apply the schedule; a constant one leaves the rate to the optimizer."""
        if isinstance(self.config.schedule, Constant):
            return
        planned = [n * steps_per_epoch for n in (self.config.epochs,) if n is not None]
        total = min([*planned, *(n for n in (self.config.steps,) if n is not None)])
        factor = self.config.schedule.factor(self.steps, steps_per_epoch, total)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            if base is not None:
                group["lr"] = base * factor

    def _evaluate(self) -> dict[str, dict[str, float]]:
        """Evaluate at the weights the optimizer wants to be judged by."""
        exchanged = set_mode(self.optimizer, training=False)
        with ExitStack() as stack:
            if exchanged or getattr(self.optimizer, "recalibrate_batch_norm", False):
                stack.enter_context(self.evaluator.recalibrated(self.model))
            metrics = self.evaluator.metrics(self.model)
        set_mode(self.optimizer, training=True)
        return metrics

    def _snapshot(self, epoch: int) -> Checkpoint:
        return Checkpoint(
            run_id=self.config.id,
            epoch=epoch,
            steps=self.steps,
            model=on_cpu(self.model.state_dict()),
            optimizer=on_cpu(self.optimizer.state_dict()),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take over the state of a checkpoint.

        Raises:
            UsageError: it belongs to another configuration.
        """
        if checkpoint.run_id != self.config.id:
            raise UsageError(
                f"The checkpoint belongs to the run {checkpoint.run_id}, not to {self.config.id}."
            )
        self.model.load_state_dict(dict(checkpoint.model))
        self.optimizer.load_state_dict(dict(checkpoint.optimizer))
        self.steps = checkpoint.steps


def _number(rate: Any) -> float | None:
    return None if rate is None else float(rate)
