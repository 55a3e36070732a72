"""The examples in the docstrings are true; they may use torch without importing it."""

import doctest
import importlib
import pkgutil

import pytest
import torch

import deepobs_models

MODULES = [
    f"deepobs_models.{module.name}" for module in pkgutil.iter_modules(deepobs_models.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, extraglobs={"torch": torch}).failed == 0
