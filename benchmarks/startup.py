"""Seconds from pressing return: help, list, and the first training step.

Run from the repository root, in an environment with all four packages:

    python benchmarks/startup.py [--repeats 7]

Each line is the median over fresh processes, with files and bytecode cached by a first one. A run
evaluates the untrained network before its first step; the table shows the time until that
evaluation begins, until it ends, and until the first step is taken. `import torch` alone is the
first line, to be set aside. Torch chooses the number of threads.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import subjects
from publishing import describe_machine, markdown, publish

# An optimizer that says when its first step is over, and ends the process.
STOPPER = """
import os, time
import torch

class Stopper(torch.optim.SGD):
    def __init__(self, params, lr=1e-5):
        super().__init__(params, lr=lr)
        print("built", time.time(), flush=True)

    def step(self, closure=None):
        print("evaluated", time.time(), flush=True)
        loss = super().step(closure)
        print("stepped", time.time(), flush=True)
        os._exit(0)
"""


def timed(command: list[str]) -> tuple[float, float]:
    """Return the wall and processor seconds of a command."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def first_step(command: list[str]) -> dict[str, float]:
    """Return the seconds until the optimizer is built, called, and has made its step."""
    started = time.time()
    # As a user starts it, whatever the benchmarks are told.
    own = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=own)
    marks = (line.split() for line in done.stdout.splitlines())
    return {
        words[0]: float(words[1]) - started
        for words in marks
        if words and words[0] in ("built", "evaluated", "stepped")
    }


def main() -> None:
    """Print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    subjects.add_options(parser)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    repeats = 3 if options.quick else options.repeats
    deepobs = [sys.executable, "-m", "deepobs_runner.cli"]
    commands = {
        "import torch": [sys.executable, "-c", "import torch"],
        "deepobs --help": [*deepobs, "--help"],
        "deepobs list": [*deepobs, "list"],
    }
    rows = []
    for name, command in commands.items():
        timed(command)
        pairs = [timed(command) for _ in range(repeats)]
        rows.append([name, *(f"{statistics.median(p[i] for p in pairs):.2f}" for i in (0, 1))])
        print(" | ".join(rows[-1]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data_dir = subjects.imported_data(options.data_dir, Path(folder) / "data")
        stopper = Path(folder) / "stopper.py"
        stopper.write_text(STOPPER, encoding="utf-8")
        command = [
            *deepobs, "run", "fmnist_2c2d", f"{stopper}:Stopper", "lr=1e-5", "--out", folder,
            "--force", "--device", "cpu",
        ]  # fmt: skip
        command += ["--data", "synthetic"] if data_dir is None else ["--data-dir", str(data_dir)]
        first_step(command)
        found = [first_step(command) for _ in range(repeats)]
    for mark, name in (
        ("built", "fmnist_2c2d: network and optimizer are there"),
        ("evaluated", "fmnist_2c2d: 20,000 images evaluated before training"),
        ("stepped", "fmnist_2c2d: first training step"),
    ):
        rows.append([name, f"{statistics.median(marks[mark] for marks in found):.2f}", ""])
        print(" | ".join(rows[-1]), flush=True)
    table = markdown(["until", "wall, s", "processor, s"], rows)
    head = f"{describe_machine(os.cpu_count() or 1)}."
    publish("startup", f"{head}\n\n{table}", options.out, docs=options.docs)


if __name__ == "__main__":
    main()
