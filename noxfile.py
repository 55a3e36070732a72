"""All checks of the monorepo; `nox -l` lists them.

`nox` runs what a change must pass. Name another torch for any test session with
`DEEPOBS_TORCH=2.9.0 DEEPOBS_TORCHVISION=0.24.0 nox -s tests`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_missing_interpreters = bool(os.environ.get("CI"))
nox.options.sessions = ["lint", "types", "tests", "docs", "isolation"]

ROOT = Path(__file__).parent
DIST = ROOT / "dist"
PACKAGES = ["deepobs-data", "deepobs-models", "deepobs-problems", "deepobs-runner"]

# A matching pair from the package index.
TORCH = os.environ.get("DEEPOBS_TORCH", "2.15.0")
TORCHVISION = os.environ.get("DEEPOBS_TORCHVISION", "0.29.2")
# The isolated packages are tried with a small CPU-only torch if the installer finds one.
LIGHT_TORCH = os.environ.get("DEEPOBS_LIGHT_TORCH", TORCH)

# uv does not read pip's settings: pass a local wheel folder on, if one is set.
if "PIP_FIND_LINKS" in os.environ:
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])

# One thread per worker; OpenMP threads that spin ruin small steps on a busy machine.
TEST_ENV = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    # Tests start many processes; where bytecode is not kept, each compiles torch anew.
    "PYTHONDONTWRITEBYTECODE": "",
}

BENCHMARKS: dict[str, list[str]] = {
    "startup": [],
    "speed": ["--processes"],
    "usual": [],
    "variants": [],
    "vectorized": [],
    "scaling": ["--memory"],
}

MATRIX = [
    nox.param("3.11", "2.6.0", "0.21.0", id="py311-torch2.6", tags=["oldest"]),
    nox.param("3.12", "2.8.0", "0.23.0", id="py312-torch2.8"),
    nox.param("3.12", "2.10.0", "0.25.0", id="py312-torch2.10"),
    nox.param("3.13", "2.15.0", "0.29.2", id="py313-torch2.15", tags=["newest"]),
]

# Every minor release of torch, for the two packages that other projects build on.
RELEASES = [
    nox.param(python, torch, id=f"py{python.replace('.', '')}-torch{torch.rpartition('.')[0]}")
    for python, torch in [
        ("3.11", "2.6.0"),
        ("3.12", "2.7.1"),
        ("3.13", "2.8.0"),
        ("3.11", "2.9.1"),
        ("3.12", "2.10.0"),
        ("3.13", "2.11.0"),
        ("3.11", "2.12.1"),
        ("3.12", "2.13.0"),
        ("3.13", "2.14.1"),
        ("3.14", "2.15.0"),
    ]
]

# What a package may bring beside its own declared workspace packages; nothing else may appear.
TORCH_NEEDS = {
    "torch", "filelock", "fsspec", "jinja2", "markupsafe", "mpmath", "networkx", "setuptools",
    "sympy", "typing-extensions", "triton", "cuda-bindings", "cuda-pathfinder", "cuda-toolkit",
}  # fmt: skip
DATA_NEEDS = {"numpy", "filelock", "platformdirs"}
RUNNER_NEEDS = {
    "scipy", "matplotlib", "contourpy", "cycler", "fonttools", "kiwisolver", "packaging", "pillow",
    "pyparsing", "python-dateutil", "six", "rich", "markdown-it-py", "mdurl", "pygments",
    "filelock", "pyyaml", "msgspec", "tzdata",
}  # fmt: skip
# What reads ImageNet and SVHN.
EXTRAS = {"deepobs-data": "[images,svhn]"}
MAY_BRING = {
    "deepobs-data": DATA_NEEDS,
    "deepobs-models": set(),
    "deepobs-problems": DATA_NEEDS,
    "deepobs-runner": DATA_NEEDS | RUNNER_NEEDS,
}


def editable(extras: Mapping[str, str] = EXTRAS) -> list[str]:
    """Return installer arguments for the four packages, editable, with extras of some."""
    paths = [f"packages/{name}{extras.get(name, '')}" for name in PACKAGES]
    return [argument for path in paths for argument in ("-e", path)]


def closure_of(package: str) -> list[str]:
    """Return the workspace packages a package declares, lowest first, and the package itself."""
    project = nox.project.load_toml(ROOT / "packages" / package / "pyproject.toml")["project"]
    needed = [Requirement(dependency).name for dependency in project["dependencies"]]
    found = [name for other in needed if other in PACKAGES for name in closure_of(other)]
    return [*dict.fromkeys(found), package]


def group(name: str) -> list[str]:
    """Return a dependency group of the root pyproject.toml (PEP 735)."""
    return list(nox.project.dependency_groups(nox.project.load_toml(ROOT / "pyproject.toml"), name))


def pinned(session: nox.Session, *pins: str) -> list[str]:
    """Return the installer's option for a constraints file with these pins."""
    path = Path(session.create_tmp()) / "constraints.txt"
    path.write_text("\n".join(pins) + "\n")
    return ["-c", str(path)]


def install_workspace(session: nox.Session, torch: str, torchvision: str) -> None:
    """Install all four packages editable, with the test tools, on one torch."""
    pins = pinned(session, f"torch=={torch}", f"torchvision=={torchvision}")
    session.install(*editable(), *group("test"), *group("third-party"), *pins)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests of all packages on the current Python and one torch."""
    install_workspace(session, TORCH, TORCHVISION)
    session.run("pytest", *(session.posargs or ["-n", "2", "packages", "tests"]), env=TEST_ENV)


@nox.session
def slow(session: nox.Session) -> None:
    """Run the tests marked slow, two at a time: the largest networks need 4 GB each."""
    install_workspace(session, TORCH, TORCHVISION)
    arguments = ["--slow", "-m", "slow", "--durations=15", "-n", "2", "--dist", "worksteal"]
    session.run("pytest", *arguments, *(session.posargs or ["packages", "tests"]), env=TEST_ENV)


def run_reported(session: nox.Session, name: str, *tests: str) -> None:
    """Run these tests or those named after `--`, and leave a JUnit report for the table."""
    # The settings of the repository, also where all tests are of one package: its folder has some.
    arguments = ["-c", "pyproject.toml", f"--junitxml={ROOT / 'build' / 'matrix' / name}.xml"]
    session.run("pytest", *arguments, *(session.posargs or ["-n", "2", *tests]), env=TEST_ENV)


@nox.session(tags=["matrix"])
@nox.parametrize("python,torch,vision", MATRIX)
def matrix(session: nox.Session, torch: str, vision: str) -> None:
    """Run the tests of all packages on one pair of Python and torch of the support window.

    `python tools/compatibility_table.py` makes docs/compatibility.md of what the pairs gave.
    """
    install_workspace(session, torch, vision)
    session.run("python", "-c", "import torch, torchvision; print(torch.__version__)")
    run_reported(session, f"py{session.python}-torch{torch}", "packages")


@nox.session(tags=["releases"])
@nox.parametrize("python,torch", RELEASES)
def releases(session: nox.Session, torch: str) -> None:
    """Run the tests of networks and data, without extras, on one release of torch.

    `nox -s releases` needs every Python and some 6 GB per release with CUDA: set
    UV_TORCH_BACKEND=cpu where the CPU wheels can be reached. See `matrix` for the report.
    """
    light = ["deepobs-data", "deepobs-models"]
    paths = [argument for name in light for argument in ("-e", f"packages/{name}")]
    session.install(*paths, *group("test"), *pinned(session, f"torch=={torch}"))
    tests = [f"packages/{name}" for name in light]
    run_reported(session, f"py{session.python}-torch{torch}-light", *tests)


@nox.session
def newest(session: nox.Session) -> None:
    """Run the tests on the newest versions there are, torch included."""
    session.install("--upgrade", *editable(), *group("test"))
    session.run("pytest", *(session.posargs or ["packages"]), env=TEST_ENV)


@nox.session
@nox.parametrize("package", [nox.param(p, id=p.removeprefix("deepobs-")) for p in PACKAGES])
def minimum(session: nox.Session, package: str) -> None:
    """Run a package's tests on the lowest versions that it and its siblings declare (needs uv).

    Other packages' own needs are as new as there are: uv's `lowest-direct`.
    """
    paths = [argument for name in closure_of(package) for argument in ("-e", f"packages/{name}")]
    session.install(*paths, *group("test"), "--resolution", "lowest-direct")
    session.run("pytest", *(session.posargs or [f"packages/{package}"]), env=TEST_ENV)


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and source distribution of every package into dist/ and check them.

    `nox -s build -- deepobs-models` builds one, as a release does.
    """
    names = session.posargs or PACKAGES
    if unknown := set(names) - set(PACKAGES):
        session.error(f"no such package: {', '.join(unknown)}; there are {', '.join(PACKAGES)}")
    session.install("build[uv]", "twine")
    for old in DIST.glob("deepobs_*"):
        old.unlink()
    for name in names:
        # The wheel is built from the source distribution, so that is proved complete, too.
        session.run(
            "python", "-m", "build", "--installer=uv", "-o", "dist", f"packages/{name}", silent=True
        )
    session.run("twine", "check", "--strict", *map(str, sorted(DIST.glob("deepobs_*"))))
    session.run("python", "tools/check_artefacts.py", str(DIST), *names)


LIST_DISTRIBUTIONS = (
    "import importlib.metadata as m; "
    "print(' '.join(sorted({d.name.lower().replace('_', '-') for d in m.distributions()})))"
)


def built(package: str, pattern: str) -> Path:
    """Return the one artefact of a package in dist/."""
    (found,) = DIST.glob(f"{package.replace('-', '_')}-{pattern}")
    return found


WITHOUT_EXTRAS = """
import pathlib, sys, tempfile, deepobs_data as d
for row in d.list_datasets():
    d.synthetic_like(row.name, n=4)
heavy = {"torchvision", "scipy", "PIL"} & set(sys.modules)
assert not heavy, heavy
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "train").mkdir()
(folder / "val").mkdir()
try:
    d.imagenet(folder)
except d.MissingPackageError as error:
    assert 'pip install "deepobs-data[images]"' in str(error), error
else:
    sys.exit("ImageNet needs no extra?")
"""


SOME_TESTS = {
    "deepobs-problems": ["tests/test_readme.py", "tests/test_lookup.py"],
    "deepobs-runner": ["tests/test_readme.py", "tests/test_path.py", "tests/cli/test_cli.py"],
}
"""What is enough to see that a package works alone, of those with long tests."""


@nox.session(requires=["build"], reuse_venv=False)
@nox.parametrize("package", [nox.param(p, id=p.removeprefix("deepobs-")) for p in PACKAGES])
def isolation(session: nox.Session, package: str) -> None:
    """Install one built wheel with what it declares, nothing else, and run its own tests.

    The session `tests` has run them from the checkout: of the large packages a few are enough to
    see that nothing is missing, and all are imported.
    """
    closure = closure_of(package)
    pins = pinned(session, f"torch=={LIGHT_TORCH}")
    session.install(*(str(built(name, "*.whl")) for name in closure), *pins)
    names = session.run("python", "-I", "-c", LIST_DISTRIBUTIONS, silent=True)
    brought = set(str(names).split()) - {"pip", "wheel"}
    session.log(f"{package} brings {len(brought)} distributions: {' '.join(sorted(brought))}")
    extra = {
        name
        for name in brought - set(closure) - TORCH_NEEDS - MAY_BRING[package]
        if not name.startswith("nvidia-")
    }
    if missing := set(closure) - brought:
        session.error(f"{package} does not bring {missing}")
    if extra:
        session.error(f"{package} brings what it does not declare: {extra}")
    if package == "deepobs-data":
        session.run("python", "-c", WITHOUT_EXTRAS, env={"DEEPOBS_OFFLINE": "1"})
    if package == "deepobs-models":  # numpy is allowed to its tests, not to the package
        session.run("python", "-c", "import deepobs_models as m; print(len(m.list_models()))")
    session.install(*group("test"), *pins)
    source = Path(session.create_tmp()).resolve() / package
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    shutil.unpack_archive(built(package, "*.tar.gz"), source)
    (unpacked,) = source.iterdir()
    session.chdir(unpacked)
    if package in SOME_TESTS:
        session.run("pytest", "--collect-only", "-qq", env=TEST_ENV)
    session.run("pytest", "-q", "-n", "2", *SOME_TESTS.get(package, []), env=TEST_ENV)


SHOW_INSTALLED = """
import sys, deepobs_data, deepobs_models, deepobs_problems, deepobs_runner, torch
for module in (deepobs_data, deepobs_models, deepobs_problems, deepobs_runner):
    assert not module.__file__.startswith(sys.argv[1]), f"{module.__file__} is the checkout's"
print("Python", sys.version.split()[0], "torch", torch.__version__)
"""


BRANIN = ["run", "two_d_branin", "SGD", "lr=0.01", "--epochs", "3"]
NETWORK = ["run", "fmnist_2c2d", "SGD", "lr=0.01", "--steps", "5", "--data", "synthetic"]


def install_built(session: nox.Session, *pins: str) -> None:
    """Install the four built wheels and what they declare, and check that nothing else is used."""
    session.install(*(str(built(name, "*.whl")) for name in PACKAGES), *pinned(session, *pins))
    session.run("python", "-I", "-c", SHOW_INSTALLED, str(ROOT / "packages"))


@nox.session(requires=["build"], reuse_venv=False)
@nox.parametrize("python,torch,vision", [pair for pair in MATRIX if pair.tags])
def install_check(session: nox.Session, torch: str, vision: str) -> None:
    """Install the built wheels on the oldest and the newest pair, and use the command."""
    install_built(session, f"torch=={torch}", f"torchvision=={vision}")
    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        session.run("deepobs", "list", env=TEST_ENV)
        session.run("deepobs", *BRANIN, env=TEST_ENV)
        session.run("deepobs", "report", "results", env=TEST_ENV)


def version_of(package: str) -> Version:
    """Return the version in a package's pyproject.toml."""
    path = ROOT / "packages" / package / "pyproject.toml"
    return Version(nox.project.load_toml(path)["project"]["version"])


def build_as(session: nox.Session, package: str, version: str, folder: Path) -> str:
    """Build a wheel of a package as if it had another version, and return its path."""
    copy = folder / f"{package}-{version}"
    shutil.copytree(ROOT / "packages" / package, copy)
    project = copy / "pyproject.toml"
    old, new = f'version = "{version_of(package)}"', f'version = "{version}"'
    project.write_text(project.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    arguments = ["--installer=uv", "--wheel", "-o", str(folder), str(copy)]
    session.run("python", "-m", "build", *arguments, silent=True)
    return str(next(folder.glob(f"{package.replace('-', '_')}-{version}-*.whl")))


@nox.session(requires=["build"], reuse_venv=False)
def upgrade(session: nox.Session) -> None:
    """Upgrade deepobs-models alone, under the runner and the problems that are installed.

    A bug-fix release is taken: finished runs stay finished, and new ones have the same ids and
    records. The next major release is refused by pip, because the others declare an upper bound.
    """
    name = "deepobs-models"
    now = version_of(name)
    fixed, breaking = f"{now.major}.{now.minor}.{now.micro + 1}", f"{now.major + 1}.0.0"
    install_built(session, f"torch=={TORCH}", f"torchvision=={TORCHVISION}")
    session.install("build[uv]", "pip")

    def run_all(out: str) -> None:
        for words in (BRANIN, NETWORK):
            session.run("deepobs", *words, "--out", out, "--quiet", env=TEST_ENV)

    with tempfile.TemporaryDirectory() as elsewhere, session.chdir(elsewhere):
        run_all("before")
        kept = {path: path.read_bytes() for path in Path("before").glob("*.json")}
        session.install(build_as(session, name, fixed, Path(elsewhere)))
        run_all("before")
        if {path: path.read_bytes() for path in kept} != kept:
            session.error("finished runs were made again after the upgrade")
        run_all("after")
        compare = str(ROOT / "tools" / "compare_results.py")
        session.run("python", compare, "before", "after", f"{name}={fixed}")

        wheels = [build_as(session, name, breaking, Path(elsewhere))]
        wheels += [str(built(other, "*.whl")) for other in PACKAGES if other != name]
        install = ["python", "-m", "pip", "install", "--dry-run", "--no-index", *wheels]
        # Nothing but the wheels named and what is installed: no settings of this machine.
        alone = {"PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": "", "PIP_CONSTRAINT": ""}
        answer = session.run(*install, success_codes=[1], silent=True, env=alone)
        session.log(answer)
        if f"depends on {name}<{breaking.partition('.')[0]}" not in str(answer):
            session.error(f"{name} {breaking} was not refused for the bounds of the others")


@nox.session
def lint(session: nox.Session) -> None:
    """Check lint rules and format."""
    session.install("ruff==0.17.6")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types of all packages, strictly, and those that users see."""
    pins = pinned(session, f"torch=={TORCH}", f"torchvision=={TORCHVISION}")
    session.install(*editable(), *group("test"), "mypy==2.4.1", "basedpyright==1.40.2", *pins)
    session.run("mypy")
    session.run("pytest", "-q", "tests/test_typing.py")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation site into docs/_build/html; a warning or a dead link is an error."""
    pins = pinned(session, f"torch=={TORCH}", f"torchvision=={TORCHVISION}")
    session.install(*editable(), *group("docs"), *pins)
    session.run("python", "tools/check_links.py")
    site = "docs/_build/html"
    # -E: all pages anew, because a warning is only given when a page is read.
    options = ["-W", "--keep-going", "-q", "-E", "-d", "docs/_build/doctrees"]
    session.run("sphinx-build", *options, *session.posargs, "docs", site, env=TEST_ENV)
    session.run("python", "tools/check_links.py", "--site", site)


@nox.session
def benchmark(session: nox.Session) -> None:
    """Measure speed: about an hour, or under 10 minutes for the main table with `-- --quick`.

    `nox -s benchmark -- --docs` puts numbers and figures into benchmarks/RESULTS.md. `--processor`
    counts processor seconds, for a machine that does other work. Tables and figures are written to
    results/speed, or where `--out` says.
    """
    pins = pinned(session, f"torch=={TORCH}", f"torchvision=={TORCHVISION}")
    session.install(*editable(), *pins)
    quick = "--quick" in session.posargs
    # The heaviest last: what was measured before is written.
    scripts = {"speed": ["--processes"]} if quick else BENCHMARKS
    for script, arguments in scripts.items():
        path = f"benchmarks/{script}.py"
        session.run("python", path, *arguments, *session.posargs, env=TEST_ENV)


@nox.session
def demo(session: nox.Session) -> None:
    """Compare an optimizer with SGD, Momentum, Adam and Muon on two problems; no download.

    `nox -s demo -- AdamW lr=0.03` or `nox -s demo -- my_package.optim:MyOptimizer lr=0.1`.
    """
    session.install(*editable({}))
    mine = session.posargs or ["AdamW", "lr=0.0398107"]
    shared = ["--seeds", "3", "--out", "demo", "--quiet"]
    # The official runs have tuned rates for the first; they made one data order of all epochs.
    tuned = [*mine, "SGD", "Momentum", "Adam", "--problem", "quadratic_deep", "--recipe", "2019"]
    session.run("deepobs", "bench", *tuned, *shared, env=TEST_ENV)
    # Here SGD and Momentum stop far above what Adam and Muon reach.
    plan = ["examples/demo.yaml", "--out", "demo", "--quiet"]
    session.run("deepobs", "bench", *plan, env=TEST_ENV)
    lowrank = ["--problem", "bigram_lowrank"]
    session.run("deepobs", "bench", *mine, *lowrank, *shared, env=TEST_ENV)
    session.run("deepobs", "report", "demo", env=TEST_ENV)


if __name__ == "__main__":
    sys.exit("This file is read by nox: install it with `pip install nox` and run `nox -l`.")
