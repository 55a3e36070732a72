"""Results on disk."""

import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from deepobs_runner import RunConfig, RunResult, load_result, load_results, resolve_config, run
from deepobs_runner.errors import UsageError
from deepobs_runner.results import by_setting, save_result, write_atomically


def read_strictly(path):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_run_writes_its_result_after_every_epoch(problem, configure, execution):
    seen = []

    def look(record):
        (path,) = execution.out.glob("*.json")
        data = read_strictly(path)
        seen.append((data["status"], len(data["records"])))
        steps = np.load(path.with_name(f"{path.stem}.steps.npy"))
        assert len(steps) == record.steps

    result = run(configure(), execution, problem=problem, on_record=look)
    assert seen == [("running", 1), ("running", 2), ("running", 3), ("running", 4)]
    assert result.status == "done"
    assert load_result(result.path) == result
    assert len(result.step_objectives()) == 12


def test_a_finished_run_is_not_repeated(problem, configure, execution):
    first = run(configure(), execution, problem=problem)
    calls = []
    again = run(configure(), execution, problem=problem, on_record=calls.append)
    assert not calls
    assert again.records == first.records
    run(configure(), execution, problem=problem, on_record=calls.append, force=True)
    assert len(calls) == 4


def test_equal_configs_have_equal_records(problem, configure, execution):
    results = [
        run(configure(), replace(execution, out=execution.out / name), problem=problem)
        for name in ("a", "b")
    ]
    one, two = ([{**r, "clocks": None} for r in result.records] for result in results)
    assert one == two
    assert np.array_equal(*(result.step_objectives() for result in results))


def test_a_diverged_run_says_so_and_invents_nothing(problem, configure, execution):
    config = configure(hyperparams={"lr": 1e12}, epochs=20)
    result = run(config, execution, problem=problem)
    data = read_strictly(result.path)
    assert data["status"] == "diverged"
    assert len(data["records"]) < 21
    assert data["records"][-1]["metrics"]["train_eval"]["objective"] is None
    assert math.isnan(result.series("train_eval", "objective")[-1])
    assert run(config, execution, problem=problem) == result


def test_a_failed_run_keeps_its_traceback(problem, configure, execution, monkeypatch):
    (execution.out.parent / "mine_failing.py").write_text(
        "import torch\n"
        "class Failing(torch.optim.SGD):\n"
        "    def step(self, closure):\n"
        "        closure()\n"
        "        raise ArithmeticError('matrix is singular')\n"
    )
    monkeypatch.syspath_prepend(execution.out.parent)
    config = configure("mine_failing:Failing", {"lr": 0.1})
    with pytest.raises(ArithmeticError):
        run(config, execution, problem=problem)
    (path,) = execution.out.glob("*.json")
    result = load_result(path)
    assert result.status == "failed"
    assert "matrix is singular" in result.error
    assert len(result.records) == 1


def test_nothing_is_written_before_the_first_record(problem, configure, execution):
    def missing(root=None, **_):
        raise FileNotFoundError("no such data")

    with pytest.raises(FileNotFoundError):
        run(configure(), execution, problem=replace(problem, data=missing))
    assert not list(execution.out.glob("*.json"))


def test_two_processes_do_not_share_a_run(problem, configure, execution):
    from filelock import FileLock

    config = configure()
    run(configure(seed=43), execution, problem=problem)  # makes the folder of the locks
    lock = FileLock(execution.out / ".locks" / resolve_config(config, problem).id)
    with lock, pytest.raises(UsageError, match="Another process is running"):
        run(config, execution, problem=problem)


def test_results_that_cannot_be_written_are_said_before_training(problem, configure, execution):
    execution.out.parent.mkdir(exist_ok=True)
    execution.out.write_text("a file, not a folder")
    calls = []
    with pytest.raises(UsageError, match="Cannot write results"):
        run(configure(), execution, problem=problem, on_record=calls.append)
    assert not calls


def test_interrupted_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.json"
    path.write_text("old")

    def fail(file):
        file.write(b"half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_step_objectives_beyond_the_last_record_are_not_read(tmp_path):
    """The steps file is written first; killed in between, it is longer than its JSON says."""
    config = RunConfig(problem="p", optimizer="SGD")
    record = {"epoch": 1, "steps": 2, "metrics": {"test": {"loss": 1.0}}}
    result = RunResult(config=config, status="running", records=(record,))
    path = save_result(result, tmp_path, np.arange(5.0))
    assert load_result(path).step_objectives().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a DeepOBS result"),
        ("{}", "not a DeepOBS result"),
        ("[1]", "not a DeepOBS result"),
        ('{"schema": 99}', "has schema 99"),
    ],
)
def test_files_that_are_no_result(tmp_path, text, said):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        load_results(tmp_path)


def test_missing_folder(tmp_path):
    with pytest.raises(UsageError, match="no folder"):
        load_results(tmp_path / "nothing")


def test_grouping_by_setting():
    def result(**settings):
        return RunResult(config=RunConfig(problem="p", optimizer="SGD", **settings), status="done")

    groups = by_setting([result(seed=43), result(seed=42), result(seed=42, recipe="2019")])
    assert [[r.config.seed for r in runs] for runs in groups] == [[42, 43], [42]]


def test_a_missing_metric_is_nan():
    config = RunConfig(problem="p", optimizer="SGD")
    result = RunResult(config=config, status="done", records=({"epoch": 0, "metrics": {}},))
    assert np.isnan(result.series("test", "accuracy")).all()
