"""Many runs trained together against the same runs one after another.

Run from the repository root, in an environment with all four packages:

    python benchmarks/vectorized.py [--quick] [--modern] [--only two_d_rosenbrock]

Both sides go through the runner: records, evaluation, result files. The runs of a problem are the
36 learning rates of the official grid (10^-5 to 10^2) by 10 seeds, or fewer for larger networks.
A sample of them is run one by one in the same process and on the same threads, half before and half
after the others. A run that diverges ends early, so the time of all of them one by one is that of
a start times the number of runs plus that of an epoch times the number of epochs, both fitted to
the sample. Seconds are those of the processor, so that other load on the machine counts for little;
beside them is the same quotient in wall time.

The last columns compare what came out. After 10 steps in float64: the largest relative difference
of a step's objective over all runs, where it is finite; where it is not, both sides must agree on
that. At the end in float32: the medians over the sample of the final objective on the test split,
without runs whose end is decided by rounding: those that end elsewhere (by more than 1 %) when all
are trained together in float64. How many of the sample are left is shown beside them.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import subjects
import torch
from publishing import describe_machine, markdown, publish

from deepobs_runner import Execution, RunConfig, load_result, resolve_config, run, run_all
from deepobs_runner.results.result import result_path

GRID = [10 ** (-5 + 0.2 * i) for i in range(36)]


@dataclass(frozen=True)
class Case:
    """What is run: `rates` of the grid by `seeds`, for `epochs` (or `steps` of one)."""

    problem: str
    optimizer: str
    rates: int = 36
    seeds: int = 10
    epochs: int = 100
    steps: int | None = None

    def configs(self, **settings: object) -> list[RunConfig]:
        """Return the resolved configurations, rate by rate."""
        spread = [GRID[round(i * 35 / max(1, self.rates - 1))] for i in range(self.rates)]
        settings = {"epochs": self.epochs, "steps": self.steps, **settings}
        return [
            resolve_config(
                RunConfig(
                    problem=self.problem,
                    optimizer=self.optimizer,
                    hyperparams={"lr": rate},
                    seed=42 + seed,
                    **settings,
                )
            )
            for rate in spread
            for seed in range(self.seeds)
        ]


CASES = (
    Case("two_d_rosenbrock", "SGD"),
    Case("two_d_rosenbrock", "Adam"),
    Case("quadratic_deep", "SGD"),
    Case("quadratic_deep", "Adam"),
    Case("fmnist_logreg", "SGD", rates=6, seeds=6, epochs=1),
    Case("fmnist_logreg", "Adam", rates=6, seeds=6, epochs=1),
    Case("fmnist_mlp", "SGD", rates=4, seeds=2, epochs=1, steps=40),
    Case("fmnist_2c2d", "SGD", rates=2, seeds=2, epochs=1, steps=6),
)

MODERN = (
    Case("mnist1d_mlp", "SGD", rates=12, seeds=3, epochs=10),
    Case("mnist1d_mlp", "Adam", rates=12, seeds=3, epochs=10),
    Case("bigram_zipf", "SGD", rates=12, seeds=1, epochs=5),
    Case("bigram_zipf", "Adam", rates=12, seeds=1, epochs=5),
)


def source(case: Case, where: Execution) -> str:
    """Return where the data come from: images are made up where there are none."""
    return "synthetic" if case.problem.startswith("fmnist") and where.data_dir is None else "real"


def within(where: Execution, folder: str) -> Execution:
    """Return an execution that writes to a folder of this one."""
    return replace(where, out=where.out / folder)


def one_by_one(samples: Sequence[tuple[int, float]], runs: int, epochs: int) -> float:
    """Return the seconds of all runs from epochs and seconds of some: start and epochs add up.

    Where the sample does not tell the two apart, a start costs what the quickest epoch does.
    """
    design = np.array([(1.0, trained) for trained, _ in samples])
    seconds = np.array([spent for _, spent in samples])
    if np.ptp(design[:, 1]) == 0:
        return float(seconds.mean() * runs)
    (start, epoch), *_ = np.linalg.lstsq(design, seconds, rcond=None)
    return float(max(start, 0.0) * runs + epoch * epochs)


def compare(case: Case, where: Execution, sample: int) -> dict[str, float]:
    """Return numbers of runs and epochs, and the processor seconds of both ways."""
    configs = case.configs(data=source(case, where))
    # Not every so-many-th: seeds and rates would go together.
    apart = random.Random(0).sample(configs, min(sample, len(configs)))
    own, shared = within(where, "apart"), within(where, "together")
    spent: dict[str, list[tuple[int, float]]] = {"processor": [], "wall": []}

    def alone(config: RunConfig) -> None:
        before = time.process_time(), time.perf_counter()
        epochs = len(run(config, own).records) - 1
        spent["processor"].append((epochs, time.process_time() - before[0]))
        spent["wall"].append((epochs, time.perf_counter() - before[1]))

    half = len(apart) // 2
    for config in apart[:half]:
        alone(config)
    before = time.process_time(), time.perf_counter()
    run_all(configs, shared, vectorize="on")
    together = {
        "processor": time.process_time() - before[0],
        "wall": time.perf_counter() - before[1],
    }
    for config in apart[half:]:
        alone(config)
    results = [load_result(result_path(c, shared.out)) for c in configs]
    epochs = sum(len(result.records) - 1 for result in results)
    estimates = {clock: one_by_one(spent[clock], len(configs), epochs) for clock in spent}
    return {
        "runs": len(configs),
        "stacked": sum("vectorized" in result.environment for result in results),
        "epochs": epochs,
        "together": together["processor"],
        "one by one": estimates["processor"],
        "together wall": together["wall"],
        "one by one wall": estimates["wall"],
        "times": estimates["processor"] / together["processor"],
        "times in wall time": estimates["wall"] / together["wall"],
    }


def agreement(case: Case, where: Execution) -> dict[str, float]:
    """Return the largest relative difference after 10 steps in float64, and two medians.

    Raises:
        RuntimeError: an objective is finite on one side only.
    """
    configs = case.configs(data=source(case, where), precision="fp64", epochs=None, steps=10)
    shared, own = within(where, "ten"), within(where, "ten apart")
    run_all(configs, shared, vectorize="on")
    worst = 0.0
    for config in configs:
        expected = run(config, own).step_objectives()
        got = load_result(result_path(config, shared.out)).step_objectives()
        finite = np.isfinite(expected)
        if not np.array_equal(finite, np.isfinite(got)):
            raise RuntimeError(f"{config.id}: {expected} by itself, {got} together.")
        got, expected = got[finite], expected[finite]
        apart = np.abs(got - expected) / np.maximum(np.abs(expected), 1e-300)
        worst = max(worst, float(np.max(apart, initial=0.0)))
    return {"difference": worst}


def medians(case: Case, where: Execution) -> dict[str, float]:
    """Return the medians of both sides over the sampled runs that rounding does not decide."""
    out = where.out
    single = case.configs(data=source(case, where))
    double = case.configs(data=source(case, where), precision="fp64")
    run_all(double, within(where, "double"), vectorize="on")
    ends: dict[str, list[float]] = {"together": [], "apart": []}
    sampled = 0
    for config, exact in zip(single, double, strict=True):
        if not result_path(config, out / "apart").exists():
            continue
        sampled += 1
        end = _end(config, out / "together")
        if math.isclose(end, _end(exact, out / "double"), rel_tol=0.01):
            ends["together"].append(end)
            ends["apart"].append(_end(config, out / "apart"))
    return {
        "sampled": sampled,
        "steady": len(ends["apart"]),
        **{
            f"median {side}": statistics.median(values or [math.nan])
            for side, values in ends.items()
        },
    }


def _end(config: RunConfig, folder: Path) -> float:
    """Return the final objective on the test split; infinite if the run diverged."""
    result = load_result(result_path(config, folder))
    last = float(result.series("test", "objective")[-1])
    return last if result.status == "done" else math.inf


def shown(case: Case, found: dict[str, float]) -> list[str]:
    """Return a row of the table."""
    row = [
        f"{case.problem}, {case.optimizer}",
        f"{found['runs']:.0f}",
        f"{found['epochs']:.0f}",
        f"{found['together']:.1f}",
        f"{found['one by one']:.1f}",
        f"{found['times']:.2f}",
        f"{found['times in wall time']:.2f}",
    ]
    if "difference" not in found:
        return [*row, "not stacked", "", "", ""]
    ends = [f"{found[name]:.6g}" for name in ("median together", "median apart")]
    steady = f"{found['steady']:.0f} of {found['sampled']:.0f}"
    return [*row, f"{found['difference']:.1e}", *ends, steady]


def main() -> None:
    """Print and write a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--modern", action="store_true", help="the problems after 2019")
    parser.add_argument("--sample", type=int, default=24, help="runs that are made one by one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    # The first run of a process imports parts of torch.
    with tempfile.TemporaryDirectory() as folder:
        where = Execution(device="cpu", out=Path(folder))
        run(Case("two_d_beale", "SGD", 1, 1, 1).configs()[0], where)
    rows = []
    with tempfile.TemporaryDirectory() as data:
        data_dir = subjects.imported_data(options.data_dir, Path(data))
        for case in MODERN if options.modern else CASES:
            if options.only and case.problem not in options.only:
                continue
            if options.quick:
                case = replace(case, epochs=math.ceil(case.epochs / 10))
                if case.problem == "fmnist_2c2d":
                    continue
            with tempfile.TemporaryDirectory() as folder:
                where = Execution(device="cpu", data_dir=data_dir, out=Path(folder))
                found = compare(case, where, options.sample)
                if found["stacked"]:
                    found |= agreement(case, where) | medians(case, where)
            rows.append(shown(case, found))
            print(" | ".join(rows[-1]), flush=True)
    columns = [
        "problem, optimizer", "runs", "epochs in all", "together, s", "one by one, s", "times",
        "times in wall time", "10 steps in float64", "median together", "median one by one",
        "steady runs",
    ]  # fmt: skip
    head = f"{describe_machine(options.threads)}; seconds are those of the processor."
    name = "vectorized-modern" if options.modern else "vectorized"
    publish(name, f"{head}\n\n{markdown(columns, rows)}", options.out, docs=options.docs)


if __name__ == "__main__":
    main()
