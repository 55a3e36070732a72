"""What compilation, bf16, threads and memory formats change, and when compilation pays.

Run from the repository root, in an environment with all four packages and a C++ compiler:

    python benchmarks/variants.py [--quick] [--only fmnist_2c2d ...]

The first table compares runs: compiled with eager. The records of both are compared, the seconds
of compilation are those of a process that has compiled nothing before (and finds no cache), and
the break-even epoch is the first after which the compiled run is ahead.

The second table has the time of a step relative to eager fp32 on one thread: runs compiled, in
bf16 (another precision, so other numbers) and on 2 threads; bare loops with the other
implementations of SGD and with images and weights in `channels_last`. Candidates take turns;
medians of the quotients of a round. Threads are always compared by wall time.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import subjects
import torch
from publishing import describe_machine, markdown, publish
from subjects import Subject, prepare, ready_batches, step_seconds, train_ours, train_plainly

from deepobs_runner import Record

# problem: steps of a round, and of a quick one
CASES = {
    "quadratic_deep": (350, 70),
    "fmnist_mlp": (40, 10),
    "fmnist_2c2d": (8, 2),
    "cifar10_3c3d": (4, 1),
    "tolstoi_char_rnn": (6, 1),
}
COMPILED = ("quadratic_deep", "fmnist_mlp", "fmnist_2c2d")


def with_(subject: Subject, *, compile: bool = False, precision: str = "fp32") -> Subject:
    """Return the subject with another precision or compiled."""
    return replace(
        subject,
        config=replace(subject.config, precision=precision),
        execution=replace(subject.execution, compile=compile),
    )


def compare_compiled(subject: Subject, rounds: int) -> dict[str, float]:
    """Return seconds of eager and compiled runs and how far their records are apart."""
    torch._dynamo.reset()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        first = train_ours(with_(subject, compile=True))
        return _compare(subject, first, rounds)


def _compare(subject: Subject, first: list[Record], rounds: int) -> dict[str, float]:
    compiling = sum(record.clocks["compile"] for record in first)
    eager, compiled = [], []
    for _ in range(rounds):
        plain = train_ours(subject)
        eager.append(step_seconds(plain))
        compiled.append(step_seconds(train_ours(with_(subject, compile=True))))
    expected = np.concatenate([record.step_objectives for record in plain])
    got = np.concatenate([record.step_objectives for record in first])
    a, b = statistics.median(eager), statistics.median(compiled)
    gain = (a - b) * subject.steps_per_epoch
    return {
        "eager": a,
        "compiled": b,
        "quotient": statistics.median(x / y for x, y in zip(compiled, eager, strict=True)),
        "epoch": a * subject.steps_per_epoch,
        "compiled epoch": b * subject.steps_per_epoch,
        "compile": compiling,
        "break-even": math.ceil(compiling / gain) if gain > 0 else math.inf,
        "difference": float(np.max(np.abs(got / expected - 1))),
    }


def compiled_table(subjects_: list[Subject], rounds: int) -> str:
    """Return the first table."""
    columns = [
        "problem", "epoch eager, s", "epoch compiled, s", "compiled/eager", "compilation, s",
        "break-even epoch", "largest relative difference of a step's objective",
    ]  # fmt: skip
    rows = []
    for subject in subjects_:
        found = compare_compiled(subject, rounds)
        after = found["break-even"]
        rows.append(
            [
                subject.problem.name,
                f"{found['epoch']:.3g}",
                f"{found['compiled epoch']:.3g}",
                f"{found['quotient']:.2f}",
                f"{found['compile']:.1f}",
                "never" if math.isinf(after) else f"{after:.0f}",
                f"{found['difference']:.1e} in {subject.config.steps} steps",
            ]
        )
        print(" | ".join(rows[-1]), flush=True)
    return markdown(columns, rows)


def on_threads(count: int, measure: Callable[[], float]) -> float:
    """Return what is measured on this many threads."""
    with subjects.on_threads(count):
        return measure()


def variants_of(subject: Subject) -> dict[str, Callable[[], float]]:
    """Return what gives the seconds of a step, by name."""

    def bare(**settings: bool) -> Callable[[], float]:
        return lambda: train_plainly(subject, ready_batches(subject), **settings)

    def ours(**settings: bool | str) -> Callable[[], float]:
        return lambda: step_seconds(train_ours(with_(subject, **settings)))

    found = {
        "run": ours(),
        "bf16": ours(precision="bf16"),
        "bf16 compiled": ours(precision="bf16", compile=True),
        "1 thread": lambda: on_threads(1, ours()),
        "2 threads": lambda: on_threads(2, ours()),
        "bare": bare(),
        "bare, foreach": bare(foreach=True),
        "bare, fused": bare(fused=True),
    }
    if subject.x.ndim == 4:
        found["bare, channels_last"] = bare(channels_last=True)
    return found


RELATIVE = (
    ("bf16", "run"), ("bf16 compiled", "run"), ("2 threads", "1 thread"),
    ("bare, foreach", "bare"), ("bare, fused", "bare"), ("bare, channels_last", "bare"),
)  # fmt: skip


def variants_table(subjects_: list[Subject], rounds: int) -> str:
    """Return the second table."""
    rows = []
    for subject in subjects_:
        found = subjects.in_turns(variants_of(subject), rounds)
        cells = [f"{1000 * statistics.median(found['run']):.3g}"]
        for name, base in RELATIVE:
            if name not in found:
                cells.append("")
                continue
            quotients = [a / b for a, b in zip(found[name], found[base], strict=True)]
            cells.append(f"{statistics.median(quotients):.2f}")
        rows.append([subject.problem.name, *cells])
        print(" | ".join(rows[-1]), flush=True)
    columns = ["problem", "fp32, ms per step", *(name for name, _ in RELATIVE)]
    return markdown(columns, rows)


def main() -> None:
    """Print and write both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--rounds", type=int, help="of each candidate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.processor:
        subjects.use_processor_time()
    rounds = options.rounds or (1 if options.quick else 5)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")

        def chosen(names: tuple[str, ...]) -> list[Subject]:
            return [
                prepare(name, CASES[name][options.quick], data_dir, Path(folder) / "runs")
                for name in names
                if not options.only or name in options.only
            ]

        head = f"{describe_machine(1)}; {'processor' if options.processor else 'wall'} time."
        compiled = compiled_table(chosen(COMPILED), rounds)
        publish("compiled", f"{head}\n\n{compiled}", options.out, docs=options.docs)
        others = variants_table(chosen(tuple(CASES)), rounds)
        publish("variants", f"{head}\n\n{others}", options.out, docs=options.docs)


if __name__ == "__main__":
    main()
