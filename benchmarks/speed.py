"""A training step and an evaluation of ours beside a bare loop and the usual way.

Run from the repository root, in an environment with all four packages, torchvision and matplotlib:

    python benchmarks/speed.py [--quick] [--data-dir DIR] [--out DIR] [--only fmnist_mlp ...]

For each problem, medians over rounds in which the candidates take turns in one process:

* ours: `run` with records, result files and a progress display; the time of its training clocks;
* bare: the same network, objective, optimizer and batch size on one tensor in memory that is ready
  for the network; no records, no evaluation;
* usual: images through torchvision's transforms, one at a time, in a `DataLoader` (for the
  functions of two parameters with 4 workers), and the loss read at every step.

Evaluation is that of the test split, against bare forward passes in batches of the same size. The
quotients are medians of the quotients of a round, so that load on the machine that lasts longer
than a round counts for little. Fashion-MNIST is read from `--data-dir` (any layout the importer
knows); all other data are stand-ins of the same shapes. Only the first steps of an epoch are
taken. With `--processes`, the time to the end of the first step and the peak memory of
`deepobs run` in a process of its own are measured as well.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from rich.console import Console
from torch import Tensor

from deepobs_data import Batch, Dataset, import_files
from deepobs_problems import Problem, evaluate, load_problem
from deepobs_runner import Execution, Record, RunConfig, resolve_config, run
from deepobs_runner.clocks import training_seconds
from deepobs_runner.devices import numerics
from deepobs_runner.progress import label_run, report_progress
from deepobs_runner.training import build_model, load_data


@dataclass(frozen=True)
class Case:
    """A problem, steps of a round, and test examples of an evaluation."""

    problem: str
    steps: int
    quick_steps: int
    evaluated: int
    target: float


CASES = (
    Case("two_d_rosenbrock", 78, 78, 10_000, 1.3),
    Case("quadratic_deep", 70, 70, 896, 1.3),
    Case("fmnist_logreg", 300, 60, 10_000, 1.3),
    Case("fmnist_mlp", 60, 8, 10_000, 1.3),
    Case("fmnist_2c2d", 10, 2, 2_000, 1.05),
    Case("fmnist_vae", 20, 4, 2_000, 1.05),
    Case("cifar10_3c3d", 6, 2, 500, 1.05),
    Case("cifar100_allcnnc", 2, 0, 100, 1.05),
    Case("svhn_wrn164", 2, 0, 50, 1.05),
    Case("tolstoi_char_rnn", 6, 2, 50, 1.05),
)


@dataclass(frozen=True)
class Subject:
    """What the candidates of a case share."""

    case: Case
    problem: Problem
    config: RunConfig
    execution: Execution
    dataset: Dataset
    x: Tensor
    y: Tensor
    stateful: bool


def prepare(case: Case, data_dir: Path | None, out: Path) -> Subject:
    """Return configuration and data of a case; `x` and `y` are ready for the network."""
    problem = load_problem(case.problem)
    real = data_dir is not None and case.problem.startswith("fmnist")
    made = case.problem.startswith(("two_d", "quadratic"))
    config = resolve_config(
        RunConfig(
            problem=case.problem,
            optimizer="SGD",
            hyperparams={"lr": 1e-5},
            data="real" if real or made else "synthetic",
            epochs=None,
            steps=case.steps,
        )
    )
    execution = Execution(device="cpu", data_dir=data_dir, out=out)
    dataset = load_data(problem, config, execution)
    count = min(len(dataset.train), case.steps * (config.batch_size or 1))
    batch = next(dataset.train.batches(torch.arange(count), count))
    stateful = dataset.order == "stateful"
    return Subject(case, problem, config, execution, dataset, batch.x, batch.y, stateful)


def time_ours(subject: Subject) -> float:
    """Return the training seconds of a step of `run`, all display and storing on."""
    records: list[Record] = []
    config = subject.config
    with (
        open(os.devnull, "w", encoding="utf-8") as sink,
        report_progress(Console(file=sink, force_terminal=True), 2, quiet=False) as reporter,
    ):
        reporter.start(config.id, label_run(config), 2)

        def record(record: Record) -> None:
            reporter.record(config.id, record.epoch, record.metrics, 0.0)
            records.append(record)

        # The problem with a test split of a few examples: evaluation has its own column.
        problem = replace(subject.problem, **_small_data(subject))
        run(config, subject.execution, problem=problem, on_record=record, force=True)
        reporter.finish(config.id)
    seconds = sum(training_seconds(record.clocks) or 0.0 for record in records)
    return seconds / records[-1].steps


def _small_data(subject: Subject) -> dict[str, Any]:
    """Return a problem's data with as few evaluated rows as a batch."""
    from deepobs_data.table import Table

    def shorten(split: Any) -> Any:
        rows = torch.arange(len(split)) if split.rows is None else split.rows
        few = rows[: 64 if not subject.stateful else subject.config.batch_size]
        return replace(split, rows=few)

    data = subject.dataset
    assert isinstance(data.test, Table)
    small = replace(data, test=shorten(data.test), train_eval=shorten(data.train_eval))
    return {"data": lambda *_, **__: small, "stand_in": lambda *_, **__: small}


def train_on(subject: Subject, batches: Iterable[Batch], *, read: bool) -> float:
    """Return the seconds of a step of a plain loop.

    Args:
        subject: network and optimizer.
        batches: for one round.
        read: read the loss at every step.
    """
    model = build_model(subject.problem, subject.config, torch.device("cpu")).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-5)
    state, steps, total = None, 0, 0.0
    with numerics("fp32", True):
        started = time.perf_counter()
        for batch in batches:
            optimizer.zero_grad()
            objective, state = subject.problem.objective(model, batch, state)
            objective.backward()
            optimizer.step()
            state = _detached(state)
            if read:
                total += objective.item()
            steps += 1
            if steps == subject.config.steps:
                break
        return (time.perf_counter() - started) / steps


def _detached(state: Any) -> Any:
    if isinstance(state, Tensor):
        return state.detach()
    return None if state is None else tuple(_detached(part) for part in state)


def time_bare(subject: Subject) -> float:
    """Return the seconds of a step on one tensor in memory."""
    size = subject.config.batch_size or 1

    def batches() -> Iterable[Batch]:
        while True:
            count = len(subject.x) // size * size
            order = torch.arange(count) if subject.stateful else torch.randperm(len(subject.x))
            for rows in order[:count].split(size):
                yield Batch(subject.x.index_select(0, rows), subject.y.index_select(0, rows))

    return train_on(subject, batches(), read=False)


class OneByOne(torch.utils.data.Dataset):
    """Examples prepared one at a time: images by torchvision's transforms, others as they are."""

    def __init__(self, subject: Subject) -> None:
        from torchvision import transforms

        raw = subject.dataset.train.x
        rows = subject.dataset.train.rows
        raw = (raw if rows is None else raw[rows])[: len(subject.x)]
        self.images = raw.dtype == torch.uint8 and raw.ndim >= 3
        if self.images and raw.ndim == 4:
            raw = raw.permute(0, 2, 3, 1) if raw.shape[1] in (1, 3) else raw
        self.x = raw.squeeze(-1).numpy() if self.images else subject.x
        self.y = subject.y
        steps: list[Any] = [transforms.ToTensor()]
        if subject.dataset.augment is not None:
            steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
            steps += [transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)]
        self.transform = transforms.Compose(steps)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if not self.images:
            return self.x[i], self.y[i]
        from PIL import Image

        return self.transform(Image.fromarray(self.x[i])), self.y[i]


def time_usual(subject: Subject) -> float:
    """Return the seconds of a step with a `DataLoader`."""
    workers = 4 if subject.case.problem.startswith("two_d") else 0
    loader = torch.utils.data.DataLoader(
        OneByOne(subject),
        subject.config.batch_size,
        shuffle=not subject.stateful,
        drop_last=True,
        num_workers=workers,
    )

    def batches() -> Iterable[Batch]:
        while True:
            for x, y in loader:
                yield Batch(x, y)

    return train_on(subject, batches(), read=True)


def time_evaluation(subject: Subject) -> tuple[float, float]:
    """Return the seconds of an evaluation of ours and of bare forward passes."""
    problem, test = subject.problem, subject.dataset.test
    model = build_model(problem, subject.config, torch.device("cpu"))
    size = subject.config.batch_size if subject.stateful else problem.defaults.evaluation
    count = min(len(test), subject.case.evaluated)
    order = torch.arange(count)
    started = time.perf_counter()
    evaluate(problem, model, test, batch_size=size, order=order)
    ours = time.perf_counter() - started
    batch = next(test.batches(order, count))
    model.eval()
    state = None
    started = time.perf_counter()
    with torch.inference_mode():
        for x, y in zip(batch.x.split(size), batch.y.split(size), strict=True):
            _, state = problem.forward(model, Batch(x, y), state)
    return ours, time.perf_counter() - started


def measure(subject: Subject, rounds: int) -> dict[str, float]:
    """Return medians of seconds and of quotients over rounds; one more warms up."""
    training: dict[str, Callable[[Subject], float]] = {
        "ours": time_ours,
        "bare": time_bare,
        "usual": time_usual,
    }
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        # Each comes first now and then.
        names = sorted(training, reverse=number % 2 == 1)
        seconds = {name: training[name](subject) for name in names}
        evaluation = [time_evaluation(subject) for _ in range(3)]
        seconds["evaluation"] = statistics.median(ours for ours, _ in evaluation)
        seconds["ours/bare"] = seconds["ours"] / seconds["bare"]
        seconds["usual/ours"] = seconds["usual"] / seconds["ours"]
        seconds["evaluation/forward"] = statistics.median(a / b for a, b in evaluation)
        if number:
            for name, value in seconds.items():
                found.setdefault(name, []).append(value)
    return {name: statistics.median(values) for name, values in found.items()}


def measure_process(subject: Subject, out: Path) -> tuple[float, float]:
    """Return seconds to the end of one step, and peak MiB, of a process of its own."""
    command = [
        sys.executable, "-m", "deepobs_runner.cli", "run", subject.case.problem, "SGD", "lr=1e-5",
        "--steps", "1", "--quiet", "--device", "cpu", "--out", str(out), "--force",
        "--data", subject.config.data,
    ]  # fmt: skip
    if subject.execution.data_dir is not None:
        command += ["--data-dir", str(subject.execution.data_dir)]
    script = (
        "import resource, subprocess, sys; "
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    started = time.perf_counter()
    printed = subprocess.run(
        [sys.executable, "-c", script, *command], check=True, capture_output=True, text=True
    ).stdout
    return time.perf_counter() - started, float(printed)


def draw(rows: dict[str, dict[str, float]], path: Path) -> None:
    """Draw the quotients, one row a problem."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.45 * len(rows) + 1.2), layout="constrained")
    axes = figure.subplots()
    names = list(rows)[::-1]
    markers = {"ours/bare": "o", "usual/ours": "s", "evaluation/forward": "^"}
    for column, marker in markers.items():
        axes.plot([rows[name][column] for name in names], names, marker, label=column)
    axes.axvline(1, color="0.6", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("quotient of times")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    figure.savefig(path)


def main() -> None:
    """Print a table, and write it with a figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, help="of Fashion-MNIST; default: a stand-in")
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--only", nargs="*", help="problems")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="3 rounds of fewer, smaller ones")
    parser.add_argument("--processes", action="store_true", help="start-up and peak memory, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", "This DataLoader will create")  # what is measured is careless
    options.out.mkdir(parents=True, exist_ok=True)
    head = (
        f"torch {torch.__version__}, {platform.machine()}, {options.threads} threads of "
        f"{os.cpu_count()} cores; milliseconds a step"
    )
    columns = ("ours", "bare", "usual", "ours/bare", "usual/ours", "evaluation/forward")
    lines = [head, f"{'':18}" + "".join(f"{column:>20}" for column in columns)]
    print("\n".join(lines), flush=True)
    rows: dict[str, dict[str, float]] = {}
    for case in CASES:
        steps = case.quick_steps if options.quick else case.steps
        if not steps or (options.only and case.problem not in options.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            data_dir = None
            if options.data_dir is not None and case.problem.startswith("fmnist"):
                data_dir = Path(folder) / "data"
                import_files("fmnist", options.data_dir, data_dir)
            subject = prepare(replace(case, steps=steps), data_dir, Path(folder) / "runs")
            found = measure(subject, 3 if options.quick else options.rounds)
            rows[case.problem] = found
            shown = [found[c] * (1 if "/" in c else 1000) for c in columns]
            line = f"{case.problem:18}" + "".join(f"{value:20.3f}" for value in shown)
            if options.processes:
                seconds, memory = measure_process(subject, Path(folder) / "process")
                line += f"   first step after {seconds:.1f} s, peak {memory:.0f} MiB"
            lines.append(line)
            print(line, flush=True)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines.append(f"peak memory of this process: {own:.0f} MiB")
    (options.out / "speed.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    draw(rows, options.out / "speed.png")
    print(f"{lines[-1]}; wrote {options.out}/speed.txt and speed.png")


if __name__ == "__main__":
    main()
