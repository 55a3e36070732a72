"""`deepobs check`, for problems and optimizers."""

import pytest

from deepobs_runner.cli import main


def test_an_optimizer_of_torch(capsys):
    assert main(["check", "Adam", "lr=0.01"]) == 0
    printed = capsys.readouterr().out
    assert "a resumed run is bit-identical to an uninterrupted one" in printed
    assert "bytes of state per parameter" in printed


def test_an_optimizer_with_a_fault(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\n"
        "class Mine(torch.optim.SGD):\n"
        "    def state_dict(self):\n"
        "        raise KeyError('velocity')\n"
    )
    assert main(["check", f"{path}:Mine", "lr=0.1"]) == 1
    assert "raised KeyError: 'velocity'" in capsys.readouterr().out


LIBRARY = """
import torch
from torch.optim import Adam, SGD, Optimizer

class Silent(SGD):
    def step(self, closure):
        closure()

class Needs(SGD):
    def __init__(self, params, examples, lr=0.1):
        super().__init__(params, lr=lr)

class NoRate(Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

class _Hidden(SGD):
    pass

class Averages:
    def __init__(self, optimizer, lr=0.1):
        self.optimizer = optimizer
    def step(self):
        pass
"""


def test_all_of_a_library(tmp_path, capsys):
    path = tmp_path / "library.py"
    path.write_text(LIBRARY)
    assert main(["check", "--all", str(path)]) == 1
    lines = capsys.readouterr().out.split("\n")
    told = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    assert set(told) - {""} == {"Adam", "Needs", "SGD", "Silent", "4 optimizers"}
    assert told["Adam"] == told["SGD"] == "ok"
    assert told["4 optimizers"] == "2 ok, 2 not"
    assert told["Needs"].startswith("defaults: ")
    assert "needs a value for examples" in told["Needs"]
    assert main(["check", "--all", str(path), "examples=3", "lr=0.5"]) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--all", "json"], "json has no optimizer class"),
        (["--all", "no_such_module"], "Cannot find the module 'no_such_module'"),
        (["--all", "torch.optim", "lr"], "key=value"),
    ],
)
def test_what_is_no_library(arguments, said, capsys):
    assert main(["check", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_problem(capsys):
    assert main(["check", "two_d_branin"]) == 0
    assert "two_d_branin" in capsys.readouterr().out


def test_a_problem_with_a_fault(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text(
        "from dataclasses import replace\n"
        "from deepobs_problems import load_problem\n"
        "branin = load_problem('two_d_branin')\n"
        "mine = replace(branin, name='mine', loss=lambda output, batch: output.mean())\n"
    )
    assert main(["check", f"{path}:mine"]) == 1
    assert "it must return one value for each" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Adm"], "Did you mean 'Adam'"),
        (["Adam"], "needs a learning rate"),
        (["two_d_branin", "lr=1"], "takes no hyperparameters"),
        (["nowhere.py:Mine"], "Cannot find the file nowhere.py"),
    ],
)
def test_bad_input(arguments, said, capsys):
    assert main(["check", *arguments]) == 2
    assert said in capsys.readouterr().err
