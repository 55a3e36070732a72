"""Results on disk."""

import json
import math
import os
import pickle
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepobs_runner import RunConfig, RunResult, load_result, load_results, resolve_config, run
from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import write_atomically
from deepobs_runner.results.result import by_setting, reproducible
from deepobs_runner.results.store import migrate, remove_leftovers, save_result


def read_strictly(path):
    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("pause", [0.0, 1000.0])
def test_a_run_writes_its_result_as_it_goes_on(problem, configure, execution, monkeypatch, pause):
    """After every epoch, or after the first and the last where epochs are short."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", pause)
    seen = []

    def look(record):
        (path,) = execution.out.glob("*.json")
        data = read_strictly(path)
        seen.append((data["status"], len(data["records"])))
        steps = np.load(path.with_name(f"{path.stem}.steps.npy"))
        assert len(steps) == (0 if pause else record.steps)

    result = run(configure(), execution, problem=problem, on_record=look)
    assert seen == [("running", 1 if pause else count) for count in (1, 2, 3, 4)]
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
    one, two = ([reproducible(r) for r in result.records] for result in results)
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


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    config = RunConfig(problem="p", optimizer="SGD")
    path = stored(tmp_path)
    kept = {path.name, path.name.replace(".json", ".steps.npy"), ".other-SGD-1.json.x.tmp"}
    (tmp_path / ".other-SGD-1.json.x.tmp").touch()
    for name in (f".{path.name}.abc.tmp", f".{config.id}.steps.npy.def.tmp"):
        (tmp_path / name).touch()
    remove_leftovers(config, tmp_path)
    assert set(os.listdir(tmp_path)) == kept


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
    with pytest.raises(UsageError, match="does not exist"):
        load_results(tmp_path / "nothing")
    with pytest.raises(UsageError, match="does not exist"):
        load_results(str(tmp_path / "nothing"))


def stored(folder, **settings):
    config = RunConfig(problem="p", optimizer="SGD", **settings)
    record = {"epoch": 0, "steps": 0, "metrics": {"test": {"objective": 1.0}}}
    result = RunResult(config=config, status="done", records=(record,))
    return save_result(result, folder, np.zeros(0))


def test_one_bad_file_among_many_is_named_and_left_out(tmp_path):
    good = [stored(tmp_path, seed=seed) for seed in (1, 2)]
    whole = good[0].read_text()
    (tmp_path / "cut.json").write_text(whole[:-20])
    (tmp_path / "rotten.json").write_text(whole.replace('"epoch": 0', '"epoch" 0'))
    (tmp_path / "newer.json").write_text(whole.replace('"schema": 1', '"schema": 99'))
    (tmp_path / "other.json").write_text(whole.replace('"seed"', '"seeds"'))
    (tmp_path / "null.json").write_text(whole[: whole.index('"records"')] + '"records": null}')
    errors = []
    found = load_results(tmp_path, on_error=errors.append)
    assert [result.path for result in found] == good
    said = {Path(str(e).split(": ")[0].split(" is ")[0]).name: str(e) for e in errors}
    assert set(said) == {"cut.json", "rotten.json", "newer.json", "other.json", "null.json"}
    assert "has schema 99; this version reads 1" in said["newer.json"]
    assert "has no field seeds" in said["other.json"]
    assert "Expecting ':'" in said["rotten.json"]


def test_records_are_parsed_when_they_are_looked_at(tmp_path):
    path = stored(tmp_path)
    whole = path.read_text()
    result = load_result(path)
    assert result.records == ({"epoch": 0, "steps": 0, "metrics": {"test": {"objective": 1.0}}},)
    assert len(result.records) == 1
    assert result.records[-1]["epoch"] == 0
    assert [*result.records, *result.records[:1]] == [result.records[0]] * 2
    assert repr(result.records) == repr(tuple(result.records))
    path.write_text(whole.replace('"epoch": 0', '"epoch": "0"'))
    damaged = load_result(path)
    assert damaged.status == "done"
    with pytest.raises(
        UsageError, match=r'damaged .* records\[0\].epoch is "0"; it must be a whole'
    ):
        len(damaged.records)


def test_a_result_goes_to_another_process_before_and_after_its_records_are_looked_at(tmp_path):
    result = load_result(stored(tmp_path))
    before = pickle.dumps(result)
    assert len(result.records) == 1
    assert pickle.loads(before) == pickle.loads(pickle.dumps(result)) == result


@pytest.mark.parametrize("indent", [None, 1])
def test_the_order_of_keys_and_the_layout_do_not_matter(tmp_path, indent):
    path = stored(tmp_path, hyperparams={"records": [1, 2], "note": '"records": ['})
    expected = load_result(path)
    data = json.loads(path.read_text())
    path.write_text(json.dumps(dict(reversed(data.items())), indent=indent))
    assert load_result(path) == expected
    path.write_text(json.dumps(data, indent=indent))
    assert load_result(path) == expected


def test_migration_chains_from_schema_to_schema():
    """There is no older schema yet; this tests the mechanism, with made-up ones."""
    migrations = {
        -1: lambda data: {**data, "records": data["epochs"]},
        0: lambda data: {k: v for k, v in data.items() if k != "epochs"} | {"error": None},
    }
    old = {"schema": -1, "epochs": [1], "status": "done"}
    assert migrate(old, migrations, schema=1) == {
        "schema": 1, "records": [1], "status": "done", "error": None,
    }  # fmt: skip
    assert old == {"schema": -1, "epochs": [1], "status": "done"}
    newest = {"schema": 1, "status": "done"}
    assert migrate(newest, migrations, schema=1) is newest
    with pytest.raises(UsageError, match="has schema -2; this version reads -1, 0, 1"):
        migrate({"schema": -2}, migrations, schema=1)
    with pytest.raises(UsageError, match="has schema 2"):
        migrate({"schema": 2}, migrations, schema=1)


def test_an_older_file_is_read_through_its_migration(tmp_path, monkeypatch):
    """As above: schema 0 is made up."""
    path = stored(tmp_path)
    expected = load_result(path)
    data = json.loads(path.read_text())
    data["schema"], data["state"] = 0, data.pop("status")
    path.write_text(json.dumps(data))
    with pytest.raises(UsageError, match="has schema 0; this version reads 1"):
        load_result(path)
    monkeypatch.setattr(
        "deepobs_runner.results.store.MIGRATIONS", {0: lambda old: {**old, "status": old["state"]}}
    )
    assert load_result(path) == expected


@pytest.mark.slow
def test_ten_thousand_results_load(tmp_path):
    """Measured at 1 s of processor time; what is tested is that all are there."""
    path = stored(tmp_path)
    template = json.loads(path.read_text())
    path.unlink()
    for seed in range(10_000):
        config = RunConfig(problem="p", optimizer="SGD", seed=seed)
        data = {**template, "id": config.id, "config": config.to_json()}
        (tmp_path / f"{seed}.json").write_text(json.dumps(data))
    assert {result.config.seed for result in load_results(tmp_path)} == set(range(10_000))


def test_grouping_by_setting():
    def result(**settings):
        return RunResult(config=RunConfig(problem="p", optimizer="SGD", **settings), status="done")

    groups = by_setting([result(seed=43), result(seed=42), result(seed=42, recipe="2019")])
    assert [[r.config.seed for r in runs] for runs in groups] == [[42, 43], [42]]


def test_a_missing_metric_is_nan():
    config = RunConfig(problem="p", optimizer="SGD")
    result = RunResult(config=config, status="done", records=({"epoch": 0, "metrics": {}},))
    assert np.isnan(result.series("test", "accuracy")).all()


def left_out(folder):
    errors = []
    found = load_results(folder, on_error=errors.append)
    return [result.path for result in found], [str(error) for error in errors]


@pytest.mark.parametrize("name", ["0-before.json", "zz-after.json"])
def test_a_copy_is_no_further_seed(tmp_path, name):
    path = stored(tmp_path)
    copy = tmp_path / name
    copy.write_bytes(path.read_bytes())
    found, errors = left_out(tmp_path)
    assert found == [path]
    (error,) = errors
    assert str(copy) in error
    assert str(path) in error
    with pytest.warns(UserWarning, match="is a copy"):
        assert [result.path for result in load_results(tmp_path)] == [path]


def test_grouping_leaves_copies_out(tmp_path):
    result = load_result(stored(tmp_path))
    with pytest.warns(UserWarning, match="is a copy"):
        (runs,) = by_setting([result, replace(result)])
    assert len(runs) == 1


def test_of_two_copies_the_finished_one_stays(tmp_path):
    path = stored(tmp_path)
    copy = tmp_path / "copy.json"
    copy.write_bytes(path.read_bytes())
    path.write_text(path.read_text().replace('"done"', '"running"'))  # it is made again
    assert left_out(tmp_path)[0] == [copy]


def test_results_of_two_origins_are_two_settings():
    config = RunConfig(problem="p", optimizer="SGD")
    results = [
        RunResult(config=config, status="done", environment={"source": source})
        for source in ("one", "two")
    ]
    assert [len(runs) for runs in by_setting(results)] == [1, 1]


def test_an_id_that_is_not_that_of_the_configuration(tmp_path):
    path = stored(tmp_path, seed=1)
    data = json.loads(path.read_text())
    data["config"]["seed"] = 2
    path.write_text(json.dumps(data))
    found, (error,) = left_out(tmp_path)
    assert not found
    assert str(path) in error
    assert data["id"] in error


def test_a_migration_may_change_the_id(tmp_path, monkeypatch):
    path = stored(tmp_path)
    data = json.loads(path.read_text())
    data["schema"], data["config"]["epochs"] = 0, "1"

    def change(old):
        return {**old, "config": {**old["config"], "epochs": int(old["config"]["epochs"])}}

    path.write_text(json.dumps(data))
    monkeypatch.setattr("deepobs_runner.results.store.MIGRATIONS", {0: change})
    assert load_result(path).config.epochs == 1


def test_names_of_files_that_are_not_utf_8_are_read(tmp_path):
    path = stored(tmp_path, hyperparams={"file": "caf\udce9"})
    assert load_result(path).config.hyperparams == {"file": "caf\udce9"}


@pytest.mark.parametrize("reversed_keys", [False, True])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"records": [{}]}, "records[0].epoch"),
        ({"records": [None]}, "records[0]"),
        ({"records": {"a": 1}}, "records"),
        ({"records": "ab"}, "records"),
        ({"records": [{"epoch": True, "metrics": {}}]}, "records[0].epoch"),
        ({"records": [{"epoch": -1, "metrics": {}}]}, "records[0].epoch"),
        ({"records": [{"epoch": 0}]}, "records[0].metrics"),
        ({"records": [{"epoch": 0, "steps": "1", "metrics": {}}]}, "records[0].steps"),
        (
            {"records": [{"epoch": 0, "steps_per_epoch": "7", "metrics": {}}]},
            "records[0].steps_per_epoch",
        ),
        ({"records": [{"epoch": 0, "metrics": {"test": 3}}]}, "records[0].metrics.test"),
        (
            {"records": [{"epoch": 0, "metrics": {"test": {"loss": "x"}}}]},
            "records[0].metrics.test.loss",
        ),
        (
            {"records": [{"epoch": 0, "metrics": {"a": {"x": 1, "y": True}}}]},
            "records[0].metrics.a.y",
        ),
        (
            {"records": [{"epoch": 0, "metrics": {}, "clocks": {"data": "1"}}]},
            "records[0].clocks.data",
        ),
        ({"config.seed": "x"}, "config.seed"),
        ({"config.hyperparams": 3}, "config.hyperparams"),
        ({"config.problem": None}, "config.problem"),
        ({"config.schedule": []}, "config.schedule"),
        ({"config.fingerprint": 1}, "config.fingerprint"),
        ({"config": None}, "config"),
        ({"environment": None}, "environment"),
        ({"status": "weird"}, "status"),
        ({"status": []}, "status"),
        ({"error": 3}, "error"),
        ({"id": None}, "id"),
        ({"schema": True}, "schema"),
        ({"schema": 1.0}, "schema"),
        ({"schema": "1"}, "schema"),
    ],
)
def test_odd_files_are_left_out_with_the_field_that_is_odd(tmp_path, changes, field, reversed_keys):
    good = stored(tmp_path, seed=7)
    path = stored(tmp_path)
    data = json.loads(path.read_text())
    for name, value in changes.items():
        holder, _, key = name.rpartition(".")
        (data[holder] if holder else data)[key] = value
    if reversed_keys:
        data = dict(reversed(data.items()))
    path.write_text(json.dumps(data))
    found, (error,) = left_out(tmp_path)
    assert found == [good]
    assert str(path) in error
    assert re.search(rf"The field {re.escape(field)} is (missing\.|.+; it must be )", error)


def test_a_file_nested_without_end_is_left_out(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000)
    assert load_results(tmp_path, on_error=lambda error: None) == []
