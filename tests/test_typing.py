"""Type checkers know every public name: mypy --strict and pyright over the code of users.

`nox -s types` installs the checkers; elsewhere these tests are skipped.
"""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "typing"
MISSPELLED = [
    number
    for number, line in enumerate((FOLDER / "misspelled.py").read_text().splitlines(), 1)
    if line.startswith("from")
]
MYPY = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
PYRIGHT = [sys.executable, "-m", "basedpyright", "--level", "error"]

needs_mypy = pytest.mark.skipif(find_spec("mypy") is None, reason="mypy is not installed")
needs_pyright = pytest.mark.skipif(
    find_spec("basedpyright") is None, reason="basedpyright is not installed"
)


def check(command, *paths, folder):
    answer = subprocess.run(
        [*command, *map(str, paths)], capture_output=True, text=True, cwd=folder, check=False
    )
    return answer.returncode, answer.stdout + answer.stderr


def pyright_folder(tmp_path):
    """A project with pyright's own rules: the fork's are stricter by default."""
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    return tmp_path


@pytest.fixture(params=["mypy", "pyright"])
def checker(request, tmp_path):
    command, name = {"mypy": (MYPY, "mypy"), "pyright": (PYRIGHT, "basedpyright")}[request.param]
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    folder = pyright_folder(tmp_path)
    extra = [f"--cache-dir={tmp_path / 'cache'}"] if name == "mypy" else []
    return lambda *paths: check([*command, *extra], *paths, folder=folder)


def copied(tmp_path, name):
    """Checkers look at files below the folder they are started in."""
    path = tmp_path / name
    path.write_text((FOLDER / name).read_text())
    return path


def test_the_code_of_a_user_has_types(checker, tmp_path):
    code, output = checker(copied(tmp_path, "user_script.py"))
    assert code == 0, output


def test_misspelled_names_are_found(checker, tmp_path):
    code, output = checker(copied(tmp_path, "misspelled.py"))
    found = {int(n) for n in re.findall(r"misspelled\.py:(\d+).*error", output)}
    assert code != 0
    assert found == set(MISSPELLED), output


def examples():
    """The Python examples of the five READMEs; what doctest runs is one file a README."""
    readmes = [ROOT / "README.md", *sorted((ROOT / "packages").glob("*/README.md"))]
    for readme in readmes:
        name = readme.parent.name.replace("-", "_")
        text = readme.read_text(encoding="utf-8")
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        sessions = [block for block in blocks if block.startswith(">>> ")]
        lines = re.findall(r"(?m)^(?:>>>|\.\.\.) ?(.*)$", "".join(sessions))
        if lines:
            yield f"{name}_session", "\n".join(lines) + "\n"
        for number, block in enumerate(blocks):
            if block not in sessions:
                yield f"{name}_{number}", block


@needs_mypy
def test_the_examples_of_the_readmes_have_types(tmp_path):
    for name, block in examples():
        used = re.findall(r"(?m)^(?:import|from) (\w+)", block)
        if not all(map(find_spec, used)):  # lightning and backpack, where they are not installed
            continue
        (tmp_path / f"{name}.py").write_text(block, encoding="utf-8")
    paths = sorted(tmp_path.glob("*.py"))
    assert paths
    # torch and backpack leave some of their own functions without types
    others = ["--allow-untyped-calls", "--disable-error-code=import-untyped"]
    command = [*MYPY, *others, f"--cache-dir={tmp_path / 'cache'}"]
    code, output = check(command, *paths, folder=tmp_path)
    assert code == 0, output
