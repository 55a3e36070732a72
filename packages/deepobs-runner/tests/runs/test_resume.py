"""Interrupted equals uninterrupted; early stops; checkpoints that cannot be used."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from deepobs_data import Dataset, Table
from deepobs_models import CharLSTM
from deepobs_problems import Defaults, Problem
from deepobs_problems.losses import sequence_accuracy, sequence_cross_entropy
from deepobs_problems.problem import recurrent
from deepobs_runner import Execution, RunConfig, load_result, run, train
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.checkpoint_file import checkpoint_path, load_checkpoint, save_checkpoint
from deepobs_runner.runs.recorder import CheckpointWarning, record_to_json
from deepobs_runner.runs.resolve import fill_defaults, optimizer_of

CPU = Execution(device="cpu")


def text(root=None, *, valid_size=0, recipe="standard"):
    ids = torch.randint(0, 83, (40 * 5 + 1,), generator=torch.Generator().manual_seed(0))
    windows = Table(ids[:-1].reshape(40, 5), ids[1:].reshape(40, 5))
    test = Table(windows.x[:12], windows.y[:12])
    return Dataset(train=windows, train_eval=test, valid=None, test=test, order="stateful")


@pytest.fixture
def lstm():
    """Return a small character model on random text, read in order."""
    return Problem(
        name="chars",
        data=text,
        model=CharLSTM,
        loss=sequence_cross_entropy,
        metrics={"accuracy": sequence_accuracy},
        forward=recurrent,
        defaults=Defaults(4, 4),
    )


def comparable(record):
    return reproducible(record_to_json(record)), record.step_objectives.tobytes()


OPTIMIZERS = [
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("Adam", {"lr": 0.01}),
    ("LBFGS", {"lr": 0.1, "max_iter": 3}),
]


@pytest.mark.parametrize("recipe", ["standard", "2019"])
@pytest.mark.parametrize(("name", "hyperparams"), OPTIMIZERS, ids=lambda v: str(v)[:5])
def test_resumed_training_is_bitwise_equal(problem, configure, tmp_path, name, hyperparams, recipe):
    """With dropout, batch norm and augmentation; the checkpoint goes through its file."""
    config = configure(name, hyperparams, epochs=4, recipe=recipe)
    build = optimizer_of(config, problem)
    whole = []
    for record in train(problem, build, config=config, execution=CPU):
        whole.append(record)
        if record.epoch == 2:
            path = save_checkpoint(record.snapshot(), tmp_path)
    checkpoint = load_checkpoint(path, config.id)
    rest = list(train(problem, build, config=config, execution=CPU, resume=checkpoint))
    assert [r.epoch for r in rest] == [3, 4]
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[3:]]


def test_resumed_lstm_is_bitwise_equal(lstm, tmp_path):
    hyperparams = {"lr": 0.01}
    config = fill_defaults(
        RunConfig(problem="chars", optimizer="Adam", hyperparams=hyperparams), lstm, hyperparams
    )
    build = optimizer_of(config, lstm)
    whole = []
    for record in train(lstm, build, config=config, execution=CPU):
        whole.append(record)
        if record.epoch == 1:
            path = save_checkpoint(record.snapshot(), tmp_path)
    checkpoint = load_checkpoint(path, config.id)
    rest = list(train(lstm, build, config=config, execution=CPU, resume=checkpoint))
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[2:]]
    assert whole[4].metrics != whole[1].metrics  # there was something to go on with


def records_of(result):
    return [reproducible(record) for record in result.records]


def test_interrupted_run_goes_on_from_its_last_epoch(problem, configure, execution):
    config = configure(epochs=5)
    undisturbed = run(config, replace(execution, out=execution.out / "whole"), problem=problem)

    def interrupt(record):
        if record.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, execution, problem=problem, on_record=interrupt)
    config = undisturbed.config
    assert checkpoint_path(execution.out, config.id).exists()
    assert load_result(execution.out / f"{config.id}.json").status == "running"
    seen = []
    resumed = run(config, replace(execution, resume=True), problem=problem, on_record=seen.append)
    assert [record.epoch for record in seen] == [4, 5]
    assert records_of(resumed) == records_of(undisturbed)
    assert np.array_equal(resumed.step_objectives(), undisturbed.step_objectives())
    assert not checkpoint_path(execution.out, config.id).exists()


def test_without_resume_an_interrupted_run_starts_anew(problem, configure, execution):
    def interrupt(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(configure(), execution, problem=problem, on_record=interrupt)
    seen = []
    run(configure(), execution, problem=problem, on_record=seen.append)
    assert [record.epoch for record in seen] == [0, 1, 2, 3]


def test_the_command_says_what_is_resumed_and_what_begins(tmp_path, capsys):
    words = ["run", "two_d_branin", "SGD", "lr=0.01", "--epochs", "2", "--out", str(tmp_path)]
    assert main([*words, "--resume", "--time-limit", "1e-9"]) == 0
    assert "0 runs to resume from a checkpoint, 1 to start from scratch" in capsys.readouterr().out
    assert main([*words, "--dry-run"]) == 0
    assert main([*words, "--force", "--time-limit", "1e-9"]) == 0
    assert "with a checkpoint" not in capsys.readouterr().out
    assert main([*words, "--resume"]) == 0
    assert "1 run to resume from a checkpoint, 0 to start from scratch" in capsys.readouterr().out
    assert main([*words, "--resume"]) == 0
    assert "checkpoint" not in capsys.readouterr().out


def test_the_command_names_checkpoints_that_it_does_not_use(tmp_path, capsys):
    words = ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--epochs", "2"]
    words += ["--seeds", "2", "--out", str(tmp_path)]
    assert main([*words, "--time-limit", "1e-9"]) == 0
    assert "with a checkpoint" not in capsys.readouterr().out
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "2 runs with a checkpoint to start from scratch; --resume continues from it" in said
    assert main(words) == 0
    assert "with a checkpoint" not in capsys.readouterr().out


def test_checkpoint_every_so_many_epochs(problem, configure, execution):
    epochs = []

    def look(record):
        (path,) = execution.out.glob("*.ckpt") or [None]
        if path:
            epochs.append(load_checkpoint(path, path.stem).epoch)

    run(
        configure(epochs=5),
        replace(execution, checkpoint_epochs=2),
        problem=problem,
        on_record=lambda record: epochs.extend(
            load_checkpoint(path, path.stem).epoch for path in execution.out.glob("*.ckpt")
        ),
    )
    assert epochs == [2, 2, 4, 4]  # seen after epochs 2, 3, 4 and 5


def test_checkpoint_by_time(problem, configure, execution):
    written = []
    run(
        configure(),
        replace(execution, checkpoint_minutes=1e-9),
        problem=problem,
        on_record=lambda record: written.append(len(list(execution.out.glob("*.ckpt")))),
    )
    assert written == [1, 1, 1, 1]


def test_time_limit_stops_and_resume_goes_on(problem, configure, execution):
    limited = replace(execution, time_limit=1e-9)
    result = run(configure(), limited, problem=problem)
    assert result.status == "stopped"
    assert "time limit" in result.error
    assert [r["epoch"] for r in result.records] == [0]
    assert run(configure(), limited, problem=problem) == result  # finished, as far as it goes
    whole = run(configure(), replace(execution, resume=True), problem=problem)
    assert whole.status == "done"
    assert [r["epoch"] for r in whole.records] == [0, 1, 2, 3]


class Interrupting:
    """A tracker that is told of an epoch at the moment of an interrupt."""

    epoch = None

    def __init__(self, folder):
        pass

    def start(self, result):
        pass

    def record(self, record, step_objectives):
        if record["epoch"] == Interrupting.epoch:
            Interrupting.epoch = None
            raise KeyboardInterrupt

    def end(self, status):
        pass


@pytest.mark.parametrize(
    ("ends", "hyperparams", "options", "epoch"),
    [
        ("diverged", {"lr": 1e30}, {}, 1),
        ("stopped", {"lr": 1e-30}, {"patience": 1}, 1),
        ("stopped", {"lr": 1e-30}, {"patience": 2}, 2),
        ("done", {"lr": 0.1}, {}, 3),
    ],
)
def test_an_interrupt_at_the_record_that_ends_a_run(
    problem, configure, execution, tmp_path, monkeypatch, ends, hyperparams, options, epoch
):
    """The resumed run ends there, too, though its end was not stored."""
    config = configure(hyperparams=hyperparams)
    problem = replace(problem, model=lambda: torch.nn.Linear(8, 3))
    whole = run(config, replace(execution, out=tmp_path / "whole", **options), problem=problem)
    assert (whole.status, whole.records[-1]["epoch"]) == (ends, epoch)
    execution = replace(execution, **options)
    monkeypatch.setattr(Interrupting, "epoch", epoch)
    tracked = replace(execution, track=(f"{__name__}:Interrupting",))
    with pytest.raises(KeyboardInterrupt):
        run(config, tracked, problem=problem)
    resumed = run(config, replace(execution, resume=True), problem=problem)
    assert (resumed.status, resumed.error) == (whole.status, whole.error)
    assert [reproducible(r) for r in resumed.records] == [reproducible(r) for r in whole.records]
    assert resumed.step_objectives().tobytes() == whole.step_objectives().tobytes()


def test_patience_looks_at_the_validation_split(problem, configure, execution):
    config = configure(hyperparams={"lr": 1e-30}, epochs=50, valid_size=8)
    result = run(config, replace(execution, patience=3), problem=problem)
    assert result.status == "stopped"
    assert "on valid for 3 epochs" in result.error
    objectives = result.series("valid", "objective")
    assert len(objectives) - 1 - int(np.argmin(objectives)) == 3


@pytest.mark.parametrize("value", [float("inf"), float("nan"), 1e38])
def test_an_infinite_validation_loss_is_no_improvement_and_no_failure(
    problem, configure, execution, value
):
    """1e38 is finite itself, its square is not; training goes on with finite numbers."""

    def data(root=None, *, valid_size=0, recipe="standard"):
        valid = Table(torch.full((valid_size, 8), value), torch.zeros(valid_size).long())
        return replace(problem.data(root), valid=valid)

    linear = replace(
        problem,
        data=data,
        model=lambda: torch.nn.Linear(8, 1),
        loss=lambda output, batch: output.square().squeeze(1),
        metrics={},
        l2=0.0,
    )
    config = configure(epochs=9, valid_size=8, l2=0.0)
    result = run(config, replace(execution, patience=2), problem=linear)
    assert (result.status, len(result.records) - 1) == ("stopped", 2)
    assert result.error == "no lower objective on valid for 2 epochs"
    assert all(r["metrics"]["valid"]["objective"] is None for r in result.records)
    assert np.isfinite(result.series("train_eval", "objective")).all()


def test_a_stopped_run_is_not_finished_for_who_sets_no_limit(problem, configure, execution):
    stopped = run(configure(), replace(execution, time_limit=1e-9), problem=problem)
    assert stopped.status == "stopped"
    whole = run(configure(), execution, problem=problem)
    assert whole.status == "done"
    assert [r["epoch"] for r in whole.records] == [0, 1, 2, 3]


def test_checkpoint_of_an_earlier_attempt_is_not_used(problem, configure, execution):
    """Interrupted after epoch 2, started anew, killed hard: the records are of another attempt."""
    config = configure(epochs=4)

    def interrupt_after(epoch):
        def on_record(record):
            if record.epoch == epoch:
                raise KeyboardInterrupt

        return on_record

    with pytest.raises(KeyboardInterrupt):
        run(config, execution, problem=problem, on_record=interrupt_after(2))
    (path,) = execution.out.glob("*.ckpt")
    content = path.read_bytes()
    seen = []

    def look(record):
        seen.append(path.exists())
        if record.epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(config, execution, problem=problem, on_record=look)
    assert seen == [False, False]  # gone as soon as the run started anew
    path.write_bytes(content)  # as if it had stayed
    expected = run(config, replace(execution, out=execution.out / "other"), problem=problem)
    with pytest.warns(CheckpointWarning, match="lacks records .* and the run starts from scratch"):
        again = run(config, replace(execution, resume=True), problem=problem)
    assert list(map(reproducible, again.records)) == list(map(reproducible, expected.records))


def test_a_diverged_run_leaves_no_checkpoint(problem, configure, execution):
    config = configure(hyperparams={"lr": 1e12}, epochs=20)
    eager = replace(execution, checkpoint_minutes=1e-9)
    assert run(config, eager, problem=problem).status == "diverged"
    assert not list(execution.out.glob("*.ckpt"))


@pytest.mark.parametrize(
    "setting", [{"time_limit": 0}, {"patience": -1}, {"checkpoint_epochs": 0}], ids=str
)
def test_limits_must_be_positive(setting):
    with pytest.raises(UsageError, match="> 0"):
        Execution(**setting)


def test_checkpoint_of_another_configuration_is_refused(problem, configure, execution):
    snapshots = []
    config = configure()
    for record in train(problem, optimizer_of(config, problem), config=config, execution=CPU):
        snapshots.append(record.snapshot())
    other = configure(seed=43)
    with pytest.raises(UsageError, match="belongs to the run"):
        next(
            train(
                problem,
                optimizer_of(other, problem),
                config=other,
                execution=CPU,
                resume=snapshots[0],
            )
        )
    execution.out.mkdir()
    path = save_checkpoint(snapshots[0], execution.out)
    with pytest.raises(UsageError, match="belongs to the run"):
        load_checkpoint(path, other.id)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch executed",))


def test_checkpoints_execute_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.ckpt"
    torch.save({"schema": 1, "model": Evil()}, path)
    with pytest.raises(UsageError, match="read safely"):
        load_checkpoint(path, "x")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut off"])
def test_damaged_checkpoints(tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="not a checkpoint that can be read safely"):
        load_checkpoint(path, "x")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGTERM on Windows")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint_and_the_rerun_completes(tmp_path, number):
    """In a real process, in the middle of training."""
    words = [sys.executable, "-m", "deepobs_runner.cli", "run", "quadratic_deep", "SGD"]
    out = tmp_path / "results"
    command = [*words, "--epochs", "4000", "--device", "cpu", "--out", str(out)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # Whoever runs the tests in the background of a shell has SIGINT ignored, and hands it on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not _records(out):
        time.sleep(0.05)
        assert process.poll() is None, process.stderr.read()
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Interrupted" in error
    (path,) = out.glob("*.ckpt")
    checkpoint = load_checkpoint(path, path.stem)
    # The signal may fall between the record's file and the snapshot of its epoch.
    assert _records(out)[-1]["epoch"] - checkpoint.epoch in (0, 1)


def _records(folder):
    for path in folder.glob("*.json"):
        return json.loads(path.read_text())["records"]
    return []
