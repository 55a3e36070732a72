"""The identity of a run."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deepobs_problems import CATALOG, Defaults, Reference
from deepobs_runner import Execution, RunConfig, resolve_config
from deepobs_runner.errors import UsageError
from deepobs_runner.results.labels import label_setting
from deepobs_runner.schedules import Constant, Cosine, Warmup, parse_schedule


def test_defaults_are_resolved_before_hashing():
    config = resolve_config(RunConfig(problem="quadratic_deep", optimizer="SGD"))
    spelled = RunConfig(
        problem="quadratic_deep",
        optimizer="SGD",
        hyperparams={"lr": 0.015848932, "momentum": 0, "nesterov": False},
        batch_size=128,
        epochs=100,
        l2=0.0,
    )
    assert config.batch_size == 128
    assert config.epochs == 100
    assert config.fingerprint
    assert resolve_config(spelled).id == config.id


def test_numbers_of_numpy_are_numbers():
    plain = RunConfig(
        problem="p", optimizer="SGD", seed=43, batch_size=8, valid_size=10, l2=0.5, clip_norm=1.0
    )
    foreign = RunConfig(
        problem="p",
        optimizer="SGD",
        seed=np.int64(43),
        batch_size=np.uint8(8),
        valid_size=np.int32(10),
        l2=np.float32(0.5),
        clip_norm=np.float64(1.0),
    )
    assert foreign == plain
    assert foreign.id == plain.id


@pytest.mark.parametrize("seed", [np.float64(1.0), np.True_, np.int64(-1), True, "1"])
def test_what_is_no_seed(seed):
    with pytest.raises(UsageError, match="seed is"):
        RunConfig(problem="p", optimizer="SGD", seed=seed)


def test_an_execution_takes_texts_for_paths_and_lists():
    execution = Execution(
        out="results", data_dir="data", device=torch.device("cpu"), track=["csv", "jsonl"]
    )
    assert execution == Execution(
        out=Path("results"), data_dir=Path("data"), device="cpu", track=("csv", "jsonl")
    )


@pytest.mark.parametrize("part", ["problem", "optimizer"])
def test_long_names_make_short_ids(part, tmp_path):
    short = RunConfig(problem="p", optimizer="SGD")
    configs = [replace(short, **{part: f"x.py:{'n' * 300}{end}"}) for end in ("a", "b")]
    assert len({config.id for config in configs}) == 2
    for config in configs:
        assert len(config.id) == 220
        (tmp_path / f".{config.id}.json.abcdefgh.tmp").touch()
    readable = replace(short, **{part: "n" * 180})
    assert "n" * 180 in readable.id  # as before there was a limit


def test_identity_is_frozen():
    # Changing it makes every finished run start anew.
    config = RunConfig(
        problem="p", optimizer="m.o:SGD", hyperparams={"lr": 0.1}, batch_size=8, epochs=1, l2=0.0
    )
    assert config.id == "p-SGD-42-91b9f68a021e"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 43},
        {"recipe": "2019"},
        {"batch_size": 9},
        {"epochs": 2},
        {"steps": 5},
        {"valid_size": 1},
        {"l2": 1e-4},
        {"l2_via": "optimizer"},
        {"clip_norm": 1.0},
        {"precision": "fp64"},
        {"data": "synthetic"},
        {"hyperparams": {"lr": 0.2}},
        {"optimizer": "Adam"},
        {"problem": "q"},
        {"schedule": Cosine()},
        {"fingerprint": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_changes_the_numbers_changes_the_id(change):
    config = RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1}, batch_size=8)
    assert replace(config, **change).id != config.id


def test_the_folder_of_a_users_file_changes_nothing():
    def of(folder, name="mine.py:problem"):
        return RunConfig(problem=folder + name, optimizer=f"{folder}opt.py:Mine").id

    assert of("") == of("./") == of("/somewhere/else/") == of("C:\\there\\")
    assert of("") != of("", "other.py:problem")


def test_json_round_trip():
    config = RunConfig(
        problem="p",
        optimizer="Adam",
        hyperparams={"lr": 1e-3, "betas": [0.9, 0.99]},
        schedule=Warmup(Cosine(), 0.1),
    )
    again = RunConfig.from_json(json.loads(json.dumps(config.to_json())))
    assert again == config
    assert again.id == config.id


def test_unknown_field_is_refused():
    with pytest.raises(UsageError, match="no field colour"):
        RunConfig.from_json({"problem": "p", "optimizer": "SGD", "colour": "red"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"recipe": "2020"}, "allowed: standard, 2019"),
        ({"precision": "fp8"}, "allowed: fp32"),
        ({"batch_size": 0}, ">= 1"),
        ({"epochs": -1}, ">= 0"),
        ({"epochs": 1.5}, "whole number"),
        ({"valid_size": -1}, ">= 0"),
        ({"l2": float("nan")}, "finite"),
        ({"l2": -1.0}, ">= 0"),
        ({"clip_norm": -1.0}, ">= 0"),
        ({"clip_norm": float("inf")}, "finite"),
        ({"clip_norm": "1"}, "finite"),
        ({"l2": "0.1"}, "finite"),
        ({"seed": None}, "whole number"),
        ({"seed": 1.5}, "whole number"),
        ({"epochs": True}, "whole number"),
        ({"schedule": "cosine"}, "parse_schedule"),
    ],
)
def test_values_out_of_range_are_refused(settings, said):
    with pytest.raises(UsageError) as error:
        RunConfig(problem="p", optimizer="SGD", **settings)
    assert said in str(error.value)


# ------------------------------------------------------------------------- a problem's defaults


@pytest.fixture
def demanding(problem):
    """A problem with defaults of everything."""
    reference = Reference("AdamW", {"lr": 0.5, "weight_decay": 0.3})
    defaults = Defaults(8, None, 7, "cosine:final=0.1", 1.0, "fp64", reference)
    return replace(problem, defaults=defaults)


def test_a_run_has_the_defaults_of_its_problem(demanding):
    config = resolve_config(RunConfig(problem="blobs", optimizer="AdamW"), demanding)
    assert (config.epochs, config.steps, config.batch_size) == (None, 7, 8)
    assert (config.schedule, config.clip_norm, config.precision) == (Cosine(0.1), 1.0, "fp64")
    assert (config.hyperparams["lr"], config.hyperparams["weight_decay"]) == (0.5, 0.3)
    assert resolve_config(replace(config), demanding).id == config.id
    assert resolve_config(pickle.loads(pickle.dumps(config)), demanding).id == config.id
    assert RunConfig.from_json(config.to_json()).id == config.id


def test_what_is_given_precedes_the_defaults_of_the_problem(demanding):
    given = RunConfig(
        problem="blobs", optimizer="AdamW", hyperparams={"lr": 0.1}, epochs=2, schedule=Constant(),
        clip_norm=0.0, precision="fp32",
    )  # fmt: skip
    config = resolve_config(given, demanding)
    assert (config.epochs, config.steps) == (2, None)
    assert (config.schedule, config.clip_norm, config.precision) == (Constant(), 0.0, "fp32")
    assert (config.hyperparams["lr"], config.hyperparams["weight_decay"]) == (0.1, 0.3)
    again = resolve_config(pickle.loads(pickle.dumps(config)), demanding)
    assert again.id == config.id


def test_another_optimizer_has_no_published_hyperparameters(demanding):
    with pytest.raises(UsageError, match="SGD needs a learning rate"):
        resolve_config(RunConfig(problem="blobs", optimizer="SGD"), demanding)


def test_no_clipping_is_one_run_where_the_problem_does_not_clip(problem):
    given = [
        RunConfig(problem="blobs", optimizer="SGD", hyperparams={"lr": 0.1}, clip_norm=norm)
        for norm in (None, 0.0)
    ]
    assert len({resolve_config(config, problem).id for config in given}) == 1


@pytest.mark.parametrize("name", CATALOG)
def test_defaults_of_the_catalog_are_settings(name):
    problem = CATALOG[name]
    reference = problem.defaults.reference
    optimizer = "SGD" if reference is None else reference.optimizer
    hyperparams = {"lr": 0.1} if reference is None else {}
    config = RunConfig(problem=name, optimizer=optimizer, hyperparams=hyperparams)
    resolved = resolve_config(config, problem)
    assert resolved.schedule == parse_schedule(problem.defaults.schedule)
    assert "schedule" not in label_setting(resolved)
    assert "precision" not in label_setting(resolved)
