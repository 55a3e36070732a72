"""The downstream example works where deepobs-models and torch are all there is."""

import importlib.metadata as metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "models-only"


def test_the_workflow_runs_every_session_of_the_noxfile():
    text = (EXAMPLE / "noxfile.py").read_text(encoding="utf-8")
    releases = re.findall(r'"(\d+\.\d+\.\d+)"', text)
    workflow = yaml.safe_load((EXAMPLE / ".github/workflows/tests.yml").read_text("utf-8"))
    sessions = workflow["jobs"]["tests"]["strategy"]["matrix"]["session"]
    assert len(releases) == 4
    assert sessions == [*(f"tests(torch-{release})" for release in releases), "newest"]


def test_it_imports_no_other_package_of_ours():
    files = [*EXAMPLE.glob("src/**/*.py"), *EXAMPLE.glob("tests/*.py")]
    imported = {
        name
        for path in files
        for name in re.findall(r"\bdeepobs_\w+", path.read_text(encoding="utf-8"))
    }
    assert imported == {"deepobs_models"}


def closure(*names):
    """Return the installed distributions that these need, themselves included."""
    found = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name.lower() in found:
            continue
        found[name.lower()] = distribution = metadata.distribution(name)
        needed = (Requirement(text) for text in distribution.requires or ())
        waiting += [r.name for r in needed if not r.marker or r.marker.evaluate({"extra": ""})]
    return found.values()


def make_environment(folder, *names):
    """Make a virtual environment that shares these distributions with ours, and has no others."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True)
    site = Path(found.stdout.strip())
    for distribution in closure(*names):
        tops = {file.parts[0] for file in distribution.files} - {"..", "__pycache__"}
        for top in tops:
            if not (site / top).exists():
                (site / top).symlink_to(distribution.locate_file(top))
    return python


LIST = (
    "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
)


@pytest.mark.slow
def test_its_tests_pass_with_the_built_package_and_torch_alone(tmp_path):
    for name in ("pip", "hatchling"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    # Copies, because building writes into the source folders.
    for source in (ROOT / "packages" / "deepobs-models", EXAMPLE):
        copy = tmp_path / source.name
        shutil.copytree(source, copy)
        options = [
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "-w",
            str(tmp_path / "wheels"),
        ]
        subprocess.run([*pip, "wheel", *options, str(copy)], check=True)

    python = make_environment(tmp_path / "clean", "torch", "pytest")
    # Without dependencies: whoever replaced one here would replace it in the shared environment.
    options = ["--no-deps", "--no-index", *map(str, (tmp_path / "wheels").glob("*.whl"))]
    subprocess.run([*pip, "--python", str(python), "install", *options], check=True)
    subprocess.run([*pip, "--python", str(python), "check"], check=True)  # the wheels need no more
    found = subprocess.run([python, "-c", LIST], capture_output=True, text=True, check=True)
    installed = {name.lower() for name in json.loads(found.stdout)}
    assert {"keras-port", "torch", "deepobs-models"} <= installed
    assert not installed & {"deepobs-data", "deepobs-problems", "deepobs-runner", "torchvision"}

    # A root of its own: the folders above may have settings for pytest, too.
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", ".", "-c", "pyproject.toml"]
    run = subprocess.run(
        [python, "-m", "pytest", *options, "tests"],
        cwd=tmp_path / "models-only",
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "5 passed" in run.stdout
