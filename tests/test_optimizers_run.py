"""Every optimizer of torch and some from PyPI, through the command, on two problems."""

import importlib.util
import inspect
import json
from pathlib import Path

import pytest
import torch

from deepobs_runner.cli import main
from deepobs_runner.optimizers import ADAPTERS, NOT_RUNNABLE, known_optimizers

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = f"{ROOT / 'examples' / 'optimizers.py'}:"
TORCH = [n for n in known_optimizers() if n not in ADAPTERS and n not in NOT_RUNNABLE]
THIRD_PARTY = {
    "schedulefree:SGDScheduleFree": "schedulefree",
    "schedulefree:AdamWScheduleFree": "schedulefree",
    f"{EXAMPLES}sam": "pytorch_optimizer",
    f"{EXAMPLES}adahessian": "pytorch_optimizer",
    "pytorch_optimizer:SOAP": "pytorch_optimizer",
}
RATES = {"Adadelta": 1.0, "Momentum": 1e-3}
PROBLEMS = {
    "two_d_branin": ["--steps", "30"],
    "fmnist_logreg": ["--steps", "12", "--batch-size", "64", "--data", "synthetic"],
}


def run_through_the_command(optimizer, problem, folder, rate):
    out = folder / problem
    words = ["run", problem, optimizer, f"lr={rate}", *PROBLEMS[problem]]
    assert main([*words, "--device", "cpu", "--quiet", "--out", str(out)]) == 0
    (path,) = out.glob("*.json")
    result = json.loads(path.read_text())
    assert result["status"] == "done"
    objectives = [r["metrics"]["test"]["objective"] for r in result["records"]]
    return objectives[0], objectives[-1]


def rate_of(optimizer, problem):
    return RATES.get(optimizer, 0.01 if problem == "two_d_branin" else 0.001)


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("optimizer", TORCH)
def test_torch_optimizers(optimizer, problem, tmp_path):
    rate = rate_of(optimizer, problem)
    first, last = run_through_the_command(optimizer, problem, tmp_path, rate)
    assert last < first


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("optimizer", THIRD_PARTY, ids=lambda name: name.rpartition(":")[2])
def test_third_party_optimizers(optimizer, problem, tmp_path):
    if importlib.util.find_spec(THIRD_PARTY[optimizer]) is None:
        pytest.skip(f"{THIRD_PARTY[optimizer]} is not installed")
    rate = rate_of(optimizer, problem)
    first, last = run_through_the_command(optimizer, problem, tmp_path, rate)
    assert last < first


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has Muon since 2.9")
@pytest.mark.parametrize("name", [f"{EXAMPLES}muon", "Muon"], ids=["example", "bare name"])
def test_muon_gets_the_matrices_and_adamw_the_rest(name, tmp_path):
    words = ["run", "mnist_mlp", name, "lr=0.01", "--data", "synthetic"]
    options = ["--steps", "4", "--batch-size", "32", "--device", "cpu", "--quiet"]
    assert main([*words, *options, "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    records = json.loads(path.read_text())["records"]
    assert records[-1]["lr"] == [0.01, 0.001]
    objectives = [r["metrics"]["train_eval"]["objective"] for r in records]
    assert objectives[-1] < objectives[0]


@pytest.mark.parametrize("name", sorted(set(NOT_RUNNABLE) & set(vars(torch.optim))))
def test_those_that_cannot_run_say_why(name, tmp_path, capsys):
    assert inspect.isclass(getattr(torch.optim, name))
    assert main(["run", "two_d_branin", name, "lr=0.1", "--out", str(tmp_path)]) == 2
    assert "cannot run here" in capsys.readouterr().err
