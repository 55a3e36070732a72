"""Trackers: what they write, and that none of them can harm a run."""

import csv
import json
import math
import subprocess
import sys
import tomllib
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepobs_runner import Execution, RunConfig, load_result, run
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.local import run_all
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.resolve import resolve_config
from deepobs_runner.trackers import TRACKERS, TrackerWarning, check_trackers
from deepobs_runner.trackers.tracking import scalars

QUICK = RunConfig(
    problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=3, data="synthetic"
)


def execute(out, *track, **settings):
    return Execution(device="cpu", out=out, track=track, **settings)


def read_csv(result):
    path = result.path.parent / "tracking" / "csv" / f"{result.config.id}.csv"
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_lines(result):
    path = result.path.parent / "tracking" / "jsonl" / f"{result.config.id}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def interrupt_after(epoch):
    def on_record(record):
        if record.epoch == epoch:
            raise KeyboardInterrupt

    return on_record


def test_csv_and_jsonl_hold_what_the_result_holds(tmp_path):
    result = run(QUICK, execute(tmp_path, "csv", "jsonl"))
    rows, lines = read_csv(result), read_lines(result)
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3"]
    assert {row["run"] for row in rows} == {result.config.id}
    written = [float(row["test/objective"]) for row in rows]
    assert written == result.series("test", "objective").tolist()
    assert rows[0]["telemetry/gradient_norm"] == ""  # nothing was trained yet
    assert float(rows[3]["telemetry/gradient_norm"]) > 0
    for line, record in zip(lines, result.records, strict=True):
        # What storing took is known later.
        assert reproducible({key: line[key] for key in record}) == reproducible(record)
    steps = [value for line in lines for value in line["step_objectives"]]
    np.testing.assert_array_equal(np.float32(steps), result.step_objectives())


def test_a_resumed_run_has_every_row_once(tmp_path):
    whole = run(QUICK, execute(tmp_path / "whole", "csv", "jsonl"))
    execution = execute(tmp_path / "cut", "csv", "jsonl", checkpoint_epochs=1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, execution, on_record=interrupt_after(2))
    lines = tmp_path / "cut" / "tracking" / "jsonl" / f"{whole.config.id}.jsonl"
    with lines.open("a") as file:
        file.write('{"epoch": 3, "half a li')  # what a kill leaves
    resumed = run(QUICK, execution)
    assert [row["epoch"] for row in read_csv(resumed)] == ["0", "1", "2", "3"]
    without_clocks = [
        [reproducible(line) for line in read_lines(result)] for result in (whole, resumed)
    ]
    assert without_clocks[0] == without_clocks[1]


def test_a_repeated_run_replaces_its_rows(tmp_path):
    run(QUICK, execute(tmp_path, "csv", "jsonl"))
    result = run(QUICK, execute(tmp_path, "csv", "jsonl"), force=True)
    assert len(read_csv(result)) == len(read_lines(result)) == 4


def test_numbers_that_are_not_finite_are_empty(tmp_path):
    config = RunConfig(
        problem="two_d_rosenbrock", optimizer="SGD", hyperparams={"lr": 10.0}, epochs=3
    )
    result = run(config, execute(tmp_path, "csv", "jsonl"))
    assert result.status == "diverged"
    assert read_csv(result)[-1]["train_eval/objective"] == ""
    assert read_lines(result)[-1]["metrics"]["train_eval"]["objective"] is None
    assert not any(
        math.isnan(value) for record in result.records for value in scalars(record).values()
    )


USERS = '''
import sys

class Notes:
    """Writes down what it is told."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.file = (folder / "notes.txt").open("a")

    def start(self, result):
        print("start", result.config.seed, len(result.records), file=self.file)

    def record(self, record, step_objectives):
        print("record", record["epoch"], len(step_objectives), file=self.file)

    def end(self, status):
        print("end", status, file=self.file, flush=True)

class Broken(Notes):
    def record(self, record, step_objectives):
        if record["epoch"] == 1:
            raise ConnectionError("the line is dead")
        super().record(record, step_objectives)

class Leaving(Notes):
    def start(self, result):
        sys.exit("no licence")

class Stubborn(Notes):
    def end(self, status):
        raise ValueError("never")

number = 3
'''


@pytest.fixture
def users(tmp_path):
    """Return a file of a user's trackers."""
    path = tmp_path / "trackers.py"
    path.write_text(USERS)
    return path


def notes(out, name):
    return (out / "tracking" / name / "notes.txt").read_text().splitlines()


def test_a_users_tracker_is_told_of_everything(tmp_path, users):
    name = f"{users}:Notes"
    execution = execute(tmp_path / "out", name, checkpoint_epochs=1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, execution, on_record=interrupt_after(1))
    assert notes(tmp_path / "out", "Notes") == [
        "start 42 0", "record 0 0", "record 1 4", "end running"
    ]  # fmt: skip
    run(QUICK, execution)
    assert notes(tmp_path / "out", "Notes")[4:] == [
        "start 42 2", "record 0 0", "record 1 4", "record 2 4", "record 3 4", "end done"
    ]  # fmt: skip


def test_a_tracker_that_raises_is_dropped_and_the_run_goes_on(tmp_path, users):
    names = [f"{users}:{name}" for name in ("Broken", "Leaving", "Stubborn")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(QUICK, execute(tmp_path / "out", *names, "csv"))
    said = [str(w.message) for w in caught if w.category is TrackerWarning]
    assert len(said) == 3  # each once
    assert "Leaving failed and is dropped: SystemExit: no licence." in said[0]
    assert "Broken failed and is dropped: ConnectionError: the line is dead." in said[1]
    assert "Stubborn failed and is dropped: ValueError: never." in said[2]
    assert result.status == "done"
    alone = run(QUICK, execute(tmp_path / "alone"))
    np.testing.assert_array_equal(result.step_objectives(), alone.step_objectives())
    assert len(read_csv(result)) == 4
    assert notes(tmp_path / "out", "Broken") == ["start 42 0", "record 0 0"]


def test_a_failed_run_is_said_to_the_trackers(tmp_path, users):
    def fail(record):
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        run(QUICK, execute(tmp_path / "out", f"{users}:Notes"), on_record=fail)
    assert notes(tmp_path / "out", "Notes")[-1] == "end failed"


def test_a_run_that_cannot_begin_starts_no_tracker(tmp_path, users):
    config = RunConfig(
        problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, batch_size=10**6
    )
    with pytest.raises(UsageError, match="batch"):
        run(config, execute(tmp_path / "out", f"{users}:Notes"))
    assert not (tmp_path / "out" / "tracking").exists()


def test_unknown_trackers_are_refused_before_anything_is_trained(tmp_path, users, monkeypatch):
    with pytest.raises(UsageError, match="Did you mean 'tensorboard'"):
        run(QUICK, execute(tmp_path / "out", "tensorbord"))
    with pytest.raises(UsageError, match=r"has no 'Note'\. Did you mean 'Notes'"):
        check_trackers([f"{users}:Note"])
    with pytest.raises(UsageError, match="not a valid tracker: it is of type int"):
        check_trackers([f"{users}:number"])
    with pytest.raises(UsageError, match="it must be a tuple"):
        Execution(track="csv")
    monkeypatch.setattr("deepobs_runner.extensions.is_installed", lambda package: False)
    for name in ("tensorboard", "wandb"):
        with pytest.raises(UsageError, match=rf"pip install \"deepobs-runner\[{name}\]\""):
            TRACKERS.find(name)
    check_trackers(["csv", "jsonl"])
    assert not list(tmp_path.rglob("*.json"))


def test_the_extras_are_declared():
    path = Path(__file__).parents[2] / "pyproject.toml"
    extras = tomllib.loads(path.read_text())["project"]["optional-dependencies"]
    needed = [getattr(TRACKERS.load(name), "requires", None) for name in TRACKERS.built_in()]
    assert {requirement.extra for requirement in needed if requirement} <= set(extras)


@pytest.mark.slow
def test_workers_track_too(tmp_path, users):
    configs = [resolve_config(replace(QUICK, seed=seed)) for seed in (1, 2)]
    outcomes = run_all(configs, execute(tmp_path / "out", "csv", f"{users}:Broken"), jobs=2)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    for config in configs:
        assert len(read_csv(load_result(tmp_path / "out" / f"{config.id}.json"))) == 4


@pytest.mark.slow
def test_tensorboard_reads_the_event_file(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    execution = execute(tmp_path, "tensorboard", checkpoint_epochs=1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, execution, on_record=interrupt_after(2))
    result = run(QUICK, execution)
    events = EventAccumulator(
        str(tmp_path / "tracking" / "tensorboard" / result.config.id),
        size_guidance={"scalars": 0},
    )
    events.Reload()
    tested = events.Scalars("test/objective")
    assert [event.step for event in tested] == [record["steps"] for record in result.records]
    np.testing.assert_allclose(
        [event.value for event in tested], result.series("test", "objective"), rtol=1e-6
    )
    stepped = events.Scalars("step_objective")
    objectives = result.step_objectives()
    assert [event.step for event in stepped] == list(range(1, len(objectives) + 1))
    np.testing.assert_array_equal(np.float32([event.value for event in stepped]), objectives)
    (text,) = events.Tensors("configuration/text_summary")
    assert b'"two_d_branin"' in text.tensor_proto.string_val[0]


def read_offline(folder):
    """Return the history and the last summary of the only offline run in a folder.

    W&B's own reader reads them.
    """
    (file,) = folder.rglob("*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(file)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    history, summary = [], {}
    for line in printed.stdout.splitlines():
        record = json.loads(line)
        if record["type"] == "history":
            history.append(record["history"]["item"])
        elif record["type"] == "summary":
            summary |= record["summary"]["update"]
    return history, summary


def check_history(history, result):
    """Compare a history, a row a step, with a result."""
    assert [row["_step"] for row in history] == list(range(result.records[-1]["steps"] + 1))
    tested = [row["test/objective"] for row in history if "test/objective" in row]
    np.testing.assert_allclose(tested, result.series("test", "objective"), rtol=1e-12)
    objectives = [row["step_objective"] for row in history[1:]]
    np.testing.assert_array_equal(np.float32(objectives), result.step_objectives())


@pytest.fixture
def wandb(monkeypatch):
    """Import W&B, which reads the environment when it is first used after a teardown."""
    module = pytest.importorskip("wandb")
    module.teardown()
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    yield module
    module.teardown()


@pytest.mark.slow
def test_wandb_reads_the_offline_run(tmp_path, monkeypatch, wandb):
    monkeypatch.setenv("WANDB_MODE", "offline")
    execution = execute(tmp_path, "wandb", checkpoint_epochs=1, resume=True)
    with pytest.raises(KeyboardInterrupt):
        run(QUICK, execution, on_record=interrupt_after(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = run(QUICK, execution)
    history, summary = read_offline(tmp_path / "tracking" / "wandb")
    check_history(history, result)  # one folder, every row once
    assert summary["status"] == "done"


@pytest.mark.slow
def test_wandb_without_its_server_goes_on_offline(tmp_path, monkeypatch, wandb):
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    with pytest.warns(TrackerWarning, match="does not answer.*wandb sync") as caught:
        result = run(QUICK, execute(tmp_path, "wandb"))
    assert len(caught) == 1
    assert result.status == "done"
    check_history(read_offline(tmp_path / "tracking" / "wandb")[0], result)
