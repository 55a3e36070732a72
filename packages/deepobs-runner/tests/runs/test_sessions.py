"""Runs that are resumed in another environment record every session."""

import json
from dataclasses import replace

import pytest

from deepobs_runner import RunConfig, load_result, run
from deepobs_runner.cli import main
from deepobs_runner.results.result import result_path
from deepobs_runner.results.sessions import environments_of, resumed_environment, session_changes
from deepobs_runner.runs.resolve import resolve_config

OLD, NEW = {"torch": "2.6.0"}, {"torch": "2.15.0"}
A, B = {"packages": OLD, "threads": 1}, {"packages": NEW, "threads": 4}
C = {**B, "threads": 8}
SEQUENCES = {
    "equal": ([(0, A), (2, A), (3, A)], None),
    "another": ([(0, A), (2, B)], [(0, A), (2, B)]),
    "back again": ([(0, A), (2, B), (4, A)], [(0, A), (2, B), (4, A)]),
    "equal after another": ([(0, A), (2, B), (4, B)], [(0, A), (2, B)]),
    "nothing was kept of the second": ([(0, A), (2, B), (2, A)], None),
    "nothing was kept of the second of three": ([(0, A), (2, B), (2, C)], [(0, A), (2, C)]),
    "from the untrained network": ([(0, A), (0, B)], [(0, A), (0, B)]),
}


@pytest.mark.parametrize(("begun", "expected"), SEQUENCES.values(), ids=SEQUENCES)
def test_sessions_are_listed_where_they_differ(begun, expected):
    environment = begun[0][1]
    for epoch, now in begun[1:]:
        environment = json.loads(json.dumps(resumed_environment(environment, now, epoch)))
    last = begun[-1][1]
    assert {name: environment[name] for name in last} == last
    sessions = environment.get("sessions")
    assert sessions == (expected and [{"epoch": e, **each} for e, each in expected])


HOSTILE = (None, 3, "text", [], [1], [{}], [{"epoch": "1"}], {"epoch": 0}, [{"epoch": 0}] * 2)


@pytest.mark.parametrize("sessions", HOSTILE, ids=str)
def test_anything_in_place_of_sessions_is_read(tmp_path, sessions, execution):
    config = RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=1)
    path = run(config, execution).path
    content = json.loads(path.read_text())
    content["environment"]["sessions"] = sessions
    path.write_text(json.dumps(content))
    assert environments_of(load_result(path))
    assert session_changes(load_result(path)) == []
    assert main(["table", str(execution.out), "environment", "--no-baselines"]) == 0


@pytest.fixture
def cut_short(execution):
    """Return an interrupted run of 4 epochs that claims to be of other versions and machines."""
    config = resolve_config(
        RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=4)
    )

    def interrupt(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, execution, on_record=interrupt)
    path = result_path(config, execution.out)
    content = json.loads(path.read_text())
    content["environment"]["packages"]["torch"] = "2.6.0"
    content["environment"]["processor"] = "Another CPU"
    content["environment"]["threads"] = 99
    path.write_text(json.dumps(content))
    return config


def test_a_report_names_what_changed(cut_short, execution, capsys):
    resumed = run(cut_short, replace(execution, resume=True))
    torch = resumed.environment["packages"]["torch"]
    assert [each["epoch"] for each in resumed.environment["sessions"]] == [0, 2]
    assert {each["packages"]["torch"] for each in environments_of(resumed)} == {"2.6.0", torch}
    capsys.readouterr()
    out = execution.out / "report"
    assert main(["report", str(execution.out), "--no-baselines"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 1 runs of SGD lr=0.01 epochs=4 continued in another environment" in said
    assert f"torch 2.6.0, {torch} from epoch 3" in said
    assert "processor Another CPU," in said
    assert "threads 99, " in said
    table = (out / "tables" / "environment.csv").read_text()
    assert "Another CPU" in table
    assert f"torch {torch}" in table
    methods = (out / "methods.txt").read_text()
    assert "2.6.0" in methods
    assert torch in methods


def test_the_same_environment_is_recorded_once(execution):
    config = RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=4)

    def interrupt(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, execution, on_record=interrupt)
    assert "sessions" not in run(config, replace(execution, resume=True)).environment
