"""A disk that fails during a run: what is stored and printed is true, and the others go on."""

import errno
import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

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


@pytest.mark.parametrize("after", [0, 8])
@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EFBIG, errno.EROFS], ids=errno.errorcode.get
)
def test_the_other_runs_go_on_and_the_same_command_makes_the_failed_one(
    bench, execution, failing, monkeypatch, number, after, capsys
):
    write = files.write_atomically
    failing(SECOND, number, after)
    assert main([*bench, "--seeds", "3"]) == 1
    said = capsys.readouterr()
    assert "2 done, 1 failed" in said.out
    assert "the same command makes the run again" in said.err
    assert "--retry-failed" not in said.err
    status = {path.name: load_result(path).status for path in execution.out.glob("*.json")}
    assert sorted(status.values()) == ["done", "done", *(["failed"] if after else [])]
    monkeypatch.setattr(files, "write_atomically", write)  # room again
    assert main([*bench, "--seeds", "3"]) == 0
    assert "2 finished before, 1 done" in capsys.readouterr().out


def test_a_failure_with_a_stored_reason_is_made_again_as_well(bench, execution, monkeypatch):
    """An optimizer that finds no room for its own file: the result has room for the traceback."""

    def step(optimizer, closure=None):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "log.txt")

    with monkeypatch.context() as patched:
        patched.setattr("torch.optim.SGD.step", step)
        assert main(bench) == 1
    (path,) = execution.out.glob("*.json")
    assert "No space left on device" in load_result(path).error
    assert main(bench) == 0


@pytest.mark.parametrize("error", [RuntimeError("disk"), OSError(errno.EPERM, "no")])
def test_another_failure_stays_until_it_is_asked_for(bench, execution, monkeypatch, error, capsys):
    def step(optimizer, closure=None):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr("torch.optim.SGD.step", step)
        assert main([*bench, "--seeds", "2"]) == 1
    assert "Add --retry-failed" in capsys.readouterr().err
    assert main([*bench, "--seeds", "2"]) == 1
    assert "2 failed earlier" in capsys.readouterr().out
    assert main([*bench, "--seeds", "2", "--retry-failed"]) == 0


@pytest.mark.parametrize("after", [0, 4])
def test_a_study_without_room_ends_and_is_completed_by_the_same_command(
    execution, failing, monkeypatch, after, capsys
):
    """Neither a winner among those that had room, nor a lost trial."""
    words = ["tune", "two_d_branin", "SGD", "--space", "lr=log:0.0001:0.1", "--budget", "3"]
    words += ["--epochs", "2", "--seeds", "1", "--study", "s", "--quiet", "--out"]
    expected = execution.out / "undisturbed"
    assert main([*words, str(expected)]) == 0
    write = files.write_atomically
    names = sorted(path.name for path in expected.glob("*-42-*.json"))
    failing(names[1].removesuffix(".json"), errno.ENOSPC, after)
    capsys.readouterr()
    assert main([*words, str(execution.out)]) == 2
    said = capsys.readouterr()
    assert "The study ends without 1 trial: A disk of" in said.err
    assert "Finished trials are kept." in said.err
    assert "Winners" not in said.out
    monkeypatch.setattr(files, "write_atomically", write)
    assert main([*words, str(execution.out)]) == 0
    assert sorted(path.name for path in execution.out.glob("*.json")) == sorted(
        path.name for path in expected.glob("*.json")
    )
    plan = "tuning/s/plan.yaml"
    assert (execution.out / plan).read_text() == (expected / plan).read_text()


@pytest.fixture
def snapshot():
    """Return a function that reads all files of a folder."""

    def read(folder):
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }

    return read


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    "kind", ["evaluations.csv", "report.html", "tables", "methods.txt", "figures"]
)
def test_a_report_is_the_new_one_or_the_old_one(
    bench, execution, monkeypatch, snapshot, kind, number, capsys
):
    report = ["report", str(execution.out), "--no-baselines", "--formats", "html,csv,png"]
    assert main(bench) == 0
    assert main(report) == 0
    (execution.out / "report" / "mine.txt").write_text("a note of the user")
    before = snapshot(execution.out / "report")
    assert main([*bench, "--seeds", "2"]) == 0

    def failing_open(original):
        def spy(path, *arguments, **options):
            inside = path.is_relative_to(execution.out / "report")
            if inside and kind in path.as_posix() and {"w", "wb", "xb"} & {*arguments}:
                with original(path, "wb") as file:
                    file.write(b"half")
                raise OSError(number, os.strerror(number))
            return original(path, *arguments, **options)

        return spy

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.open", failing_open(Path.open))
        patched.setattr("pathlib.Path.write_text", through_open)
        capsys.readouterr()
        assert main(report) == 2
    assert os.strerror(number) in capsys.readouterr().err
    assert snapshot(execution.out / "report") == before
    assert main(report) == 0
    after = snapshot(execution.out / "report")
    assert after.keys() == before.keys()
    assert after["evaluations.csv"] != before["evaluations.csv"]
    assert after["mine.txt"] == before["mine.txt"]


def through_open(path, text, *, encoding, newline):
    """Write a text by `Path.open`, which a test may replace."""
    with path.open("w", encoding=encoding, newline=newline) as file:
        return file.write(text)


def test_a_report_on_a_real_full_disk(bench, small_disk, snapshot, capsys):
    disk = small_disk(2000)
    words, out = list(bench), disk / "results"
    words[words.index("--out") + 1] = str(out)
    assert main(words) == 0
    assert main(["report", str(out), "--no-baselines"]) == 0
    before = snapshot(out / "report")
    assert main([*words, "--seeds", "4"]) == 0
    full = disk / "full"
    with suppress(OSError), full.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    assert main(["report", str(out), "--no-baselines"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert snapshot(out / "report") == before
    full.unlink()
    assert main(["report", str(out), "--no-baselines"]) == 0
    assert (out / "report" / "evaluations.csv").read_bytes() != before["evaluations.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on files")
@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("words", ["table {} final --out {}.csv", "plot {} curves --out {}.png"])
def test_a_single_output_is_whole_or_as_before(bench, execution, tmp_path, words, link):
    assert main(bench) == 0
    suffix = words[-4:]
    target = tmp_path / f"target{suffix}"
    target.write_bytes(b"earlier")
    path = tmp_path / f"link{suffix}" if link else target
    if link:
        path.symlink_to(target)
    command = [*words.format(execution.out, path.with_suffix("")).split(), "--no-baselines"]
    with Limit(20):
        assert main(command) == 2
    assert target.read_bytes() == b"earlier"
    assert main(command) == 0
    assert len(target.read_bytes()) > 20
    assert path.is_symlink() == link


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
    assert main([*bench, "--seeds", "2", "--resume"]) == 0
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


def test_a_set_without_room_leaves_nothing_in_the_way(execution, failing, monkeypatch, tmp_path):
    write = files.write_atomically
    words = ["bench", "SGD", "lr=0.001", "--problem", "two_d_branin", "--problem", "two_d_beale"]
    assert main([*words, "--epochs", "1", "--out", str(execution.out), "--quiet"]) == 0
    place = tmp_path / "pack"
    pack = ["baselines", "export", str(execution.out), "--pack", "mine", "--licence", "MIT"]
    pack += ["--title", "x", "--out", str(place)]
    failing("two_d_branin.jsonl", errno.ENOSPC, after=0)
    assert main(pack) == 2
    assert not place.exists() or list(place.iterdir()) == []
    monkeypatch.setattr(files, "write_atomically", write)
    assert main(pack) == 0
