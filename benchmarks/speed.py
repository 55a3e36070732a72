"""A training step and an evaluation of ours beside a bare loop and the usual way.

Run from the repository root, in an environment with all four packages:

    python benchmarks/speed.py [--quick] [--modern] [--only fmnist_mlp ...] [--device cuda]

For each problem, candidates take turns in one process, and medians over rounds are shown:

* ours: `run` with records, result files and a progress bar; the time of its training clocks;
* bare: the same network, objective, optimizer and batch size on one tensor in memory that is ready
  for the network; no records, no evaluation;
* usual: images through torchvision's transforms, one at a time, in a `DataLoader` without workers
  (for the functions of two parameters with 4 of them), and the loss read at every step.

Evaluation is that of the test split, against bare forward passes over it in the larger of 1000
and our own batch size. The quotients are medians of the quotients of a round, so that load on the
machine that lasts longer than a round counts for little. Fashion-MNIST is real where it is found;
other images and texts are stand-ins of the same shapes, and an epoch is counted by the real sizes.
With `--processes`, the wall time to the end of the first step and the peak memory of `deepobs run`
in a process of its own are measured as well.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import subjects
import torch
from matplotlib.figure import Figure
from publishing import describe_machine, markdown, publish
from subjects import Subject, prepare, ready_batches, step_seconds, train_ours, train_plainly

from deepobs_data import Batch, Table
from deepobs_problems import evaluate
from deepobs_runner.training.loop import build_model


@dataclass(frozen=True)
class Case:
    """A problem, steps of a round, test examples of an evaluation, and what (a)/(b) may be."""

    problem: str
    steps: int
    quick_steps: int
    evaluated: int
    target: float


CASES = (
    Case("two_d_rosenbrock", 780, 780, 10_000, 1.3),
    Case("quadratic_deep", 700, 700, 896, 1.3),
    Case("fmnist_logreg", 468, 468, 10_000, 1.3),
    Case("fmnist_mlp", 60, 20, 10_000, 1.3),
    Case("fmnist_2c2d", 10, 3, 10_000, 1.05),
    Case("fmnist_vae", 20, 6, 2_000, 1.05),
    Case("cifar10_3c3d", 6, 2, 1_000, 1.05),
    Case("cifar100_allcnnc", 1, 1, 200, 1.05),
    Case("svhn_wrn164", 1, 1, 100, 1.05),
    Case("tolstoi_char_rnn", 6, 2, 50, 1.05),
)

MODERN = (
    Case("shakespeare_chargpt_small", 20, 6, 240, 1.05),
    Case("mnist1d_mlp", 400, 200, 1_000, 1.3),
    Case("mnist1d_conv", 200, 80, 1_000, 1.3),
    Case("mnist1d_gru", 40, 10, 1_000, 1.05),
    Case("bigram_zipf", 100, 40, 1_000, 1.3),
    Case("bigram_lowrank", 100, 40, 1_000, 1.3),
    Case("quadratic_nqm", 400, 200, 10_000, 1.3),
    Case("poisson_pinn", 200, 100, 900, 1.3),
)

COLUMNS = (
    "ours", "bare", "usual", "epoch", "evaluation", "ours/bare", "usual/ours",
    "evaluation/forward",
)  # fmt: skip


def time_ours(subject: Subject) -> float:
    """Return the training seconds of a step of `run`."""
    return step_seconds(train_ours(subject))


def time_bare(subject: Subject) -> float:
    """Return the seconds of a step on one tensor in memory."""
    return train_plainly(subject, ready_batches(subject))


class OneByOne(torch.utils.data.Dataset):
    """Examples prepared one at a time: images by torchvision's transforms, others as they are."""

    def __init__(self, subject: Subject) -> None:
        from torchvision import transforms

        table: Any = subject.dataset.train
        raw = subject.x
        if isinstance(table, Table):
            raw = table.x if table.rows is None else table.x[table.rows]
            raw = raw[: len(subject.x)]
        self.images = raw.dtype == torch.uint8 and raw.ndim >= 3
        if self.images and raw.ndim == 4 and raw.shape[1] in (1, 3):
            raw = raw.permute(0, 2, 3, 1)
        self.x = raw.squeeze(-1).contiguous().numpy() if self.images else subject.x.cpu()
        self.y = subject.y.cpu()
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
    loader = torch.utils.data.DataLoader(
        OneByOne(subject),
        subject.config.batch_size,
        shuffle=not subject.stateful,
        drop_last=True,
        num_workers=4 if subject.problem.name.startswith("two_d") else 0,
    )

    def batches() -> Iterator[Batch]:
        while True:
            for x, y in loader:
                yield Batch(x.to(subject.x.device), y.to(subject.y.device))

    return train_plainly(subject, batches(), read=True)


def time_evaluation(subject: Subject, examples: int) -> tuple[float, float]:
    """Return the seconds of an evaluation of ours and of bare forward passes."""
    problem, device = subject.problem, torch.device(subject.execution.device)
    test: Any = subject.dataset.test
    test = subject.dataset.to(device).test
    model = build_model(problem, subject.config, device, subject.dataset)
    ours_size = problem.hardware.evaluation_batch_on(device)
    size = max(1000, ours_size)
    if subject.stateful:
        ours_size = size = subject.config.batch_size or 1
    order = torch.arange(min(len(test), examples))
    started = subjects.SECONDS()
    evaluate(problem, model, test, batch_size=ours_size, order=order, device=device)
    ours = subjects.SECONDS() - started
    batch = next(test.batches(order, len(order)))
    model.eval()
    state = None
    started = subjects.SECONDS()
    with torch.inference_mode():
        for x, y in zip(batch.x.split(size), batch.y.split(size), strict=True):
            _, state = problem.forward(model, Batch(x, y), state)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return ours, subjects.SECONDS() - started


Candidates = Mapping[str, Callable[[Subject], float]]
"""What gives the seconds of a training step, by name."""

CANDIDATES: Candidates = {"ours": time_ours, "bare": time_bare, "usual": time_usual}


def measure(
    subject: Subject,
    examples: int,
    seconds: float,
    least: int,
    training: Candidates = CANDIDATES,
) -> dict[str, float]:
    """Return medians of seconds and of quotients over rounds; one more warms up.

    Args:
        subject: what is measured.
        examples: of an evaluation.
        seconds: begin no further round after this time.
        least: rounds there are at least.
        training: what takes turns; those of `CANDIDATES` at least.
    """
    examples = min(examples, len(subject.dataset.test))
    found: dict[str, list[float]] = {}
    ends, number = time.monotonic() + seconds, 0
    while number <= least or time.monotonic() < ends:
        # Each comes first now and then.
        names = sorted(training, reverse=number % 2 == 1)
        row = {name: training[name](subject) for name in names}
        evaluation, forward = time_evaluation(subject, examples)
        row["epoch"] = row["ours"] * subject.steps_per_epoch
        row["evaluation"] = evaluation * subject.test_size / examples
        row["ours/bare"] = row["ours"] / row["bare"]
        row["usual/ours"] = row["usual"] / row["ours"]
        row["evaluation/forward"] = evaluation / forward
        if number:
            for name, value in row.items():
                found.setdefault(name, []).append(value)
        number += 1
    rounds = {"rounds": float(number - 1)}
    return rounds | {name: statistics.median(values) for name, values in found.items()}


ONE_STEP = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
"""


def measure_process(name: str, subject: Subject, out: Path) -> float:
    """Return the peak MiB of one step, with its two evaluations, in a process of its own."""
    command = [
        sys.executable, "-m", "deepobs_runner.cli", "run", name, "SGD", "lr=1e-5", "--steps", "1",
        "--quiet", "--device", subject.execution.device, "--out", str(out), "--force",
        "--data", subject.config.data,
    ]  # fmt: skip
    if subject.execution.data_dir is not None:
        command += ["--data-dir", str(subject.execution.data_dir)]
    printed = subprocess.run(
        [sys.executable, "-c", ONE_STEP, *command], check=True, capture_output=True, text=True
    ).stdout
    return float(printed)


def draw(rows: dict[str, dict[str, float]]) -> Figure:
    """Draw the quotients, one row a problem."""
    figure = Figure(figsize=(7, 0.4 * len(rows) + 1.4), layout="constrained")
    axes = figure.subplots()
    names = list(rows)[::-1]
    markers = {"ours/bare": "o", "usual/ours": "s", "evaluation/forward": "^"}
    for column, marker in markers.items():
        axes.plot([rows[name][column] for name in names], names, marker, label=column)
    axes.axvline(1, color="0.6", linewidth=1)
    axes.set_xscale("log")
    axes.set_xlabel("quotient of times")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False)
    return figure


def shown(case: Case, found: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    milliseconds = [f"{1000 * found[name]:.3g}" for name in ("ours", "bare", "usual")]
    seconds = [f"{found[name]:.2g}" for name in ("epoch", "evaluation")]
    quotients = [f"{found[name]:.2f}" for name in COLUMNS[5:]]
    extra = [f"{found['peak']:.0f}"] if "peak" in found else []
    return [
        case.problem, *milliseconds, *seconds, quotients[0], f"{case.target}", *quotients[1:],
        *extra, f"{found['rounds']:.0f}",
    ]  # fmt: skip


def main() -> None:
    """Print a table, and write it with a figure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--seconds", type=float, help="of the rounds of a problem")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", help="data and network lie there")
    parser.add_argument("--modern", action="store_true", help="the problems after 2019")
    parser.add_argument("--processes", action="store_true", help="peak memory, too")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.processor:
        subjects.use_processor_time()
    warnings.filterwarnings("ignore", "This DataLoader will create")  # what is measured is careless
    seconds = options.seconds or (15 if options.quick else 45)
    columns = [
        "problem", "ours, ms per step", "bare", "usual", "epoch, s", "evaluation, s", "ours/bare",
        "at most", "usual/ours", "evaluation/forward",
        *(["peak, MiB"] if options.processes else []), "rounds",
    ]  # fmt: skip
    rows: dict[str, dict[str, float]] = {}
    table: list[list[str]] = []
    print(" | ".join(columns), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")
        for case in MODERN if options.modern else CASES:
            if options.only and case.problem not in options.only:
                continue
            steps = case.quick_steps if options.quick else case.steps
            subject = prepare(
                case.problem, steps, data_dir, Path(folder) / "runs", device=options.device
            )
            found = measure(subject, case.evaluated, seconds, 2 if options.quick else 3)
            if options.processes:
                found["peak"] = measure_process(case.problem, subject, Path(folder) / "process")
            rows[case.problem] = found
            table.append(shown(case, found))
            print(" | ".join(table[-1]), flush=True)
    clock = "processor" if options.processor else "wall"
    head = f"{describe_machine(options.threads)}, {options.device}; {clock} time."
    print(head)
    publish(
        "speed-modern" if options.modern else "speed",
        f"{head}\n\n{markdown(columns, table)}",
        options.out,
        docs=options.docs,
        figure=draw(rows),
    )


if __name__ == "__main__":
    main()
