"""A result file that cannot be used is set aside and named, and costs its own run alone."""

import os
from dataclasses import replace

import pytest

from deepobs_runner import Execution, RunConfig, load_result, load_results, run
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.vectorized.run import run_vectorized
from deepobs_runner.results.result import reproducible, steps_path
from deepobs_runner.results.store import DamagedResultWarning
from deepobs_runner.runs.checkpoint_file import checkpoint_path
from deepobs_runner.runs.outcome import survey
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
if os.name != "nt" and os.geteuid():  # root may read all files
    DAMAGES["unreadable"] = (lambda path: path.chmod(0), "Permission denied")
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
    assert {path.name.removeprefix(config.id) for path in execution.out.glob(f"{config.id}*")} == {
        ".json",
        ".json.damaged",
        ".steps.npy",
        ".steps.npy.damaged",
    }


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
    in_itself = [damage for damage, _ in DAMAGES.values() if damage is not of_another_run]
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


def test_a_checkpoint_whose_result_is_damaged_is_not_resumed(config, execution):
    longer = replace(config, epochs=3)
    expected = run(longer, replace(execution, out=execution.out / "alone"))
    part = run(longer, execution, on_record=lambda r: "enough" if r.epoch == 1 else None)
    assert checkpoint_path(execution.out, longer.id).exists()
    cut(part.path)
    with pytest.warns(DamagedResultWarning):
        again = run(longer, replace(execution, resume=True))
    assert list(map(reproducible, again.records)) == list(map(reproducible, expected.records))


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
