"""What the benchmarks train: a problem's network and data, by the runner and by a bare loop."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.console import Console
from torch import Tensor, nn

from deepobs_data import Batch, Dataset, Windows, import_files
from deepobs_data import info as data_info
from deepobs_problems import SUITES, Problem, load_problem
from deepobs_problems.evaluation import prepare as prepare_batch
from deepobs_runner import (
    Execution,
    Record,
    RunConfig,
    resolve_config,
    run,
)
from deepobs_runner.backend.memory import keep_memory
from deepobs_runner.backend.precision import compute_dtype, numerics
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.results.labels import label_run
from deepobs_runner.runs.progress import report_progress
from deepobs_runner.training import stopwatch
from deepobs_runner.training.data import load_data
from deepobs_runner.training.loop import build_model

keep_memory()  # as `deepobs` does, here for the plain loops, too

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

FASHION_MNIST = Path(os.environ.get("DEEPOBS_TEST_FMNIST", "/usr/share/datasets/fashion-mnist"))

SECONDS: Callable[[], float] = time.perf_counter


def use_clock(clock: Callable[[], float]) -> None:
    """Measure with this clock, in the runner as well."""
    global SECONDS
    SECONDS = clock
    stopwatch.time = SimpleNamespace(perf_counter=clock)  # type: ignore[attr-defined]


def use_processor_time() -> None:
    """Measure processor seconds of this process instead of wall time, on a busy machine."""
    use_clock(time.process_time)


def in_turns(measures: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """Return what candidates that take turns measure, in every round; one more warms up."""
    found: dict[K, list[T]] = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                found[name].append(value)
    return found


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Compute on this many threads, by wall time: processor time would add them up."""
    threads, clock = torch.get_num_threads(), SECONDS
    torch.set_num_threads(count)
    use_clock(time.perf_counter)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        use_clock(clock)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that all of these benchmarks have."""
    parser.add_argument(
        "--data-dir", type=Path, default=FASHION_MNIST, help="of Fashion-MNIST, in any layout"
    )
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--docs", action="store_true", help="put the numbers into RESULTS.md")
    parser.add_argument("--only", nargs="*", help="problems")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, smaller cases")
    parser.add_argument(
        "--processor", action="store_true", help="processor seconds instead of wall time"
    )


def imported_data(folder: Path, into: Path) -> Path | None:
    """Return a data folder with Fashion-MNIST; None, with a remark, if there is none."""
    if not folder.exists():
        print(f"{folder} is not there: Fashion-MNIST is a stand-in of generated images")
        return None
    import_files("fmnist", folder, into)
    return into


@dataclass(frozen=True)
class Subject:
    """A problem with its data, `x` and `y` ready for the network."""

    problem: Problem
    config: RunConfig
    execution: Execution
    dataset: Dataset
    x: Tensor
    y: Tensor

    @property
    def stateful(self) -> bool:
        """Whether batches continue each other."""
        return self.dataset.order == "stateful"

    @property
    def steps_per_epoch(self) -> int:
        """Of the real data, also where a stand-in is measured."""
        return self._real.train_size // (self.config.batch_size or 1)

    @property
    def test_size(self) -> int:
        """Examples of the real test split."""
        return self._real.test_size

    @property
    def _real(self) -> Any:
        return data_info(self.dataset.name)


def _repeated(dataset: Dataset, train: int, test: int) -> Dataset:
    """Return a stand-in with its rows repeated, for epochs and evaluations of real length.

    Windows of text, where a stand-in has enough of them, stay as they are.
    """
    if isinstance(dataset.train, Windows):
        return dataset

    def rows(split: Any, count: int) -> Any:
        return replace(split, rows=torch.arange(max(count, len(split))) % len(split))

    return replace(dataset, train=rows(dataset.train, train), test=rows(dataset.test, test))


def prepare(
    name: str,
    steps: int,
    data_dir: Path | None,
    out: Path,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
) -> Subject:
    """Return a problem and the data of its first steps, real where it is at hand."""
    problem = load_problem(name)
    real = data_dir is not None and name.startswith("fmnist")
    made = "synthetic" in problem.tags or name in SUITES["offline"]
    config = resolve_config(
        RunConfig(
            problem=name,
            optimizer="SGD",
            hyperparams={"lr": 1e-5},
            data="real" if real or made else "synthetic",
            batch_size=batch_size,
            steps=steps,
        )
    )
    execution = Execution(device=device, data_dir=data_dir, out=out)
    dataset = load_data(problem, config, execution)
    taken = steps * (config.batch_size or 1)
    if config.data == "synthetic":
        dataset = _repeated(dataset, taken, data_info(dataset.name).test_size)
    count = min(len(dataset.train), taken)
    batch = next(dataset.train.batches(torch.arange(count), count))
    place = torch.device(device)
    ready = prepare_batch(problem, batch, compute_dtype(config.precision))
    return Subject(problem, config, execution, dataset, ready.x.to(place), ready.y.to(place))


def train_ours(subject: Subject, *, evaluated: int = 64) -> list[Record]:
    """Return the records of `run` with result files and a progress bar.

    Evaluation has a column of its own: here it takes `evaluated` examples of a split.
    """
    records: list[Record] = []
    config = subject.config
    problem = replace(subject.problem, **_small_data(subject, evaluated))
    with (
        open(os.devnull, "w", encoding="utf-8") as sink,
        report_progress(Console(file=sink, force_terminal=True), 2, quiet=False) as reporter,
    ):
        reporter.start(config.id, label_run(config), 2)

        def record(record: Record) -> None:
            reporter.record(config.id, record.epoch, record.metrics, 0.0)
            records.append(record)

        run(config, subject.execution, problem=problem, on_record=record, force=True)
        reporter.finish(config.id)
    return records


def step_seconds(records: list[Record]) -> float:
    """Return the training seconds of a step."""
    return sum(training_seconds(r.clocks) or 0.0 for r in records) / records[-1].steps


def _small_data(subject: Subject, evaluated: int) -> dict[str, Any]:
    """Return a problem's data with few evaluated rows."""

    def shorten(split: Any) -> Any:
        if isinstance(split, Windows):
            return replace(split, ids=split.ids[: evaluated * split.seq_length + 1])
        rows = torch.arange(len(split)) if split.rows is None else split.rows
        few = evaluated if not subject.stateful else (subject.config.batch_size or 1)
        return replace(split, rows=rows[:few])

    data = subject.dataset
    small = replace(data, test=shorten(data.test), train_eval=shorten(data.train_eval))
    return {"data": lambda *_, **__: small, "stand_in": lambda *_, **__: small}


def train_plainly(
    subject: Subject,
    batches: Iterable[Batch],
    *,
    read: bool = False,
    channels_last: bool = False,
    **settings: Any,
) -> float:
    """Return the seconds of a step of a plain loop.

    Args:
        subject: network and optimizer.
        batches: for one round.
        read: read the loss at every step.
        channels_last: memory format of weights and images.
        settings: of `torch.optim.SGD`.
    """
    device = torch.device(subject.execution.device)
    model: nn.Module = build_model(subject.problem, subject.config, device, subject.dataset).train()
    if channels_last:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-5, **settings)
    clip_norm = subject.config.clip_norm
    state, steps, total = None, 0, 0.0
    with numerics(subject.config.precision, True), _waiting(device):
        started = SECONDS()
        for batch in batches:
            if channels_last:
                batch = batch._replace(x=batch.x.contiguous(memory_format=torch.channels_last))
            optimizer.zero_grad()
            objective, state = subject.problem.objective(model, batch, state)
            objective.backward()  # type: ignore[no-untyped-call]
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(trained, clip_norm)
            optimizer.step()
            state = _detached(state)
            if read:
                total += objective.item()
            steps += 1
            if steps == subject.config.steps:
                break
        if device.type == "cuda":
            torch.cuda.synchronize()
        return (SECONDS() - started) / steps


@contextmanager
def _waiting(device: torch.device) -> Iterator[None]:
    if device.type == "cuda":
        torch.cuda.synchronize()
    yield


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else tuple(_detached(part) for part in state)


def ready_batches(subject: Subject) -> Iterator[Batch]:
    """Yield batches of one tensor that is ready for the network, epoch after epoch."""
    size = subject.config.batch_size or 1
    count = len(subject.x) // size * size
    full_batch = size >= len(subject.dataset.train)
    while True:
        if full_batch:
            yield Batch(subject.x, subject.y)
            continue
        order = torch.arange(count) if subject.stateful else torch.randperm(len(subject.x))
        for rows in order[:count].to(subject.x.device).split(size):
            yield Batch(subject.x.index_select(0, rows), subject.y.index_select(0, rows))
