"""Where the usual way spends its time: a `DataLoader` and torchvision's transforms, part by part.

Run from the repository root, in an environment with all four packages:

    python benchmarks/usual.py [--quick] [--only fmnist_mlp ...]

The loop is that of `speed.py`. Each part is timed where it is called, medians over rounds, in
milliseconds a step: preparing examples one at a time, stacking them to a batch, starting worker
processes (once an epoch), the rest of what the loader does (with workers: waiting for them), the
step itself, and reading the loss. Beside the sum is a step of `run`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import subjects
import torch
from publishing import describe_machine, markdown, publish
from speed import OneByOne
from subjects import Subject, prepare, step_seconds, train_ours, train_plainly
from torch.utils.data import DataLoader, default_collate

from deepobs_data import Batch

# problem: steps of a round, workers
CASES = {
    "two_d_rosenbrock": (780, 4),
    "fmnist_logreg": (468, 0),
    "fmnist_mlp": (60, 0),
    "fmnist_2c2d": (6, 0),
}
PARTS = ("examples", "stacking", "starting workers", "rest of the loader", "step and loss")


def timed(seconds: Counter[str], part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose time is added to a part."""

    def measured(*args: Any) -> Any:
        started = time.perf_counter()
        result = function(*args)
        seconds[part] += time.perf_counter() - started
        return result

    return measured


class TimedExamples(OneByOne):
    """Examples prepared one at a time, with the time that takes."""

    def __init__(self, subject: Subject, seconds: Counter[str]) -> None:
        super().__init__(subject)
        self._prepare = timed(seconds, "examples", super().__getitem__)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self._prepare(i)


def profile(subject: Subject, workers: int) -> Counter[str]:
    """Return the seconds of each part of a step of the usual way."""
    seconds: Counter[str] = Counter()
    # In workers, examples and stacking are timed in another process: they count as waiting.
    examples = OneByOne(subject) if workers else TimedExamples(subject, seconds)
    stack = default_collate if workers else timed(seconds, "stacking", default_collate)
    loader = DataLoader(
        examples,
        subject.config.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        collate_fn=stack,
    )

    def batches() -> Iterator[Batch]:
        while True:
            found = timed(seconds, "starting workers", iter)(loader)
            following = timed(seconds, "loader", next)
            while (pair := following(found, None)) is not None:
                yield Batch(*pair)

    whole = train_plainly(subject, batches(), read=True)
    steps = subject.config.steps or 1
    parts = Counter({part: value / steps for part, value in seconds.items()})
    parts["rest of the loader"] = parts.pop("loader") - parts["examples"] - parts["stacking"]
    parts["step and loss"] = whole - sum(parts[part] for part in PARTS[:4])
    parts["whole"] = whole
    return parts


def our_step(subject: Subject) -> Counter[str]:
    """Return the seconds of a step of `run`."""
    return Counter({"ours": step_seconds(train_ours(subject))})


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--rounds", type=int, help="of each problem")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "This DataLoader will create")  # what is measured is careless
    rounds = options.rounds or (2 if options.quick else 5)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")
        for name, (steps, workers) in CASES.items():
            if options.only and name not in options.only:
                continue
            subject = prepare(name, steps, data_dir, Path(folder) / "runs")
            usual: Callable[[], Counter[str]] = partial(profile, subject, workers)
            ours = partial(our_step, subject)
            found = subjects.in_turns({"usual": usual, "ours": ours}, rounds)
            columns = [[row[part] for row in found["usual"]] for part in (*PARTS, "whole")]
            columns.append([row["ours"] for row in found["ours"]])
            cells = [f"{1000 * statistics.median(values):.3g}" for values in columns]
            rows.append([name, str(workers), *cells])
            print(" | ".join(rows[-1]), flush=True)
    table = markdown(["problem", "workers", *PARTS, "whole", "ours"], rows)
    head = f"Milliseconds a step. {describe_machine(1)}; wall time."
    publish("usual", f"{head}\n\n{table}", options.out, docs=options.docs)


if __name__ == "__main__":
    main()
