"""How long `deepobs report` over many runs takes, from the return key to the last file.

Run from the repository root, in an environment with deepobs-runner:

    python benchmarks/report.py                     # 10,000 runs in a temporary folder
    python benchmarks/report.py --runs 1000 --out DIR

The runs are made up: 10 problems, 10 optimizers, 20 learning rates with one seed and 80 more seeds
at the best rate, 100 epochs each, in files as large as real ones.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from deepobs_runner import RunConfig
from deepobs_runner.report import FORMATS

COMMAND = "import sys; from deepobs_runner.cli import main; sys.exit(main())"
PROBLEMS = ("quadratic_deep", "mnist_logreg", "fmnist_2c2d", "fmnist_mlp", "cifar10_3c3d",
            "cifar100_allcnnc", "svhn_3c3d", "mnist_vae", "two_d_branin",
            "two_d_rosenbrock")  # fmt: skip
OPTIMIZERS = ("SGD", "Adam", "AdamW", "RMSprop", "NAdam", "RAdam", "Adagrad", "Adadelta", "Rprop",
              "ASGD")  # fmt: skip
RATES = tuple(float(rate) for rate in np.logspace(-5, 1, 20))
TUNED = 12
"""Place of the rate that more seeds are run at."""
EPOCHS = 100


def configurations(runs: int) -> Iterator[tuple[RunConfig, float]]:
    """Yield so many configurations, each with how good its rate is, from 0 to 1."""
    each = max(1, runs // (len(PROBLEMS) * len(OPTIMIZERS)))
    for problem in PROBLEMS:
        for optimizer in OPTIMIZERS:
            config = RunConfig(
                problem=problem, optimizer=optimizer, epochs=EPOCHS, batch_size=128, l2=0.0,
                fingerprint="made up",
            )  # fmt: skip
            for index in range(each):
                place = index if index < len(RATES) else TUNED
                seed = 42 if index < len(RATES) else 43 + index - len(RATES)
                rate = {"lr": RATES[place]}
                quality = 1 - abs(place - TUNED) / len(RATES)
                yield replace(config, hyperparams=rate, seed=seed), quality


def write_run(config: RunConfig, quality: float, folder: Path, rng: np.random.Generator) -> None:
    """Write the file of a made-up run."""
    noise = rng.normal(0, 0.02, (EPOCHS + 1, 2))
    epochs = np.arange(EPOCHS + 1)
    loss = 2.3 * np.exp(-epochs * quality / 20)[:, None] + 0.2 + np.abs(noise)
    accuracy = 1 - loss / 3
    records = []
    for epoch in range(EPOCHS + 1):
        metrics = {
            split: {
                "loss": loss[epoch, i],
                "objective": loss[epoch, i],
                "accuracy": accuracy[epoch, i],
            }
            for i, split in enumerate(("train_eval", "test"))
        }
        telemetry = {"gradient_norm": 1.234567890123, "parameter_norm": 12.34567890123,
                     "update_ratio": {"hidden": 0.00123456789, "head": 0.00234567890}}  # fmt: skip
        records.append(
            {"epoch": epoch, "steps": 468 * epoch, "lr": [config.hyperparams["lr"]],
             "clocks": {"train": 1.23456789, "evaluate": 0.123456789},
             "metrics": metrics, "telemetry": telemetry}
        )  # fmt: skip
    environment = {"python": "3.11.9", "system": "Linux", "packages": {"torch": "2.6.0"},
                   "device": "cpu", "device_name": "x86_64", "threads": 2}  # fmt: skip
    content = {"schema": 1, "id": config.id, "status": "done", "config": config.to_json(),
               "environment": environment, "error": None, "records": records}  # fmt: skip
    (folder / f"{config.id}.json").write_text(json.dumps(content))


def main() -> None:
    """Make the runs, report over them, and print the seconds and the size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="keep runs and report here; runs are made once")
    parser.add_argument("--formats", default=",".join(FORMATS))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.out or Path(temporary)) / "runs"
        if not folder.exists():
            folder.mkdir(parents=True)
            rng = np.random.default_rng(0)
            for config, quality in configurations(arguments.runs):
                write_run(config, quality, folder, rng)
        report = folder.parent / "report"
        options = ["report", str(folder), "--out", str(report), "--formats", arguments.formats]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-c", COMMAND, *options], check=True)
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        files = [path for path in report.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files) / 1e6
        print(
            f"{arguments.runs} runs: {wall:.1f} s, {spent:.1f} s of the processor, "
            f"{len(files)} files, {size:.0f} MB"
        )


if __name__ == "__main__":
    main()
