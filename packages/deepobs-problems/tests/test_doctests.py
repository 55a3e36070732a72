"""The examples in the docstrings are true, and everything exported is documented."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import deepobs_problems

MODULES = [m.name for m in pkgutil.walk_packages(deepobs_problems.__path__, "deepobs_problems.")]


@pytest.mark.parametrize("name", ["deepobs_problems", *MODULES])
def test_docstring_examples_are_true(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0
    assert module.__doc__


def test_every_exported_class_and_function_is_documented():
    exported = [getattr(deepobs_problems, name) for name in deepobs_problems.__all__]
    documented = [x for x in exported if inspect.isclass(x) or inspect.isfunction(x)]
    assert len(documented) > 15
    assert all(thing.__doc__ for thing in documented)
