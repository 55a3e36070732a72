"""Settings: which runs are of one problem, one optimizer, one setting."""

import json

import pytest
from runner_builders import run_of

from deepobs_runner.analysis import candidates, first_epochs
from deepobs_runner.cli import main
from deepobs_runner.comparison import judge, target_of
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.tables import TABLES
from deepobs_runner.results.baselines import (
    all_results,
    baseline_results,
    pack_baselines,
    problems_of,
    read_set,
)
from deepobs_runner.results.settings import settings_of
from deepobs_runner.results.store import save_result
from deepobs_runner.schedules import Cosine, parse_schedule


def made(problem="x.py:p", optimizer="o.py:Mine", seed=42, *, content="p1-o1", end=1.0, **given):
    """Return a run of a problem and an optimizer from files."""
    names = {"problem": problem, "optimizer": optimizer, "fingerprint": content}
    return run_of((3.0, end), seed, epochs=1, **names, **given)


SAME = [
    ("x.py:p", "./x.py:p"),
    ("x.py:p", "there/x.py:p"),
    ("a/x.py:p", "/home/b/x.py:p"),
    ("a/x.py:p", r"C:\b\x.py:p"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_file_under_two_paths_is_one_problem(one, other):
    runs = [made(one, seed=1), made(other, seed=2)]
    (setting,) = settings_of(runs)
    assert (setting.problem, [run.config.seed for run in setting.runs]) == ("x.py:p", [1, 2])
    assert len(candidates(setting, runs)) == 2
    rivals = [made(path, "Adam", seed, end=2.0) for seed, path in ((1, other), (2, one))]
    for problem in (one, other):
        assert target_of(problem, [*runs, *rivals]).value == 2.0
    (line,) = judge([*runs, *rivals], "Mine", "Adam").problems
    assert (line.problem, line.times.seeds, line.pairs) == ("x.py:p", (1, 2), 2)
    _, (reading,) = first_epochs(runs, 9)
    assert (reading.problem, len(reading.runs)) == ("x.py:p", 2)


@pytest.mark.parametrize(("one", "other"), SAME)
def test_a_file_under_two_paths_is_one_optimizer(one, other):
    runs = [made(optimizer=one, seed=1), made(optimizer=other, seed=2)]
    (setting,) = settings_of(runs)
    assert (setting.optimizer, setting.label) == ("p", "p lr=0.1 epochs=1")
    assert (len(setting.runs), setting.tried) == (2, 1)
    tuned = [made(optimizer=other, seed=1, precision="fp64"), *runs]
    assert {s.optimizer for s in settings_of(tuned)} == {"p (default precision)", "p (fp64)"}


def test_an_optimizer_in_the_default_precision_of_each_problem_is_one():
    """`poisson_pinn` is trained in fp64, others in fp32."""
    default = {"bigram_zipf": "fp32", "poisson_pinn": "fp64"}
    runs = [made(name, "Adam", precision=precision) for name, precision in default.items()]
    assert {s.optimizer for s in settings_of(runs)} == {"Adam"}
    other = made("poisson_pinn", "Adam", precision="fp32")
    found = [s.optimizer for s in settings_of([*runs, other])]
    assert found == [*["Adam (default precision)"] * 2, "Adam (fp32)"]


def test_schedules_written_in_two_ways_are_one_setting():
    written = [Cosine(), parse_schedule("cosine"), parse_schedule("cosine:final=0")]
    runs = [made(seed=seed, schedule=schedule) for seed, schedule in enumerate(written)]
    (setting,) = settings_of(runs)
    assert len(setting.runs) == 3
    other = made(seed=9, schedule=parse_schedule("cosine:final=0.1"))
    assert len(settings_of([*runs, other])) == 2


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (("a/x.py:p", "b/x.py:p"), {"a/x.py:p", "b/x.py:p"}),
        (("x.py:p", "x.py:p"), {"x.py:p #1234", "x.py:p #5678"}),
    ],
)
def test_two_files_of_one_name_stay_two(paths, names):
    contents = ("12345678", "56781234")
    runs = [made(path, content=f"{c}-o") for path, c in zip(paths, contents, strict=True)]
    assert {setting.problem for setting in settings_of(runs)} == names
    assert set(gather_data(runs).problems) == names
    assert {row["problem"] for row in TABLES.load("final")(gather_data(runs)).rows} == names
    runs = [made(optimizer=path, content=f"p-{c}") for path, c in zip(paths, contents, strict=True)]
    assert {setting.optimizer for setting in settings_of(runs)} == names
    assert all(setting.tried == 1 for setting in settings_of(runs))


@pytest.mark.parametrize("optimizer", ["SGD", "package.module:Mine"])
def test_what_is_imported_by_name_is_one_whatever_its_version(optimizer):
    """Official results have no fingerprint, and a release may change that of a problem."""
    runs = [
        made("quadratic_deep", optimizer, seed, content=content)
        for seed, content in ((1, None), (2, "p1"), (3, "p2-o1"), (4, "p2-o2"))
    ]
    assert {(s.problem, s.optimizer) for s in settings_of(runs)} == {
        ("quadratic_deep", optimizer.rpartition(":")[2])
    }


@pytest.fixture
def two_machines(tmp_path):
    """Return a folder of results of one problem, made on two machines."""
    folder = tmp_path / "results"
    folder.mkdir()
    for seed, path in ((1, "/home/a/x.py:p"), (2, "work/x.py:p")):
        save_result(made(path, "SGD", seed), folder, [])
        save_result(made(path, "Adam", seed, end=2.0), folder, [])
    return folder


def test_the_command_line_takes_any_path_of_the_file(two_machines, capsys):
    for problem in ("x.py:p", "elsewhere/x.py:p"):
        words = ["table", str(two_machines), "final", "--format", "json", "--problem", problem]
        assert main([*words, "--no-baselines"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [(row["problem"], row["seeds"]) for row in rows] == [("x.py:p", 2)] * 2
    assert main([*words[:-1], "y.py:p"]) == 2
    assert "Problems: x.py:p." in capsys.readouterr().err


def test_baseline_sets_of_two_machines(two_machines, tmp_path):
    plain = read_set(two_machines)
    given = {"name": "lab", "title": "A lab", "licence": "CC0"}
    packed = read_set(pack_baselines(all_results(plain), tmp_path / "packed", **given))
    for found in (plain, packed):
        assert problems_of(found) == ["x.py:p"]
        assert len(baseline_results(found, "elsewhere/x.py:p")) == 4
    data = gather_data([made("mine/x.py:p", seed=3)], all_results(packed))
    assert list(data.problems) == ["x.py:p"]
    assert len(data.verdicts) == 2
