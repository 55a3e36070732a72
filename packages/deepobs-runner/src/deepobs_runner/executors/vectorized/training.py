"""Several runs of one problem trained together: one pass through the model for all of them.

What `training.py` does for one run, for a grid of them: S seeds by L settings, which differ in the
optimizer's hyperparameters only. Each record is that of the separate run, up to rounding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepobs_data import Batch, Split
from deepobs_problems import Problem
from deepobs_problems.evaluation import cast, evaluation_mode
from deepobs_runner.backend.backend import make_backend
from deepobs_runner.backend.memory import forget_peak, peak_memory, tensor_bytes
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.executors.vectorized.model import CannotStackError, StackedModel
from deepobs_runner.executors.vectorized.optimizer import StackedOptimizer
from deepobs_runner.optimizers import MakeOptimizer
from deepobs_runner.text import first_line
from deepobs_runner.training.checkpoint import Checkpoint, on_cpu
from deepobs_runner.training.data import (
    FullBatch,
    Order,
    TrainingData,
    is_full_batch,
    load_data,
    whole_batches,
)
from deepobs_runner.training.evaluation import Evaluator
from deepobs_runner.training.learning_rate import rate_factor
from deepobs_runner.training.loop import build_model
from deepobs_runner.training.record import Record
from deepobs_runner.training.stopwatch import start_stopwatch

Grid = Sequence[Sequence[RunConfig]]
"""A row for each seed with the same settings in each; settings of equal `other_options` beside
each other."""

NUMBERS_IN_CACHE = 2**20
"""Of inputs, counted for each run, in one pass of an evaluation."""


class StackedRuns:
    """The state of a grid of runs between epochs.

    Args:
        problem: what to train.
        grid: resolved configurations, equal but for seed and hyperparameters.
        make_optimizer: builds the optimizer of one of them, for its checkpoint.
        execution: device and data folder.

    Raises:
        CannotStackError: the model cannot be evaluated for several runs at once, or is not the
            same then.
        UsageError: no such device, a batch larger than the training split.
    """

    def __init__(
        self,
        problem: Problem,
        grid: Grid,
        make_optimizer: Sequence[MakeOptimizer],
        execution: Execution,
    ) -> None:
        self.grid = [list(row) for row in grid]
        self._ids = [[config.id for config in row] for row in grid]  # each id is a hash
        self.config = grid[0][0]  # for what all have in common
        self.problem, self._make_optimizer = problem, list(make_optimizer)
        self.backend = make_backend(execution, self.config.precision)
        self.device = self.backend.device
        forget_peak(self.device)
        self._clock = start_stopwatch(self.device)
        self.dtype = self.backend.dtype
        self.dataset = load_data(problem, self.config, execution).to(self.device)
        self._data = [TrainingData(problem, self.dataset, row[0], self.backend) for row in grid]
        self.batch_size = self._data[0].batch_size
        self._full_batch = FullBatch()
        self.steps = 0
        self.steps_per_epoch = self._data[0].steps_per_epoch
        self._over: set[str] = set()
        with self.backend.numerics():
            self._build()
            self._check_gradients()
        self._passes = self._evaluation_passes()
        self._clock.mark("setup")

    def _build(self) -> None:
        """Build weights and optimizer as the separate runs would."""
        config, problem = self.config, self.problem
        models = [build_model(problem, row[0], self.device, self.dataset) for row in self.grid]
        decayed = {id(p) for p in problem.decayed(models[0])} if config.l2 else set()
        if config.l2 and not decayed:
            raise CannotStackError(f"{problem.name} has no weights to regularize.")
        through_optimizer = config.l2_via == "optimizer"
        self.model = StackedModel(
            problem,
            models,
            len(self.grid[0]),
            l2=0.0 if through_optimizer else config.l2 or 0.0,
            evaluated_l2=config.l2 or 0.0,
        )
        trained = [p for p in models[0].parameters() if p.requires_grad]
        decays = [(config.l2 or 0.0) if id(p) in decayed else 0.0 for p in trained]
        self.optimizer = StackedOptimizer(
            config.optimizer,
            [c.hyperparams for c in self.grid[0]],
            self.model.weights,
            decays if through_optimizer else None,
        )
        groups = problem.parameter_groups(models[0], config.l2) if through_optimizer else [None]
        self._groups = len(groups)
        self._factor = 1.0

    def _check_gradients(self) -> None:
        """Compare the first gradients of the first and the last seed with those of a single run.

        Raises:
            CannotStackError: they differ, or the model does not run.
        """
        orders = [data.order(1, 0).first(self.batch_size) for data in self._data]
        batch = next(self._batches(orders))
        try:
            objectives, gradients = self.model.gradients(batch)
        except RuntimeError as error:  # torch's errors about random numbers and control flow
            raise CannotStackError(
                f"The network of {self.problem.name}: {first_line(error)}"
            ) from None
        for seed in {0, len(self.grid) - 1}:
            model = build_model(self.problem, self.grid[seed][0], self.device, self.dataset)
            own = Batch(batch.x[seed], batch.y[seed])
            objective, _ = self.problem.objective(model, own, l2=self.model.l2)
            trained = [p for p in model.parameters() if p.requires_grad]
            expected = [objective, *torch.autograd.grad(objective, trained)]
            got = [objectives[seed, 0], *(gradient[seed, 0] for gradient in gradients)]
            if not all(map(_close, got, expected)):
                raise CannotStackError(
                    f"The network of {self.problem.name} has other gradients when several runs "
                    "are evaluated at once."
                )

    def _evaluation_passes(self) -> dict[str, tuple[Split, list[Order]]]:
        """Orders that each split's evaluation reads: one, or one for each seed."""
        evaluators = [
            Evaluator(self.problem, self.dataset, row[0], self.backend) for row in self.grid
        ]
        passes = {}
        for name, (split, order) in evaluators[0].passes.items():
            orders = [evaluator.passes[name][1] for evaluator in evaluators]
            same = order.draws is None and all(torch.equal(o.rows, order.rows) for o in orders)
            passes[name] = (split, orders[:1] if same else orders)
        return passes

    def ended(self, epoch: int) -> bool:
        """Whether all runs are over after this epoch."""
        return epoch == self.config.epochs or self.steps == self.config.steps

    def drop(self, over: Iterable[str]) -> None:
        """Drop ended runs, by id; a setting without another run is computed no longer."""
        self._over |= set(over)
        columns = range(len(self.grid[0]))
        kept = [i for i in columns if any(row[i] not in self._over for row in self._ids)]
        if len(kept) < len(columns) and kept:
            self.grid = [[row[i] for i in kept] for row in self.grid]
            self._ids = [[row[i] for i in kept] for row in self._ids]
            self._make_optimizer = [self._make_optimizer[i] for i in kept]
            self.model.keep(kept)
            self.optimizer = self.optimizer.kept(kept, self.model.weights)

    def epoch(self, epoch: int) -> dict[str, Record]:
        """Train the epoch (none for 0), then evaluate; return the records by the runs' ids.

        Seconds are those of all runs divided by their number.
        """
        if epoch:
            self._clock.mark("checkpoint")
        with self.backend.numerics():
            objectives, telemetry = self._train(epoch) if epoch else self._untrained()
            metrics = {name: self._evaluate(*rows) for name, rows in self._passes.items()}
        runs = sum(name not in self._over for row in self._ids for name in row)
        weights = [weight.detach().clone() for weight in self.model.weights]
        state = _State(
            epoch=epoch,
            steps=self.steps,
            factor=self._factor,
            optimizer=self.optimizer.kept(range(len(self.grid[0])), weights),
        )
        counters = self._counters()
        self._clock.mark("evaluate")
        clocks = {name: seconds / runs for name, seconds in self._clock.take().items()}
        records = {}
        for s, row in enumerate(self.grid):
            for i, config in enumerate(row):
                if (name := self._ids[s][i]) in self._over:
                    continue
                records[name] = Record(
                    epoch=epoch,
                    steps=self.steps,
                    steps_per_epoch=self.steps_per_epoch,
                    lr=(config.hyperparams["lr"] * self._factor,) * self._groups,
                    clocks=dict(clocks),
                    counters=dict(counters[i]),
                    metrics={
                        split: {name: values[s][i] for name, values in measured.items()}
                        for split, measured in metrics.items()
                    },
                    telemetry=telemetry[s][i],
                    step_objectives=objectives[:, s, i].copy(),
                    snapshot=partial(self._snapshot, state, config, self._make_optimizer[i], s, i),
                )
        return records

    def _counters(self) -> list[dict[str, int | None]]:
        """Counters of a run of each setting; the peak is that of all together."""
        return [
            {
                **counts_of(self.steps),
                "examples": self.steps * self.batch_size,
                "optimizer_state_bytes": tensor_bytes(self.optimizer.state_of(0, setting)),
                "peak_memory_bytes": peak_memory(self.device),
            }
            for setting in range(len(self.grid[0]))
        ]

    def _untrained(self) -> tuple[np.ndarray, list[list[dict[str, Any]]]]:
        seeds, settings = len(self.grid), len(self.grid[0])
        return np.zeros((0, seeds, settings)), [[{}] * settings] * seeds

    def _batches(self, orders: Sequence[Order]) -> Iterator[Batch]:
        """Yield the batches of an epoch for all seeds."""
        if not is_full_batch(self.dataset, self.batch_size):
            return self._gather(orders)
        one = orders[0].first(self.batch_size)  # the same for all seeds
        steps = len(orders[0].rows) // self.batch_size
        return self._full_batch.repeated(lambda: self._expanded(next(self._gather([one]))), steps)

    def _gather(self, orders: Sequence[Order]) -> Iterator[Batch]:
        raw = seed_batches(self.dataset.train, orders, self.batch_size, self.device)
        return (cast(batch, self.dtype) for batch in raw)

    def _expanded(self, batch: Batch) -> Batch:
        """Batch `(1, B, ...)` as `(S, B, ...)`, for all seeds."""
        return Batch(*(part.expand(len(self.grid), *part.shape[1:]) for part in batch))

    def _train(self, epoch: int) -> tuple[np.ndarray, list[list[dict[str, Any]]]]:
        """Take the epoch's steps; return objectives `(steps, S, L)` and telemetry."""
        orders = [data.order(epoch, self.steps) for data in self._data]
        last = self.steps + len(orders[0].rows) // self.batch_size - 1
        objectives: list[Tensor] = []
        before: list[Tensor] = []
        lap = self._clock.lap
        for batch in self._batches(orders):
            lap("data")
            self._factor = rate_factor(self.config, self.steps, self.steps_per_epoch)
            values, gradients = self.model.gradients(batch)
            objectives.append(values)
            if self.config.clip_norm:
                gradients = self.model.clip(gradients, self.config.clip_norm)
            lap("forward_backward")
            if self.steps == last:
                before = [weight.detach().clone() for weight in self.model.weights]
                lap("evaluate")
            self.optimizer.step(gradients, self._factor)
            self.steps += 1
            lap("optimizer")
        self._clock.settle()
        telemetry = self.model.telemetry(before, gradients)
        return torch.stack(objectives).cpu().numpy(), telemetry

    def _evaluate(self, split: Split, orders: Sequence[Order]) -> dict[str, list[list[float]]]:
        """`loss`, `objective` and the metrics over a split, for each seed and setting."""
        sums: dict[str, Tensor] = {}
        size = self._rows_at_once(split)
        with evaluation_mode(self.model.model), torch.inference_mode():
            for raw in seed_batches(split, orders, size, self.device):
                batch = self._expanded(cast(raw, self.dtype))
                for name, values in self.model.measures(batch).items():
                    total = values.sum(dim=2, dtype=torch.float64)
                    sums[name] = sums[name] + total if name in sums else total
            penalties = self.model.penalties().double()
        means = {name: total / len(orders[0].rows) for name, total in sums.items()}
        means |= {name: means[of].sqrt() for name, of in self.problem.roots.items()}
        means = {"loss": means["loss"], "objective": means["loss"] + penalties, **means}
        return {name: mean.tolist() for name, mean in means.items()}

    def _rows_at_once(self, split: Split) -> int:
        """Batch size of evaluation: the inputs of all runs should stay in cache."""
        numbers = len(self.grid) * len(self.grid[0]) * split[0].x.numel()
        at_least, at_most = self.batch_size, self.problem.hardware.evaluation_batch_on(self.device)
        return max(min(NUMBERS_IN_CACHE // numbers, at_most), at_least)

    def _snapshot(
        self, state: _State, config: RunConfig, make: MakeOptimizer, seed: int, setting: int
    ) -> Checkpoint:
        """Checkpoint of one run, which can be resumed separately."""
        model = build_model(self.problem, config, self.device, self.dataset)
        trained = [p for p in model.parameters() if p.requires_grad]
        with torch.no_grad():
            for parameter, stack in zip(trained, state.optimizer.stacks, strict=True):
                parameter.copy_(stack[seed, setting])
        optimizer = make(model)
        if state.steps:
            own = state.optimizer.state_of(seed, setting)
            optimizer.state.update({p: own[i] for i, p in enumerate(trained)})
        for group in optimizer.param_groups:
            group["lr"] *= state.factor
        return Checkpoint(
            run_id=config.id,
            epoch=state.epoch,
            steps=state.steps,
            model=on_cpu(model.state_dict()),
            optimizer=on_cpu(optimizer.state_dict()),
            counters=counts_of(state.steps),
        )


def counts_of(steps: int) -> dict[str, int]:
    """Counts of a closure that was called once per step."""
    return {"closure_calls": steps, "gradient_evaluations": steps, "skipped_steps": 0}


@dataclass(frozen=True, kw_only=True)
class _State:
    """What checkpoints are made of: a copy of weights and optimizer after an epoch."""

    epoch: int
    steps: int
    factor: float
    optimizer: StackedOptimizer


def seed_batches(
    split: Split, orders: Sequence[Order], batch_size: int, device: torch.device
) -> Iterator[Batch]:
    """Yield batches `(S, B, ...)`: in row s the examples that `orders[s]` names.

    The last may be smaller. All orders have the same length.
    """
    rows = torch.stack([order.rows for order in orders])  # (S, N)
    draws = None
    if orders[0].draws is not None:
        draws = torch.stack([order.draws for order in orders if order.draws is not None])
    seeds, count = rows.shape
    whole = whole_batches(count, batch_size)
    for part, size in ((slice(0, whole), batch_size), (slice(whole, count), count - whole)):
        if not size or part.start == part.stop:
            continue
        # All seeds' rows of one step beside each other: one gather a step.
        order = _interleave(rows[:, part], size)
        drawn = None if draws is None else _interleave(draws[:, part], size)
        for batch in split.batches(order, seeds * size, draws=drawn, device=device):
            yield Batch(*(column.view(seeds, size, *column.shape[1:]) for column in batch))


def _interleave(values: Tensor, size: int) -> Tensor:
    """`(S, N, ...)` as `(N / size * S * size, ...)`, step by step."""
    seeds, count, *rest = values.shape
    return values.reshape(seeds, count // size, size, *rest).transpose(0, 1).flatten(0, 2)


def _close(got: Tensor, expected: Tensor) -> bool:
    """Whether two tensors agree up to the rounding of sums in another order."""
    tolerance = 1e-9 if expected.dtype == torch.float64 else 1e-3
    largest = float(expected.detach().abs().max())
    return bool(((got - expected).detach().abs() <= tolerance * largest).all())
