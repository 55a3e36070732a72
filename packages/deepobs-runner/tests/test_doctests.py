"""The examples in the docstrings."""

import doctest
from importlib import import_module
from pkgutil import walk_packages

import pytest

import deepobs_runner

MODULES = [
    module.name.removeprefix("deepobs_runner.")
    for module in walk_packages(deepobs_runner.__path__, "deepobs_runner.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    failed, _ = doctest.testmod(import_module(f"deepobs_runner.{name}"))
    assert failed == 0


def test_there_are_examples():
    finder = doctest.DocTestFinder()
    modules = [import_module(f"deepobs_runner.{name}") for name in MODULES]
    assert sum(len(t.examples) for m in modules for t in finder.find(m)) >= 8
