"""Freed memory that stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deepobs_runner import keep_memory, load_results
from deepobs_runner.backend import allocation
from deepobs_runner.backend.allocation import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, VARIABLES
from deepobs_runner.plans.calibration import machine_of

# Page faults of 20 tensors of 64 MB after 20 others, each freed before the next is made.
PAGES = """
import resource, torch
from deepobs_runner import keep_memory
{call}
for _ in range(20):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

KEEP = "from deepobs_runner import keep_memory; print(keep_memory())"


def printed(code: str, **variables: str) -> str:
    """Return what a new process prints, in which nothing is set but these variables."""
    others = ("MALLOC_", "GLIBC_TUNABLES")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**inherited, **variables},
    )  # fmt: skip
    return done.stdout.strip()


needs_glibc = pytest.mark.skipif(
    sys.platform != "linux" or printed(KEEP) == "False", reason="the C library is not glibc"
)


@needs_glibc
def test_pages_are_asked_for_once():
    """The system no longer gives the pages of every tensor anew."""
    given_back, kept = (int(printed(PAGES.format(call=c))) for c in ("", "keep_memory()"))
    assert 20 * kept < given_back


@needs_glibc
@pytest.mark.parametrize("name", [*VARIABLES, "GLIBC_TUNABLES"])
def test_the_user_has_decided(name):
    value = "glibc.malloc.mxfast=0" if name == "GLIBC_TUNABLES" else "131072"
    code = (
        f"{KEEP}; from deepobs_runner.backend.allocation import memory_is_kept; "
        "print(memory_is_kept())"
    )
    assert printed(code, **{name: value}).split() == ["False", "False"]


@pytest.mark.parametrize(
    ("largest", "asked"),
    [
        (2**40, [(M_MMAP_THRESHOLD, 2**27), (M_TRIM_THRESHOLD, 2**31 - 1)]),
        (2**25, [(M_MMAP_THRESHOLD, 2**27), (M_MMAP_THRESHOLD, 2**25),
                 (M_TRIM_THRESHOLD, 2**31 - 1)]),
        (0, [(M_MMAP_THRESHOLD, 2**27), (M_MMAP_THRESHOLD, 2**25)]),
    ],
    ids=["as asked", "at most 32 MiB", "not at all"],
)  # fmt: skip
def test_what_an_older_glibc_accepts(monkeypatch, largest, asked):
    """Nothing is set by halves: to trim less alone would make glibc map every large block anew."""
    calls = []

    def mallopt(option, value):
        calls.append((option, value))
        return int(option == M_TRIM_THRESHOLD or value <= largest)

    for name in (*VARIABLES, "GLIBC_TUNABLES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(allocation, "_mallopt", lambda: mallopt)
    monkeypatch.setattr(allocation, "_kept", False)
    assert keep_memory() == (largest > 0)
    assert allocation.memory_is_kept() == (largest > 0)
    assert calls == asked


@needs_glibc
def test_commands_and_workers_keep_it(tmp_path):
    """Both say so in their results; a program of the user's decides for itself."""
    command = ["run", "two_d_beale", "SGD", "lr=1e-5", "--epochs", "1", "--out", str(tmp_path)]
    printed(f"from deepobs_runner.cli import main; main({command})")
    jobs = """
from pathlib import Path
from deepobs_runner import Execution, RunConfig, resolve_config, run, run_all
def config(lr):
    given = RunConfig(problem="two_d_beale", optimizer="SGD", hyperparams={"lr": lr}, epochs=1)
    return resolve_config(given)
if __name__ == "__main__":
    execution = Execution(out=Path(OUT))
    run_all([config(1e-4), config(1e-3)], execution, jobs=2)
    run(config(1e-2), execution)
"""
    printed(jobs.replace("OUT", repr(str(tmp_path))))
    found = {r.config.hyperparams["lr"]: r.environment for r in load_results(tmp_path)}
    kept = {lr: environment["memory_kept"] for lr, environment in found.items()}
    assert kept == {1e-5: True, 1e-4: True, 1e-3: True, 1e-2: False}
    alike = {**found[1e-2], "threads": found[1e-5]["threads"]}
    assert machine_of(found[1e-5]) != machine_of(alike)
