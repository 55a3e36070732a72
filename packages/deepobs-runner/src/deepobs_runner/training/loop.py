"""The training loop: a generator that yields one record per evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_data import Dataset
from deepobs_problems import Problem
from deepobs_runner.backend.backend import Backend, Context, make_backend
from deepobs_runner.backend.devices import synchronize
from deepobs_runner.backend.memory import forget_peak, peak_memory, tensor_bytes
from deepobs_runner.backend.precision import SkippedStep, compute_dtype
from deepobs_runner.backend.shared_draws import batch_statistics
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import DivergedError, UsageError
from deepobs_runner.optimizers import GRAPH_HINT, MakeOptimizer, lacks_graph, set_mode, wants_graph
from deepobs_runner.optimizers.weight_decay import l2_in_objective
from deepobs_runner.seeds import global_stream
from deepobs_runner.text import first_line
from deepobs_runner.training.checkpoint import Checkpoint, on_cpu
from deepobs_runner.training.closure import Closure
from deepobs_runner.training.data import Order, TrainingData, load_data
from deepobs_runner.training.divergence import follows_from_divergence
from deepobs_runner.training.evaluation import Evaluator
from deepobs_runner.training.learning_rate import LearningRate
from deepobs_runner.training.record import Record
from deepobs_runner.training.stopwatch import Stopwatch, start_stopwatch
from deepobs_runner.training.telemetry import Telemetry


def train(
    problem: Problem,
    make_optimizer: MakeOptimizer,
    *,
    config: RunConfig,
    execution: Execution | None = None,
    dataset: Dataset | None = None,
    resume: Checkpoint | None = None,
    around_backward: Context = nullcontext,
    backend: Backend | None = None,
) -> Iterator[Record]:
    """Train a problem's model and yield a record per epoch, from 0 (before training) on.

    Early stopping, time limits, progress and trackers are ordinary code in the caller's loop.

    Args:
        problem: what to train.
        make_optimizer: builds the optimizer of the model.
        config: resolved, see `resolve_config`.
        execution: device and data folder.
        dataset: instead of the problem's own.
        resume: continue after this checkpoint; the first record is that of the next epoch.
        around_backward: context manager around every backward pass.
        backend: instead of the backend of `execution`, see `make_backend`. In a process group every
            process calls this alike, and gets the same records, clocks apart.

    Yields:
        A record before training, after every epoch, and after the last step if that is not the
        end of an epoch.

    Raises:
        UsageError: unknown device, batch larger than the training split, or CUDA graphs where they
            are impossible.
        DivergedError: an exception caused by numbers that are not finite.
    """
    execution = execution or Execution()
    backend = backend or make_backend(execution, config.precision)
    clock = start_stopwatch(backend.device)
    with backend.numerics(), global_stream(config.seed, "setup", device=backend.device):
        dataset = dataset or load_data(problem, config, execution)
        run = _Run(problem, make_optimizer, config, dataset, around_backward, backend, clock)
        if resume is not None:
            run.restore(resume)
    clock.mark("setup")
    epoch = 0 if resume is None else resume.epoch + 1
    while not (resume is not None and run.ended(epoch - 1)):
        # Settings and generators are global: never held while the caller has control.
        with backend.numerics(), global_stream(config.seed, "epoch", epoch, device=backend.device):
            record = run.epoch(epoch)
        yield record
        clock.mark("checkpoint")
        if run.ended(epoch):
            return
        epoch += 1


def build_model(
    problem: Problem, config: RunConfig, device: torch.device, dataset: Dataset
) -> nn.Module:
    """Model, initialised from the run's `init` stream: the same on every device.

    Raises:
        UsageError: it has complex weights.
    """
    with global_stream(config.seed, "init"):
        model = problem.build_model(dataset)
    if any(tensor.is_complex() for tensor in (*model.parameters(), *model.buffers())):
        raise UsageError(
            f"The model of {problem.name} has complex weights or buffers, which {config.precision} "
            "would make real. Keep real and imaginary parts in real tensors (torch.view_as_real)."
        )
    return model.to(device=device, dtype=compute_dtype(config.precision))


class _Run:
    """The state of one run between epochs: data, model, optimizer, number of steps."""

    def __init__(
        self,
        problem: Problem,
        make_optimizer: MakeOptimizer,
        config: RunConfig,
        dataset: Dataset,
        around_backward: Context,
        backend: Backend,
        clock: Stopwatch,
    ) -> None:
        if config.batch_size is None or config.l2 is None:
            raise UsageError("train() needs a resolved configuration, see resolve_config.")
        forget_peak(backend.device)
        self.config, self.backend, self.clock = config, backend, clock
        dataset = dataset.to(backend.device)
        self.data = TrainingData(problem, dataset, config, backend)
        self.steps = 0
        self.model = build_model(problem, config, backend.device, dataset)
        backend.group.broadcast_model(self.model)
        if config.l2 and not list(problem.decayed(self.model)):
            raise UsageError(
                f"l2 is {config.l2}, but {problem.name} has no weights to regularize; leave it out."
            )
        self.optimizer: Any = make_optimizer(self.model)
        self.keeps_graph = backend.create_graph or wants_graph(self.optimizer)
        self.learning_rate = LearningRate(self.optimizer, config, self.data.steps_per_epoch)
        self.closure = Closure(
            problem,
            self.model,
            l2=l2_in_objective(config),
            clip_norm=config.clip_norm,
            create_graph=self.keeps_graph,
            around_backward=around_backward,
            backend=backend,
            lap=clock.lap,
        )
        self.objectives: list[Tensor] = []  # of the present epoch's steps
        self.evaluator = Evaluator(problem, dataset, config, backend)
        self.telemetry = Telemetry(self.model)
        self.prepares = backend.prepares

    def ended(self, epoch: int) -> bool:
        """Whether the run is over after this epoch."""
        return epoch == self.config.epochs or self.steps == self.config.steps

    def epoch(self, epoch: int) -> Record:
        """Train the epoch (none for 0), then evaluate."""
        try:
            objectives, telemetry = self._train(epoch) if epoch else (np.zeros(0), {})
            metrics = self.evaluator.metrics(self.model, self.optimizer, stepped=self.steps > 0)
        except Exception as error:
            if not self.keeps_graph and lacks_graph(error):
                raise UsageError(
                    GRAPH_HINT.format(type(error).__name__, first_line(error).rstrip("."))
                ) from error
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
            steps_per_epoch=self.data.steps_per_epoch,
            lr=self.learning_rate.present(),
            clocks=self.clock.take(),
            counters=counters,
            metrics=metrics,
            telemetry=telemetry,
            step_objectives=objectives,
            snapshot=partial(self._snapshot, epoch),
        )

    def _train(self, epoch: int) -> tuple[np.ndarray, dict[str, Any]]:
        """Take the epoch's steps; return their objectives and the telemetry of the last."""
        order = self.data.order(epoch, self.steps)
        last = self.steps + len(order.rows) // self.data.batch_size - 1
        self.objectives = []
        self.model.train()
        set_mode(self.optimizer, training=True)
        self.closure.reset_state()
        if self.prepares:
            self._prepare(order, epoch)
        lap = self.clock.lap
        with global_stream(self.config.seed, "noise", epoch, device=self.backend.device):
            for batch in self.data.batches(order):
                lap("data")
                self.learning_rate.set(self.steps)
                self.closure.begin(batch)
                if self.steps == last:
                    self.telemetry.before()
                    lap("evaluate")
                with suppress(SkippedStep):
                    self.optimizer.step(self.closure)
                self.objectives.append(self.closure.finish())
                self.steps += 1
                lap("optimizer")
            self.backend.group.average_(batch_statistics(self.model))
            self.clock.settle()
            telemetry = self.telemetry.after()
        # One transfer per epoch: a loss read every step would stall an accelerator every step.
        return torch.stack(self.objectives).cpu().numpy(), telemetry

    def _prepare(self, order: Order, epoch: int) -> None:
        """Compile or capture before the first epoch, so that its clocks are as those of others."""
        self.clock.mark("data")
        with global_stream(self.config.seed, "noise", epoch, device=self.backend.device):
            one = order.first(self.data.batch_size)  # load only one batch
            self.closure.gradient.prepare(next(self.data.batches(one)))
        synchronize(self.backend.device)
        self.clock.mark("compile")
        self.prepares = False

    def _has_diverged(self, error: Exception) -> bool:
        """Whether numbers that are not finite caused an exception.

        Several processes would have to agree on it, so there it is a failure like any other.
        """
        last = self.closure.objective  # of a step that did not come to its end
        objectives = [*self.objectives, *(() if last is None else (last,))]
        return self.backend.group.size == 1 and follows_from_divergence(error, objectives)

    def _counters(self) -> dict[str, int | None]:
        return {
            **self.closure.counts,
            "examples": self.steps * self.data.batch_size,
            "optimizer_state_bytes": tensor_bytes(self.optimizer.state_dict()),
            "peak_memory_bytes": peak_memory(self.backend.device),
        }

    def _snapshot(self, epoch: int) -> Checkpoint:
        scale = self.closure.gradient.scale
        return Checkpoint(
            run_id=self.config.id,
            epoch=epoch,
            steps=self.steps,
            model=on_cpu(self.model.state_dict()),
            optimizer=on_cpu(self.optimizer.state_dict()),
            counters=dict(self.closure.counts),
            loss_scale=None if scale is None else scale.state_dict(),
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
        self.learning_rate.load(checkpoint.optimizer)
        self.steps = checkpoint.steps
        self.closure.counts.update(checkpoint.counters)
        scale = self.closure.gradient.scale
        if scale is not None and checkpoint.loss_scale is not None:
            scale.load_state_dict(checkpoint.loss_scale)
