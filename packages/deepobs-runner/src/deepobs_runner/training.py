"""The training loop: a generator that yields one record an evaluation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_data import Dataset
from deepobs_problems import Problem, evaluate, evaluation_order
from deepobs_problems.evaluation import cast
from deepobs_runner.closure import Closure, Context
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.data_order import Order, training_order, whole_batches
from deepobs_runner.devices import choose_device, compute_dtype, numerics, synchronize
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import MakeOptimizer
from deepobs_runner.schedules import Constant
from deepobs_runner.seeds import global_stream


@dataclass(frozen=True, kw_only=True)
class Record:
    """One evaluation of a run.

    Attributes:
        epoch: 0 before training.
        steps: optimizer steps taken so far.
        lr: learning rate of each parameter group in the last step taken, or before the first.
        clocks: seconds spent since the record before, by activity: `train`, `evaluate`.
        metrics: by split (`train_eval`, `valid`, `test`), then by name (`loss`, `objective`, the
            problem's metrics).
        step_objectives: objective of every step since the record before, `(steps,)`.
    """

    epoch: int
    steps: int
    lr: tuple[float, ...]
    clocks: dict[str, float]
    metrics: dict[str, dict[str, float]]
    step_objectives: np.ndarray = field(repr=False, compare=False)

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
    return source(execution.data_dir, valid_size=config.valid_size, recipe=config.recipe)


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
    epoch = 0
    while True:
        # Settings and generators are torch's globals: never held while the caller has control.
        with numerics(config.precision, execution.deterministic):
            record = run.epoch(epoch)
        yield record
        if epoch == config.epochs or run.steps == config.steps:
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
        self.problem, self.config, self.device = problem, config, device
        self.batch_size, self.l2 = config.batch_size, config.l2
        loaded = dataset or load_data(problem, config, execution)
        self.dataset = loaded.to(device)
        self.model = build_model(problem, config, device)
        if self.l2 and not list(problem.decayed(self.model)):
            raise UsageError(
                f"l2 is {self.l2}, but {problem.name} has no weights to regularize; leave l2 out."
            )
        self.optimizer = make_optimizer(self.model)
        self.base_rates = [group.get("lr") for group in self.optimizer.param_groups]
        self.steps = 0
        self.dtype = compute_dtype(config.precision)
        self.closure = Closure(
            problem,
            self.model,
            l2=self.l2 if config.l2_via == "objective" else 0.0,
            clip_norm=config.clip_norm,
            autocast=self._autocast(),
            around_backward=around_backward,
        )

    def epoch(self, epoch: int) -> Record:
        """Train the epoch (none for 0), then evaluate."""
        started = time.perf_counter()
        objectives = self._train(epoch) if epoch else np.zeros(0)
        trained = time.perf_counter()
        metrics = self._evaluate()
        return Record(
            epoch=epoch,
            steps=self.steps,
            lr=tuple(float(group.get("lr", 0.0)) for group in self.optimizer.param_groups),
            clocks={"train": trained - started, "evaluate": time.perf_counter() - trained},
            metrics=metrics,
            step_objectives=objectives,
        )

    def _order(self, epoch: int) -> Order:
        return training_order(
            self.dataset,
            self.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            recipe=self.config.recipe,
        )

    def _train(self, epoch: int) -> np.ndarray:
        """Take the epoch's steps; return their objectives."""
        order = self._order(epoch)
        steps_per_epoch = len(order.rows) // self.batch_size
        if self.config.steps is not None:
            left = self.config.steps - self.steps
            order = order.first(left * self.batch_size)
        objectives: list[Tensor] = []
        self.model.train()
        self.closure.reset_state()
        batches = self.dataset.train.batches(
            order.rows, self.batch_size, draws=order.draws, device=self.device
        )
        with global_stream(self.config.seed, "noise", epoch, device=self.device):
            for batch in batches:
                self._set_learning_rate(steps_per_epoch)
                self.closure.begin(cast(batch, self.dtype))
                self.optimizer.step(self.closure)  # type: ignore[arg-type]
                objectives.append(self.closure.finish())
                self.steps += 1
            synchronize(self.device)
        # One transfer an epoch: a loss read every step would stall an accelerator every step.
        return torch.stack(objectives).cpu().numpy() if objectives else np.zeros(0)

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
        """Return the metrics of every split the data set has."""
        splits = {"valid": self.dataset.valid, "test": self.dataset.test}
        metrics = {"train_eval": self._evaluate_train()}
        for name, split in splits.items():
            if split is not None:
                order = evaluation_order(self.dataset, split, self.batch_size)
                if self.config.recipe == "2019":
                    order = order[: whole_batches(len(order), self.batch_size)]
                metrics[name] = self._evaluate_split(split, Order(order, None))
        return metrics

    def _evaluate_train(self) -> dict[str, float]:
        """Evaluate the training loss: on fixed rows, or as the official runs did.

        Those took the first batches of the training pipeline, augmentation included; all of them
        where the text is read in order, since their count was taken for one of windows.
        """
        split = self.dataset.train_eval
        if self.config.recipe == "2019":
            order = self._order(1)
            if self.dataset.order == "shuffled":
                order = order.first(whole_batches(len(split), self.batch_size))
            return self._evaluate_split(self.dataset.train, order)
        return self._evaluate_split(
            split, Order(evaluation_order(self.dataset, split, self.batch_size), None)
        )

    def _evaluate_split(self, split: Any, order: Order) -> dict[str, float]:
        stateful = self.dataset.order == "stateful"
        with self._autocast()():
            return evaluate(
                self.problem,
                self.model,
                split,
                # A recurrent model reads the text in as many stretches as in training.
                batch_size=self.batch_size if stateful else None,
                order=order.rows,
                draws=order.draws,
                device=self.device,
                dtype=self.dtype,
                l2=self.l2,
            )

    def _autocast(self) -> Context:
        if self.config.precision == "bf16":
            return partial(torch.autocast, self.device.type, dtype=torch.bfloat16)
        return nullcontext
