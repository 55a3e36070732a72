"""What a user writes with the four packages; type checkers must accept it, and know its types."""

from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor, nn

import deepobs_data
import deepobs_models
import deepobs_problems
from deepobs_data import Batch, Dataset
from deepobs_models import MLP, create_model, list_models
from deepobs_problems import CATALOG, Problem, load_problem
from deepobs_runner import Execution, RunConfig, RunResult, load_results, run

versions: list[str] = [
    deepobs_data.__version__,
    deepobs_models.__version__,
    deepobs_problems.__version__,
]

data = deepobs_data.synthetic_like("mnist")
assert_type(data, Dataset)
for batch in data.train.batches(torch.arange(4), 2):
    assert_type(batch, Batch)

network: nn.Module = create_model("mlp")
names: list[str] = list_models()
other = MLP()

problem = load_problem("quadratic_deep")
assert_type(problem, Problem)
steepest: list[str] = sorted(CATALOG)

config = RunConfig(problem="quadratic_deep", optimizer="SGD", hyperparams={"lr": 0.01})
result = run(config, Execution(out=Path("results")))
assert_type(result, RunResult)
finished: list[RunResult] = load_results(Path("results"))


def loss_of(model: nn.Module, images: Tensor) -> float:
    """Return the mean output."""
    return float(model(images).mean())
