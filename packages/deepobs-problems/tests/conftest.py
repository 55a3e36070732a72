"""Fixtures: a small classification problem that needs no download."""

import contextlib

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_data import Dataset, Table
from deepobs_problems import Defaults, Problem


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


CLASSES = 3


def toy_data(root=None, *, valid_size=0, recipe="standard"):
    """Points (N, 5) in three classes, the same in every call."""
    rng = np.random.RandomState(0)

    def rows(n):
        x = torch.from_numpy(rng.normal(size=(n, 5)).astype(np.float32))
        return Table(x, torch.from_numpy(rng.randint(0, CLASSES, size=n)))

    train, test = rows(40), rows(30)
    valid = rows(valid_size) if valid_size else None
    return Dataset(train=train, train_eval=train, valid=valid, test=test)


def toy_model():
    return nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, CLASSES))


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    """Return the name of each kind of device; skip a GPU where there is none."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    return request.param


@pytest.fixture
def toy():
    """A Problem: 2-layer network on 40 points, L2 on its weights."""
    return Problem(
        name="toy",
        data=toy_data,
        stand_in=toy_data,
        model=toy_model,
        l2=0.1,
        defaults=Defaults(batch_size=8, epochs=2),
    )
