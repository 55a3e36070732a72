"""Global generators and switches: they change no run, and no run changes them."""

import os
import random
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepobs_problems import Problem
from deepobs_runner import Execution, RunConfig, run
from deepobs_runner.results.result import reproducible

OPTIMIZER = """
import random

import numpy as np
import torch


class Own(torch.optim.SGD):
    def __init__(self, params, lr=0.01):
        super().__init__(params, lr=lr)
        self.factor = 1.0
        {init}

    def step(self, closure=None):
        objective = super().step(closure)
        noise = 0.0
        {step}
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    p.add_(1e-3 * self.factor * noise)
        return objective
"""

DRAWS = {
    "random": ("", "noise = random.gauss(0, 1)"),
    "random.shuffle": ("", "order = [1.0, 2.0, 3.0]; random.shuffle(order); noise = order[0]"),
    "numpy": ("", "noise = float(np.random.randn())"),
    "numpy's exchanged generator": (
        "",
        "np.random.set_bit_generator(np.random.PCG64(1)); noise = float(np.random.rand())",
    ),
    "torch": ("", "noise = float(torch.randn(()))"),
    "torch when it is built": ("self.factor = float(torch.randn(()))", "noise = 1.0"),
    "numpy when it is built": ("self.factor = float(np.random.rand())", "noise = 1.0"),
    "reseeded": ("torch.manual_seed(0); random.seed(0)", "np.random.seed(3); noise = 1.0"),
}


def numbers(result):
    assert result.status == "done"
    return [*map(reproducible, result.records)], result.step_objectives().tobytes()


def states():
    python, numpy = random.getstate(), np.random.get_state(legacy=False)
    return python, repr(numpy), torch.get_rng_state().tolist()


def write(folder, init="", step=""):
    path = folder / "own.py"
    path.write_text(OPTIMIZER.format(init=init or "pass", step=step or "pass"))
    return f"{path}:Own"


def config_of(optimizer, **settings):
    settings = {"problem": "two_d_branin", "epochs": 2, "seed": 42, **settings}
    return RunConfig(optimizer=optimizer, hyperparams={"lr": 0.01}, **settings)


@pytest.mark.parametrize("draw", DRAWS)
def test_draws_from_global_generators_are_those_of_the_seed(draw, tmp_path):
    optimizer = write(tmp_path, *DRAWS[draw])
    found = []
    for number in range(2):
        random.seed(number)
        np.random.seed(number)
        np.random.randn()  # half of a pair is kept for the next draw
        torch.manual_seed(number)
        before = states()
        execution = Execution(device="cpu", out=tmp_path / str(number))
        found.append(numbers(run(config_of(optimizer), execution)))
        assert states() == before
    assert found[0] == found[1]


def test_draws_differ_by_seed_and_epoch(tmp_path, capsys):
    optimizer = write(tmp_path, step="print('drew', random.random(), float(np.random.rand()))")
    execution = Execution(device="cpu", out=tmp_path / "out")
    steps = sum(
        run(config_of(optimizer, seed=seed), execution).records[-1]["steps"] for seed in (42, 43)
    )
    drawn = {line for line in capsys.readouterr().out.splitlines() if line.startswith("drew")}
    assert len(drawn) == steps


def test_a_resumed_run_draws_the_same(tmp_path):
    optimizer = write(tmp_path, *DRAWS["random"])
    config = config_of(optimizer, epochs=3)

    def stop(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    whole = run(config, Execution(device="cpu", out=tmp_path / "whole"))
    cut = Execution(device="cpu", out=tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        run(config, cut, on_record=stop)
    random.seed(5)
    assert numbers(run(config, replace(cut, resume=True))) == numbers(whole)


def test_draws_of_a_problem_do_not_depend_on_the_caller(problem, configure, tmp_path):
    """Neither those of its data, which are the same for all seeds, nor those of an evaluation."""
    inputs = []

    def noisy_data(root=None, **settings):
        dataset = problem.data(root, **settings)
        x, y = dataset.train.x, dataset.train.y
        inputs.append(x + float(np.random.randn()) + random.random() + torch.rand(()))
        moved = replace(dataset.train, x=inputs[-1], y=y)
        return replace(dataset, train=moved)

    class Noisy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(problem.data().train.x.shape[1], 3)

        def forward(self, x):
            return torch.nn.functional.dropout(self.layer(x), 0.5)  # in evaluations, too

    noisy: Problem = replace(problem, name="noisy", data=noisy_data, model=Noisy)
    found = []
    for number in range(2):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        config = replace(configure(), problem="noisy")
        out = tmp_path / str(number)
        found.append(numbers(run(config, Execution(device="cpu", out=out), problem=noisy)))
    other = replace(config, seed=43)
    run(other, Execution(device="cpu", out=tmp_path / "other"), problem=noisy)
    assert found[0] == found[1]
    assert all(torch.equal(x, inputs[0]) for x in inputs)


SWITCHES = {
    "folder": ("import os; os.chdir('/')", os.getcwd),
    "errors of numpy": ("np.seterr(all='raise')", np.geterr),
    "default dtype": ("torch.set_default_dtype(torch.float64)", torch.get_default_dtype),
    "default device": ("torch.set_default_device('meta')", torch.get_default_device),
    "no gradients": ("torch.set_grad_enabled(False)", torch.is_grad_enabled),
    "threads": ("torch.set_num_threads(torch.get_num_threads() + 1)", torch.get_num_threads),
    "products": (
        "torch.set_float32_matmul_precision('medium')",
        torch.get_float32_matmul_precision,
    ),
    "denormal numbers": ("torch.set_flush_denormal(True)", lambda: 5e-324 * 1.0 == 0.0),
    "deterministic": (
        "torch.use_deterministic_algorithms(True)",
        torch.are_deterministic_algorithms_enabled,
    ),
    "anomalies": ("torch.set_anomaly_enabled(True)", torch.is_anomaly_enabled),
    "autocast": (
        "torch.set_autocast_enabled('cpu', True)",
        lambda: torch.is_autocast_enabled("cpu"),
    ),
    "cudnn": (
        "torch.backends.cudnn.enabled = not torch.backends.cudnn.enabled",
        lambda: torch.backends.cudnn.enabled,
    ),
}


def switched_back():
    """Put the switches of the table back as torch starts."""
    torch.set_default_device(None)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_float32_matmul_precision("highest")
    torch.set_flush_denormal(False)
    torch.use_deterministic_algorithms(False)
    torch.set_anomaly_enabled(False)
    torch.set_autocast_enabled("cpu", False)
    torch.backends.cudnn.enabled = True


@pytest.fixture
def switches():
    """Put the switches back that a test leaves."""
    before, folder, errors = torch.get_num_threads(), Path.cwd(), np.geterr()
    yield
    torch.set_num_threads(before)
    os.chdir(folder)
    np.seterr(**errors)
    switched_back()


@pytest.mark.parametrize("name", SWITCHES)
@pytest.mark.parametrize("place", ["init", "step"])
@pytest.mark.parametrize("ending", ["", "; raise ValueError('broken')"])
def test_switches_that_an_optimizer_sets_end_with_it(name, place, ending, tmp_path, switches):
    statement, read = SWITCHES[name]
    optimizer = write(tmp_path, **{place: statement + ending})
    before = read()
    with suppress(Exception):  # it may break its own run
        run(config_of(optimizer, epochs=1), Execution(device="cpu", out=tmp_path / "out"))
    assert read() == before


CALLER = sorted(set(SWITCHES) - {"threads", "folder", "errors of numpy"})


@pytest.mark.parametrize("name", CALLER)
def test_switches_of_the_caller_change_no_number_and_are_kept(name, tmp_path, switches):
    config = config_of("SGD", problem="quadratic_deep", epochs=1)
    expected = numbers(run(config, Execution(device="cpu", out=tmp_path / "plain")))
    statement, read = SWITCHES[name]
    before = read()
    exec(statement)
    set_to = read()
    try:
        found = run(config, Execution(device="cpu", out=tmp_path / "switched"))
        after = read()
    finally:
        switched_back()
    assert numbers(found) == expected
    assert before != set_to == after


def test_an_optimizer_that_changes_the_folder_keeps_its_results_together(
    tmp_path, monkeypatch, switches
):
    monkeypatch.chdir(tmp_path)
    optimizer = write(tmp_path, step="import os; os.chdir('/')")
    result = run(config_of(optimizer), Execution(device="cpu", out=Path("results")))
    assert result.status == "done"
    files = {path.suffix for path in (tmp_path / "results").iterdir() if path.is_file()}
    assert files == {".json", ".npy"}


def test_a_caller_without_gradients_trains(tmp_path):
    config = config_of("SGD")
    with torch.inference_mode():
        found = run(config, Execution(device="cpu", out=tmp_path / "inference"))
        assert torch.is_inference_mode_enabled()
    expected = run(config, Execution(device="cpu", out=tmp_path / "plain"))
    assert numbers(found) == numbers(expected)
