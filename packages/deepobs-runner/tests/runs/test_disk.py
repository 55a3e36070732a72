"""A disk that fails during a run: what is stored and printed is true, and the others go on."""

import errno
import os
import re
import shutil

import pytest

from deepobs_runner import load_result
from deepobs_runner.cli import main
from deepobs_runner.results import files
from deepobs_runner.runs.recorder import CheckpointWarning

NUMBERS = {
    errno.ENOSPC: "is full",
    errno.EFBIG: "allows no larger file",
    errno.EROFS: "can only be read",
    errno.EIO: "Input/output error",
}
SECOND = "two_d_branin-SGD-43-"


@pytest.fixture
def bench(execution):
    """Return the words of a command that makes runs of 30 epochs."""
    words = ["bench", "SGD", "lr=0.001", "--problem", "two_d_branin", "--vectorize", "off"]
    return [*words, "--epochs", "30", "--out", str(execution.out), "--quiet"]


@pytest.fixture
def failing(monkeypatch):
    """Return a function that lets files whose names begin so fail after some writes."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)
    write = files.write_atomically

    def fail(begin, number, after):
        writes = []

        def spy(path, content):
            if path.name.startswith(begin):
                writes.append(path)
                if len(writes) > after:
                    raise OSError(number, os.strerror(number))
            write(path, content)

        monkeypatch.setattr(files, "write_atomically", spy)

    return fail


@pytest.mark.parametrize(("number", "said"), NUMBERS.items(), ids=errno.errorcode.get)
def test_status_and_message_of_a_run_are_true(bench, execution, failing, number, said, capsys):
    failing("two_d_branin", number, after=8)
    assert main(bench) == 1
    error = capsys.readouterr().err
    assert said in error
    (path,) = execution.out.glob("*.json")
    stored = load_result(path)
    assert stored.status == "failed"
    assert 1 <= len(stored.records) < 30
    assert len(stored.step_objectives()) == stored.records[-1]["steps"]
    assert f"could not be stored; {path} holds {len(stored.records)} evaluations (failed)" in error
    assert "is kept in" not in error


def test_a_disk_without_room_for_anything(bench, execution, failing, capsys):
    failing("two_d_branin", errno.ENOSPC, after=0)
    assert main(bench) == 1
    error = capsys.readouterr().err
    assert "is full" in error
    assert f"nothing of it could be stored in {execution.out}" in error
    assert not list(execution.out.glob("*.json"))


def test_the_other_runs_go_on_and_the_failed_one_is_made_on_request(
    bench, execution, failing, monkeypatch, capsys
):
    write = files.write_atomically
    failing(SECOND, errno.ENOSPC, after=8)
    assert main([*bench, "--seeds", "3"]) == 1
    said = capsys.readouterr()
    assert "2 done, 1 failed" in said.out
    status = {path.name: load_result(path).status for path in execution.out.glob("*.json")}
    assert sorted(status.values()) == ["done", "done", "failed"]
    monkeypatch.setattr(files, "write_atomically", write)  # room again
    assert main([*bench, "--seeds", "3", "--retry-failed"]) == 0
    assert "2 finished before, 1 done" in capsys.readouterr().out


def test_a_folder_that_vanishes(bench, execution, failing, monkeypatch, capsys):
    failing("nothing", errno.EIO, after=0)  # only so that every record is written
    write, writes = files.write_atomically, []

    def spy(path, content):
        writes.append(path)
        if len(writes) == 9:
            shutil.rmtree(execution.out)
        write(path, content)

    monkeypatch.setattr(files, "write_atomically", spy)
    assert main(bench) == 1
    error = capsys.readouterr().err
    assert re.search(r"The folder .* is gone; the same command makes it", error)
    monkeypatch.setattr(files, "write_atomically", write)
    assert main(bench) == 0


def test_an_interrupt_on_a_full_disk_stays_an_interrupt(
    bench, execution, failing, monkeypatch, capsys
):
    failing("two_d_branin", errno.ENOSPC, after=2)  # the first record
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 1e9)
    calls = []

    def interrupted(recorder):
        calls.append(recorder)
        if len(calls) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr("deepobs_runner.runs.recorder.Recorder._reason_to_stop", interrupted)
    with pytest.warns(CheckpointWarning, match="No space left on device"):
        assert main(bench) == 130
    assert "interrupted; finished runs are kept" in capsys.readouterr().err
    (path,) = execution.out.glob("*.json")
    assert (load_result(path).status, len(load_result(path).records)) == ("running", 1)
