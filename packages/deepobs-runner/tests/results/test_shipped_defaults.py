"""Defaults that are shipped, so that nothing has to import torch for them, are the real ones."""

import inspect
import subprocess
import sys

import pytest

from deepobs_problems import CATALOG
from deepobs_runner.comparison.fairness import official_l2
from deepobs_runner.optimizers import find_optimizer, hyperparameters_of, to_json
from deepobs_runner.results.labels import label_setting
from deepobs_runner.results.shipped_defaults import OPTIMIZERS, problem_row
from deepobs_runner.runs.resolve import resolve_config


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_hyperparameters_are_those_of_the_optimizer(name):
    found = hyperparameters_of(find_optimizer(name))[0]
    real = {k: to_json(v) for k, v in found.items() if v is not inspect.Parameter.empty}
    shared = real.keys() & OPTIMIZERS[name].keys()  # releases of torch add options
    assert {"momentum", "weight_decay"} & shared
    assert {k: real[k] for k in shared} == {k: OPTIMIZERS[name][k] for k in shared}


def test_a_run_with_the_defaults_of_its_problem_is_named_by_its_optimizer_alone():
    from deepobs_runner import RunConfig

    for name, problem in CATALOG.items():
        row = problem_row(name)
        assert row is not None
        assert official_l2(name) == problem.l2
        config = RunConfig(problem=name, optimizer="SGD", hyperparams={"lr": 0.1})
        assert label_setting(resolve_config(config)) == "SGD lr=0.1", name


def test_plot_does_not_import_torch(tmp_path):
    code = (
        "import sys\n"
        "from deepobs_runner.cli import main\n"
        f"code = main(['plot', 'official', 'forest', '--out', {str(tmp_path / 'x.svg')!r}])\n"
        "sys.exit(code or 'torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
