"""The way of a hyperparameter from the command line to the optimizer is short."""

import sys
from pathlib import Path

import torch

from deepobs_runner.cli import main

MOST_FUNCTIONS = 10
PACKAGES = {f"deepobs_{name}" for name in ("data", "models", "problems", "runner")}


def functions_above(frame):
    """Return the functions of our packages on the stack from `main` to the caller of a frame."""
    found = []
    while frame := frame.f_back:
        code = frame.f_code
        if PACKAGES & set(Path(code.co_filename).parts):
            found.append(f"{Path(code.co_filename).stem}.{code.co_name}")
        if code is main.__code__:
            return found[::-1]
    raise AssertionError("not called by main")


PATHS = {}


class Probe(torch.optim.SGD):
    """Notes who makes it and who has it step."""

    def __init__(self, parameters, lr):
        PATHS["made"] = functions_above(sys._getframe())
        super().__init__(parameters, lr=lr)

    def step(self, closure):
        PATHS["steps"] = functions_above(sys._getframe())
        return super().step(closure)


def test_from_the_command_line_to_the_optimizer(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "probe", sys.modules[__name__])
    words = ["run", "two_d_branin", "probe:Probe", "lr=0.01", "--steps", "1", "--quiet"]
    assert main([*words, "--out", str(tmp_path)]) == 0
    assert set(PATHS) == {"made", "steps"}
    for end, functions in PATHS.items():
        assert len(functions) <= MOST_FUNCTIONS, f"{end}: {' -> '.join(functions)}"
