"""Reports of folders that are not as they should be."""

import csv
import json
from functools import partial

import numpy as np
import pytest
from runner_builders import SPLITS, run_of

from deepobs_runner import load_results
from deepobs_runner.analysis import curve_band
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.cli import main
from deepobs_runner.report.notes import notes, settings_by_problem
from deepobs_runner.results.settings import settings_of
from deepobs_runner.results.store import save_result

make = partial(run_of, splits=SPLITS, per_epoch=1)


@pytest.fixture
def store(tmp_path):
    """Return a function that stores results, and their folder."""
    folder = tmp_path / "results"
    folder.mkdir()

    def save(*results):
        return [save_result(result, folder, np.zeros(0)) for result in results]

    return save, folder


def test_a_folder_of_everything_that_goes_wrong(store, tmp_path, capsys):
    save, folder = store
    paths = save(
        make(seed=1),
        make(seed=2),
        make([3.0, None], seed=3, status="diverged"),
        make([3.0, 2.0, 1.0], recipe="2019"),
        make([None], optimizer="Adam", status="diverged", problem="q"),
        make([], optimizer="Adam", status="failed"),
        make(problem="some/where.py:mine", fingerprint="a"),
        make(problem="else/where.py:mine", fingerprint="b"),
    )
    (folder / "broken.json").write_text("{")
    (folder / "newer.json").write_text(
        json.dumps({**json.loads(paths[0].read_text()), "schema": 9})
    )
    out = tmp_path / "report"
    words = ["report", str(folder), "--out", str(out), "--no-baselines", "--formats", "png,csv"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "broken.json is not a DeepOBS result" in printed.err
    assert "newer.json" in printed.err
    assert "has schema 9" in printed.err
    assert "has an evaluation (1 " in printed.out
    assert "2 done, 1 diverged" in printed.out
    assert "p: 1 of 3 runs of SGD lr=0.1 diverged" in printed.out
    assert "Your runs use two recipes" in printed.out
    # q has no finite number to draw; the two problems of files have the same short name.
    drawn = {path.name for path in (out / "figures").iterdir() if path.name.startswith("curves")}
    assert drawn == {"curves-p.png", "curves-mine.png", "curves-mine-2.png"}
    with (out / "tables" / "settings.csv").open() as file:
        rows = {(r["problem"], r["recipe"]): r for r in csv.DictReader(file)}
    assert rows["p", "standard"]["final_test_objective"] == "nan"
    assert float(rows["p", "2019"]["final_test_objective"]) == 1.0


def test_nothing_that_can_be_read(store, capsys):
    _, folder = store
    (folder / "broken.json").write_text("{")
    assert main(["report", str(folder)]) == 2
    errors = capsys.readouterr().err
    assert "broken.json" in errors
    assert "No results" in errors


def test_settings_with_equal_rates_are_told_apart():
    results = [
        make(hyperparams={"lr": 0.1, "momentum": 0.9}),
        make(hyperparams={"lr": 0.1, "momentum": 0.95}),
        make(hyperparams={"lr": 0.2, "momentum": 0.95}),
        make(hyperparams={"lr": 0.2, "momentum": 0.95}, recipe="2019"),
        make(hyperparams={"lr": 0.1, "momentum": 0.9}, epochs=7),
    ]
    assert [setting.label for setting in settings_of(results)] == [
        "SGD lr=0.1 momentum=0.9",
        "SGD lr=0.1 momentum=0.95",
        "SGD lr=0.2 momentum=0.95",
        "SGD lr=0.2 momentum=0.95 recipe=2019",
        "SGD lr=0.1 momentum=0.9 epochs=7",
    ]


def test_a_diverged_run_is_not_forgotten_in_the_mean():
    runs = [make([3.0, 2.0, 1.0], seed=1), make([3.0, None], seed=2, status="diverged")]
    drawn = curve_band(runs, TEST_OBJECTIVE)
    assert drawn.mean[0] == 3.0
    assert np.isnan(drawn.mean[1:]).all()
    stopped = [runs[0], make([3.0, 4.0], seed=2, status="stopped")]
    assert curve_band(stopped, TEST_OBJECTIVE).mean.tolist() == [3.0, 3.0, 1.0]


def test_notes_say_nothing_where_all_is_well(store):
    save, folder = store
    save(make(seed=1), make(seed=2))
    assert notes(settings_by_problem(load_results(folder), baselines=[])) == []
