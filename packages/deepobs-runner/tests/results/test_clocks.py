"""Clocks add up to the time that passed; counters count."""

import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from deepobs_problems.losses import cross_entropy
from deepobs_runner import Execution, RunConfig, resolve_config, run, train
from deepobs_runner.backend.memory import peak_memory
from deepobs_runner.results.clocks import CLOCKS, training_seconds
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.runs.resolve import optimizer_of

CPU = Execution(device="cpu")


def records(problem, config, execution=CPU, **options):
    build = optimizer_of(config, problem)
    return list(train(problem, build, config=config, execution=execution, **options))


@pytest.mark.parametrize("name", ["quadratic_deep", "two_d_branin"])
def test_the_clocks_of_a_run_add_up_to_its_wall_time(name, tmp_path):
    """Results are written after each of 20 epochs, and somebody looks at every record."""
    config = resolve_config(
        RunConfig(problem=name, optimizer="Adam", hyperparams={"lr": 0.01}, epochs=20)
    )
    started = time.perf_counter()
    result = run(
        config, Execution(device="cpu", out=tmp_path), on_record=lambda record: time.sleep(0.05)
    )
    wall = time.perf_counter() - started
    total = sum(sum(record["clocks"].values()) for record in result.records)
    assert total == pytest.approx(wall, rel=0.1)  # of it 0.05 s per record are somebody's looks
    # The record before is stored and looked at before the next epoch.
    assert all(record["clocks"]["checkpoint"] >= 0.05 for record in result.records[1:])


def slow_cross_entropy(output, batch):
    """Take 10 ms more."""
    time.sleep(0.01)
    return cross_entropy(output, batch)


class Late(torch.optim.SGD):
    """Takes 20 ms before and 30 ms after it calls the closure."""

    def step(self, closure):
        time.sleep(0.02)
        loss = closure()
        time.sleep(0.03)
        super().step()
        return loss


def test_time_is_given_to_what_took_it(problem, configure):
    """The optimizer's own time is apart from the closure's, and a slow reader has a clock."""
    slow, config = replace(problem, loss=slow_cross_entropy), configure(epochs=1)
    recorded = list(
        train(slow, lambda m: Late(m.parameters(), lr=0.1), config=config, execution=CPU)
    )
    clocks = recorded[1].clocks
    assert set(clocks) == set(CLOCKS)
    assert clocks["optimizer"] >= 4 * 0.05
    assert 4 * 0.01 <= clocks["forward_backward"] < clocks["optimizer"]
    assert clocks["evaluate"] >= 2 * 0.01
    assert clocks["compile"] == 0.0
    assert training_seconds(clocks) == pytest.approx(
        clocks["data"] + clocks["forward_backward"] + clocks["optimizer"]
    )


def test_old_clocks_are_understood():
    assert training_seconds({"train": 2.0, "evaluate": 1.0}) == 2.0
    assert training_seconds({}) is None
    assert training_seconds({"data": 1.0}) is None


@pytest.mark.parametrize(
    ("optimizer", "hyperparams", "tensors"),
    [("SGD", {"lr": 0.1}, 0), ("SGD", {"lr": 0.1, "momentum": 0.9}, 1), ("Adam", {"lr": 0.1}, 2)],
)
def test_counters(problem, configure, optimizer, hyperparams, tensors):
    parameters = sum(p.numel() for p in problem.model().parameters())
    last = records(problem, configure(optimizer, hyperparams, epochs=2))[-1].counters
    assert last["closure_calls"] == last["gradient_evaluations"] == 8
    assert last["examples"] == 8 * 16
    steps = 4 * 6 if optimizer == "Adam" else 0  # a scalar for each of six parameters
    assert last["optimizer_state_bytes"] == 4 * tensors * parameters + steps
    assert last["skipped_steps"] == 0


class Searcher(torch.optim.SGD):
    """Looks at the objective twice before it asks for the gradient."""

    def step(self, closure):
        closure(backward=False)
        closure(backward=False)
        return super().step(closure)


def test_calls_without_gradient_are_counted_apart(problem, configure):
    config = configure(epochs=2)
    recorded = list(
        train(problem, lambda m: Searcher(m.parameters(), lr=0.1), config=config, execution=CPU)
    )
    assert [r.counters["closure_calls"] for r in recorded] == [0, 12, 24]
    assert [r.counters["gradient_evaluations"] for r in recorded] == [0, 4, 8]


def test_a_resumed_run_goes_on_counting(problem, configure, tmp_path):
    config = configure("LBFGS", {"lr": 0.1, "max_iter": 3}, epochs=3)
    whole = records(problem, config)
    first = next(r for r in train(problem, optimizer_of(config, problem), config=config,
                                  execution=CPU) if r.epoch == 1)  # fmt: skip
    checkpoint = load_checkpoint(save_checkpoint(first.snapshot(), tmp_path), config.id)
    rest = records(problem, config, resume=checkpoint)
    for name in ("closure_calls", "gradient_evaluations", "examples"):
        assert [r.counters[name] for r in rest] == [r.counters[name] for r in whole[2:]]
    assert whole[-1].counters["gradient_evaluations"] > whole[-1].steps


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not say")
def test_peak_memory_is_in_bytes():
    """Of a process that has just held 64 MB more than a Python with torch, which is over 100 MB."""
    before = peak_memory(torch.device("cpu"))
    assert 100e6 < before < 100e9
    held = torch.ones(before // 4)  # as much again as the process ever had
    assert peak_memory(torch.device("cpu")) > 1.2 * before
    del held


@pytest.mark.skipif(sys.platform != "linux", reason="Linux hands the size of a process on")
def test_the_peak_of_a_process_is_not_that_of_its_parent():
    large = torch.ones(200_000_000)  # 0.8 GB
    child = "from deepobs_runner.backend.memory import *; print(peak_memory(torch.device('cpu')))"
    printed = subprocess.run(
        [sys.executable, "-c", child], check=True, capture_output=True, text=True
    ).stdout
    assert 0 < int(printed) < peak_memory(torch.device("cpu")) - large.nbytes / 2
