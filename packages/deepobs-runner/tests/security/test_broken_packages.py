"""Installed packages that cannot be imported: each costs its own entry, and nothing else."""

import pytest
from runner_builders import SPLITS, run_of

from deepobs_runner import RunConfig, resolve_config
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import EXECUTORS
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.optimizers import find_optimizer
from deepobs_runner.report.tables import TABLES
from deepobs_runner.results.store import save_result
from deepobs_runner.trackers import TRACKERS
from deepobs_runner.tuning.samplers import SAMPLERS

BROKEN = {
    "syntax": "def broken(:\n",
    "exits": "raise SystemExit",
    "exits well": "import sys\nsys.exit(0)",
    "lacks a module": "import a_module_that_is_missing",
    "divides": "1 / 0",
    "recursion": "def f(): f()\nf()",
    "own": "class Odd(BaseException): pass\nraise Odd",
    "null bytes": "\x00",
    "empty": "",
    "escapes": "raise ValueError('\\x1b[2J')",
    "memory": "raise MemoryError",
}
KINDS = {
    "tracker": TRACKERS, "executor": EXECUTORS, "sampler": SAMPLERS, "table": TABLES,
    "figure": FIGURES,
}  # fmt: skip


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs a package with a module of this code."""

    def add(code, *groups, name="broken", value=None):
        place = tmp_path / "site"
        info = place / "broken_package-1.0.dist-info"
        info.mkdir(parents=True)
        module = f"broken_module_{abs(hash(code))}"
        (place / f"{module}.py").write_bytes(code.encode())
        (info / "METADATA").write_text("Name: broken-package\nVersion: 1.0\n")
        lines = (f"[deepobs.{group}]\n{name} = {value or f'{module}:it'}\n" for group in groups)
        (info / "entry_points.txt").write_text("".join(lines))
        monkeypatch.syspath_prepend(place)

    return add


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_problem_costs_its_own_row(install, capsys, case):
    install(BROKEN[case], "problems")
    assert main(["list"]) == 0
    printed = capsys.readouterr()
    assert "skipped the installed problem 'broken'" in printed.err
    assert "\x1b" not in printed.err
    assert "fmnist_2c2d" in printed.out


@pytest.mark.parametrize("case", BROKEN)
def test_a_result_that_names_a_broken_problem_is_reported(install, tmp_path, capsys, case):
    name = f"broken_{case.replace(' ', '_')}"  # defaults of a problem are looked up once
    install(BROKEN[case], "problems", name=name)
    save_result(run_of(splits=SPLITS, per_epoch=1, problem=name), tmp_path)
    assert main(["table", str(tmp_path), "settings", "--no-baselines", "--json"]) == 0
    assert f'"problem": "{name}"' in capsys.readouterr().out


@pytest.mark.parametrize("name", ["fmnist_2c2d", "two_d_branin"])
def test_a_problem_that_takes_a_name_costs_that_name(install, capsys, name):
    install("", "problems", name=name)
    assert main(["list"]) == 0
    assert f"Two problems are called {name!r}" in capsys.readouterr().err
    other = "two_d_rosenbrock"
    assert main(["run", other, "SGD", "lr=0.001", "--epochs", "1", "--dry-run"]) == 0
    assert main(["run", name, "SGD", "lr=0.001", "--epochs", "1", "--dry-run"]) == 2


@pytest.mark.parametrize("value", ["no module", "os:no.such.name", "os", ":it", "os:getcwd"])
def test_an_odd_entry_point_costs_its_own_row(install, capsys, value):
    install("", "problems", value=value)
    assert main(["list"]) == 0
    assert "fmnist_2c2d" in capsys.readouterr().out


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_optimizer_is_an_error_where_it_is_named(install, case):
    install(BROKEN[case], "optimizers")
    with pytest.raises(UsageError, match="cannot be imported"):
        find_optimizer("broken")
    with pytest.raises(UsageError, match="offers 'broken'"):
        resolve_config(RunConfig(problem="two_d_branin", optimizer="broken"))
    find_optimizer("Adam")


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_extension_is_skipped(install, kind, case):
    install(BROKEN[case], f"{kind}s")
    extensions = KINDS[kind]
    with pytest.raises(UsageError, match="cannot be imported"):
        extensions.load("broken")
    with pytest.warns(UserWarning, match="skipped"):
        found = extensions.all()
    assert list(found) == [name for name in extensions.names() if name != "broken"]


@pytest.mark.parametrize("kind", ["table", "figure"])
def test_a_report_comes_without_a_broken_extension(install, tmp_path, kind):
    install("raise SystemExit(3)", f"{kind}s")
    folder = tmp_path / "results"
    folder.mkdir()
    save_result(run_of(splits=SPLITS, per_epoch=1), folder)
    words = ["report", str(folder), "--no-baselines", "--formats", "html,csv"]
    with pytest.warns(UserWarning, match="broken"):
        assert main(words) == 0
    assert (folder / "report" / "report.html").exists()


def test_a_script_that_exits_is_an_error(tmp_path, capsys):
    (tmp_path / "mine.py").write_text("import sys\nsys.exit(0)\n")
    assert main(["run", "two_d_branin", f"{tmp_path / 'mine.py'}:Mine", "lr=1"]) == 2
    assert "ends the program when it is imported" in capsys.readouterr().err
