"""The package in examples/ is installed into a folder and found through its entry point."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deepobs_problems import CATALOG

EXAMPLE = Path(__file__).parents[1] / "examples" / "resnet-gn"

CODE = """
import json, sys
from deepobs_problems import UnknownProblemError, load_problem
from deepobs_problems.lookup import installed_problems
from deepobs_problems.testing import check_problem

problem = load_problem("cifar10_resnet_gn")
report = check_problem(problem)
found = {
    "installed": {name: entry.value for name, entry in installed_problems().items()},
    "file": sys.modules["resnet_gn"].__file__,
    "source": problem.source,
    "ok": report.ok,
    "report": str(report),
}
try:
    load_problem("cifar10_resnet_ng")
except UnknownProblemError as error:
    found["nearest"] = str(error)
print(json.dumps(found))
"""


def install_with_pip(target: Path) -> None:
    """Install the example as a user does, but without its dependencies."""
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(target)]
    # A copy, because building writes into the source folder.
    source = target.parent / "source"
    shutil.copytree(EXAMPLE, source)
    subprocess.run([*command, str(source)], check=True)


def install_by_hand(target: Path) -> None:
    """Lay the files out as an installer does; for environments without pip or hatchling."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    shutil.copytree(EXAMPLE / "src", target)
    info = target / f"resnet_gn-{project['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(metadata)
    ((group, entries),) = project["entry-points"].items()
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    "install", [pytest.param(install_with_pip, marks=pytest.mark.slow), install_by_hand]
)
def test_the_example_is_discovered_and_passes_its_checks(install, tmp_path):
    needed = ("pip", "hatchling") if install is install_with_pip else ()
    for name in needed:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")
    target = tmp_path / "site"
    install(target)
    run = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["ok"], found["report"]
    assert found["installed"] == {"cifar10_resnet_gn": "resnet_gn:cifar10_resnet_gn"}
    assert Path(found["file"]).is_relative_to(target)
    assert len(found["source"]) == 64
    assert "Did you mean 'cifar10_resnet_gn'" in found["nearest"]
    assert f"for all {len(CATALOG) + 1}" in found["nearest"]
