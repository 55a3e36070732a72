"""The structure of the packages: who imports whom, no cycle, no large folder, a true page."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("architecture", ROOT / "tools" / "architecture.py")
architecture = importlib.util.module_from_spec(spec)
spec.loader.exec_module(architecture)

FOUNDATIONS = {  # which of our packages each may import
    "deepobs_data": set(),
    "deepobs_models": set(),
    "deepobs_problems": {"deepobs_data", "deepobs_models"},
    "deepobs_runner": {"deepobs_data", "deepobs_models", "deepobs_problems"},
}
MOST_MODULES_IN_A_FOLDER = 14


def part_of(module):
    """Return the part of a module, "" for the package itself."""
    return architecture.part_of(module) if "." in module else ""


def test_every_part_of_the_runner_has_a_stage():
    modules = architecture.modules_of("deepobs_runner")
    parts = {part_of(name) for name in modules} - {""}
    assert parts == set().union(*architecture.RUNNER_STAGES)


def test_the_runner_imports_downwards_only():
    stage = {part: n for n, parts in enumerate(architecture.RUNNER_STAGES) for part in parts}
    modules = architecture.modules_of("deepobs_runner")
    upwards = [
        f"{path.relative_to(ROOT)}:{line}: {part_of(name)} imports {found}"
        for name, path in modules.items()
        for line, found in architecture.imports_of(path, modules)
        if part_of(name) and part_of(found) != part_of(name)
        if stage.get(part_of(found), 99) >= stage[part_of(name)]
    ]
    assert not upwards, "\n".join(upwards)


@pytest.mark.parametrize("package", architecture.PACKAGES)
def test_no_import_cycle(package):
    cycles = architecture.cycles_of(architecture.graph_of(package))
    assert not cycles, "\n".join(" → ".join(cycle) for cycle in cycles)


@pytest.mark.parametrize("package", architecture.PACKAGES)
def test_packages_import_those_below_them(package):
    others = set(architecture.PACKAGES) - FOUNDATIONS[package] - {package}
    modules = {
        name: path for other in others for name, path in architecture.modules_of(other).items()
    }
    for path in architecture.modules_of(package).values():
        assert not list(architecture.imports_of(path, modules)), path


@pytest.mark.parametrize("package", architecture.PACKAGES)
def test_no_folder_is_large(package):
    largest = architecture.measured(package)[2]
    allowed = MOST_MODULES_IN_A_FOLDER if package == "deepobs_runner" else 16
    assert largest <= allowed, f"a folder of {package} has {largest} modules"


def test_a_violation_is_found(tmp_path):
    """Imports inside functions and for type checkers count, too."""
    folder = tmp_path / "packages" / "toy-pack" / "src" / "toy_pack"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "low.py").write_text("def f():\n    from toy_pack.high import g\n    return g\n")
    (folder / "high.py").write_text("from toy_pack import low\n")
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from toy_pack import low\n"
    (folder / "typed.py").write_text(typed)
    graph = architecture.graph_of("toy_pack", tmp_path)
    assert graph["toy_pack.low"] == {"toy_pack.high"}
    assert graph["toy_pack.typed"] == {"toy_pack.low"}
    (cycle,) = architecture.cycles_of(graph)
    assert set(cycle) == {"toy_pack.low", "toy_pack.high"}
    assert architecture.levels_of({"a": {"b"}, "b": {"c", "d"}, "c": {"d"}, "d": set()}) == 4


def numbers_of(table):
    return [
        [int(cell.split("→")[1].replace(",", "")) for cell in line.split("|")[2:-1]]
        for line in table.splitlines()
        if line.startswith("| `deepobs")
    ]


def test_the_numbers_of_the_page_are_current():
    """Lines may drift by 5 % before the page is made again."""
    page = architecture.PAGE.read_text(encoding="utf-8")
    shown = numbers_of(page.split(architecture.START)[1].split(architecture.END)[0])
    for found, now in zip(shown, numbers_of(architecture.table()), strict=True):
        message = "run: python tools/architecture.py"
        assert found[:1] + found[2:] == now[:1] + now[2:], message
        assert found[1] == pytest.approx(now[1], rel=0.05), message
