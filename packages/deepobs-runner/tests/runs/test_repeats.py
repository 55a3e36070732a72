"""`--force`: a finished result stays until the run that repeats it is finished."""

import errno
import os
import re
import shutil
from dataclasses import replace

import pytest

from deepobs_runner import RunConfig, load_result, load_results, run
from deepobs_runner.cli import main
from deepobs_runner.errors import RunLockedError, UsageError
from deepobs_runner.executors.vectorized.run import run_vectorized
from deepobs_runner.results import files
from deepobs_runner.results.result import repeat_folder, reproducible, result_path, steps_path
from deepobs_runner.runs.checkpoint_file import checkpoint_path
from deepobs_runner.runs.resolve import resolve_config


@pytest.fixture
def config():
    return resolve_config(
        RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=4)
    )


@pytest.fixture
def stored(config, execution, monkeypatch):
    """Return the result of a finished run."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)
    result = run(config, execution)
    len(result.records)
    return result


def contents(result):
    return [path.read_bytes() for path in (result.path, steps_path(result.path))]


def at(epoch, error):
    """Return a function that raises an error at the record of an epoch."""

    def watch(record):
        if record.epoch == epoch:
            raise error

    return watch


def repeats_of(execution):
    return sorted(path.name for path in repeat_folder(execution.out).iterdir())


def records_of(result):
    return list(map(reproducible, result.records))


ERRORS = {
    "an interrupt": KeyboardInterrupt(),
    "a failure": RuntimeError("broken"),
    "a full disk": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
}


@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_what_ends_a_repetition_leaves_the_result(config, execution, stored, error, epoch):
    before = contents(stored)
    with pytest.raises(type(error)):
        run(config, execution, force=True, on_record=at(epoch, error))
    assert contents(stored) == before
    assert [result.status for result in load_results(execution.out)] == ["done"]
    assert run(config, execution).path == stored.path
    begun = []
    resumed = replace(execution, resume=True)
    again = run(config, resumed, force=True, on_record=lambda r: begun.append(r.epoch))
    assert begun == list(range(epoch + 1, 5))
    assert records_of(again) == records_of(stored)
    assert contents(stored)[0] != before[0]  # the clocks
    assert repeats_of(execution) == []


ENDS = {"done": None, "stopped": "enough", "diverged": None}


@pytest.mark.parametrize(("status", "reason"), ENDS.items(), ids=ENDS)
def test_at_no_moment_is_there_no_finished_result(
    config, execution, stored, monkeypatch, status, reason
):
    seen = []
    write = files.write_atomically

    def spy(path, content):
        write(path, content)
        result = load_result(stored.path)
        seen.append((result.status, len(result.records)))
        assert len(result.step_objectives()) == result.records[-1]["steps"]

    monkeypatch.setattr(files, "write_atomically", spy)
    if status == "diverged":
        monkeypatch.setattr("deepobs_runner.training.record.Record.finite", False)
    run(config, execution, force=True, on_record=lambda r: reason if r.epoch == 1 else None)
    length = {"done": 5, "stopped": 2, "diverged": 1}[status]
    assert set(seen) == {("done", 5), (status, length)}
    assert seen[-1] == (status, length)
    assert repeats_of(execution) == []
    assert checkpoint_path(execution.out, config.id).exists() == (status == "stopped")


@pytest.mark.parametrize("status", ["failed", "running"])
def test_an_unfinished_result_is_replaced_at_once(config, execution, monkeypatch, status):
    error = KeyboardInterrupt() if status == "running" else RuntimeError("broken")
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)
    with pytest.raises(type(error)):
        run(config, execution, on_record=at(2, error))
    path = result_path(config, execution.out)
    assert load_result(path).status == status
    lengths = []
    run(
        config, execution, force=True, on_record=lambda r: lengths.append(load_result(path).records)
    )
    assert [len(records) for records in lengths] == [1, 2, 3, 4, 5]
    assert not repeat_folder(execution.out).exists()


def test_a_repetition_without_resume_begins_anew(config, execution, stored):
    with pytest.raises(KeyboardInterrupt):
        run(config, execution, force=True, on_record=at(2, KeyboardInterrupt()))
    assert [name.removeprefix(config.id) for name in repeats_of(execution)] == [
        ".ckpt",
        ".json",
        ".steps.npy",
    ]
    begun = []
    run(config, execution, force=True, on_record=lambda r: begun.append(r.epoch))
    assert begun == [0, 1, 2, 3, 4]
    assert repeats_of(execution) == []


def test_vectorised_repetitions_leave_the_results(config, execution, stored):
    configs = [config, replace(config, seed=43)]  # one finished, one new
    before = contents(stored)

    def watch(config, record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_vectorized(configs, execution, on_record=watch, force=True)
    assert contents(stored) == before
    assert {r.config.seed: r.status for r in load_results(execution.out)} == {
        42: "done",
        43: "running",
    }
    outcomes = run_vectorized(configs, execution, force=True)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]
    assert repeats_of(execution) == []


@pytest.fixture
def bench(execution):
    """Return the words of a command that repeats two runs."""
    words = [
        "bench",
        "SGD",
        "lr=0.01",
        "--problem",
        "two_d_branin",
        "--seeds",
        "2",
        "--epochs",
        "4",
    ]
    return [*words, "--out", str(execution.out), "--quiet"]


@pytest.mark.parametrize("seeds", ["1", "2"])
@pytest.mark.parametrize("begun", [False, True])
def test_the_traceback_of_a_failed_repetition_is_where_the_message_says(
    bench, execution, monkeypatch, begun, seeds, capsys
):
    bench[bench.index("--seeds") + 1] = seeds
    assert main(bench) == 0
    before = {path: path.read_bytes() for path in execution.out.glob("*.json")}

    def fail(*_, **__):
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("torch.optim.SGD.step" if begun else "deepobs_runner.runs.run.train", fail)
        capsys.readouterr()
        assert main([*bench, "--force"]) == 1
    said = capsys.readouterr().err
    places = re.findall(r"(?:Tracebacks: |is kept in )(\S+json)", said)
    assert len(places) == 1
    for path in before:
        kept = load_result(places[0].replace("<id>", path.stem))
        assert kept.status == "failed"
        assert "broken" in kept.error
    assert {path: path.read_bytes() for path in execution.out.glob("*.json")} == before
    assert main(["table", str(execution.out), "final", "--no-baselines"]) == 0
    assert "skipped" not in capsys.readouterr().err
    assert main([*bench, "--force"]) == 0
    assert repeats_of(execution) == []


def test_a_file_in_place_of_the_folder_of_repetitions_is_said(config, execution, stored):
    before = contents(stored)
    repeat_folder(execution.out).write_text("mine")
    with pytest.raises(UsageError, match=r"repeats is a file"):
        run(config, execution, force=True)
    (outcome,) = run_vectorized([config], execution, force=True)
    assert (outcome.status, contents(stored)) == ("refused", before)


@pytest.mark.skipif(not hasattr(os, "symlink") or os.name == "nt", reason="no symbolic links")
def test_a_repetition_is_not_written_through_a_link(config, execution, stored, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    repeat_folder(execution.out).symlink_to(target)
    with pytest.raises(UsageError, match="is a symbolic link"):
        run(config, execution, force=True)
    assert list(target.iterdir()) == []
    assert run(config, execution).status == "done"


@pytest.mark.parametrize("raised", [RunLockedError, KeyboardInterrupt])
def test_a_run_with_a_removed_lock_writes_nothing_more(config, execution, monkeypatch, raised):
    """The run of another process, which could take the lock, stays as it is."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)
    others = []

    def watch(record):
        if record.epoch == 1:
            shutil.rmtree(execution.out / ".locks")
            others.append(contents(run(config, execution)))
            if raised is KeyboardInterrupt:
                raise raised

    said = "was removed while its run was in progress" if raised is RunLockedError else None
    with pytest.raises(raised, match=said):
        run(config, execution, on_record=watch)
    (before,) = others
    stored = load_result(result_path(config, execution.out))
    assert stored.status == "done"
    assert contents(stored) == before
    assert not checkpoint_path(execution.out, config.id).exists()


def test_a_stack_writes_nothing_more_of_a_run_with_a_removed_lock(config, execution, monkeypatch):
    """The others go on."""
    monkeypatch.setattr("deepobs_runner.executors.vectorized.run.SECONDS_BETWEEN_SAVES", 0.0)
    configs = [replace(config, seed=seed) for seed in (1, 2, 3)]
    lost = configs[1]
    before = []

    def watch(config, record):
        if record.epoch == 1 and config == lost:
            (execution.out / ".locks" / config.id).unlink()
            before.append(contents(run(config, execution)))

    outcomes = run_vectorized(configs, execution, on_record=watch)
    assert [outcome.status for outcome in outcomes] == ["done", "locked", "done"]
    assert "was removed while its run was in progress" in outcomes[1].message
    stored = load_result(result_path(lost, execution.out))
    assert "vectorized" not in stored.environment
    assert [contents(stored)] == before
