"""Freed memory that stays with the process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deepobs_runner import Execution, RunConfig, load_results, resolve_config, run_all
from deepobs_runner.allocation import VARIABLES, memory_is_kept

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


def printed(code: str, **variables: str) -> str:
    """Return what a new process prints, in which nothing is set but these variables."""
    others = ("MALLOC_", "GLIBC_TUNABLES")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**inherited, **variables},
    )  # fmt: skip
    return done.stdout.strip()


KEEP = "from deepobs_runner import keep_memory; print(keep_memory())"

needs_glibc = pytest.mark.skipif(
    sys.platform != "linux" or printed(KEEP) == "False", reason="the C library is not glibc"
)


@needs_glibc
def test_pages_are_asked_for_once():
    """The system no longer gives the pages of every tensor anew."""
    given_back, kept = (int(printed(PAGES.format(call=c))) for c in ("", "keep_memory()"))
    assert 20 * kept < given_back


@needs_glibc
@pytest.mark.parametrize(
    "variables",
    [{"MALLOC_TRIM_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mxfast=0"}],
    ids=lambda v: next(iter(v)),
)
def test_the_environment_says_otherwise(variables):
    """A user's own setting stays; the other is not touched either."""
    code = f"""
import os
{KEEP}
from deepobs_runner.allocation import memory_is_kept, variables
print(memory_is_kept(), dict(variables()), [os.environ.get(n) for n in {tuple(VARIABLES)}])
"""
    lines = printed(code, **variables).splitlines()
    assert lines[0] == "False"
    left = [variables.get(name) for name in VARIABLES]
    assert lines[1] == f"False {{}} {left}"


@needs_glibc
def test_commands_and_workers_keep_it(tmp_path, monkeypatch):
    """Both say so in their results; this process, a user's, decides for itself."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    command = ["run", "two_d_beale", "SGD", "lr=1e-5", "--epochs", "1", "--out", str(tmp_path)]
    printed(f"from deepobs_runner.cli import main; main({command})")
    configs = [
        resolve_config(
            RunConfig(problem="two_d_beale", optimizer="SGD", hyperparams={"lr": lr}, epochs=1)
        )
        for lr in (1e-4, 1e-3)
    ]
    run_all(configs, Execution(out=tmp_path), jobs=2)
    results = load_results(tmp_path)
    assert [r.environment["memory_kept"] for r in results] == [True] * 3
    assert not memory_is_kept()
