"""Runs that are trained together leave what separate runs leave."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from filelock import FileLock
from torch import nn

from deepobs_data import Batch
from deepobs_problems import load_problem
from deepobs_runner import RunConfig, load_result, load_results, resolve_config, run, run_all
from deepobs_runner.backend import distributed
from deepobs_runner.cli import main
from deepobs_runner.executors.vectorized import batching
from deepobs_runner.executors.vectorized import model as stacked_model
from deepobs_runner.executors.vectorized import training as stacked_training
from deepobs_runner.executors.vectorized.batching import (
    VectorizeWarning,
    grids_of,
    sets_of,
    split_grid,
)
from deepobs_runner.executors.vectorized.model import CannotStackError, StackedModel
from deepobs_runner.executors.vectorized.optimizer import (
    ELEMENTWISE,
    StackedOptimizer,
    agrees_with_torch,
)
from deepobs_runner.executors.vectorized.run import run_vectorized
from deepobs_runner.optimizers.weight_decay import DoubleDecayWarning
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.schedules import Cosine

OPTIONS = {
    "Adagrad": {"lr_decay": 0.1},
    "Adam": {"weight_decay": 0.1, "amsgrad": True},
    "AdamW": {"weight_decay": 0.1},
    "NAdam": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "SGD": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
}


def configurations(problem, optimizer="SGD", settings=({"lr": 1e-3}, {"lr": 1e-2}), **options):
    """Return every setting with two seeds, resolved, in float64."""
    options = {"precision": "fp64", **options}
    return [
        resolve_config(
            RunConfig(
                problem=problem, optimizer=optimizer, hyperparams=setting, seed=seed, **options
            )
        )
        for setting in settings
        for seed in (42, 43)
    ]


def numbers(value):
    """Yield every leaf of a record but its clocks and the peak of memory."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key not in ("clocks", "peak_memory_bytes"):
                yield from ((f"{key}/{path}", leaf) for path, leaf in numbers(item))
    elif isinstance(value, list | tuple):
        for number, item in enumerate(value):
            yield from ((f"{number}/{path}", leaf) for path, leaf in numbers(item))
    else:
        yield "", math.nan if value is None else value


def check_like_separate(configs, execution, tmp_path, tolerance=1e-9):
    """Train the runs together and one by one, and compare all that is stored."""
    outcomes = run_vectorized(configs, execution)
    assert [outcome.config.id for outcome in outcomes] == [config.id for config in configs]
    separate = replace(execution, out=tmp_path / "separate")
    for config, outcome in zip(configs, outcomes, strict=True):
        expected = run(config, separate)
        got = load_result(execution.out / f"{config.id}.json")
        assert outcome.status == got.status == expected.status
        assert got.environment == {**expected.environment, "vectorized": len(configs)}
        assert len(got.records) == len(expected.records)
        for one, other in zip(got.records, expected.records, strict=True):
            assert one.keys() == other.keys()
            assert one["clocks"].keys() == other["clocks"].keys()
            one, other = dict(numbers(dict(one))), dict(numbers(dict(other)))
            assert one.keys() == other.keys()
            assert one == pytest.approx(other, rel=tolerance, nan_ok=True)
        ours, theirs = got.step_objectives(), expected.step_objectives()
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        np.testing.assert_allclose(ours, theirs, rtol=tolerance)
    return outcomes


@pytest.mark.parametrize("optimizer", sorted(ELEMENTWISE))
def test_each_optimizer_on_a_function_of_two_parameters(optimizer, execution, tmp_path):
    own = OPTIONS.get(optimizer, {})
    configs = configurations(
        "two_d_branin", optimizer, [{"lr": 1e-3, **own}, {"lr": 1e-2, **own}], steps=10
    )
    check_like_separate(configs, execution, tmp_path)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
@pytest.mark.parametrize("name", ["two_d_branin", "quadratic_deep", "fmnist_logreg"])
def test_on_a_gpu(name, optimizer, execution, tmp_path, cuda):
    data = "synthetic" if name == "fmnist_logreg" else "real"
    configs = configurations(name, optimizer, steps=6, data=data)
    check_like_separate(configs, replace(execution, device=cuda), tmp_path)


@pytest.mark.parametrize("optimizer", sorted(ELEMENTWISE))
@pytest.mark.parametrize("name", ["two_d_branin", "quadratic_deep", "fmnist_logreg"])
def test_nothing_is_left_on_the_cpu(name, optimizer, execution, monkeypatch):
    """On the device `meta`, whose tensors have no numbers but refuse to meet those of the CPU."""
    meta, cpu, tolist = torch.device("meta"), torch.Tensor.cpu, torch.Tensor.tolist

    def fetched(tensor):
        return torch.zeros(tensor.shape, dtype=tensor.dtype) if tensor.is_meta else cpu(tensor)

    monkeypatch.setattr(torch.Tensor, "cpu", fetched)
    monkeypatch.setattr(torch.Tensor, "tolist", lambda tensor: tolist(fetched(tensor)))
    monkeypatch.setattr(torch, "equal", lambda one, two: one.device == two.device)
    monkeypatch.setattr(stacked_training, "_close", lambda one, two: (one - two).is_meta)
    for module in (distributed, batching):
        monkeypatch.setattr(module, "choose_device", lambda *_: meta)
    data = "synthetic" if name == "fmnist_logreg" else "real"
    configs = configurations(name, optimizer, steps=3, data=data, clip_norm=1.0, precision="fp32")
    outcomes = run_vectorized(configs, execution)
    assert [(outcome.status, outcome.message) for outcome in outcomes] == [("done", "")] * 4


@pytest.mark.parametrize("name", ["quadratic_deep", "two_d_beale"])
def test_functions_that_broadcast_need_no_vmap(name, monkeypatch):
    problem = load_problem(name)
    models = [problem.model().double() for _ in range(2)]
    arguments = (problem, models, 3)
    assert stacked_model._broadcasts(problem, models[0])
    fast = StackedModel(*arguments, l2=0.0, evaluated_l2=0.0)
    monkeypatch.setattr(stacked_model, "_broadcasts", lambda problem, model: False)
    general = StackedModel(*arguments, l2=0.0, evaluated_l2=0.0)
    random = torch.Generator().manual_seed(0)
    size = 100 if name == "quadratic_deep" else 2
    x = torch.randn(2, 7, size, generator=random, dtype=torch.float64)
    batch = Batch(x, torch.zeros(2, 7))
    with torch.no_grad():
        for own, other in zip(fast.weights, general.weights, strict=True):
            own.copy_(torch.randn(own.shape, generator=random, dtype=torch.float64))
            other.copy_(own)
    (got, gradients), (expected, others) = fast.gradients(batch), general.gradients(batch)
    assert got.shape == (2, 3)
    for pair in ((got, expected), *zip(gradients, others, strict=True)):
        torch.testing.assert_close(*pair, rtol=1e-12, atol=1e-12)
    measured, alike = fast.measures(batch), general.measures(batch)
    torch.testing.assert_close(measured["loss"], alike["loss"], rtol=1e-12, atol=1e-12)


def test_hyperparameters_other_than_the_rate_may_differ(execution, tmp_path):
    settings = [
        {"lr": 1e-3, "betas": [0.5, 0.9]},
        {"lr": 1e-2},
        {"lr": 1e-3, "betas": [0.5, 0.9], "weight_decay": 0.1},
        {"lr": 1e-3},
    ]
    configs = configurations("quadratic_deep", "Adam", settings, epochs=2)
    check_like_separate(configs, execution, tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 2, "recipe": "2019", "valid_size": 150},
        {"epochs": 2, "schedule": Cosine(), "clip_norm": 0.5},
        {"epochs": None, "steps": 9, "batch_size": 100},
    ],
    ids=["2019", "schedule and clipping", "steps"],
)
def test_settings_of_runs_on_the_quadratic(options, execution, tmp_path):
    configs = configurations("quadratic_deep", "Momentum", **options)
    check_like_separate(configs, execution, tmp_path)


@pytest.mark.parametrize("l2_via", ["objective", "optimizer"])
def test_a_network_with_regularizer(l2_via, execution, tmp_path):
    settings = [{"lr": lr, "weight_decay": 0.0} for lr in (1e-3, 1e-2)]
    configs = configurations(
        "fmnist_logreg", "AdamW", settings, steps=4, data="synthetic", l2=0.1, l2_via=l2_via
    )
    check_like_separate(configs, execution, tmp_path)


def test_a_run_that_diverges_ends_in_its_epoch_and_spoils_no_other(execution, tmp_path):
    settings = [{"lr": lr} for lr in (1e-3, 30.0, 1e-2, 1e3)]
    configs = configurations("quadratic_deep", "SGD", settings, epochs=40)
    outcomes = check_like_separate(configs, execution, tmp_path, tolerance=1e-7)
    lengths = [len(load_result(execution.out / f"{config.id}.json").records) for config in configs]
    statuses = [outcome.status for outcome in outcomes]
    assert statuses == ["done", "done", "diverged", "diverged"] * 2
    assert 1 < lengths[6] < lengths[2] < lengths[0] == 41


def test_augmented_training_data_and_per_seed_initialisation(problem, execution, tmp_path):
    """Each seed has its own order, draws and weights, also where 2019 evaluates augmented rows."""
    network = replace(problem, model=lambda: nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 3)))
    from deepobs_runner.runs.resolve import fill_defaults

    for recipe in ("standard", "2019"):
        configs = [
            fill_defaults(
                RunConfig(
                    problem="blobs", optimizer="SGD", hyperparams={"lr": lr}, seed=seed,
                    recipe=recipe, precision="fp64",
                ),
                network,
                {"lr": lr},
            )
            for lr in (0.1, 0.2)
            for seed in (1, 2, 3)
        ]  # fmt: skip
        run_vectorized(configs, execution, problem=network)
        separate = replace(execution, out=tmp_path / "separate")
        for config in configs:
            expected = run(config, separate, problem=network)
            got = load_result(execution.out / f"{config.id}.json")
            for split in ("train_eval", "test"):
                for name in ("objective", "accuracy"):
                    np.testing.assert_allclose(
                        got.series(split, name), expected.series(split, name), rtol=1e-9
                    )


def test_networks_with_random_numbers_or_state_are_refused(problem, configure, execution):
    configs = [configure(seed=seed) for seed in (1, 2)]
    with pytest.raises(CannotStackError, match="BatchNorm1d"):
        run_vectorized(configs, execution, problem=problem)
    assert not list(execution.out.glob("*.json"))

    class Noisy(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.randn(len(x), 3)

    noisy = replace(problem, model=lambda: Noisy(8, 3))
    with pytest.raises(CannotStackError, match="random"):
        run_vectorized(configs, execution, problem=noisy)


def test_an_optimizer_that_mixes_the_numbers_of_a_tensor_is_refused(monkeypatch):
    """Signed by the whole tensor: like separate ones on scalars, unlike them on stacks."""

    class Normalized(torch.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.grad = parameter.grad / parameter.grad.norm()
            return super().step(closure)

    class Squared(torch.optim.SGD):
        """Its step is not proportional to the rate."""

        def step(self, closure=None):
            rates = [group["lr"] for group in self.param_groups]
            for group in self.param_groups:
                group["lr"] = group["lr"] ** 2
            super().step(closure)
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate

    settings = [{"lr": 0.1}, {"lr": 0.2}]
    assert agrees_with_torch("SGD", settings)
    for impostor in (Normalized, Squared):
        monkeypatch.setattr(torch.optim, "SGD", impostor)
        assert not agrees_with_torch("SGD", settings)


def test_what_is_left_of_a_set_keeps_its_state():
    settings = [
        {"lr": 0.1},
        {"lr": 0.2},
        {"lr": 0.1, "momentum": 0.5},
        {"lr": 0.2, "momentum": 0.5},
    ]
    weights = torch.zeros(2, 4, 3)
    whole = StackedOptimizer("SGD", settings, [weights])
    whole.step([torch.ones(2, 4, 3)], 1.0)
    some = weights[:, [0, 3]].clone()
    part = whole.kept([0, 3], [some])
    for optimizer, columns in ((whole, 4), (part, 2)):
        optimizer.step([torch.ones(2, columns, 3)], 1.0)
    assert torch.equal(some, weights[:, [0, 3]])
    assert some[0, :, 0].tolist() == pytest.approx([-0.2, -0.2 * (1 + 1.5)])


def test_finished_runs_are_skipped_and_locked_ones_left_alone(execution, monkeypatch):
    configs = configurations("two_d_branin", steps=3)
    first = run(configs[0], execution)
    assert first.path is not None
    before = first.path.read_bytes()
    lock = FileLock(execution.out / ".locks" / configs[1].id)
    with lock:
        statuses = [outcome.status for outcome in run_vectorized(configs, execution)]
    assert statuses == ["done", "locked", "done", "done"]
    assert first.path.read_bytes() == before
    assert load_result(execution.out / f"{configs[2].id}.json").environment["vectorized"] == 2
    with lock.acquire(timeout=0):  # the others' locks are free again, too
        pass
    again = run_vectorized(configs, execution)
    assert [outcome.status for outcome in again] == ["done"] * 4


@pytest.mark.parametrize("optimizer", ["Momentum", "NAdam"])
def test_after_an_interrupt_each_run_goes_on_by_itself(optimizer, execution, tmp_path):
    configs = configurations("quadratic_deep", optimizer, epochs=4, schedule=Cosine())

    def interrupt(config, record):
        if record.epoch == 2 and config.id == configs[-1].id:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_vectorized(configs, execution, on_record=interrupt)
    resuming = replace(execution, resume=True)
    with pytest.raises(CannotStackError, match="checkpoint"):
        run_vectorized(configs, resuming)
    outcomes = run_all(configs, resuming, vectorize="auto")
    assert [outcome.status for outcome in outcomes] == ["done"] * 4
    for config in configs:
        whole = run(config, replace(execution, out=tmp_path / "whole"))
        resumed = load_result(execution.out / f"{config.id}.json")
        np.testing.assert_allclose(
            resumed.series("test", "objective"), whole.series("test", "objective"), rtol=1e-9
        )
        assert len(resumed.step_objectives()) == len(whole.step_objectives())
        assert resumed.environment["vectorized"] == 4  # as a report must name
        assert "vectorized" not in whole.environment


def test_an_exception_fails_every_run_that_is_not_over(execution):
    configs = configurations("two_d_branin", epochs=2)

    def fail(config, record):
        if record.epoch == 1:
            raise ZeroDivisionError("on purpose")

    outcomes = run_vectorized(configs, execution, on_record=fail)
    assert [outcome.status for outcome in outcomes] == ["failed"] * 4
    for config in configs:
        result = load_result(execution.out / f"{config.id}.json")
        assert result.status == "failed"
        assert "on purpose" in result.error


def test_weights_that_are_decayed_twice_are_said_once(execution):
    configs = configurations("fmnist_logreg", "AdamW", steps=1, data="synthetic", l2=0.1)
    with pytest.warns(DoubleDecayWarning) as caught:
        run_vectorized(configs, execution)
    assert len(caught) == 1


def test_patience_ends_each_run_by_itself(execution, tmp_path):
    configs = configurations("quadratic_deep", "SGD", [{"lr": 1e-2}, {"lr": 0.8}], epochs=12)
    patient = replace(execution, patience=2)
    outcomes = check_like_separate(configs, patient, tmp_path)
    assert {outcome.status for outcome in outcomes} >= {"stopped"}


def test_grids_hold_settings_with_the_same_seeds():
    configs = configurations("two_d_branin", steps=3)
    grids = grids_of([*configs, *configurations("two_d_beale", steps=3)[:3]])
    shapes = sorted((len(grid), len(grid[0])) for grid in grids)
    assert shapes == [(1, 1), (2, 1), (2, 2)]
    for grid in grids:
        assert all(len({config.seed for config in row}) == 1 for row in grid)
    parts = split_grid(grids[0], 2)
    assert sorted(c.id for part in parts for row in part for c in row) == sorted(
        config.id for config in configs
    )
    assert [len(part) * len(part[0]) for part in split_grid(grids[0], 1)] == [1] * 4


def test_chosen_where_it_is_possible_and_pays(execution):
    def chosen(vectorize, **options):
        problem = options.pop("problem", "two_d_branin")
        settings = [{"lr": lr} for lr in (0.1, 0.2, 0.3)]
        configs = configurations(problem, options.pop("optimizer", "SGD"), settings, **options)
        return [len(members) for members in sets_of(configs, execution, vectorize)]

    assert chosen("auto") == chosen("on") == [6]
    assert chosen("auto", problem="fmnist_logreg") == [6]
    assert chosen("auto", problem="fmnist_mlp") == []
    assert chosen("on", problem="fmnist_mlp") == [6]
    assert chosen("auto", optimizer="LBFGS") == []
    assert chosen("auto", precision="bf16") == []
    with pytest.warns(VectorizeWarning, match="LBFGS is not one of"):
        assert chosen("on", optimizer="LBFGS") == []


def test_bench_trains_together_and_says_so(tmp_path, capsys):
    words = ["bench", "SGD", "lr=1e-3", "SGD", "lr=1e-2", "LBFGS", "lr=0.1"]
    options = ["--problem", "two_d_branin", "--seeds", "2", "--steps", "3", "--device", "cpu"]
    options += ["--vectorize", "auto"]
    assert main([*words, *options, "--out", str(tmp_path)]) == 0
    assert "4 runs trained together" in capsys.readouterr().out
    stored = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    together = [r["config"]["optimizer"] for r in stored if "vectorized" in r["environment"]]
    assert together == ["SGD"] * 4
    assert len(stored) == 6
    assert main([*words, *options, "--out", str(tmp_path)]) == 0
    assert "6 of 6 runs are finished already" in capsys.readouterr().out


def test_nothing_is_trained_together_unasked(tmp_path, capsys):
    words = ["bench", "SGD", "lr=1e-3", "--problem", "two_d_branin", "--steps", "3"]
    words += ["--device", "cpu", "--seeds"]
    assert main([*words, "4", "--out", str(tmp_path / "four")]) == 0
    assert "--vectorize auto trains 4 runs of these in one pass" in capsys.readouterr().out
    assert main([*words, "1", "--out", str(tmp_path / "one")]) == 0
    assert "--vectorize" not in capsys.readouterr().out
    (alone,) = load_results(tmp_path / "one")
    among = next(r for r in load_results(tmp_path / "four") if r.config.seed == 42)
    assert "vectorized" not in among.environment
    assert [r["metrics"] for r in among.records] == [r["metrics"] for r in alone.records]


def test_clocks_divide_the_time_of_all(execution):
    configs = configurations("two_d_branin", epochs=1)
    run_vectorized(configs, execution)
    clocks = [load_result(execution.out / f"{c.id}.json").records[-1]["clocks"] for c in configs]
    assert all(clock == clocks[0] for clock in clocks)
    assert training_seconds(clocks[0]) > 0 < clocks[0]["evaluate"]
    assert all(math.isfinite(value) for value in clocks[0].values())
