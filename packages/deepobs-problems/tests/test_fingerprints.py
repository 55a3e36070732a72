"""Fingerprints tell apart whatever changes a problem's numbers, and nothing else."""

import subprocess
import sys
from dataclasses import dataclass, replace
from functools import partial

import pytest
import torch
from torch import nn

from deepobs_models import Quadratic
from deepobs_problems import load_problem
from deepobs_problems.fingerprints import describe


def scaled(factor):
    def loss(output, batch):
        return factor * output

    return loss


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, output, batch):
        return self.factor * output

    def method(self, output, batch):
        return self.factor * output


@dataclass
class Options:
    factor: float


HESSIAN = torch.eye(100)
OTHER = HESSIAN.clone()
OTHER[50, 50] = 2.0

PAIRS = {
    "closures": (scaled(1.0), scaled(2.0)),
    "lambdas": (lambda o, b: o, lambda o, b: 2 * o),
    "callable objects": (Scaled(1), Scaled(2)),
    "methods": (Scaled(1).method, Scaled(2).method),
    "tensors": (partial(Quadratic, HESSIAN), partial(Quadratic, OTHER)),
    "modules": (nn.Linear(2, 1), nn.Linear(2, 1)),
    "dataclasses": (Options(1.0), Options(2.0)),
    "defaults": (lambda o, b, f=1: f * o, lambda o, b, f=2: f * o),
    "numbers": (partial(round, ndigits=1), partial(round, ndigits=2)),
    "nested": ([{"a": scaled(1)}], [{"a": scaled(2)}]),
}


@pytest.mark.parametrize("kind", PAIRS)
def test_differences_show(kind):
    one, other = PAIRS[kind]
    assert describe(one) != describe(other)
    assert describe(one) == describe(one)


def test_equal_things_are_described_equally():
    assert describe(scaled(1.0)) == describe(scaled(1.0))
    assert describe(Scaled(3)) == describe(Scaled(3))
    assert describe(partial(Quadratic, HESSIAN)) == describe(partial(Quadratic, HESSIAN.clone()))


def test_no_addresses():
    for pair in PAIRS.values():
        assert " at 0x" not in describe(list(pair))


def test_what_contains_itself_ends():
    looped = []
    looped.append(looped)
    assert describe(looped) == "[(itself)]"


def test_two_losses_are_two_problems():
    problem = load_problem("quadratic_deep")
    one, other = (replace(problem, loss=scaled(factor)) for factor in (1.0, 100.0))
    assert one.fingerprint != other.fingerprint


def test_the_same_in_another_process(tmp_path):
    (tmp_path / "mine_f.py").write_text(
        "import torch\n"
        "from deepobs_problems.fingerprints import describe\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return [y for y in x if y in {'some', 'words', 'in', 'a', 'set'}]\n"
        "def make(factor):\n"
        "    return lambda output, batch: factor * output\n"
        "if __name__ == '__main__':\n"
        "    print(describe([make(3), Net, {'b', 'a', 'c'}]))\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, str(tmp_path / "mine_f.py")],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
