"""Runs of different lengths compared after the same number of epochs."""

import csv
import io

import numpy as np
import pytest
from runner_builders import run_of

from deepobs_runner import RunResult, UsageError, official_results
from deepobs_runner.analysis import first_epochs
from deepobs_runner.analysis.first_epochs import FULL_LENGTH
from deepobs_runner.cli import main
from deepobs_runner.comparison import target_of
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.sections import assemble
from deepobs_runner.report.sentences import reading_sentence
from deepobs_runner.results.store import save_result
from deepobs_runner.schedules import Cosine


def make(values, **settings):
    """Return a run of a problem with official results, planned for as many epochs as it has."""
    given = {"problem": "quadratic_deep", "optimizer": "AdamW", "recipe": "2019"}
    return run_of(values, **{**given, "epochs": len(values) - 1, **settings})


def test_a_longer_run_becomes_the_run_of_so_many_epochs():
    short, long = make([9.0, 5.0, 3.0]), make([9.0, 5.0, 3.0, 2.0, 1.0])
    ((cut,), (reading,)) = first_epochs([long], 2)
    assert (cut.config, cut.records, cut.status) == (short.config, short.records, "done")
    assert cut.environment[FULL_LENGTH] == 4
    assert (reading.problem, reading.runs) == ("quadratic_deep", ("AdamW",))
    assert reading_sentence(reading) == (
        "quadratic_deep: of 1 run (1 of AdamW) the first 2 of 4 epochs are used, "
        "with settings chosen for 4."
    )


@pytest.mark.parametrize(
    ("epochs", "settings", "words"),
    [
        (1, {"epochs": 3}, "the first of 3 epochs is used, with settings chosen for 3"),
        (
            2,
            {"epochs": None, "steps": 21},
            "the first 2 epochs are used, of 21 steps in total, with ",
        ),
        (1, {"epochs": None, "steps": 21}, "the first epoch is used, of 21 steps in total, with "),
    ],
)
def test_what_is_read_is_said(epochs, settings, words):
    ((cut,), (reading,)) = first_epochs([make([9.0, 5.0, 3.0, 2.0], **settings)], epochs)
    assert words in reading_sentence(reading)
    assert len(cut.records) == epochs + 1


def test_a_shortened_run_keeps_the_id_of_its_file():
    run = make([9.0, 5.0, 3.0, 2.0])
    report = assemble(gather_data([run], epochs=2))
    assert [row["id"] for row in report.tables["runs"].rows] == [run.config.id]


@pytest.mark.parametrize(("per_epoch", "reason"), [(7, "too short"), (None, "unknown end")])
def test_a_run_that_ends_within_its_first_epoch_is_no_whole_one(per_epoch, reason):
    whole = make([9.0, 5.0])
    cut = make([9.0, 8.0], steps=1)
    known = {} if per_epoch is None else {"steps_per_epoch": per_epoch}
    records = ({**cut.records[0], **known}, {**cut.records[1], "steps": 1, **known})
    cut = RunResult(config=cut.config, status="done", records=records)
    kept, (reading,) = first_epochs([cut, whole], 1)
    assert kept == [whole]
    assert reading.reason == reason


def test_a_run_that_is_there_short_and_long_counts_once():
    short, long = make([9.0, 5.0, 3.0]), make([9.0, 5.0], status="running", epochs=9)
    assert first_epochs([long, short], 2)[0] == [short]


def test_limits_of_steps_do_not_matter_if_the_epoch_is_whole():
    run = make([9.0, 5.0, 3.0, 2.0], epochs=None, steps=21)
    ((cut,), _) = first_epochs([run], 2)
    assert (cut.config.epochs, cut.config.steps, len(cut.records)) == (2, None, 3)


@pytest.mark.parametrize(
    ("run", "status", "records"),
    [
        (make([9.0, 5.0, 3.0, None], status="diverged", epochs=9), "done", 3),
        (make([9.0, 5.0, None], status="diverged", epochs=9), "diverged", 3),
        (make([9.0, None], status="diverged", epochs=9), "diverged", 2),
        (make([9.0, 5.0], status="running", epochs=9), "running", 2),
        (make([9.0, 5.0, 3.0, 2.0], status="running", epochs=9), "done", 3),
        (make([9.0, 5.0], status="failed", epochs=9), "failed", 2),
        (make([9.0, 5.0, 3.0, 2.0], status="stopped", epochs=9), "done", 3),
    ],
)
def test_what_became_of_a_run_later_does_not_count(run, status, records):
    ((cut,), _) = first_epochs([run], 2)
    assert (cut.status, len(cut.records)) == (status, records)


@pytest.mark.parametrize(
    ("run", "reason", "words"),
    [
        (make([9.0, 5.0]), "too short", "end before epoch 2"),
        (make([9.0, 5.0, 4.0, 3.0], epochs=3, steps=7), "not evaluated", "no evaluation after"),
        (make([9.0, 5.0, 3.0, 3.0], schedule=Cosine()), "schedule", "schedule cosine depends on"),
    ],
)
def test_runs_that_do_not_say_it_are_named(run, reason, words):
    if reason == "not evaluated":
        run = RunResult(config=run.config, status="done", records=(run.records[0], run.records[3]))
    kept, (reading,) = first_epochs([run], 2)
    assert kept == []
    assert reading.reason == reason
    assert words in reading_sentence(reading)


def test_a_schedule_of_the_right_length_is_read():
    run = make([9.0, 5.0, 3.0], schedule=Cosine())
    assert first_epochs([run], 2) == ([run], [])


def test_the_target_is_what_official_adam_reaches_in_the_first_epochs():
    runs = [run for run in official_results("fmnist_2c2d") if run.config.optimizer == "Adam"]
    target = target_of("fmnist_2c2d", epochs=10)
    best = np.array([run.series("test", "accuracy")[1:8] for run in runs]).max(axis=1)
    last = np.array([run.series("test", "accuracy")[10] for run in runs])
    assert np.median(best) - 0.01 < target.value <= np.median(best)
    assert target.value < np.median(last)
    assert target.source == (
        "value that half of 10 runs of official Adam reach in 75 % of 10 epochs"
    )
    assert target_of("fmnist_2c2d", epochs=100) == target_of("fmnist_2c2d")


def test_the_report_says_what_was_cut():
    own = [make([300.0, *[90.0 - i for i in range(4)]], seed=seed) for seed in range(42, 45)]
    data = gather_data(own, official_results("quadratic_deep", tuned=False), epochs=4)
    runs = [run for setting in data.problems["quadratic_deep"] for run in setting.runs]
    assert {run.records[-1]["epoch"] for run in runs} == {4}
    report = assemble(data)
    assert any("the first 4 of 100 epochs are used" in n for n in report.notes)
    found = {difference.facet: difference.values for difference in data.verdicts[0].differences}
    assert found["planned epochs"] == (("AdamW", "4 epochs"), ("SGD", "100 epochs"))
    assert "epochs" not in found
    assert "All comparisons are after 4 epochs" in report.methods.plain()


def test_nothing_left_is_said():
    with pytest.raises(
        UsageError, match=r"No results to report after 5 epochs.*end before epoch 5"
    ):
        gather_data([make([9.0, 5.0])], epochs=5)
    with pytest.raises(UsageError, match="epochs is 0"):
        gather_data([make([9.0, 5.0])], epochs=0)


def test_a_step_is_no_epoch_from_the_command_line(tmp_path, capsys):
    words = ["run", "quadratic_deep", "SGD", "lr=0.01", "--out", str(tmp_path), "--quiet"]
    assert main([*words, "--steps", "1"]) == 0
    assert "0.14 (1 step)" in capsys.readouterr().out
    assert main([*words, "--epochs", "1"]) == 0
    capsys.readouterr()
    words = ["table", str(tmp_path), "runs", "--no-baselines", "--epochs", "1", "--format", "csv"]
    assert main(words) == 0
    printed = capsys.readouterr()
    (row,) = csv.DictReader(io.StringIO(printed.out))
    assert float(row["steps"]) == 7
    assert "end before epoch 1" in printed.err


def test_from_the_command_line(tmp_path, capsys):
    save_result(make([300.0, 100.0, 95.0]), tmp_path, np.zeros(14))
    assert main(["table", str(tmp_path), "--epochs", "2", "--format", "csv"]) == 0
    printed = capsys.readouterr()
    rows = {row["optimizer"]: row for row in csv.DictReader(io.StringIO(printed.out))}
    adam = [run for run in official_results("quadratic_deep") if run.config.optimizer == "Adam"]
    mean = np.mean([run.series("test", "objective")[2] for run in adam])
    assert float(rows["Adam"]["final_test_objective"]) == pytest.approx(mean)
    assert rows["AdamW"]["final_test_objective"] == "95.0"
    assert "the first 2 of 100 epochs are used" in printed.err
    figure = tmp_path / "curves.svg"
    assert main(["plot", str(tmp_path), "curves", "--epochs", "2", "--out", str(figure)]) == 0
    assert figure.exists()
