"""A configuration is resolved once, and no model is built only to be looked at."""

import pickle
import sys
from dataclasses import replace

import pytest

from deepobs_problems import load_problem
from deepobs_runner import Execution, RunConfig, resolve_config
from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.runs import resolve as module
from deepobs_runner.runs.resolve import resolve

GIVEN = RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, steps=1)


@pytest.fixture
def counting(monkeypatch):
    """Count how often hyperparameters are resolved and models are built."""
    counts = {"resolved": 0, "models": 0}
    branin, resolve_hyperparams = load_problem("two_d_branin"), module.resolve_hyperparams

    def build():
        counts["models"] += 1
        return branin.model()

    def resolved(*args, **options):
        counts["resolved"] += 1
        return resolve_hyperparams(*args, **options)

    monkeypatch.setattr(module, "resolve_hyperparams", resolved)
    monkeypatch.setattr(sys.modules[__name__], "COUNTING", replace(branin, model=build))
    monkeypatch.setitem(sys.modules, "counting", sys.modules[__name__])
    return counts


COUNTING = None


@pytest.mark.parametrize(
    "words",
    [
        ["run", "counting:COUNTING", "SGD", "lr=0.01"],
        ["bench", "SGD", "lr=0.01", "--problem", "counting:COUNTING"],
    ],
)
def test_a_command_resolves_and_builds_once(words, counting, tmp_path):
    assert main([*words, "--steps", "1", "--quiet", "--out", str(tmp_path)]) == 0
    assert counting == {"resolved": 1, "models": 1}


def test_what_was_resolved_is_kept_by_this_object_alone():
    """A changed copy is resolved again, and another process looks problem and optimizer up."""
    config = resolve_config(GIVEN)
    assert resolve(config).config is config
    assert resolve(config).problem is load_problem("two_d_branin")
    copies = replace(config, seed=1), pickle.loads(pickle.dumps(config))
    assert [copy.resolution for copy in copies] == [None, None]
    assert copies[1] == config
    assert resolve(copies[1]).config == config


@pytest.mark.parametrize(
    ("config", "execution", "size", "sentence"),
    [
        ({"problem": "no_such"}, {}, 1, "no_such"),
        ({"optimizer": "Addam"}, {}, 1, "Did you mean 'Adam'"),
        ({"hyperparams": {"lr": 0.1, "beta": 1}}, {}, 1, "no hyperparameter 'beta'"),
        ({}, {"track": ("csw",)}, 1, "csw"),
        ({"batch_size": 3}, {}, 2, "not a multiple of 2 processes"),
        ({"world_size": 2}, {}, 1, "world_size is 2"),
    ],
)
def test_everything_is_checked_here(config, execution, size, sentence):
    with pytest.raises(ValueError, match=sentence):
        resolve(replace(GIVEN, **config), Execution(**execution), group=ProcessGroup(size=size))


def test_only_the_machine_that_trains_is_asked_for_its_device():
    """Which may be another."""
    elsewhere = resolve(GIVEN, Execution(device="cuda:77"))
    with pytest.raises(UsageError, match="cuda:77"):
        elsewhere.backend  # noqa: B018
