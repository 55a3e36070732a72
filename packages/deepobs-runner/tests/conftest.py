"""Small problems and helpers shared by the tests of the runner."""

import contextlib
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read by torch when it is imported
sys.path.insert(0, str(Path(__file__).with_name("support")))  # runner_builders

import pytest
import torch
from torch import nn

from deepobs_data import Dataset
from deepobs_data.table import Table
from deepobs_problems import Defaults, Problem
from deepobs_runner import Execution, RunConfig
from deepobs_runner.runs.resolve import fill_defaults


def pytest_addoption(parser):
    with contextlib.suppress(ValueError):  # the repository's conftest has it; this one goes alone
        parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; run with --slow")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


class Jitter:
    """An augmentation that adds uniform noise: draw, then apply."""

    def draw(self, n, generator):
        return torch.rand(n, 1, generator=generator)

    def apply(self, x, draws):
        return x + 0.1 * draws


def blobs(root=None, *, valid_size=0, recipe="standard"):
    """Return a learnable data set of 70 rows, 8 features and 3 classes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 8, generator=generator)
    y = (x @ torch.randn(8, 3, generator=generator)).argmax(dim=1)
    augment = Jitter()
    train = Table(x[:70], y[:70], augment=augment)
    return Dataset(
        train=train,
        train_eval=Table(x[:20], y[:20]),
        valid=Table(x[90 : 90 + valid_size], y[90 : 90 + valid_size]) if valid_size else None,
        test=Table(x[70:90], y[70:90]),
        augment=augment,
    )


def noisy_network():
    """Return a network with dropout and batch norm."""
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3)
    )


@pytest.fixture
def problem():
    """Return a problem with augmentation, batch norm, dropout and L2 that trains in no time."""
    return Problem(
        name="blobs",
        data=blobs,
        model=noisy_network,
        l2=1e-3,
        defaults=Defaults(batch_size=16, epochs=3),
    )


@pytest.fixture
def configure(problem):
    """Return a function that makes a resolved configuration of the problem."""

    def make(optimizer="SGD", hyperparams=None, **settings):
        hyperparams = {"lr": 0.1} if hyperparams is None else hyperparams
        config = RunConfig(
            problem=problem.name, optimizer=optimizer, hyperparams=hyperparams, **settings
        )
        return fill_defaults(config, problem, hyperparams)

    return make


@pytest.fixture
def execution(tmp_path):
    """Return an execution on the CPU that writes to a folder of the test."""
    return Execution(device="cpu", out=tmp_path / "results")


@pytest.fixture(autouse=True)
def no_calibration(monkeypatch):
    """Hide the SGD-step times that the user may have kept of this machine."""
    monkeypatch.setenv("DEEPOBS_CALIBRATION", str(Path(__file__).with_name("no-calibration.json")))


@pytest.fixture
def cuda():
    """Return the name of a CUDA device; skip without one."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return "cuda:0"


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Return the name of each kind of device; skip those that are not here."""
    return "cpu" if request.param == "cpu" else request.getfixturevalue("cuda")


@pytest.fixture(scope="session")
def fashion_mnist():
    """Return the folder of the real Fashion-MNIST files; skip where they are not."""
    named = os.environ.get("DEEPOBS_TEST_FMNIST")
    folder = Path(named or "/usr/share/datasets/fashion-mnist")
    if not folder.is_dir():
        if named:
            raise FileNotFoundError(f"DEEPOBS_TEST_FMNIST names no folder: {named}")
        pytest.skip("no Fashion-MNIST here; set DEEPOBS_TEST_FMNIST to a folder of its idx files")
    return folder
