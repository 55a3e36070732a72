"""Memory that runs out is a sentence and the other runs go on; what is freed is kept."""

import os
import subprocess
import sys

import pytest
import torch

from deepobs_problems import load_problem
from deepobs_runner import RunConfig, load_result, load_results, resolve_config, run, run_all
from deepobs_runner.backend import memory
from deepobs_runner.backend.memory import (
    M_MMAP_THRESHOLD,
    M_TRIM_THRESHOLD,
    VARIABLES,
    is_out_of_memory,
    keep_memory,
    tensor_bytes,
)
from deepobs_runner.errors import FailedRunError
from deepobs_runner.plans.calibration import machine_of

GREEDY = """
import torch

class Greedy(torch.optim.SGD):
    \"\"\"Wants a petabyte in its third step.\"\"\"

    steps = 0

    def step(self, closure):
        self.steps += 1
        if self.steps == 3:
            torch.empty(2**50)
        return super().step(closure)
"""


@pytest.fixture
def greedy(tmp_path):
    """Return the name of an optimizer that asks for more than any machine has."""
    file = tmp_path / "greedy.py"
    file.write_text(GREEDY)
    return f"{file}:Greedy"


def configuration(optimizer):
    return resolve_config(
        RunConfig(problem="two_d_branin", optimizer=optimizer, hyperparams={"lr": 0.1}, epochs=1)
    )


def test_out_of_memory_is_a_sentence_in_the_result(greedy, execution):
    """Torch's own error of the CPU."""
    config = configuration(greedy)
    with pytest.raises(FailedRunError) as raised:
        run(config, execution)
    result = load_result(execution.out / f"{config.id}.json")
    assert result.status == "failed"
    assert result.error == str(raised.value)
    for part in ("Out of memory on cpu", "two_d_branin with batch_size 128", "GiB", "--batch-size"):
        assert part in result.error
    assert "Traceback" not in result.error
    assert len(result.records) == 1  # what was evaluated before is kept


def test_the_other_runs_of_a_plan_go_on(greedy, execution):
    outcomes = run_all([configuration(greedy), configuration("SGD")], execution)
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert outcomes[0].reason.startswith("Out of memory")


def test_out_of_memory_before_the_first_record_is_stored(execution, monkeypatch):
    """While data or model are put on the device."""
    config = configuration("SGD")
    monkeypatch.setattr("deepobs_runner.training.loop.build_model", lambda *_: torch.empty(2**50))
    (outcome,) = run_all([config], execution)
    assert outcome.status == "failed"
    assert "Out of memory" in load_result(execution.out / f"{config.id}.json").error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_bytes_of_nested_state():
    state = {"a": [torch.zeros(3), (torch.zeros(2, dtype=torch.float64), 7)], "b": {"c": None}}
    assert tensor_bytes(state) == 12 + 16
    assert tensor_bytes(load_problem("two_d_branin").model().state_dict()) > 0


# Page faults of 20 tensors of 64 MB after 20 others, each freed before the next is made.
PAGES = """
import resource, torch
from deepobs_runner.backend.memory import keep_memory
{call}
for _ in range(20):
    torch.ones(2**24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    torch.ones(2**24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

KEEP = "from deepobs_runner.backend.memory import keep_memory; print(keep_memory())"


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
        f"{KEEP}; from deepobs_runner.backend.memory import memory_is_kept; print(memory_is_kept())"
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
    monkeypatch.setattr(memory, "_mallopt", lambda: mallopt)
    monkeypatch.setattr(memory, "_kept", False)
    assert keep_memory() == (largest > 0)
    assert memory.memory_is_kept() == (largest > 0)
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
