"""Compare bf16 and compiled runs of Adam on fmnist_2c2d with the spread of fp32 seeds.

Reads the packed sets `fmnist_2c2d_precision` and `fmnist_2c2d_compiled` of `docs/evidence`, and
prints the table of docs/execution.md. Of the times in these runs nothing follows: they were made
on a machine that did other work.
"""

from __future__ import annotations

from pathlib import Path

from deepobs_runner.results.baselines import baseline_results, read_set
from deepobs_runner.results.result import RunResult

EVIDENCE = Path(__file__).parents[1] / "docs" / "evidence"
SETS = ("fmnist_2c2d_precision", "fmnist_2c2d_compiled")
PROBLEM = "fmnist_2c2d"
EPOCHS = 3


def runs_by_arithmetic() -> dict[str, dict[int, RunResult]]:
    """Return the runs by precision, fp32 first and compiled ones apart, then by seed."""
    found: dict[str, dict[int, RunResult]] = {"fp32": {}}
    for name in SETS:
        for run in baseline_results(read_set(EVIDENCE / name), PROBLEM):
            label = run.config.precision + ", compiled" * run.environment["compile"]
            found.setdefault(label, {})[run.config.seed] = run
    return found


def accuracy(run: RunResult) -> float:
    """Return the test accuracy after the last epoch."""
    return float(run.series("test", "accuracy")[EPOCHS])


def table() -> list[str]:
    """Return the lines of a Markdown table: test accuracy by seed."""
    found = runs_by_arithmetic()
    seeds = sorted(found["fp32"])
    lines = ["| test accuracy | " + " | ".join(f"seed {seed}" for seed in seeds) + " |"]
    lines.append("| --- |" + " ---: |" * len(seeds))
    for label, runs in found.items():
        cells = [f"{100 * accuracy(runs[seed]):.2f} %" if seed in runs else "" for seed in seeds]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    print(*table(), sep="\n")
