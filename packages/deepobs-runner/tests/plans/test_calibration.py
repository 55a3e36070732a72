"""SGD-step times: kept, found again for the same machine alone, and used."""

from dataclasses import replace

import pytest
import torch

from deepobs_runner import Execution, RunConfig, UsageError, run
from deepobs_runner.backend.environment import environment
from deepobs_runner.cli import main
from deepobs_runner.plans.calibration import (
    Calibration,
    calibration_for,
    keep_calibration,
    kept_timings,
    load_calibrations,
    machine_of,
    measure,
    problem_key,
    sgd_step_equivalents,
)
from deepobs_runner.plans.estimate import Timing, cost_kind
from deepobs_runner.runs.resolve import fill_defaults, resolve_config

CPU = Execution(device="cpu")
TIMING = Timing(start=1.0, step=0.002, evaluation=0.5, steps_per_epoch=8)


def configure(optimizer="Adam", **settings):
    settings = {"problem": "two_d_branin", "hyperparams": {"lr": 0.01}, **settings}
    return resolve_config(RunConfig(optimizer=optimizer, **settings))


def here(**changes):
    return machine_of({**environment(torch.device("cpu")), **changes})


def calibration(machine=None, timing=TIMING):
    return Calibration(machine=machine or here(), timings={problem_key(configure()): timing})


def test_measured_times_are_those_of_a_run(tmp_path):
    measured, missing = measure(["two_d_branin"], CPU)
    assert missing == []
    (timing,) = measured.timings.values()
    result = run(configure("SGD", epochs=3), replace(CPU, out=tmp_path))
    found = calibration_for(result.environment, [measured])
    assert found == measured  # the machine of the run is recognised
    steps = sgd_step_equivalents(100 * timing.step, found, result.config)
    assert steps == pytest.approx(100)
    assert timing.steps_per_epoch == result.records[1]["steps"]


def test_seconds_become_sgd_steps():
    assert sgd_step_equivalents(6.0, calibration(), configure()) == pytest.approx(3000)
    assert sgd_step_equivalents(6.0, calibration(), configure(problem="two_d_beale")) is None


def test_an_edited_problem_is_another():
    config = configure()
    edited = replace(config, fingerprint="0" * 16)
    assert sgd_step_equivalents(6.0, calibration(), edited) is None
    # The source of a user's optimizer is in the fingerprint, too; it does not matter here.
    users = replace(config, fingerprint=f"{config.fingerprint}-abc")
    assert sgd_step_equivalents(6.0, calibration(), users) == pytest.approx(3000)


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 64},
        {"processor": "another"},
        {"device": "cuda:0"},
        {"device_name": "another"},
        {"system": "Darwin"},
        {"packages": {"torch": "1.0"}},
        {"compile": True},
        {"deterministic": False},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_machine_has_no_times(changes):
    ours = environment(torch.device("cpu"))
    assert calibration_for(ours, [calibration()]) is not None
    assert calibration_for({**ours, **changes}, [calibration()]) is None


def test_a_result_that_does_not_name_its_machine_has_no_times():
    ours = environment(torch.device("cpu"))
    del ours["processor"]  # as in results of earlier versions
    assert calibration_for(ours, [calibration()]) is None
    assert calibration_for({}, [calibration()]) is None


def test_devices_of_one_kind_share_their_times():
    assert here(device="cuda:0") == here(device="cuda:3")


def test_what_is_kept_is_read_again_and_merged(tmp_path):
    path = tmp_path / "new" / "calibration.json"
    assert load_calibrations(path) == ()
    other = calibration(machine=dict(here(threads=64)))
    beale = Calibration(machine=here(), timings={"two_d_beale x": TIMING})
    for each in (other, calibration(), beale, calibration(timing=replace(TIMING, step=0.004))):
        assert keep_calibration(each, path) == path
    kept = load_calibrations(path)
    assert len(kept) == 2
    assert other in kept
    mine = calibration_for(environment(torch.device("cpu")), kept)
    assert mine.timings["two_d_beale x"] == TIMING
    assert mine.timings[problem_key(configure())].step == 0.004  # the newer time


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}', '{"schema": 1, "calibrations": [3]}'])
def test_a_damaged_file_is_a_sentence_and_stays(tmp_path, text):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a calibration"):
        load_calibrations(path)
    with pytest.raises(UsageError, match="is not a calibration"):
        keep_calibration(calibration(), path)
    assert path.read_text() == text


def test_kept_times_stand_for_every_optimizer_and_length():
    configs = [configure("Adam", epochs=5), configure("SGD", steps=10)]
    found = kept_timings(configs, CPU, [calibration()])
    assert found == {cost_kind(config): TIMING for config in configs}


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 8},
        {"recipe": "2019"},
        {"precision": "fp64"},
        {"valid_size": 10},
        {"data": "synthetic"},
        {"problem": "two_d_beale"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_other_settings_are_timed_anew(settings):
    assert kept_timings([configure(**settings)], CPU, [calibration()]) == {}


def test_compiled_steps_are_timed_anew():
    assert kept_timings([configure()], replace(CPU, compile=True), [calibration()]) == {}


def test_other_threads_are_timed_anew():
    wide = calibration(machine=dict(here(threads=torch.get_num_threads() + 1)))
    assert kept_timings([configure()], CPU, [wide]) == {}


def test_calibrate_and_then_predict(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.json"
    words = ["calibrate", "--problem", "two_d_branin", "--device", "cpu"]
    assert main([*words, "--out", str(path)]) == 0
    said = capsys.readouterr().out
    assert "two_d_branin" in said
    assert f"kept in {path}" in said
    slow = Timing(start=0.0, step=3600.0, evaluation=0.0, steps_per_epoch=10)
    keep_calibration(calibration(timing=slow), path)  # so that it shows where the number is from
    plan = ["bench", "Adam", "lr=0.1", "--problem", "two_d_branin", "--steps", "5", "--dry-run",
            "--device", "cpu", "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(plan) == 0
    assert "estimate from a few timed steps" in capsys.readouterr().out
    monkeypatch.setenv("DEEPOBS_CALIBRATION", str(path))
    assert main(plan) == 0
    said = capsys.readouterr().out
    assert "about 5.0 h with 1 job" in said
    assert "the SGD steps that deepobs calibrate timed" in said


def test_a_problem_that_cannot_be_timed_is_a_sentence(tmp_path, capsys):
    assert main(["calibrate", "--problem", "two_d_bramin", "--out", str(tmp_path / "c")]) == 2
    assert "two_d_branin" in capsys.readouterr().err
    file = tmp_path / "mine.py"
    file.write_text(
        "from dataclasses import replace\n"
        "from deepobs_problems import CATALOG\n"
        "def explode(): raise RuntimeError('no such operator')\n"
        "mine = replace(CATALOG['two_d_branin'], name='mine', model=explode)\n"
    )
    assert main(["calibrate", "--problem", f"{file}:mine", "--out", str(tmp_path / "c")]) == 1
    assert "not timed: SGD on" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_a_users_problem_counts_by_its_name(problem):
    config = fill_defaults(
        RunConfig(problem="folder/file.py:blobs", optimizer="SGD", hyperparams={"lr": 0.1}),
        problem,
        {"lr": 0.1},
    )
    assert problem_key(config) == f"blobs {problem.fingerprint}"
