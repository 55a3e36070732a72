"""No public name, parameter or option comes or goes unnoticed."""

import difflib
import importlib
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("public_names", ROOT / "tools/public_names.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "public_names", module)
    spec.loader.exec_module(module)
    return module


def test_the_list_of_public_names_is_current(tool):
    kept = tool.PAGE.read_text(encoding="utf-8").splitlines()
    changed = [
        line
        for line in difflib.unified_diff(kept, tool.render().splitlines(), n=0, lineterm="")
        if line[0] in "+-" and not line.startswith(("+++", "---"))
    ]
    assert not changed, (
        "Public names changed. If that is meant, see docs/stability.md for what a removal needs, "
        "run `python tools/public_names.py` and write it in the changelog:\n" + "\n".join(changed)
    )


class Base:
    "Not ours, so its members are not listed."

    def inherited(self): ...


class Sample(Base):
    __module__ = "deepobs_models"
    size: int

    def __init__(self, a, b=1, *rest, c, d=2, **more): ...
    def method(self, x, *, y=0): ...
    @staticmethod
    def static(x): ...
    def _hidden(self): ...


def test_members_and_parameters(tool):
    assert set(tool.lines_of("Sample", Sample)) == {
        "Sample(a, b=, *rest, c, d=, **more)",
        "Sample.method(x, *, y=)",
        "Sample.static(x)",
        "Sample.size",
    }
    assert list(tool.lines_of("CONSTANT", 3)) == ["CONSTANT"]


def test_every_exported_name_is_on_the_list(tool):
    import deepobs_data
    import deepobs_models
    import deepobs_problems
    import deepobs_runner

    packages = (deepobs_data, deepobs_models, deepobs_problems, deepobs_runner)
    listed = set(tool.documented_names())
    documented = [getattr(importlib.import_module(module), name) for module, name in listed]
    for package in packages:
        for name in set(package.__all__) - {"__version__"}:
            value = getattr(package, name)  # may be documented where it is defined
            assert (package.__name__, name) in listed or any(value is d for d in documented), name


@pytest.mark.parametrize("package", ["data", "models", "problems", "runner"])
def test_packages_say_that_their_modules_are_private(package):
    module = importlib.import_module(f"deepobs_{package}")
    assert "private and may change in any release" in " ".join(module.__doc__.split())
