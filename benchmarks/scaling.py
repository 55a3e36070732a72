"""Cost against batch size, threads, number of runs and data size; memory of every problem.

Run from the repository root, in an environment with all four packages:

    python benchmarks/scaling.py [--quick] [--memory]

The four panels of the figure show the training time of `run`, with records and progress bar:

* an example, against the batch size;
* a step, against the number of threads, relative to one, always by wall time;
* a run, against the number of runs that are trained together (`--vectorize on`);
* an epoch of fmnist_logreg, and the start of the run, against the number of training images.

Medians of `--rounds`, candidates in turns. With `--memory`, each problem takes a step (at its own
batch size, with a few rows evaluated) in a process of its own, one after another; the peak of
resident memory is shown, and what it is above that of a problem of two parameters. A process may
not take more than `--limit` GiB; one that would is listed as such.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path

import subjects
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from publishing import describe_machine, markdown, publish
from subjects import Subject, prepare, step_seconds, train_ours

from deepobs_problems import CATALOG
from deepobs_problems.stand_in import stand_in
from deepobs_runner import RunConfig, resolve_config, run_all

BATCH_SIZES = (16, 32, 64, 128, 256, 512, 1024)
IN_BATCHES = {"fmnist_logreg": 8192, "fmnist_mlp": 4096, "fmnist_2c2d": 1024}
ON_THREADS = {"quadratic_deep": 140, "fmnist_mlp": 20, "fmnist_2c2d": 4, "cifar10_3c3d": 2}
TOGETHER = {"two_d_rosenbrock": "SGD", "quadratic_deep": "SGD"}
SIZES = (1_000, 4_000, 16_000, 60_000)


def medians(measures: Mapping[Hashable, Callable[[], float]], rounds: int) -> dict[Hashable, float]:
    """Return medians over rounds of what takes turns."""
    found = subjects.in_turns(measures, rounds)
    return {name: statistics.median(values) for name, values in found.items()}


def cost_by_batch_size(
    axes: Axes, data_dir: Path | None, out: Path, rounds: int, scale: float
) -> None:
    """Draw microseconds an example."""
    for name, examples in IN_BATCHES.items():
        measures: dict[Hashable, Callable[[], float]] = {}
        for size in BATCH_SIZES:
            steps = max(1, int(examples * scale) // size)
            subject = prepare(name, steps, data_dir, out, batch_size=size)
            measures[size] = lambda s=subject, n=size: step_seconds(train_ours(s)) / n
        found = medians(measures, rounds)
        axes.plot(list(found), [1e6 * value for value in found.values()], "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="batch size", ylabel="microseconds an example")
    axes.set_xticks(BATCH_SIZES, [str(size) for size in BATCH_SIZES])


def cost_by_threads(
    axes: Axes, data_dir: Path | None, out: Path, rounds: int, scale: float
) -> None:
    """Draw the time of a step relative to one thread."""
    counts = tuple(range(1, (os.cpu_count() or 1) + 1))

    def on(threads: int, subject: Subject) -> float:
        with subjects.on_threads(threads):
            return step_seconds(train_ours(subject))

    for name, steps in ON_THREADS.items():
        subject = prepare(name, max(1, int(steps * scale)), data_dir, out)
        found = medians({n: (lambda n=n, s=subject: on(n, s)) for n in counts}, rounds)
        axes.plot(counts, [found[n] / found[1] for n in counts], "o-", label=name)
    axes.set(xlabel="threads", ylabel="time of a step, relative")
    axes.set_xticks(counts)
    axes.set_ylim(bottom=0)


def cost_by_runs(axes: Axes, data_dir: Path | None, out: Path, rounds: int, scale: float) -> None:
    """Draw milliseconds a run of 10 epochs, in its number."""
    counts = [1, 4, 16, 64, 256] if scale == 1 else [1, 16]
    for name, optimizer in TOGETHER.items():

        def seconds(count: int, name: str = name, optimizer: str = optimizer) -> float:
            configs = [
                resolve_config(
                    RunConfig(
                        problem=name,
                        optimizer=optimizer,
                        hyperparams={"lr": 1e-5},
                        seed=seed,
                        epochs=10,
                    )
                )
                for seed in range(count)
            ]
            with tempfile.TemporaryDirectory() as folder:
                execution = subjects.Execution(device="cpu", out=Path(folder))
                started = subjects.SECONDS()
                run_all(configs, execution, vectorize="on" if count > 1 else "off")
                return (subjects.SECONDS() - started) / count

        found = medians({n: (lambda n=n: seconds(n)) for n in counts}, rounds)
        axes.plot(counts, [1000 * found[n] for n in counts], "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="runs together", ylabel="milliseconds a run")
    axes.set_xticks(counts, [str(n) for n in counts])


def cost_by_data(axes: Axes, data_dir: Path | None, out: Path, rounds: int, scale: float) -> None:
    """Draw seconds of an epoch and of the start."""
    epochs: dict[Hashable, Callable[[], float]] = {}
    starts: dict[Hashable, Callable[[], float]] = {}
    for size in SIZES:
        subject = prepare("fmnist_logreg", size // 128, None, out)
        data = stand_in("fmnist", size)
        problem = replace(subject.problem, data=data, stand_in=data)
        sized = replace(subject, problem=problem, dataset=data())
        steps = size // 128
        epochs[size] = lambda s=sized, n=steps: step_seconds(train_ours(s)) * n
        starts[size] = lambda s=sized: train_ours(s)[0].clocks["setup"]
    for name, measures in (("an epoch", epochs), ("the start", starts)):
        found = medians(measures, rounds)
        axes.plot(SIZES, [found[size] for size in SIZES], "o-", label=name)
    axes.set(xscale="log", yscale="log", xlabel="training images", ylabel="seconds, fmnist_logreg")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES])


# The limit holds for memory that is private and can be written, which is what a step takes.
ONE_STEP = """
import resource, sys
from pathlib import Path
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
import subjects, torch
from deepobs_runner.backend import memory
torch.set_num_threads(1)
subject = subjects.prepare(sys.argv[1], 1, None, Path(sys.argv[3]))
subjects.train_ours(subject, evaluated=4)
print(memory.peak_memory(torch.device("cpu")) / 2**20)
"""


def peak_memory(name: str, limit: float, out: Path) -> float | None:
    """Return the peak MiB of a step in a process of its own; None above the limit."""
    command = [sys.executable, "-c", ONE_STEP, name, str(int(limit * 2**30)), str(out)]
    # Freed memory goes back at once, so that the peak is what was needed at one time.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return float(done.stdout.splitlines()[-1])
    if "memory" in done.stderr.lower():
        return None
    raise RuntimeError(f"{name} failed:\n{done.stderr}")


def memory_table(names: list[str], limit: float, out: Path) -> str:
    """Return a table of peaks."""
    floor = peak_memory("two_d_rosenbrock", limit, out) or 0.0
    rows = []
    for name in names:
        peak = peak_memory(name, limit, out)
        size = str(CATALOG[name].defaults.batch_size)
        shown = (
            [f"more than {1024 * limit:.0f}", ""]
            if peak is None
            else [f"{peak:.0f}", f"{max(0.0, peak - floor):.0f}"]
        )
        rows.append([name, size, *shown])
        print(" | ".join(rows[-1]), flush=True)
    return markdown(["problem", "batch size", "peak, MiB", "above two_d_rosenbrock"], rows)


def main() -> None:
    """Write figure and table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--rounds", type=int, help="of each candidate")
    parser.add_argument("--memory", action="store_true", help="the table of memory, too")
    parser.add_argument("--limit", type=float, default=8.0, help="GiB of a process")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.processor:
        subjects.use_processor_time()
    rounds = options.rounds or (1 if options.quick else 3)
    scale = 0.1 if options.quick else 1
    figure = Figure(figsize=(9, 7), layout="constrained")
    panels = (cost_by_batch_size, cost_by_threads, cost_by_runs, cost_by_data)
    head = f"{describe_machine(1)}; {'processor' if options.processor else 'wall'} time."
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "runs"
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")
        for axes, panel in zip(figure.subplots(2, 2).flat, panels, strict=True):
            panel(axes, data_dir, out, rounds, scale)
            axes.minorticks_off()
            axes.legend(frameon=False)
        publish("scaling", head, options.out, docs=options.docs, figure=figure)
        if options.memory:
            cheap = [name for name, p in CATALOG.items() if "expensive" not in p.tags]
            names = cheap if options.quick else list(CATALOG)
            if options.only:
                names = [name for name in names if name in options.only]
            table = memory_table(names, options.limit, out)
            head = f"Memory of a step in fp32 with SGD. {describe_machine(1)}."
            publish("memory", f"{head}\n\n{table}", options.out, docs=options.docs)


if __name__ == "__main__":
    main()
