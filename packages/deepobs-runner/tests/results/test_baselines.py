"""Baseline sets: the official one, packed ones, and folders of results."""

import json
import lzma
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest
from runner_builders import SPLITS, run_of

from deepobs_runner import load_results
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.report.notes import settings_by_problem
from deepobs_runner.results.baselines import (
    FOLDERS_VARIABLE,
    all_results,
    baseline_results,
    baseline_sets,
    choose_sets,
    pack_baselines,
    problems_of,
    read_set,
)
from deepobs_runner.results.official import official_problems, official_results
from deepobs_runner.results.store import save_result


def make(lr=0.1, *, seed=42, problem="quadratic_deep", **settings):
    """Return a run of one epoch whose end depends on the learning rate and the seed."""
    values = (3.0, 1.0 + lr + 0.01 * (seed - 42))
    environment = {"packages": {"torch": "2.15.0"}, "device": "cpu", "device_name": "x"}
    given = {"lr": lr, "problem": problem, "splits": SPLITS, "environment": environment}
    run = run_of(values, seed, **given, **settings)
    for record in run.records:
        record["telemetry"] = {"gradient_norm": 1.0}
    return run


RUNS = (make(0.1), make(0.1, seed=43), make(0.2), make(0.3, optimizer="Adam", problem="a/b.py:p"))


@pytest.fixture
def packed(tmp_path):
    """Return the folder of a packed set."""
    return pack_baselines(
        RUNS, tmp_path / "packed", name="mine-2026", title="A set of mine", licence="CC0"
    )


def test_the_official_set_is_the_official_results():
    official = baseline_sets()["official"]
    assert problems_of(official) == official_problems()
    assert len(all_results(official)) == 8 * 3 * 45
    runs = baseline_results(official, "quadratic_deep")
    assert runs == official_results("quadratic_deep", tuned=False)
    chosen = [run for setting in tuned_settings(runs)["quadratic_deep"] for run in setting.runs]
    key = attrgetter("config.id")
    assert sorted(chosen, key=key) == sorted(official_results("quadratic_deep"), key=key)
    assert baseline_results(official, "two_d_beale") == []


def test_a_packed_set_keeps_all_but_telemetry(packed):
    found = read_set(packed)
    assert (found.name, found.title, found.licence) == ("mine-2026", "A set of mine", "CC0")
    runs = all_results(found)
    by_id = {run.config.id: run for run in RUNS}
    assert sorted(run.config.id for run in runs) == sorted(by_id)
    for run in runs:
        own = by_id[run.config.id]
        assert run.config == own.config
        assert run.environment == own.environment
        assert run.origin == "mine-2026"
        for record, before in zip(run.records, own.records, strict=True):
            assert record == {key: before[key] for key in before if key != "telemetry"}


def test_the_tuned_setting_is_that_of_the_most_seeds(packed):
    runs = baseline_results(read_set(packed), "quadratic_deep")
    (setting,) = tuned_settings(runs)["quadratic_deep"]
    assert [(run.config.hyperparams["lr"], run.config.seed) for run in setting.runs] == [
        (0.1, 42),
        (0.1, 43),
    ]


def test_packing_is_reproducible(packed, tmp_path):
    again = pack_baselines(
        RUNS[::-1], tmp_path / "again", name="mine-2026", title="A set of mine", licence="CC0"
    )
    assert {p.name: p.read_bytes() for p in packed.iterdir()} == {
        p.name: p.read_bytes() for p in again.iterdir()
    }


def test_a_set_beside_the_same_runs_of_yours(packed):
    """A run of yours and its copy in a set are two, not one and not two seeds of one."""
    merged = [*RUNS, *all_results(read_set(packed))]
    labels = {s.optimizer: len(s.runs) for s in tuned_settings(merged)["quadratic_deep"]}
    assert labels == {"SGD (yours)": 2, "SGD (mine-2026)": 2}
    problems = settings_by_problem(RUNS, baselines=[read_set(packed)])
    sources = [(s.source, s.baseline, len(s.runs)) for s in problems["quadratic_deep"]]
    assert sources == [("yours", False, 2), ("yours", False, 1), ("mine-2026", True, 2)]


def test_sets_of_the_environment(packed, tmp_path, monkeypatch):
    folder = tmp_path / "plain"
    folder.mkdir()
    save_result(RUNS[0], folder, np.zeros(14))
    monkeypatch.setenv(FOLDERS_VARIABLE, f"{packed}:{folder}")
    assert {"official", "mine-2026", "plain"} <= set(baseline_sets())
    [run] = all_results(baseline_sets()["plain"])
    assert run.origin == "plain"
    assert [found.name for found in choose_sets(["plain", str(packed)])] == ["plain", "mine-2026"]


def test_two_sets_of_one_name(packed, tmp_path):
    other = pack_baselines(
        RUNS, tmp_path / "other", name="mine-2026", title="Another", licence="CC0"
    )
    with pytest.raises(UsageError, match="Two baseline sets are called 'mine-2026'"):
        baseline_sets([packed, other])
    assert "mine-2026" in baseline_sets([packed, packed])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "set.json").write_text("{"), "does not describe a baseline set"),
        (
            lambda f: (f / "set.json").write_text('{"name": "x"}'),
            "does not describe a baseline set",
        ),
        (lambda f: (f / "quadratic_deep.jsonl.xz").write_bytes(b"\xfd7zXZ"), "is damaged"),
        (
            lambda f: (f / "quadratic_deep.jsonl.xz").write_bytes(lzma.compress(b"{}\n")),
            "is not a DeepOBS result",
        ),
        (lambda f: (f / "quadratic_deep.jsonl.xz").unlink(), "is damaged"),
    ],
)
def test_a_damaged_set(packed, damage, said):
    damage(packed)
    with pytest.raises(UsageError, match=said):
        all_results(read_set(packed))


def test_a_set_of_another_schema(packed):
    path = packed / "quadratic_deep.jsonl.xz"
    line = json.loads(lzma.decompress(path.read_bytes()).splitlines()[0])
    path.write_bytes(lzma.compress(json.dumps({**line, "schema": 99}).encode()))
    with pytest.raises(UsageError, match="schema 99"):
        all_results(read_set(packed))


@pytest.mark.parametrize("name", ["official", "yours", "original"])
def test_names_that_mean_something_else(name, tmp_path):
    with pytest.raises(UsageError, match="cannot be called"):
        pack_baselines(RUNS, tmp_path / "s", name=name, title="t", licence="l")


def test_nothing_to_pack(tmp_path, packed):
    failed = [make(status="failed")]
    with pytest.raises(UsageError, match="needs at least one completed run"):
        pack_baselines(failed, tmp_path / "s", name="n", title="t", licence="l")
    with pytest.raises(UsageError, match="is not empty"):
        pack_baselines(RUNS, packed, name="n", title="t", licence="l")


def test_commands(tmp_path, packed, monkeypatch, capsys):
    monkeypatch.setenv(FOLDERS_VARIABLE, str(packed))
    assert main(["baselines", "list"]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("official", "1,080", "mine-2026", "CC0"))
    assert main(["baselines", "show", "official", "--problem", "quadratic_deep"]) == 0
    said = capsys.readouterr().out
    assert "87.112 ± 0.024" in said  # with ddof 1
    assert "135 runs of 108 settings" in said
    assert main(["baselines", "show", "mine-2026"]) == 0
    assert "4 runs made with torch 2.15.0 on cpu (x)" in capsys.readouterr().out


def test_export_as_results(tmp_path, capsys):
    out = tmp_path / "out"
    asked = ["baselines", "export", "official", "--problem", "mnist_vae", "--tuned"]
    assert main([*asked, "--out", str(out)]) == 0
    assert load_results(out) == [
        replace(run, path=out / f"{run.config.id}.json", origin="original")  # in a folder of yours
        for run in sorted(official_results("mnist_vae"), key=lambda run: f"{run.config.id}.json")
    ]


def test_export_replaces_no_other_result(tmp_path, capsys):
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    mine = save_result(run_of([3.0, 2.0]), tmp_path / "mine")
    save_result(run_of([3.0, 1.0]), tmp_path / "other")
    save_result(run_of([3.0, 1.0], seed=9), tmp_path / "other")
    before = mine.read_bytes()
    export = ["baselines", "export", str(tmp_path / "other"), "--out"]
    assert main([*export, str(tmp_path / "mine")]) == 2
    assert f"{mine} is there" in capsys.readouterr().err
    assert list((tmp_path / "mine").iterdir()) == [mine]
    assert mine.read_bytes() == before
    for _ in range(2):  # the same results may be exported again
        assert main([*export, str(tmp_path / "new")]) == 0
    assert len(load_results(tmp_path / "new")) == 2


def test_export_packed(tmp_path, packed, capsys):
    out = tmp_path / "out"
    asked = ["baselines", "export", str(packed), "--problem", "quadratic_deep", "--pack", "other"]
    assert main([*asked, "--out", str(out)]) == 0
    assert "DEEPOBS_BASELINE_DIR" in capsys.readouterr().out
    assert len(all_results(read_set(out))) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "needs a set"),
        (["show", "oficial"], "Did you mean 'official'"),
        (["show", "official", "--problem", "two_d_beale"], "has no results on 'two_d_beale'"),
        (["export", "official"], "needs a folder"),
    ],
)
def test_what_is_asked_for_is_not_there(words, said, capsys):
    assert main(["baselines", *words]) == 2
    assert said in capsys.readouterr().err
