"""What holds across the packages."""

import hashlib
import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = sorted((ROOT / "packages").iterdir())


def test_four_distributions():
    assert [p.name for p in PACKAGES] == [
        "deepobs-data",
        "deepobs-models",
        "deepobs-problems",
        "deepobs-runner",
    ]


def test_copies_of_the_reference_files_are_equal():
    digests = {}
    for path in ROOT.glob("packages/*/tests/reference/*.json"):
        digests.setdefault(path.name, set()).add(hashlib.sha256(path.read_bytes()).hexdigest())
    assert len(digests) >= 26
    assert {name for name, found in digests.items() if len(found) > 1} == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_every_package_is_complete(package):
    module = package / "src" / package.name.replace("-", "_")
    assert (module / "py.typed").is_file()
    assert (package / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    assert project["version"] in (package / "CHANGELOG.md").read_text()
    assert project["license"] == "MIT"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_edges_are_ranges_that_hold(package):
    """A sibling is declared with a lower and an upper bound that its own version satisfies."""
    versions = {
        p.name: tomllib.loads((p / "pyproject.toml").read_text())["project"]["version"]
        for p in PACKAGES
    }
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        name = re.match(r"[a-z0-9-]+", dependency).group()
        if name not in versions:
            assert "<" not in dependency, f"{dependency}: no upper bounds on others' packages"
            continue
        low, high = re.search(r">=([\d.]+),<([\d.]+)$", dependency).groups()
        as_numbers = [tuple(map(int, v.split("."))) for v in (low, versions[name], high)]
        assert as_numbers[0] <= as_numbers[1] < as_numbers[2]


def test_every_package_has_the_same_settings_of_pytest():
    """An unpacked source distribution has no others, and test files of one name need importlib."""
    paths = [package / "pyproject.toml" for package in PACKAGES]
    first, *others = [tomllib.loads(path.read_text())["tool"]["pytest"] for path in paths]
    assert "--import-mode=importlib" in first["ini_options"]["addopts"]
    assert others == [first] * 3


def test_the_four_are_installed_by_requirements():
    lines = (ROOT / "requirements.txt").read_text().split()
    assert [line for line in lines if line != "-e"] == [f"packages/{p.name}" for p in PACKAGES]


def workflows():
    return sorted((ROOT / ".github" / "workflows").glob("*.yml"))


EXAMPLES = sorted(ROOT.glob("examples/*/.github/workflows/*.yml"))


@pytest.mark.parametrize("path", [*workflows(), *EXAMPLES], ids=lambda path: path.stem)
def test_workflows_may_read_only_and_pin_what_they_use(path):
    text = path.read_text()
    assert "\npermissions: { contents: read }\n" in text
    used = re.findall(r"uses: (\S+)", text)
    assert used
    for action in used:
        assert action.startswith("./") or re.search(r"@[0-9a-f]{40}$", action), action


def test_the_workflow_for_others_tries_the_releases_of_our_own_session():
    (default,) = re.findall(r"default: >-\n((?: +\S.*\n)+)", (workflows()[-1]).read_text())
    offered = re.findall(r'"python": "([\d.]+)", "torch": "([\d.]+)"', default)
    listed = (ROOT / "noxfile.py").read_text().split("RELEASES = [")[1].split("]\n]")[0]
    assert offered == re.findall(r'\("([\d.]+)", "([\d.]+)"\)', listed)
    assert len(offered) >= 10


def test_only_the_releases_take_torch_from_the_index_of_a_backend():
    """The nightly one has its own, and uv refuses an empty UV_TORCH_BACKEND."""
    workflow = yaml.safe_load(workflows()[-1].read_text())
    environments = [workflow, *workflow["jobs"].values()]
    backends = [each["env"].get("UV_TORCH_BACKEND") for each in environments]
    assert dict(zip(["all", *workflow["jobs"]], backends, strict=True)) == {
        "all": None,
        "release": "cpu",
        "nightly": None,
    }


@pytest.mark.parametrize("package", PACKAGES, ids=lambda p: p.name)
def test_metadata_is_that_of_the_tool(package):
    text = (package / "pyproject.toml").read_text(encoding="utf-8")
    assert load_metadata_tool().with_metadata(package.name, text) == text, (
        "run: python tools/project_metadata.py"
    )


def load_metadata_tool():
    spec = importlib.util.spec_from_file_location(
        "project_metadata", ROOT / "tools" / "project_metadata.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_page_shows_a_path_of_the_machine_that_made_it():
    pages = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md"), *ROOT.glob("packages/*/*.md")]
    for page in pages:
        found = re.search(
            rf"(?<![\w.])/(root|home/\w+|Users/\w+)/\S+|{re.escape(str(ROOT))}/", page.read_text()
        )
        assert found is None, f"{page.relative_to(ROOT)}: {found[0]}"
