"""Problems by name, file, module and entry point, and what goes wrong there."""

import hashlib
import os
import sys
import traceback
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from deepobs_problems import CATALOG, ProblemError, UnknownProblemError, load_problem
from deepobs_problems.lookup import ENTRY_POINT_GROUP, installed_problems

SOURCE = """
from functools import partial
from torch import nn
from deepobs_data import quadratic
from deepobs_problems import Problem

mine = Problem(name="mine", data=quadratic, model=partial(nn.Linear, 100, 10))
number = 3
"""


@pytest.fixture
def problem_file(tmp_path):
    path = tmp_path / "my_problem.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def module(problem_file, monkeypatch):
    monkeypatch.syspath_prepend(problem_file.parent)
    yield "my_problem"
    sys.modules.pop("my_problem", None)


def test_names_of_the_catalog_and_objects(toy):
    assert load_problem("quadratic_deep") is CATALOG["quadratic_deep"]
    assert load_problem(toy) is toy


def test_a_file(problem_file):
    problem = load_problem(f"{problem_file}:mine")
    assert problem.name == "mine"
    assert problem.source == hashlib.sha256(SOURCE.encode()).hexdigest()
    assert load_problem(f"{problem_file}:mine") == problem
    problem_file.write_text(SOURCE.replace("100, 10", "100, 5"))
    changed = load_problem(f"{problem_file}:mine")
    assert changed.model().out_features == 5
    assert changed.fingerprint != problem.fingerprint


def test_a_module(module):
    problem = load_problem(f"{module}:mine")
    assert problem.name == "mine"
    assert problem.source == hashlib.sha256(SOURCE.encode()).hexdigest()


def test_an_entry_point(module, monkeypatch, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    assert "from_a_package" not in installed_problems()
    info = site / "late-1.0.dist-info"  # installed while this process runs
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    entry = f"[{ENTRY_POINT_GROUP}]\nfrom_a_package = {module}:mine\n"
    (info / "entry_points.txt").write_text(entry)
    os.utime(site, ns=(0, site.stat().st_mtime_ns + 10**9))  # clocks of files may be coarse
    assert load_problem("from_a_package").name == "mine"
    assert "from_a_package" in installed_problems()
    with pytest.raises(UnknownProblemError, match="Did you mean 'from_a_package'"):
        load_problem("from_a_packag")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("fmnist_2d2c", "fmnist_2c2d"), ("quadratic", "quadratic_deep"), ("FMNIST_LOGREG", None)],
)
def test_an_unknown_name_gets_the_nearest(wrong, right):
    with pytest.raises(UnknownProblemError) as caught:
        load_problem(wrong)
    assert repr(wrong) in str(caught.value)
    assert f'Run "deepobs list" for all {len(CATALOG)}' in str(caught.value)
    if right:
        assert repr(right) in str(caught.value)


def test_one_name_from_two_packages_is_an_error_that_names_both():
    entries = [EntryPoint("p", value, ENTRY_POINT_GROUP) for value in ("a.b:p", "c.d:p")]
    with pytest.raises(ProblemError, match=r"'p'.*a\.b:p.*c\.d:p"):
        installed_problems(entries)


def test_one_name_from_the_catalog_and_a_package_is_an_error_that_names_both():
    entries = [EntryPoint("quadratic_deep", "a.b:p", ENTRY_POINT_GROUP)]
    with pytest.raises(ProblemError, match=r"DeepOBS catalog.*a\.b:p"):
        installed_problems(entries)


def test_one_entry_point_found_twice_is_one():
    # An editable install beside its source tree lists the same distribution twice.
    entries = [EntryPoint("p", "a.b:p", ENTRY_POINT_GROUP)] * 2
    assert list(installed_problems(entries)) == ["p"]


def test_what_does_not_exist_is_named(problem_file, module, tmp_path):
    with pytest.raises(
        ProblemError, match=r"Cannot find the file .*none\.py.*path/to/file\.py:name"
    ):
        load_problem(f"{tmp_path / 'none.py'}:p")
    with pytest.raises(ProblemError, match=r"no 'other'. Problems there: mine"):
        load_problem(f"{problem_file}:other")
    with pytest.raises(ProblemError, match=r"'number'.* is a int, not a .*Problem"):
        load_problem(f"{module}:number")
    with pytest.raises(ProblemError, match=r"not a .*Problem\. The problem comes first"):
        load_problem("torch.optim:SGD")
    with pytest.raises(ProblemError, match=r"Cannot find the module 'nowhere_at_all'.*Install"):
        load_problem("nowhere_at_all.sub:p")


@pytest.mark.parametrize("door", ["file", "module"])
def test_an_error_in_the_users_file_is_shown_whole(door, problem_file, module):
    problem_file.write_text("def build():\n    return 1 / 0\n\nmine = build()\n")
    with pytest.raises(ZeroDivisionError) as caught:
        load_problem(f"{problem_file}:mine" if door == "file" else f"{module}:mine")
    shown = "".join(traceback.format_exception(caught.value))
    assert f'{problem_file}", line 2, in build' in shown
    assert "return 1 / 0" in shown
    if door == "file":
        assert shown.endswith(f"This error comes from {problem_file}, which DeepOBS imported.\n")
    problem_file.write_text(SOURCE)  # nothing half-loaded stays behind
    assert load_problem(f"{problem_file}:mine").name == "mine"


@pytest.mark.parametrize("door", ["file", "module"])
def test_a_missing_import_of_the_users_file_is_not_blamed_on_its_name(door, problem_file, module):
    problem_file.write_text("import a_package_that_is_not_there\n")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        load_problem(f"{problem_file}:mine" if door == "file" else f"{module}:mine")


def test_equal_files_in_two_folders_are_two_modules(tmp_path):
    """Each may read what lies beside it."""
    text = (
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "from deepobs_problems import load_problem\n"
        "l2 = float((Path(__file__).parent / 'l2.txt').read_text())\n"
        "mine = replace(load_problem('fmnist_2c2d'), name='mine', l2=l2)\n"
    )
    for name, l2 in (("a", "1"), ("b", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "prob.py").write_text(text)
        (tmp_path / name / "l2.txt").write_text(l2)
    found = [load_problem(f"{tmp_path / name / 'prob.py'}:mine").l2 for name in ("a", "b")]
    assert found == [1.0, 2.0]


@pytest.mark.parametrize("spec", [None, 3, Path("x.py")])
def test_what_is_no_name(spec):
    with pytest.raises(ProblemError, match="named by text"):
        load_problem(spec)
