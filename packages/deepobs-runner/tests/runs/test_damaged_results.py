"""A result file that cannot be used is set aside and named, and costs its own run alone."""

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deepobs_runner import Execution, RunConfig, load_result, load_results, run
from deepobs_runner.cli import main
from deepobs_runner.errors import UnreadableFileError, UsageError
from deepobs_runner.executors.vectorized.run import run_vectorized
from deepobs_runner.results.result import reproducible, steps_path
from deepobs_runner.results.store import DamagedResultWarning
from deepobs_runner.runs.checkpoint_file import checkpoint_path
from deepobs_runner.runs.outcome import survey
from deepobs_runner.runs.recorder import CheckpointWarning
from deepobs_runner.runs.resolve import resolve_config


def cut(path):
    path.write_bytes(path.read_bytes()[:300])


def replaced(old, new):
    def damage(path):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def directory(path):
    path.unlink()
    path.mkdir()
    (path / "inside").touch()


def named_pipe(path):
    path.unlink()
    os.mkfifo(path)


def of_another_run(path):
    other = replace(load_result(path).config, seed=99)
    path.write_bytes(run(other, Execution(out=path.parent / "other")).path.read_bytes())


DAMAGES = {
    "truncated": (cut, "is not a DeepOBS result"),
    "empty": (lambda path: path.write_bytes(b""), "is not a DeepOBS result"),
    "binary": (lambda path: path.write_bytes(bytes(range(256)) * 9), "is not a DeepOBS result"),
    "zeroed": (lambda path: path.write_bytes(bytes(path.stat().st_size)), "not a DeepOBS result"),
    "newer": (replaced('"schema": 1', '"schema": 99'), "has schema 99"),
    "schema is text": (replaced('"schema": 1', '"schema": "1"'), "field schema is '1'"),
    "a record": (replaced('"epoch": 1', '"epoch": "1"'), r"records\[1\].epoch is"),
    "edited": (replaced('"lr": 0.01', '"lr": 0.02'), "was changed by hand"),
    "another run": (of_another_run, "holds another run: two_d_branin-SGD-99-"),
    "a list": (lambda path: path.write_text("[1, 2]"), "has no field schema"),
    "not UTF-8": (lambda path: path.write_text("{}", encoding="utf-16"), "not a DeepOBS result"),
    "a folder": (directory, "is not a file"),
}
if hasattr(os, "mkfifo"):
    DAMAGES["a named pipe"] = (named_pipe, "is not a file")
DAMAGES["steps deleted"] = (lambda path: steps_path(path).unlink(), "No step objectives are stored")
damages = pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)


@pytest.fixture
def config():
    return resolve_config(
        RunConfig(problem="two_d_branin", optimizer="SGD", hyperparams={"lr": 0.01}, epochs=1)
    )


@pytest.fixture
def stored(config, execution):
    """Return the whole result of a run that is stored."""
    result = run(config, execution)
    len(result.records)
    return result


@damages
def test_a_damaged_result_is_set_aside_and_its_run_made_again(
    config, execution, stored, damage, said
):
    damage(stored.path)
    assert survey([config], execution).todo == (config,)
    with pytest.warns(DamagedResultWarning, match=said) as warned:
        again = run(config, execution)
    assert f"{stored.path.name}.damaged, and the run is made again" in str(warned[0].message)
    assert list(map(reproducible, again.records)) == list(map(reproducible, stored.records))
    assert survey([config], execution).finished[0].records == again.records
    there = {path.name.removeprefix(config.id) for path in execution.out.glob(f"{config.id}*")}
    kept = {".json", ".json.damaged", ".steps.npy", ".steps.npy.damaged"}
    assert there == kept - ({".steps.npy.damaged"} if "step objectives" in said else set())


@damages
def test_vectorised_runs_are_made_again_too(config, execution, stored, damage, said):
    damage(stored.path)
    configs = [config, replace(config, seed=43)]
    with pytest.warns(DamagedResultWarning, match=said):
        outcomes = run_vectorized(configs, execution)
    assert [outcome.status for outcome in outcomes] == ["done", "done"]


@pytest.mark.parametrize("words", [("table", "final"), ("plot", "curves"), ("report",)])
def test_reports_name_all_damaged_results_and_go_on(config, execution, words, capsys):
    run(config, execution)
    damaged = []
    others = ("another run", "steps deleted")  # a report reads no step objectives
    in_itself = [damage for name, (damage, _) in DAMAGES.items() if name not in others]
    for seed, damage in enumerate(in_itself):
        damaged.append(run(replace(config, seed=seed), execution).path)
        damage(damaged[-1])
    command, *kind = words
    options = [
        "--no-baselines",
        *(["--out", str(execution.out / "made")] if command == "report" else []),
    ]
    assert main([command, str(execution.out), *kind, *options]) == 0
    said = capsys.readouterr().err
    assert all(f"skipped: {path.name}" in said for path in damaged)


def test_a_second_damage_keeps_the_first_file(config, execution, stored):
    for text in ("one", "two", "three"):
        stored.path.write_text(text)
        with pytest.warns(DamagedResultWarning):
            run(config, execution)
    kept = sorted(execution.out.glob("*.json.damaged*"))
    assert [path.read_text() for path in kept] == ["one", "two", "three"]
    assert [path.suffix for path in kept] == [".damaged", ".damaged-2", ".damaged-3"]
    assert [result.path for result in load_results(execution.out)] == [stored.path]


@pytest.mark.filterwarnings("ignore::deepobs_runner.results.store.DamagedResultWarning")
@pytest.mark.parametrize("damage", [cut, Path.unlink, lambda path: steps_path(path).unlink()])
def test_a_checkpoint_whose_result_is_damaged_is_set_aside(config, execution, damage):
    longer = replace(config, epochs=3)
    expected = run(longer, replace(execution, out=execution.out / "alone"))
    part = run(longer, execution, on_record=lambda r: "enough" if r.epoch == 1 else None)
    assert checkpoint_path(execution.out, longer.id).exists()
    before = checkpoint_path(execution.out, longer.id).read_bytes()
    damage(part.path)
    with pytest.warns(CheckpointWarning, match="cannot be continued: the records before"):
        again = run(longer, replace(execution, resume=True))
    assert list(map(reproducible, again.records)) == list(map(reproducible, expected.records))
    kept = checkpoint_path(execution.out, longer.id)
    assert kept.with_name(f"{kept.name}.damaged").read_bytes() == before


def test_a_file_that_cannot_be_set_aside_refuses_its_run_alone(
    config, execution, stored, monkeypatch, capsys
):
    stored.path.write_text("")
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError(30, "ro")))
    with pytest.raises(UsageError, match=r"Cannot write .* It must be moved away: .*not a DeepOBS"):
        run(config, execution)
    words = ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--seeds", "2"]
    assert main([*words, "--epochs", "1", "--out", str(execution.out), "--quiet"]) == 1
    captured = capsys.readouterr()
    assert "1 done" in captured.out
    assert "It must be moved away" in captured.out + captured.err


@pytest.fixture
def bench(execution):
    """Return the words of a command that makes three runs."""
    words = ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--seeds", "3"]
    return [*words, "--epochs", "1", "--out", str(execution.out), "--quiet"]


@pytest.mark.parametrize("options", [(), ("--force",), ("--vectorize", "on")])
def test_one_damaged_file_does_not_stop_a_bench(bench, execution, options):
    assert main(bench) == 0
    damaged = sorted(execution.out.glob("*.json"))[:2]
    cut(damaged[0])
    directory(damaged[1])
    with pytest.warns(DamagedResultWarning) as warned:
        assert main([*bench, *options]) == 0
    named = " ".join(str(each.message) for each in warned)
    assert all(str(path) in named for path in damaged)
    assert len(load_results(execution.out)) == 3
    kept = sorted(path.name for path in execution.out.glob("*.json.damaged"))
    assert kept == [f"{path.name}.damaged" for path in damaged]


def test_a_dry_run_counts_a_damaged_run_and_leaves_it(bench, execution, capsys):
    assert main(bench) == 0
    cut(next(execution.out.glob("*.json")))
    capsys.readouterr()
    assert main([*bench, "--dry-run"]) == 0
    assert "1 of 3 runs to run" in capsys.readouterr().out
    assert not list(execution.out.glob("*.damaged"))


def test_a_damaged_trial_of_a_study_is_made_again(execution):
    words = ["tune", "two_d_branin", "SGD", "--space", "lr=choice:0.01/0.02", "--budget", "2"]
    words += ["--epochs", "1", "--seeds", "1", "--study", "s", "--out", str(execution.out)]
    assert main([*words, "--quiet"]) == 0
    damaged = sorted(execution.out.glob("*.json"))[0]
    expected = list(map(reproducible, load_result(damaged).records))
    cut(damaged)
    with pytest.warns(DamagedResultWarning, match=damaged.name):
        assert main([*words, "--quiet"]) == 0
    assert list(map(reproducible, load_result(damaged).records)) == expected


def test_steps_of_a_damaged_result_go_with_it(config, execution, stored):
    objectives = stored.step_objectives()
    cut(stored.path)
    with pytest.warns(DamagedResultWarning):
        again = run(config, execution)
    assert (again.step_objectives() == objectives).all()
    assert steps_path(stored.path).with_name(f"{config.id}.steps.npy.damaged").exists()


UNREADABLE = {
    name: getattr(errno, name)
    for name in ("EACCES", "EIO", "EMFILE", "ESTALE")
    if hasattr(errno, name)
}

FAILURES = [("open", UNREADABLE["EACCES"]), *(("stat", number) for number in UNREADABLE.values())]


@pytest.fixture
def unreadable(monkeypatch):
    """Return a function that lets a path fail to open, or to be looked at, with an error number."""

    def fail(path, number, operation="open"):
        owner = os if operation == "open" else Path
        original = getattr(owner, operation)

        def spy(self, *arguments, **options):
            if self == path:
                raise OSError(number, os.strerror(number), str(path))
            return original(self, *arguments, **options)

        monkeypatch.setattr(owner, operation, spy)

    return fail


@pytest.mark.parametrize("kind", ["result", "steps"])
@pytest.mark.parametrize(("operation", "number"), FAILURES)
def test_a_sound_file_that_cannot_be_read_stays(
    bench, execution, unreadable, monkeypatch, kind, operation, number, capsys
):
    """It costs its run, which is refused; the others go on, and reports name it."""
    assert main(bench) == 0
    path = sorted(execution.out.glob("*.json"))[1]
    target = path if kind == "result" else steps_path(path)
    before = {p.name: p.read_bytes() for p in execution.out.glob("two_d*")}
    last = sorted(execution.out.glob("*.json"))[2]
    last.unlink()  # another run, to be made again
    with monkeypatch.context():
        unreadable(target, number, operation)
        capsys.readouterr()
        assert main(bench) == 1
        said = capsys.readouterr()
        assert "1 finished before, 1 refused, 1 done" in said.out
        assert f"Cannot read {target}: {os.strerror(number)}. Its content may be sound" in said.err
        if kind == "result":
            assert main(["table", str(execution.out), "final", "--no-baselines"]) == 0
            assert f"skipped: Cannot read {target.name}" in capsys.readouterr().err
        monkeypatch.undo()
    after = {p.name: p.read_bytes() for p in execution.out.glob("two_d*")}
    assert {k: v for k, v in after.items() if k != last.name} == {
        k: v for k, v in before.items() if k != last.name
    }
    assert main(bench) == 0
    assert "3 finished before" in capsys.readouterr().out


@pytest.mark.parametrize("options", [("--force",), ("--vectorize", "on")])
def test_no_option_replaces_a_file_that_cannot_be_read(
    bench, execution, unreadable, options, capsys
):
    assert main(bench) == 0
    path = next(execution.out.glob("*.json"))
    content = path.read_bytes()
    others = [p for p in execution.out.glob("*.json") if p != path]
    for other in others:
        other.unlink()
    unreadable(path, errno.EIO)
    capsys.readouterr()
    assert main([*bench, *options]) == 1
    said = capsys.readouterr()
    assert {"1 refused", "2 done"} == set(re.search("3 runs: (.*);", said.out)[1].split(", "))
    with open(path, "rb") as file:
        assert file.read() == content


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "symlink"), reason="no symbolic links")
def test_a_name_that_leads_to_itself_is_not_overwritten(config, execution, stored):
    stored.path.unlink()
    stored.path.symlink_to(stored.path.name)
    with pytest.raises(UnreadableFileError, match="Cannot read"):
        run(config, execution)
    assert stored.path.is_symlink()


def test_a_checkpoint_that_cannot_be_read_is_kept(config, execution, unreadable, monkeypatch):
    longer = replace(config, epochs=3)
    expected = run(longer, replace(execution, out=execution.out / "alone"))
    run(longer, execution, on_record=lambda r: "enough" if r.epoch == 1 else None)
    resumed = replace(execution, resume=True)
    path = checkpoint_path(execution.out, longer.id)
    with monkeypatch.context():
        unreadable(path, errno.EIO)
        with pytest.raises(UnreadableFileError, match=r"Cannot read .*ckpt"):
            run(longer, resumed)
        monkeypatch.undo()
    assert path.exists()
    begun = []
    again = run(longer, resumed, on_record=lambda r: begun.append(r.epoch))
    assert begun == [2, 3]
    assert list(map(reproducible, again.records)) == list(map(reproducible, expected.records))


@pytest.mark.parametrize("name", ["study.json", "ledger.jsonl"])
def test_a_study_that_cannot_be_read_is_named(execution, unreadable, name, capsys):
    words = ["tune", "two_d_branin", "SGD", "--space", "lr=choice:0.01/0.02", "--budget", "2"]
    words += ["--epochs", "1", "--seeds", "1", "--study", "s", "--out", str(execution.out)]
    assert main([*words, "--quiet"]) == 0
    path = execution.out / "tuning" / "s" / name
    content = path.read_bytes()
    unreadable(path, errno.EACCES)
    assert main([*words, "--quiet"]) == 2
    assert f"Cannot read {path}: Permission denied" in capsys.readouterr().err
    with open(path, "rb") as file:
        assert file.read() == content


def swapped(path):
    """Put step objectives there that are those of another run, with a right checksum."""
    config = replace(load_result(path.with_name(path.name[:-10] + ".json")).config, seed=99)
    other = run(config, Execution(out=path.parent / "other"))
    path.write_bytes(steps_path(other.path).read_bytes())


STEPS = {
    "deleted": lambda path: path.unlink(),
    "another run": swapped,
    "a folder": directory,
    "an archive": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(300)),
    "petabytes": lambda path: path.write_bytes(
        b"\x93NUMPY\x01\x00v\x00"
        + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999999,), }".ljust(117)
        + b"\n"
    ),
}
if hasattr(os, "mkfifo"):
    STEPS["a named pipe"] = named_pipe


@pytest.mark.parametrize("damage", STEPS.values(), ids=STEPS)
def test_step_objectives_of_a_finished_run_are_made_again(
    bench, execution, config, stored, damage, capsys
):
    objectives = stored.step_objectives()
    damage(steps_path(stored.path))
    assert main(["table", str(execution.out), "final", "--no-baselines"]) == 0
    assert "skipped" not in capsys.readouterr().err  # no table needs them
    with pytest.warns(DamagedResultWarning, match="the run is made again"):
        assert main(bench) == 0
    assert (load_result(stored.path).step_objectives() == objectives).all()


def test_a_result_without_step_objectives_of_an_earlier_version_is_kept(config, execution, stored):
    """Files of earlier versions do not tell whether they had any."""
    text = stored.path.read_text()
    stored.path.write_text(re.sub(', "steps_sha256": "[0-9a-f]+"', "", text))
    assert stored.path.read_text() != text
    steps_path(stored.path).unlink()
    content = stored.path.read_bytes()
    assert run(config, execution).status == "done"
    assert stored.path.read_bytes() == content
