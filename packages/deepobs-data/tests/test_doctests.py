"""The examples in the docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import deepobs_data

MODULES = [module.name for module in pkgutil.walk_packages(deepobs_data.__path__, "deepobs_data.")]


@pytest.mark.parametrize("name", ["deepobs_data", *MODULES])
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = map(importlib.import_module, MODULES)
    assert sum(bool(test.examples) for m in modules for test in finder.find(m)) >= 4
