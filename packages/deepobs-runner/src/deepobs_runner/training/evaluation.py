"""Evaluation of every split of a run, as defined by its recipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from deepobs_data import Dataset, Split
from deepobs_problems import Problem, evaluate, evaluation_order
from deepobs_problems.evaluation import prepare
from deepobs_runner.backend.backend import Backend
from deepobs_runner.backend.distributed import SINGLE_PROCESS
from deepobs_runner.backend.gradient import copy_buffers, put_back_buffers
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import CombinedOptimizer, set_mode
from deepobs_runner.training.data import Order, training_order, whole_batches

RECALIBRATION_BATCHES = 50
"""Training batches that batch-norm statistics are estimated from when weights were exchanged."""


class Evaluator:
    """Evaluates a model on all splits of a data set.

    Args:
        problem: defines loss and metrics.
        dataset: data set on the device of the model.
        config: resolved.
        backend: that the model is on.

    Attributes:
        passes: what each evaluation reads, by name: a split, and its rows in order.
    """

    def __init__(
        self, problem: Problem, dataset: Dataset, config: RunConfig, backend: Backend
    ) -> None:
        self._problem = problem
        self._dataset = dataset
        self._config = config
        self._backend = backend
        self._batch_size = config.batch_size or problem.defaults.batch_size
        # The rows do not change between evaluations.
        self.passes = {"train_eval": self._training_rows()}
        for name, split in (("valid", dataset.valid), ("test", dataset.test)):
            if split is dataset.train_eval and config.recipe != "2019":
                self.passes[name] = self.passes["train_eval"]
            elif split is not None:
                self.passes[name] = (split, self._order_of(split))

    def metrics(
        self, model: nn.Module, optimizer: Any, *, stepped: bool = True
    ) -> dict[str, dict[str, float]]:
        """Metrics of `train_eval`, `valid` (if rows are held out) and `test`.

        They are those at the weights that the optimizer wants to be judged by. Before its first
        step it has no others, and its `eval` may lack the state that a step makes (`stepped`).
        """
        exchanged = set_mode(optimizer, training=False) if stepped else _has_modes(optimizer)
        recalibrates = exchanged or getattr(optimizer, "recalibrate_batch_norm", False)
        with self.recalibrated(model) if recalibrates else nullcontext():
            # Splits that are the same rows are evaluated once.
            distinct = {id(order): (split, order) for split, order in self.passes.values()}
            found = {key: self._evaluate(model, *rows) for key, rows in distinct.items()}
        metrics = {name: dict(found[id(order)]) for name, (_, order) in self.passes.items()}
        if stepped:
            set_mode(optimizer, training=True)
        return metrics

    def _order_of(self, split: Split) -> Order:
        rows = evaluation_order(self._dataset, split, self._batch_size)
        if self._config.recipe == "2019":
            rows = rows[: whole_batches(len(rows), self._batch_size)]
        if len(rows) == 0:
            raise UsageError(
                f"batch_size is {self._batch_size}, but a split that is evaluated in whole batches "
                f"has {len(split)} examples."
            )
        return Order(rows, None)

    def _training_rows(self) -> tuple[Split, Order]:
        """Training examples for evaluation: fixed rows, or as in the official runs.

        Those took the first batches of the training pipeline, augmentation included; all of them
        where the text is read in order, since their count was taken for one of windows.
        """
        split = self._dataset.train_eval
        if self._config.recipe != "2019":
            return split, self._order_of(split)
        order = first_order(self._dataset, self._config, self._batch_size)
        if self._dataset.order == "shuffled":
            order = order.first(whole_batches(len(split), self._batch_size))
        return self._dataset.train, order

    def _evaluate(self, model: nn.Module, split: Split, order: Order) -> dict[str, float]:
        # A recurrent model reads the text in as many stretches as in training.
        stateful = self._dataset.order == "stateful"
        group = self._backend.group
        if len(order.rows) < group.size:  # every process evaluates all of them
            group = SINGLE_PROCESS
        whole = self._batch_size if stateful else len(order.rows)
        mine = order.share(group.rank, group.size, whole)
        with self._backend.autocast():
            values = evaluate(
                self._problem,
                model,
                split,
                batch_size=self._batch_size // group.size if stateful else None,
                order=mine.rows,
                draws=mine.draws,
                device=self._backend.device,
                dtype=self._backend.dtype,
                l2=self._config.l2,
            )
        # A root of a mean is not a mean of roots.
        return self._problem.with_roots(group.weighted_mean(values, len(mine.rows)))

    @contextmanager
    def recalibrated(self, model: nn.Module) -> Iterator[None]:
        """Re-estimate batch-norm statistics for the model's present weights, and put them back.

        For optimizers that evaluate at other weights than they train, such as averaging ones: the
        running statistics belong to the weights of training.
        """
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            yield
            return
        saved = copy_buffers(model)
        momenta = [norm.momentum for norm in norms]
        was_training = model.training
        try:
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a plain average over the batches
            self._pass_over_training_data(model)
            yield
        finally:
            for norm, momentum in zip(norms, momenta, strict=True):
                norm.momentum = momentum
            put_back_buffers(model, saved)
            model.train(was_training)

    def _pass_over_training_data(self, model: nn.Module) -> None:
        """Apply the model in training mode to the first batches, without their augmentation."""
        order = first_order(self._dataset, self._config, self._batch_size)
        order = order.first(RECALIBRATION_BATCHES * self._batch_size)
        model.train()
        batches = self._dataset.train.batches(
            order.rows, self._batch_size, device=self._backend.device
        )
        state = None
        with torch.no_grad(), self._backend.autocast():
            for batch in batches:
                _, state = self._problem.forward(
                    model, prepare(self._problem, batch, self._backend.dtype), state
                )


def _has_modes(optimizer: Any) -> bool:
    """Whether an optimizer, or one of several, evaluates at other weights than it trains."""
    if isinstance(optimizer, CombinedOptimizer):
        return any(map(_has_modes, optimizer.optimizers))
    return callable(getattr(optimizer, "eval", None))


def first_order(dataset: Dataset, config: RunConfig, batch_size: int) -> Order:
    """Order of the first epoch."""
    return training_order(dataset, batch_size, seed=config.seed, epoch=1, recipe=config.recipe)
