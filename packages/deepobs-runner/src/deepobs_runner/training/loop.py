"""The training loop: a generator that yields one record an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_data import Batch, Dataset
from deepobs_problems import Problem
from deepobs_problems.evaluation import prepare
from deepobs_runner.backend.cuda_graphs import check_graphs
from deepobs_runner.backend.devices import synchronize
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.backend.memory import forget_peak, peak_memory, tensor_bytes
from deepobs_runner.backend.precision import (
    LossScale,
    SkippedStep,
    autocast_dtype,
    compute_dtype,
    numerics,
)
from deepobs_runner.backend.shared_draws import batch_statistics
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import DivergedError, UsageError
from deepobs_runner.optimizers import MakeOptimizer, set_mode
from deepobs_runner.schedules import Constant
from deepobs_runner.seeds import global_stream
from deepobs_runner.training.checkpoint import Checkpoint, on_cpu
from deepobs_runner.training.closure import Closure, Context
from deepobs_runner.training.data_order import Order, check_batch_size, training_order
from deepobs_runner.training.divergence import follows_from_divergence
from deepobs_runner.training.evaluation import Evaluator
from deepobs_runner.training.stopwatch import Stopwatch, start_stopwatch
from deepobs_runner.training.telemetry import Telemetry


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluation of a run.

    Attributes:
        epoch: 0 before training.
        steps: optimizer steps taken so far.
        steps_per_epoch: of a whole epoch, which the limit of steps may cut short.
        lr: learning rate of each parameter group in the last step taken, or before the first;
            None for a group without one.
        clocks: seconds spent since the record before, by activity, see `clocks.CLOCKS`; what the
            caller does with a record is `checkpoint` of the next.
        counters: of the run so far: `closure_calls`, `gradient_evaluations` (those with a backward
            pass), `skipped_steps` (of fp16), `examples`; `optimizer_state_bytes` at present and
            `peak_memory_bytes`, see `memory.peak_memory`.
        metrics: by split (`train_eval`, `valid`, `test`), then by name (`loss`, `objective`, the
            problem's metrics).
        telemetry: norms at the last step of the epoch, see `telemetry.py`; empty for epoch 0.
        step_objectives: objective of every step since the record before, `(steps,)`.
        snapshot: returns a checkpoint of the run; only to be called before the next record.
    """

    epoch: int
    steps: int
    steps_per_epoch: int
    lr: tuple[float | None, ...]
    clocks: dict[str, float]
    counters: dict[str, int | None]
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
    group: ProcessGroup = SINGLE_PROCESS,
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
        group: the processes that train together, see `distributed.joined`; all call this alike,
            and get the same records, clocks apart.

    Yields:
        A record before training, after every epoch, and after the last step if that is not the
        end of an epoch.

    Raises:
        UsageError: no such device, a batch larger than the training split, CUDA graphs where there
            can be none.
        DivergedError: an exception that follows from numbers that are not finite.
    """
    execution = execution or Execution()
    device = group.device(execution.device, config.precision)
    clock = start_stopwatch(device)
    with numerics(config.precision, execution.deterministic):
        run = _Run(
            problem,
            make_optimizer,
            config,
            device,
            execution,
            dataset,
            around_backward,
            clock,
            group,
        )
        if resume is not None:
            run.restore(resume)
    clock.mark("setup")
    epoch = 0 if resume is None else resume.epoch + 1
    while not (resume is not None and run.ended(epoch - 1)):
        # Settings and generators are torch's globals: never held while the caller has control.
        with numerics(config.precision, execution.deterministic):
            record = run.epoch(epoch)
        yield record
        clock.mark("checkpoint")
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
        clock: Stopwatch,
        group: ProcessGroup,
    ) -> None:
        if config.batch_size is None or config.l2 is None:
            raise UsageError("train() wants a resolved configuration; see config.resolve.")
        group.check(config.batch_size)
        self.config, self.device, self.batch_size = config, device, config.batch_size
        self.problem, self.group = problem, group
        forget_peak(device)
        self.dataset = (dataset or load_data(problem, config, execution)).to(device)
        check_batch_size(len(self.dataset.train), self.batch_size)
        self.model = build_model(problem, config, device)
        group.broadcast_model(self.model)
        if config.l2 and not list(problem.decayed(self.model)):
            raise UsageError(
                f"l2 is {config.l2}, but {problem.name} has no weights to regularize; leave it out."
            )
        self.optimizer: Any = make_optimizer(self.model)
        self.base_rates = [group.get("lr") for group in self.optimizer.param_groups]
        self.steps = 0
        self.steps_per_epoch = len(self.dataset.train) // self.batch_size
        self.objectives: list[Tensor] = []  # of the present epoch's steps
        self.clock = clock
        self.dtype = compute_dtype(config.precision)
        low = autocast_dtype(config.precision)
        context: Context = (
            nullcontext if low is None else partial(torch.autocast, device.type, dtype=low)
        )
        self.evaluator = Evaluator(
            problem, self.dataset, config, device, self.dtype, context, group
        )
        self.telemetry = Telemetry(self.model)
        self.loss_scale = LossScale() if config.precision == "fp16" else None
        if execution.cuda_graphs:
            check_graphs(device, config.precision, group.size)
            if around_backward is not nullcontext:
                raise UsageError("CUDA graphs replay backward passes without `around_backward`.")
        self.prepares = execution.compile or execution.cuda_graphs
        self.closure = Closure(
            problem,
            self.model,
            l2=config.l2 if config.l2_via == "objective" else 0.0,
            clip_norm=config.clip_norm,
            create_graph=bool(getattr(self.optimizer, "create_graph", False)),
            autocast=context,
            around_backward=around_backward,
            scale=self.loss_scale,
            compiled=execution.compile,
            graphed=execution.cuda_graphs,
            lap=clock.lap,
            group=group,
        )

    def ended(self, epoch: int) -> bool:
        """Whether the run is over after this epoch."""
        return epoch == self.config.epochs or self.steps == self.config.steps

    def epoch(self, epoch: int) -> Record:
        """Train the epoch (none for 0), then evaluate."""
        try:
            objectives, telemetry = self._train(epoch) if epoch else (np.zeros(0), {})
            metrics = self._evaluate()
        except Exception as error:
            if not self._has_diverged(error):
                raise
            raise DivergedError(
                f"Diverged in epoch {epoch}, after {self.steps} steps: "
                f"{type(error).__name__}: {error}"
            ) from error
        counters = self._counters()
        self.clock.mark("evaluate")
        return Record(
            epoch=epoch,
            steps=self.steps,
            steps_per_epoch=self.steps_per_epoch,
            lr=tuple(_number(group.get("lr")) for group in self.optimizer.param_groups),
            clocks=self.clock.take(),
            counters=counters,
            metrics=metrics,
            telemetry=telemetry,
            step_objectives=objectives,
            snapshot=partial(self._snapshot, epoch),
        )

    def _train(self, epoch: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Take the epoch's steps; return their objectives and the telemetry of the last."""
        order = training_order(
            self.dataset,
            self.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            recipe=self.config.recipe,
        )
        if self.config.steps is not None:
            order = order.first((self.config.steps - self.steps) * self.batch_size)
        last = self.steps + len(order.rows) // self.batch_size - 1
        self.objectives = []
        self.model.train()
        set_mode(self.optimizer, training=True)
        self.closure.reset_state()
        if self.prepares:
            self._prepare(order, epoch)
        lap = self.clock.lap
        with global_stream(self.config.seed, "noise", epoch, device=self.device):
            for batch in self._batches(order):
                lap("data")
                self._set_learning_rate()
                self.closure.begin(batch)
                if self.steps == last:
                    self.telemetry.before()
                    lap("evaluate")
                with suppress(SkippedStep):
                    self.optimizer.step(self.closure)
                self.objectives.append(self.closure.finish())
                self.steps += 1
                lap("optimizer")
            self.group.average_(batch_statistics(self.model))
            self.clock.settle()
            telemetry = self.telemetry.after()
        # One transfer an epoch: a loss read every step would stall an accelerator every step.
        return torch.stack(self.objectives).cpu().numpy(), telemetry

    def _has_diverged(self, error: Exception) -> bool:
        """Whether an exception follows from numbers that are not finite.

        Several processes would have to agree on it, so there it is a failure like any other.
        """
        last = self.closure.objective  # of a step that did not come to its end
        objectives = [*self.objectives, *(() if last is None else (last,))]
        return self.group.size == 1 and follows_from_divergence(error, objectives)

    def _batches(self, order: Order) -> Iterator[Batch]:
        """Yield this process's share of the batches of an epoch, as the model wants them."""
        mine = order.share(self.group.rank, self.group.size, self.batch_size)
        batches = self.dataset.train.batches(
            mine.rows, self.batch_size // self.group.size, draws=mine.draws, device=self.device
        )
        return (prepare(self.problem, batch, self.dtype) for batch in batches)

    def _prepare(self, order: Order, epoch: int) -> None:
        """Compile or capture before the first epoch, so that its clocks are as those of others."""
        self.clock.mark("data")
        with global_stream(self.config.seed, "noise", epoch, device=self.device):
            self.closure.warm_up(next(self._batches(order.first(self.batch_size))))
        synchronize(self.device)
        self.clock.mark("compile")
        self.prepares = False

    def _counters(self) -> dict[str, int | None]:
        return {
            **self.closure.counts,
            "examples": self.steps * self.batch_size,
            "optimizer_state_bytes": tensor_bytes(self.optimizer.state_dict()),
            "peak_memory_bytes": peak_memory(self.device),
        }

    def _set_learning_rate(self) -> None:
        """Apply the schedule; a constant one leaves the rate to the optimizer."""
        if isinstance(self.config.schedule, Constant):
            return
        factor = rate_factor(self.config, self.steps, self.steps_per_epoch)
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
            counters=dict(self.closure.counts),
            loss_scale=None if self.loss_scale is None else self.loss_scale.state_dict(),
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
        self.closure.counts.update(checkpoint.counters)
        if self.loss_scale is not None and checkpoint.loss_scale is not None:
            self.loss_scale.load_state_dict(checkpoint.loss_scale)


def rate_factor(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """Return the schedule's factor of the learning rate at a step, counted from 0."""
    planned = [n * steps_per_epoch for n in (config.epochs,) if n is not None]
    total = min([*planned, *(n for n in (config.steps,) if n is not None)])
    return config.schedule.factor(step, steps_per_epoch, total)


def _number(rate: Any) -> float | None:
    return None if rate is None else float(rate)
