"""Tests across releases of torch; `nox -l` lists them."""

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"

# A pair where the Python is missing fails instead of being skipped.
nox.options.error_on_missing_interpreters = True

# In a clone of DeepOBS, the package beside this project. Elsewhere the dependency in pyproject.toml
# brings it, from git or from a folder of wheels: README.md.
CLONE = Path(__file__).resolve().parent / ".." / ".." / "packages" / "deepobs-models"
MODELS = [str(CLONE)] if CLONE.is_dir() else []

# All of these have wheels for Python 3.12. A list here is a promise; the workflow repeats it.
TORCH = ["2.6.0", "2.8.0", "2.10.0", "2.15.0"]


@nox.session
@nox.parametrize("torch", [nox.param(version, id=f"torch-{version}") for version in TORCH])
def tests(session: nox.Session, torch: str) -> None:
    """Run the tests on one release of torch."""
    session.install(".", *MODELS, "pytest", f"torch=={torch}")
    session.run("pytest", *session.posargs)


@nox.session
def newest(session: nox.Session) -> None:
    """Run the tests on the newest torch and deepobs-models, before users do."""
    session.install("--upgrade", ".", *MODELS, "pytest")
    session.run("pytest", *session.posargs)
