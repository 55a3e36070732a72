"""A disk that fails during a run: what is stored and printed is true, and the others go on."""

import errno
import os
import re
import shutil
import subprocess
import sys

import pytest

from deepobs_runner import load_result, load_results
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
    assert "Interrupted; finished runs are kept" in capsys.readouterr().err
    (path,) = execution.out.glob("*.json")
    assert (load_result(path).status, len(load_result(path).records)) == ("running", 1)


class Limit:
    """A limit on the size of files, in bytes, as `ulimit -f` sets."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        resource = pytest.importorskip("resource")
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


@pytest.fixture
def saving(monkeypatch):
    """Let every record be written at once."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)


@pytest.fixture
def small_disk(tmp_path):
    """Return a function that mounts a disk of some kilobytes; skip where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size):
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a disk can only be mounted by root")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def steps_of(result):
    return result.records[-1]["steps"] if result.records else 0


def check_what_is_left(folder, said):
    """Assert that stored statuses are true, and that tracebacks are where the message says."""
    results = load_results(folder)
    for result in results:
        assert result.status == "failed"
        assert len(result.step_objectives()) == steps_of(result)
    with_traceback = sum(bool(result.error) for result in results)
    if with_traceback == 0:
        assert "No traceback could be stored." in said
    elif with_traceback < 2:
        assert "<id>.json, except of 1 run." in said
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files")
@pytest.mark.parametrize("size", [1000, 4000, 9000])
def test_a_real_limit_on_the_size_of_files(bench, execution, saving, size, capsys):
    with Limit(size):
        assert main([*bench, "--seeds", "2"]) == 1
    said = capsys.readouterr()
    assert "2 runs: 2 failed" in said.out
    assert said.err.count("allows no larger file") == 2
    check_what_is_left(execution.out, said.err)
    if load_results(execution.out):
        assert main([*bench, "--seeds", "2"]) == 1
        assert ": the reason could not be stored" in capsys.readouterr().err
    assert main([*bench, "--seeds", "2", "--retry-failed", "--resume"]) == 0
    assert [result.status for result in load_results(execution.out)] == ["done"] * 2


@pytest.mark.parametrize("size", [8, 24, 44])
def test_a_real_full_disk(bench, saving, small_disk, size, capsys):
    out = small_disk(size) / "results"
    words = [*bench, "--seeds", "2"]
    words[words.index("--out") + 1] = str(out)
    assert main(words) == 1
    said = capsys.readouterr()
    assert "2 runs: 2 failed" in said.out
    assert said.err.count("A disk of") == 2
    check_what_is_left(out, said.err)


def test_finished_runs_on_a_read_only_disk(bench, small_disk, capsys):
    disk = small_disk(1000)
    words = list(bench)
    words[words.index("--out") + 1] = str(disk / "results")
    assert main(words) == 0
    if subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True).returncode:
        pytest.skip("a disk can only be mounted by root")
    assert main(words) == 0  # all that is asked for is there
    assert "1 run: 1 finished before" in capsys.readouterr().out
    assert main([*words, "--seeds", "2"]) == 2
    assert "Read-only file system. Choose another folder with --out" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_to_a_full_disk_ends_no_run(bench, execution, monkeypatch, stream, capsys):
    monkeypatch.setattr("deepobs_runner.runs.progress.SECONDS_BETWEEN_LINES", 0.0)
    words = [word for word in bench if word != "--quiet"]
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, stream, full)
        code = main([*words, "--seeds", "2"])
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # for what is in the buffer
    assert [result.status for result in load_results(execution.out)] == ["done"] * 2
    assert code == (2 if stream == "stdout" else 0)
    if stream == "stdout":
        assert "Cannot write to standard output: No space left" in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has /dev/full")
@pytest.mark.parametrize("words", ["run two_d_branin SGD lr=0.01", "report {}", "plot {} curves"])
def test_a_device_as_a_folder_is_refused_and_left(bench, execution, words, capsys):
    assert main(bench) == 0
    assert main([*words.format(execution.out).split(), "--out", "/dev/full"]) == 2
    assert "/dev/full" in capsys.readouterr().err or "plot" in words
    assert not os.path.isfile("/dev/full")
    assert os.path.exists("/dev/full")


def test_something_else_in_place_of_a_lock(bench, execution, capsys):
    """Each costs the runs that need it, and no other."""
    assert main([*bench, "--seeds", "2"]) == 0
    first = load_results(execution.out)[0]
    lock = execution.out / ".locks" / first.config.id
    lock.unlink(missing_ok=True)
    lock.mkdir()
    assert main([*bench, "--seeds", "2", "--force"]) == 1
    said = capsys.readouterr()
    assert "1 refused, 1 done" in said.out
    assert f"Cannot write {lock}" in said.err
    assert [r.status for r in load_results(execution.out)] == ["done"] * 2


def test_fewer_steps_than_before_are_never_too_few(bench, execution, monkeypatch):
    """A kill between the two files of a run that is repeated leaves a valid result."""
    monkeypatch.setattr("deepobs_runner.runs.run.SECONDS_BETWEEN_SAVES", 0.0)
    assert main(bench) == 0
    (path,) = execution.out.glob("*.json")
    write = files.write_atomically

    def spy(path_, content):
        write(path_, content)
        stored = load_result(path)
        assert len(stored.step_objectives()) == steps_of(stored)

    monkeypatch.setattr(files, "write_atomically", spy)
    assert main([*bench, "--force"]) == 0
