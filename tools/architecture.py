"""Measure the structure of the packages, and write the table of docs/architecture.md.

Run `python tools/architecture.py` after a change of the layout. tests/test_architecture.py holds
the rules: which package may import which, no cycle, no large folder.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("deepobs_data", "deepobs_models", "deepobs_problems", "deepobs_runner")

RUNNER_STAGES = (
    {"errors"},
    {"seeds", "schedules", "text", "extensions"},
    {"config"},
    {"optimizers"},
    {"results", "backend"},
    {"analysis", "trackers", "training"},
    {"comparison", "runs"},
    {"figures", "executors"},
    {"plans"},
    {"tuning", "checks"},
    {"report"},
    {"cli"},
)
"""What deepobs_runner is made of, from the bottom up: each imports only from stages below it."""

BEFORE = {  # commit 66d6734, the last one with a flat runner, measured by this file
    "deepobs_data": (31, 3_901, 30, 10, 1),
    "deepobs_models": (16, 2_090, 15, 5, 0),
    "deepobs_problems": (18, 1_977, 13, 5, 0),
    "deepobs_runner": (147, 24_566, 58, 22, 3),
}
"""Modules, lines, modules of the largest folder, levels of imports, import cycles."""

COLUMNS = ("modules", "lines", "largest folder", "levels of parts", "import cycles")
START, END = "<!-- measured by tools/architecture.py -->", "<!-- end -->"


def source_of(package: str, root: Path = ROOT) -> Path:
    """Return the folder of a package's modules."""
    return root / "packages" / package.replace("_", "-") / "src" / package


def modules_of(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Return the files of a package by dotted name."""
    folder = source_of(package, root)
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def imports_of(path: Path, modules: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Yield line and module of each import, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                name = inner if inner in modules else node.module
                if name in modules:
                    yield node.lineno, name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name in modules:
                    yield node.lineno, alias.name


def graph_of(package: str, root: Path = ROOT) -> dict[str, set[str]]:
    """Return which modules of the package each of its modules imports."""
    modules = modules_of(package, root)
    return {
        name: {found for _, found in imports_of(path, modules) if found != name}
        for name, path in modules.items()
    }


def parts_of(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph of the parts of a package: the folders and modules at its top."""
    parts: dict[str, set[str]] = {}
    for name, found in graph.items():
        part = part_of(name)
        parts.setdefault(part, set()).update({part_of(other) for other in found} - {part})
    return parts


def part_of(module: str) -> str:
    """Return the part that a module belongs to: `report` of `deepobs_runner.report.page.html`."""
    return module.split(".")[1] if "." in module else module


def cycles_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return one cycle after another, each cut at its last edge, until there is none."""
    graph = {name: set(found) for name, found in graph.items()}
    cycles = []
    while True:
        try:
            TopologicalSorter({name: sorted(graph[name]) for name in sorted(graph)}).prepare()
        except CycleError as error:
            cycle = list(reversed(error.args[1]))  # each imports the next
            cycles.append(cycle)
            graph[cycle[-2]].discard(cycle[-1])
        else:
            return cycles


def levels_of(graph: dict[str, set[str]]) -> int:
    """Return the length of the longest chain of imports; a cycle is cut first."""
    graph = {name: set(found) for name, found in graph.items()}
    for cycle in cycles_of(graph):
        graph[cycle[-2]].discard(cycle[-1])
    depth: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        depth[name] = 1 + max((depth[found] for found in graph[name]), default=0)
    return max(depth.values())


def measured(package: str, root: Path = ROOT) -> tuple[int, int, int, int, int]:
    """Return the numbers of `COLUMNS`."""
    paths = modules_of(package, root).values()
    folders = [path.parent for path in paths if path.name != "__init__.py"]
    graph = graph_of(package, root)
    return (
        len(paths),
        sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths),
        max(folders.count(folder) for folder in folders),
        levels_of(parts_of(graph)),
        len(cycles_of(graph)),
    )


def table() -> str:
    """Return the table of the page, each number before and after."""
    lines = [f"| package | {' | '.join(COLUMNS)} |", "| --- |" + " --- |" * len(COLUMNS)]
    for package in PACKAGES:
        pairs = zip(BEFORE[package], measured(package), strict=True)
        cells = " | ".join(f"{before:,} → {now:,}" for before, now in pairs)
        lines.append(f"| `{package}` | {cells} |")
    return "\n".join(lines)


def page() -> str:
    """Return the page with the table as it is now."""
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(START)
    return f"{head}{START}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
