"""Runs in threads of one process get the numbers that each gets alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from deepobs_problems import evaluate
from deepobs_runner import Execution, run, train
from deepobs_runner.backend.precision import numerics
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.recorder import record_to_json
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.seeds import generator, global_stream

CPU = Execution(device="cpu")


def numbers(problem, config):
    recorded = train(problem, optimizer_of(config, problem), config=config, execution=CPU)
    return [(reproducible(record_to_json(r)), r.step_objectives.tobytes()) for r in recorded]


@pytest.fixture
def configs(configure):
    """Return configurations of several seeds, optimizers and precisions."""
    return [
        *(configure(seed=seed) for seed in (42, 43, 44)),
        configure("Adam", {"lr": 0.01}),
        configure(precision="fp64"),
        configure(precision="tf32"),
        configure(recipe="2019"),
    ]


def test_runs_in_threads_equal_those_alone(problem, configs):
    alone = [numbers(problem, config) for config in configs]
    before = torch.get_rng_state()
    with ThreadPoolExecutor(len(configs)) as pool:
        found = list(pool.map(lambda config: numbers(problem, config), configs))
    assert found == alone
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_default_dtype() == torch.float32


def test_stored_runs_in_threads_equal_those_alone(problem, configs, execution, tmp_path):
    def stored(out):
        def one(config):
            return run(config, replace(execution, out=out), problem=problem)

        return one

    alone = list(map(stored(tmp_path / "alone"), configs))
    with ThreadPoolExecutor(len(configs)) as pool:
        found = list(pool.map(stored(tmp_path / "threads"), configs))
    for one, other in zip(alone, found, strict=True):
        assert list(map(reproducible, one.records)) == list(map(reproducible, other.records))
        assert (one.step_objectives() == other.step_objectives()).all()


def test_evaluation_in_a_thread_beside_a_run(problem, configure):
    alone = numbers(problem, configure(epochs=10))
    model, split = problem.model().eval(), problem.data().test
    expected = evaluate(problem, model, split)
    with ThreadPoolExecutor() as pool:
        training = pool.submit(numbers, problem, configure(epochs=10))
        while not training.done():
            assert evaluate(problem, model, split) == expected
    assert training.result() == alone


def test_data_are_loaded_by_one_thread_at_a_time(problem, configure):
    present, most = [], []

    def slow_data(root=None, **settings):
        present.append(1)
        most.append(len(present))
        time.sleep(0.02)
        present.pop()
        return problem.data(root, **settings)

    slow = replace(problem, data=slow_data)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: numbers(slow, configure()), range(4)))
    assert most == [1] * 4
    assert found == [numbers(problem, configure())] * 4


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_the_default_dtype_of_the_caller_changes_nothing(problem, configure, precision):
    expected = numbers(problem, configure(precision=precision))
    torch.set_default_dtype(torch.float64)
    try:
        found = numbers(problem, configure(precision=precision))
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert found == expected


def test_a_thread_waits_until_the_switches_are_put_back():
    inside, seen = threading.Event(), []

    def wait():
        inside.wait()
        with global_stream(42, "init"):
            seen.append((torch.are_deterministic_algorithms_enabled(), torch.rand(3)))

    thread = threading.Thread(target=wait)
    thread.start()
    with numerics("fp32", deterministic=True), global_stream(1, "init"):
        inside.set()
        thread.join(0.1)
        drawn = torch.rand(3)
    thread.join()
    [(deterministic, other)] = seen
    assert not deterministic
    assert torch.equal(drawn, torch.rand(3, generator=generator(1, "init")))
    assert torch.equal(other, torch.rand(3, generator=generator(42, "init")))


def test_runs_in_turns_in_one_thread(problem, configure):
    configs = [configure(), configure(seed=43)]
    running = [
        train(problem, optimizer_of(config, problem), config=config, execution=CPU)
        for config in configs
    ]
    in_turns = list(zip(*running, strict=True))
    for config, records in zip(configs, zip(*in_turns, strict=True), strict=True):
        found = [(reproducible(record_to_json(r)), r.step_objectives.tobytes()) for r in records]
        assert found == numbers(problem, config)
