"""The examples in the docstrings and in the README are true."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import deepobs_models

README = Path(__file__).parent.parent / "README.md"
MODULES = [
    module.name for module in pkgutil.walk_packages(deepobs_models.__path__, "deepobs_models.")
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_are_true(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module).failed == 0


def test_readme_examples_are_true():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) > 3
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, README.name, README.name, 0)
    assert doctest.DocTestRunner().run(test).failed == 0


def test_every_exported_class_and_function_is_documented():
    exported = [getattr(deepobs_models, name) for name in deepobs_models.__all__]
    documented = [
        thing for thing in exported if inspect.isclass(thing) or inspect.isfunction(thing)
    ]
    assert len(documented) == len(exported) - 2  # Role and CharLSTMState are aliases of types
    assert all(thing.__doc__ for thing in documented)
