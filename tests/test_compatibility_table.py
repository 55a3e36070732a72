"""The table of Python and torch says what the reports of the matrix say."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    path = ROOT / "tools" / "compatibility_table.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.PACKAGES_FOLDER = tmp_path_factory.mktemp("packages")
    for name in ["deepobs-data/tests/test_x.py", "deepobs-runner/tests/test_y.py"]:
        path = module.PACKAGES_FOLDER / name
        path.parent.mkdir(parents=True)
        path.touch()
    return module


def write_report(path, day, *outcomes):
    """Write a JUnit report with tests a, b, c, ... of deepobs-data and one of deepobs-runner."""
    inner = {"passed": "", "failed": "<failure/>", "error": "<error/>", "skipped": "<skipped/>"}
    cases = [
        f'<testcase classname="packages.deepobs-data.tests.test_x" name="{name}">'
        f"{inner[outcome]}</testcase>"
        for name, outcome in zip("abcdefg", outcomes, strict=False)
    ]
    cases.append('<testcase classname="packages.deepobs-runner.tests.test_y" name="a"/>')
    suite = f'<testsuite timestamp="{day}T10:00:00+00:00">{"".join(cases)}</testsuite>'
    path.write_text(f"<testsuites>{suite}</testsuites>")
    return path


def rows_of(page):
    return [line for line in page.splitlines() if line.startswith("| 3.")]


def test_a_row_for_every_pair_oldest_first(tool, tmp_path):
    outcomes = ["passed", "passed", "failed", "error", "skipped"]
    new = write_report(tmp_path / "py3.12-torch2.10.0.xml", "2026-11-25", "passed")
    older = write_report(tmp_path / "py3.12-torch2.8.0.xml", "2026-11-24", *outcomes)
    assert rows_of(tool.render([new, older])) == [
        "| 3.12 | 2.8.0 | **2 failed**, 2 (1) | – | – | 1 (0) | 2026-11-24 |",
        "| 3.12 | 2.10.0 | 1 (0) | – | – | 1 (0) | 2026-11-25 |",
    ]


def test_of_a_test_that_was_run_again_the_later_outcome_counts(tool, tmp_path):
    first = write_report(tmp_path / "py3.11-torch2.6.0.xml", "2026-11-24", "failed", "passed")
    again = write_report(tmp_path / "py3.11-torch2.6.0-again.xml", "2026-11-25", "passed")
    expected = "| 3.11 | 2.6.0 | 2 (0) | – | – | 1 (0) | 2026-11-25, 2 tests again |"
    assert rows_of(tool.render([again, first])) == [expected]


def test_rows_are_sorted_by_torch(tool, tmp_path):
    names = ["py3.11-torch2.10.0.xml", "py3.13-torch2.8.0.xml", "py3.11-torch2.8.0.xml"]
    paths = [write_report(tmp_path / name, "2026-11-24", "passed") for name in names]
    starts = [row.split(" | 1 (0)")[0] for row in rows_of(tool.render(paths))]
    assert starts == ["| 3.11 | 2.8.0", "| 3.13 | 2.8.0", "| 3.11 | 2.10.0"]


def test_the_lowest_versions_have_a_row_of_their_own(tool, tmp_path):
    names = [f"py3.11-torch2.6.0{end}.xml" for end in ("", "-lowest", "-lowest-again")]
    paths = [write_report(tmp_path / name, "2026-11-24", "passed") for name in names]
    assert rows_of(tool.render(paths)) == [
        "| 3.11 | 2.6.0 | 1 (0) | – | – | 1 (0) | 2026-11-24 |",
        "| 3.11 | 2.6.0, lowest versions | 1 (0) | – | – | 1 (0) | 2026-11-24, 2 tests again |",
    ]


def test_files_are_named_where_not_all_were_run(tool, tmp_path, monkeypatch):
    for name in ["test_x.py", "cli/test_a.py", "cli/test_b.py", "runs/test_c.py", "runs/test_d.py"]:
        path = tmp_path / "deepobs-data" / "tests" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.setattr(tool, "PACKAGES_FOLDER", tmp_path)
    report = write_report(tmp_path / "py3.11-torch2.6.0.xml", "2026-11-24", "passed", "passed")
    start = "packages.deepobs-data.tests"
    more = "".join(
        f'<testcase classname="{start}.{module}" name="a"/>'
        for module in ("cli.test_a.TestClass", "cli.test_b", "runs.test_c")
    )
    whole = f'<testcase classname="" name="{start}.test_skipped"><skipped/></testcase>'
    report.write_text(report.read_text().replace("</testsuite>", f"{more}{whole}</testsuite>"))
    page = tool.render([report])
    assert "| 5 (1), 4 of 5 files | – | – | 1 (0) |" in page
    named = "* torch 2.6.0 on Python 3.11, `deepobs-data`: `cli/`, `runs/test_c.py`, `test_x.py`"
    assert named in page.splitlines()


def test_a_name_without_a_pair_is_refused(tool, tmp_path):
    path = write_report(tmp_path / "report.xml", "2026-11-24")
    with pytest.raises(SystemExit, match="names no pair"):
        tool.render([path])
    with pytest.raises(SystemExit, match="holds no reports"):
        tool.main(tmp_path / "nothing")


def test_the_matrix_writes_the_names_that_the_tool_reads(tool):
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    assert 'f"py{session.python}-torch{torch}"' in noxfile
    pairs = re.findall(r'nox.param\("([\d.]+)", "([\d.]+)"', noxfile)
    assert len(pairs) >= 4
    for python, torch in pairs:
        found = tool.pair_of(Path(f"py{python}-torch{torch}.xml"))
        assert found.versions() == (python, torch)
