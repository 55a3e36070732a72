"""The tools of a release refuse what must not be released."""

import importlib.util
import io
import json
import re
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.name for path in (ROOT / "packages").iterdir())


def load_tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# Tags


@pytest.fixture
def packages(tmp_path):
    """A folder with one package, ready to be released as 1.2.1."""
    package = tmp_path / "packages" / "deepobs-models"
    package.mkdir(parents=True)
    (package / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.1"\n')
    (package / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.1] - 2026-12-01\n\n- A fix.\n")
    return tmp_path / "packages"


def test_a_tag_that_agrees_passes(packages, capsys):
    assert load_tool("check_release").main(["deepobs-models-v1.2.1"], packages) == 0
    assert capsys.readouterr().out == "name=deepobs-models\nversion=1.2.1\n"


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v1.2.1", "is not a release tag"),
        ("deepobs-models-v1.2", "is not a release tag"),
        ("deepobs-models-v1.2.1.dev3", "is not a release tag"),
        ("deepobs-nets-v1.2.1", "Unknown package 'deepobs-nets'"),
        ("deepobs-models-v1.3.0", "has version 1.2.1 in pyproject.toml, and 1.3.0"),
    ],
)
def test_a_wrong_tag_is_refused(tag, message, packages, capsys):
    assert load_tool("check_release").main([tag], packages) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("heading", "message"),
    [
        ("## [1.2.1] - unreleased", "put the date there"),
        ("## [1.2.0] - 2026-11-01", "write the one of 1.2.1"),
        ("## 1.2.1 (2026-12-01)", "The newest heading"),
        ("", "'missing'"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(heading, message, packages, capsys):
    (packages / "deepobs-models" / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    assert load_tool("check_release").main(["deepobs-models-v1.2.1"], packages) == 1
    assert message in capsys.readouterr().err


def test_a_rehearsal_needs_no_date(packages, capsys):
    (packages / "deepobs-models" / "CHANGELOG.md").write_text("## [1.2.1] - unreleased\n")
    assert load_tool("check_release").main(["deepobs-models", "--rehearsal"], packages) == 0
    assert "version=1.2.1" in capsys.readouterr().out


@pytest.mark.parametrize("name", PACKAGES)
def test_every_package_could_be_rehearsed_now(name, capsys):
    """That is: pyproject.toml and the newest entry of the changelog say the same version."""
    assert load_tool("check_release").main([name, "--rehearsal"]) == 0


# The workflow


@pytest.fixture(scope="module")
def workflow():
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def test_the_workflow_starts_with_the_tags_that_the_check_knows(workflow):
    # YAML reads the key `on` as true.
    (pattern,) = workflow[True]["push"]["tags"]
    assert pattern == "deepobs-*-v*"
    assert workflow[True]["workflow_dispatch"]["inputs"]["package"]["options"] == PACKAGES
    commands = " ".join(step.get("run", "") for step in workflow["jobs"]["build"]["steps"])
    assert "tools/check_release.py" in commands
    assert "nox -s build" in commands


def test_only_the_jobs_that_upload_may_ask_for_an_identity(workflow):
    """Trusted publishing: an identity of the job in place of a stored token."""
    uploads = {
        name
        for name, job in workflow["jobs"].items()
        if any("gh-action-pypi-publish" in step.get("uses", "") for step in job["steps"])
    }
    assert uploads == {"publish", "rehearse"}
    for name, job in workflow["jobs"].items():
        assert (job.get("permissions", {}).get("id-token") == "write") == (name in uploads)
    assert workflow["permissions"] == {"contents": "read"}
    text = (ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
    assert not re.search(r"secrets\.|password", text)


def test_a_rehearsal_cannot_publish_and_a_tag_cannot_rehearse(workflow):
    assert workflow["jobs"]["publish"]["if"] == "github.event_name == 'push'"
    assert workflow["jobs"]["rehearse"]["if"] == "github.event_name == 'workflow_dispatch'"


# Artefacts


FILES = {
    "LICENSE": b"MIT",
    "README.md": b"# deepobs-toy",
    "CHANGELOG.md": b"## [0.1.0] - unreleased",
    "pyproject.toml": b'[project]\nname = "deepobs-toy"\nversion = "0.1.0"\nlicense = "MIT"\n'
    b'requires-python = ">=3.11"\n',
    "src/deepobs_toy/__init__.py": b"one = 1\n",
    "src/deepobs_toy/py.typed": b"",
    "src/deepobs_toy/table.json": b"{}",
    "tests/test_toy.py": b"def test(): ...\n",
}
INFO = "deepobs_toy-0.1.0.dist-info"
METADATA = (
    b"Metadata-Version: 2.4\nName: deepobs-toy\nVersion: 0.1.0\nLicense-Expression: MIT\n"
    b"Requires-Python: >=3.11\n"
)


@pytest.fixture
def toy(tmp_path):
    """A package, and the contents of its right sdist and wheel by path."""
    package = tmp_path / "deepobs-toy"
    for name, content in FILES.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(content)
    cache = package / "src" / "deepobs_toy" / "__pycache__"
    cache.mkdir()
    (cache / "toy.pyc").write_bytes(b"\0")
    wheel = {n.removeprefix("src/"): c for n, c in FILES.items() if n.startswith("src/")}
    wheel |= {f"{INFO}/{n}": b"" for n in ("WHEEL", "RECORD")} | {f"{INFO}/METADATA": METADATA}
    wheel[f"{INFO}/licenses/LICENSE"] = b"MIT"
    return package, {**FILES, "PKG-INFO": METADATA, ".gitignore": b""}, wheel


def pack(folder, sdist, wheel):
    folder.mkdir()
    with tarfile.open(folder / "deepobs_toy-0.1.0.tar.gz", "w:gz") as archive:
        for name, content in sdist.items():
            member = tarfile.TarInfo(f"deepobs_toy-0.1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with zipfile.ZipFile(folder / "deepobs_toy-0.1.0-py3-none-any.whl", "w") as archive:
        for name, content in wheel.items():
            archive.writestr(name, content)
    return folder


def test_complete_artefacts_pass(toy, tmp_path):
    package, sdist, wheel = toy
    assert load_tool("check_artefacts").check(package, pack(tmp_path / "dist", sdist, wheel)) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("LICENSE", "has no LICENSE"),
        ("PKG-INFO", "has no PKG-INFO"),
        ("tests/test_toy.py", "has no tests"),
        ("src/deepobs_toy/table.json", "lacks src/deepobs_toy/table.json"),
    ],
)
def test_an_incomplete_sdist_is_found(toy, tmp_path, name, message):
    package, sdist, wheel = toy
    del sdist[name]
    wrong = load_tool("check_artefacts").check(package, pack(tmp_path / "dist", sdist, wheel))
    assert any(message in line and "tar.gz" in line for line in wrong), wrong


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deepobs_toy/py.typed", "has no deepobs_toy/py.typed"),
        ("deepobs_toy/table.json", "lacks deepobs_toy/table.json"),
        (f"{INFO}/licenses/LICENSE", "lacks"),
        (f"{INFO}/METADATA", "was not built from this version"),
    ],
)
def test_an_incomplete_wheel_is_found(toy, tmp_path, name, message):
    package, sdist, wheel = toy
    del wheel[name]
    wrong = load_tool("check_artefacts").check(package, pack(tmp_path / "dist", sdist, wheel))
    assert any(message in line and ".whl" in line for line in wrong), wrong


@pytest.mark.parametrize(
    "name", ["tests/test_toy.py", "deepobs_toy/__pycache__/toy.cpython-311.pyc", "notes.txt"]
)
def test_stray_files_in_a_wheel_are_found(toy, tmp_path, name):
    package, sdist, wheel = toy
    wheel[name] = b"stray"
    wrong = load_tool("check_artefacts").check(package, pack(tmp_path / "dist", sdist, wheel))
    assert any(f"holds {name}" in line for line in wrong), wrong


def test_a_kind_of_file_that_does_not_belong_is_found_though_it_is_in_the_checkout(toy, tmp_path):
    package, sdist, wheel = toy
    (package / "src" / "deepobs_toy" / "core.dump").write_bytes(b"")
    sdist["src/deepobs_toy/core.dump"] = wheel["deepobs_toy/core.dump"] = b""
    wrong = load_tool("check_artefacts").check(package, pack(tmp_path / "dist", sdist, wheel))
    assert [line.partition(" holds ")[2] for line in wrong] == [
        "deepobs_toy/core.dump, no kind of file that belongs there"
    ]


def test_other_bytes_another_version_and_a_missing_artefact_are_found(toy, tmp_path):
    tool = load_tool("check_artefacts")
    package, sdist, wheel = toy
    wheel["deepobs_toy/__init__.py"] = b"one = 2\n"
    wheel[f"{INFO}/METADATA"] = METADATA.replace(b">=3.11", b">=3.12")
    dist = pack(tmp_path / "dist", sdist, wheel)
    wrong = tool.check(package, dist)
    assert any("is not that of the checkout" in line for line in wrong)
    assert any("Requires-Python: >=3.12, not >=3.11" in line for line in wrong)
    (dist / "deepobs_toy-0.1.0.tar.gz").unlink()
    assert any("should hold one" in line for line in tool.check(package, dist))


def test_a_large_artefact_is_found(toy, tmp_path, monkeypatch):
    tool = load_tool("check_artefacts")
    package, sdist, wheel = toy
    monkeypatch.setattr(tool, "LARGEST", 100)
    wrong = tool.check(package, pack(tmp_path / "dist", sdist, wheel))
    assert sum("more than 100" in line for line in wrong) == 2


# Results before and after an upgrade


def write_result(folder, *, loss=1.0, seconds=1.0, models="1.2.0", name="a"):
    folder.mkdir(exist_ok=True)
    record = {"epoch": 0, "clocks": {"data": seconds}, "metrics": {"test": {"loss": loss}}}
    result = {"id": name, "config": {"seed": 42}, "status": "done", "records": [record]}
    result["environment"] = {"packages": {"deepobs-models": models}}
    (folder / f"{name}.json").write_text(json.dumps(result))


def test_results_that_differ_in_time_alone_are_equal(tmp_path, capsys):
    write_result(tmp_path / "before")
    write_result(tmp_path / "after", seconds=2.0, models="1.2.1")
    folders = [str(tmp_path / "before"), str(tmp_path / "after")]
    assert load_tool("compare_results").main([*folders, "deepobs-models=1.2.1"]) == 0
    assert capsys.readouterr().out == "equal: a\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss": 1.0000001}, "not the same records"),
        ({"name": "b"}, "is in one folder only"),
        ({"models": "1.2.0"}, "was made with deepobs-models 1.2.0, not 1.2.1"),
    ],
)
def test_other_results_are_found(tmp_path, capsys, change, message):
    write_result(tmp_path / "before")
    write_result(tmp_path / "after", **{"models": "1.2.1", **change})
    folders = [str(tmp_path / "before"), str(tmp_path / "after")]
    assert load_tool("compare_results").main([*folders, "deepobs-models=1.2.1"]) == 1
    assert message in capsys.readouterr().err


def test_no_results_are_not_equal(tmp_path, capsys):
    assert load_tool("compare_results").main([str(tmp_path), str(tmp_path)]) == 1
    assert "holds no results" in capsys.readouterr().err
