"""Time estimates: a few timed steps of each kind of run, and the sizes of its data."""

from __future__ import annotations

import heapq
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median_high

import torch
from torch import Tensor

from deepobs_data import Batch, DataNotFoundError, Dataset, Split, info
from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.backend.environment import environment_variables, torch_threads
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.executors.local import threads_per_worker
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.schedules import Constant
from deepobs_runner.training.data import load_data
from deepobs_runner.training.loop import train

SECONDS = 1.0
"""Timings of a kind of run are repeated for about so long; a single step may take longer."""

MOST_TIMINGS = 20


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Measured seconds of a kind of run, and its steps per epoch.

    Attributes:
        start: loading data and building model and optimizer.
        step: one optimizer step.
        evaluation: one pass over all splits.
        steps_per_epoch: steps per epoch of the problem's data.
    """

    start: float
    step: float
    evaluation: float
    steps_per_epoch: int

    def seconds(self, config: RunConfig) -> float:
        """Time of a whole run that is not stopped early."""
        limits = [] if config.steps is None else [config.steps]
        if config.epochs is not None:
            limits.append(config.epochs * self.steps_per_epoch)
        steps = min(limits)
        evaluations = 1 - (-steps // self.steps_per_epoch)  # of epochs begun, and before training
        return self.start + steps * self.step + evaluations * self.evaluation


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Estimated time of all runs.

    Attributes:
        seconds: None if nothing could be timed.
        gaps: runs without an estimate, with the reason.
    """

    seconds: float | None
    gaps: tuple[str, ...] = ()


def cost_kind(config: RunConfig) -> str:
    """Key that is equal for runs that cost the same but for their length."""
    data = config.to_json()
    hyperparams = {k: v for k, v in config.hyperparams.items() if k != "lr"}
    names = (
        "problem", "optimizer", "batch_size", "valid_size", "recipe", "precision", "data",
        "l2_via", "fingerprint",
    )  # fmt: skip
    return json.dumps([*(data[name] for name in names), hyperparams], sort_keys=True)


def time_runs(
    configs: Sequence[RunConfig], execution: Execution, *, jobs: int = 1
) -> Mapping[str, Timing | str]:
    """Time each kind of run, with the threads a run gets among `jobs`; nothing is written.

    Nothing is downloaded either: where the data are not here, generated ones of the same shapes
    are timed and the sizes are those on record.

    Returns:
        By `cost_kind`: the timing, or the reason why it is missing.
    """
    kinds = {cost_kind(config): config for config in reversed(configs)}
    with torch_threads(threads_among(jobs)):
        return {kind: _timing_or_reason(config, execution) for kind, config in kinds.items()}


def threads_among(jobs: int) -> int:
    """Number of threads of torch in a run that is one of `jobs` at once."""
    threads = torch.get_num_threads()
    return min(threads, threads_per_worker(jobs)) if jobs > 1 else threads


def _timing_or_reason(config: RunConfig, execution: Execution) -> Timing | str:
    try:
        return _measure(config, execution)
    except Exception as error:  # a user's optimizer; the run itself reports the full error
        short = config.optimizer.rpartition(":")[2]
        return f"{short} on {config.problem}: {type(error).__name__}: {error}"


def _measure(config: RunConfig, execution: Execution) -> Timing:
    problem = load_problem(config.problem)
    before = time.perf_counter()
    dataset, sizes = data_and_sizes(problem, config, execution)
    device = choose_device(execution.device)
    dataset = dataset.to(device)
    loading = time.perf_counter() - before
    batch_size = config.batch_size or problem.defaults.batch_size
    # A whole batch at least: recipe "2019" evaluates no other.
    evaluated = max(problem.hardware.evaluation_batch_on(device), batch_size)
    steps_per_pass = sizes["train"] // batch_size
    steps = steps_per_pass * dataset.passes_per_epoch // dataset.epochs_per_pass
    steps_per_epoch = max(1, steps)
    # One step to warm up. If it took long it is timing enough; else longer epochs are timed.
    small = cut_dataset(dataset, batch_size, evaluated)
    start, step, evaluation = _time(problem, config, execution, small)
    if step + evaluation < SECONDS:
        steps = min(steps_per_epoch, max(3, int(0.2 * SECONDS / step)))
        small = cut_dataset(dataset, steps * batch_size, 10 * evaluated)
        start, step, evaluation = _time(problem, config, execution, small)
        step /= min(steps, len(small.train) // batch_size)
    seen = sum(len(split) for name, split in small.splits().items() if name != "train")
    examples = sum(size for name, size in sizes.items() if name != "train")
    return Timing(
        start=loading + start,
        step=step,
        evaluation=evaluation * examples / seen,
        steps_per_epoch=steps_per_epoch,
    )


def _time(
    problem: Problem, config: RunConfig, execution: Execution, dataset: Dataset
) -> tuple[float, float, float]:
    """Seconds of the start, of an epoch's steps and of its evaluation."""
    timed = replace(config, epochs=MOST_TIMINGS, steps=None, schedule=Constant())
    make = optimizer_of(config, problem)
    begun = time.perf_counter()
    steps, evaluations = [], []
    for record in train(problem, make, config=timed, execution=execution, dataset=dataset):
        if record.epoch == 0:
            start = time.perf_counter() - begun - record.clocks["evaluate"]
            begun = time.perf_counter()
            continue
        steps.append(training_seconds(record.clocks) or 0.0)
        evaluations.append(record.clocks["evaluate"])
        if time.perf_counter() - begun > SECONDS:
            break
    return start, median_high(steps), median_high(evaluations)


def data_and_sizes(
    problem: Problem, config: RunConfig, execution: Execution
) -> tuple[Dataset, dict[str, int]]:
    """Data to time on, and the number of examples of each split of a real run."""
    try:
        # An estimate must not wait for downloads.
        with environment_variables({"DEEPOBS_OFFLINE": "1"}):
            dataset = load_data(problem, config, execution)
    except DataNotFoundError:
        if problem.stand_in is None:
            raise
        dataset = load_data(problem, replace(config, data="synthetic", valid_size=0), execution)
        sizes = info(dataset.name).sizes(dataset.train[0].x.shape)
        sizes["train"] -= config.valid_size
        return dataset, {**sizes, "valid": config.valid_size}
    return dataset, {name: len(split) for name, split in dataset.splits().items()}


@dataclass(frozen=True)
class _Head:
    """The first rows of a split."""

    whole: Split
    size: int

    def __len__(self) -> int:
        return min(self.size, len(self.whole))

    def __getitem__(self, i: int) -> Batch:
        return self.whole[i]

    def batches(
        self,
        order: Tensor,
        batch_size: int,
        *,
        draws: Tensor | None = None,
        device: torch.device | None = None,
    ) -> Iterator[Batch]:
        return self.whole.batches(order, batch_size, draws=draws, device=device)


def cut_dataset(dataset: Dataset, train: int, evaluated: int) -> Dataset:
    """Data set with an epoch of `train` rows and `evaluated` rows of other splits."""
    return replace(
        dataset,
        train=_Head(dataset.train, train),
        train_eval=_Head(dataset.train_eval, evaluated),
        valid=None if dataset.valid is None else _Head(dataset.valid, evaluated),
        test=_Head(dataset.test, evaluated),
        passes_per_epoch=1,
        epochs_per_pass=1,
    )


def predict(
    configs: Sequence[RunConfig], timings: Mapping[str, Timing | str], *, jobs: int = 1
) -> Prediction:
    """Predicted time of the runs, `jobs` at a time, each when a worker is free.

    Args:
        configs: in the order in which they are run.
        timings: timings from `time_runs`.
        jobs: number of workers.
    """
    gaps: dict[str, None] = {}
    busy = [0.0] * jobs
    timed = 0
    for config in configs:
        timing = timings[cost_kind(config)]
        if isinstance(timing, str):
            gaps[timing] = None
        else:
            heapq.heappush(busy, heapq.heappop(busy) + timing.seconds(config))
            timed += 1
    return Prediction(seconds=max(busy) if timed else None, gaps=tuple(gaps))
