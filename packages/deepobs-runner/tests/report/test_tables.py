"""Where runs end: fractions of epochs, runs that were stopped, comparability with the official."""

import csv
import subprocess
import sys

import numpy as np
import pytest
from runner_builders import OUT_OF_TIME, run_of

from deepobs_runner import RunConfig, RunResult, load_results
from deepobs_runner.analysis import curve_band
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.cli import main
from deepobs_runner.cli.summary import Summary
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.notes import notes, settings_by_problem
from deepobs_runner.report.tables import TABLES
from deepobs_runner.report.tables.final import final_table, settings_table
from deepobs_runner.results.settings import settings_of
from deepobs_runner.schedules import Cosine

LONG = (3.0, 2.0, 1.0)


def rows(*results):
    return settings_table(gather_data(results)).rows


def test_the_interval_of_an_accuracy_ends_at_one():
    runs = [run_of([0.1, end], seed, metric="accuracy") for seed, end in enumerate([0.8, 1.0])]
    (row,) = final_table(gather_data(runs)).rows
    assert (row["low"], row["high"]) == (0.0, 1.0)


def shown(problems):
    from rich.console import Console

    console = Console(width=160)
    with console.capture() as printed:
        console.print(Summary(problems))
    return printed.get()


@pytest.mark.parametrize(
    ("values", "steps", "epochs"),
    [
        ((3.0, 2.0, 1.0), 9, [0, 1, 9 / 7]),
        ((3.0, 2.0, 1.0), 14, [0, 1, 2]),
        ((3.0, 2.0), 5, [0, 1]),  # no whole epoch says how many steps one has
        ((3.0,), 0, [0]),
        ((), None, []),
    ],
)
def test_a_last_epoch_that_was_cut_short(values, steps, epochs):
    run = run_of(values, last_steps=steps)
    assert run.epochs().tolist() == pytest.approx(epochs)
    if values:
        assert curve_band([run], TEST_OBJECTIVE).epochs.tolist() == pytest.approx(epochs)


def test_steps_are_in_the_summary():
    problems = settings_by_problem([run_of(LONG, last_steps=9)], baselines=[])
    (row,) = rows(run_of(LONG, last_steps=9))
    assert (row["epochs"], row["steps"]) == ("1.29", "9")
    assert "1.29 (9 steps)" in shown(problems)


def test_an_epoch_that_may_be_cut_short_is_no_whole_one():
    """Of a run that an older version limited to a few steps, nothing says how long an epoch is."""
    problems = settings_by_problem(
        [run_of((3.0, 2.0), last_steps=5), run_of((3.0, 2.0), seed=1)], baselines=[]
    )
    assert "at most" not in shown(problems)
    run = RunResult(
        config=RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1}, steps=5),
        status="done",
        records=run_of((3.0, 2.0), last_steps=5).records,
    )
    assert "at most 1 (5 steps)" in shown(settings_by_problem([run], baselines=[]))


def test_records_say_how_long_an_epoch_is():
    run = run_of((3.0, 2.0), last_steps=5)
    run.records[-1]["steps_per_epoch"] = 7
    assert run.epochs().tolist() == pytest.approx([0, 5 / 7])


@pytest.mark.parametrize("options", [[], ["--jobs", "2"]])
def test_a_line_of_progress_counts_as_the_table_does(options, tmp_path, capsys):
    words = ["bench", "SGD", "lr=0.01", "--problem", "quadratic_deep", "--steps", "10"]
    assert main([*words, "--vectorize", "off", "--out", str(tmp_path), *options]) == 0
    printed = capsys.readouterr().out
    assert "  epoch 1.43  " in printed  # of 7 steps
    assert " 1.43 (10 steps) " in printed


def test_steps_within_an_epoch_from_the_command_line(tmp_path, capsys):
    words = ["run", "quadratic_deep", "SGD", "--steps", "9", "--out", str(tmp_path), "--quiet"]
    assert main(words) == 0
    assert "1.29 (9 steps)" in capsys.readouterr().out
    (result,) = load_results(tmp_path)
    assert result.epochs().tolist() == pytest.approx([0, 1, 9 / 7])


def test_ends_of_runs_that_something_else_cut_off_do_not_count():
    runs = [
        run_of(LONG, seed=1),
        run_of([3.0, 2.0, 2.0], seed=2, status="stopped"),
        run_of([3.0, 50.0], seed=3, status="stopped", error=OUT_OF_TIME),
        run_of([3.0], seed=4, status="failed"),
        run_of([3.0], seed=5, status="running"),
    ]
    (row,) = rows(*runs)
    assert row["final_test_objective"] == 1.5
    assert row["final_test_objective_std"] == pytest.approx(np.sqrt(0.5))
    assert (row["epochs"], row["seeds"], row["averaged"]) == ("0 to 2", 5, 2)
    assert row["status"] == (
        "1 done, 1 stopped early, 1 ended by a time limit, 1 failed, 1 running"
    )
    problems = settings_by_problem(runs, baselines=[])
    assert "2 of 5" in shown(problems)
    assert any("3 of 5 runs of SGD lr=0.1 did not complete" in n for n in notes(problems))


ENDS = {
    ("SGD", 0.1): (9.0, 5.0, 3.0, 2.0),
    ("SGD", 0.01): (9.0, 8.0, 7.0, 6.0),
    ("SGD", 1.0): (9.0, 7.0, 5.0, 4.0),
    ("Adam", 0.1): (9.0, 4.0, 2.0, 1.0),
    ("Adam", 0.01): (9.0, 6.0, 4.0, 3.0),
    ("Momentum", 0.1): (9.0, 4.5, 2.5, 1.5),
}
"""Objectives of two or more settings, of which those with lr 0.1 have five seeds."""

STATISTICS = (
    *("speedup", "difference", "ranks"),
    *("sensitivity", "rates", "tuning", "search", "divergence"),
)


@pytest.fixture(scope="module")
def with_further_runs():
    """Return a function that makes report data of runs, and of some stopped far below."""

    def make(**ending):
        runs = [
            run_of([v + 0.01 * seed for v in values], seed, optimizer=optimizer, lr=lr)
            for (optimizer, lr), values in ENDS.items()
            for seed in (range(5) if lr == 0.1 else (0,))
        ]
        further = [
            run_of((9.0, -100.0), seed, optimizer=optimizer, lr=lr, status="stopped", **ending)
            for optimizer in ("SGD", "Adam")
            for lr, seed in ((0.01, 8), (0.1, 8), (0.1, 9), (0.03, 0), (0.3, 0))
        ]
        return gather_data([*runs, *further] if ending else runs, references=["SGD"])

    return make


@pytest.mark.parametrize("name", STATISTICS)
def test_runs_that_a_time_limit_cut_change_no_statistic(with_further_runs, name):
    table = TABLES.load(name)
    expected = table(with_further_runs()).rows
    assert expected
    assert repr(table(with_further_runs(error=OUT_OF_TIME)).rows) == repr(expected)
    early = table(with_further_runs(error="no lower objective on valid for 2 epochs")).rows
    assert repr(early) != repr(expected)  # what these reached counts


def test_a_diverged_run_counts():
    runs = [run_of(LONG, seed=1), run_of([3.0, None], seed=2, status="diverged")]
    (row,) = rows(*runs)
    assert row["averaged"] == 2
    assert np.isnan(row["final_test_objective"])
    assert "not finite" in shown(settings_by_problem(runs, baselines=[]))


@pytest.mark.parametrize("status", ["diverged", "done"])
def test_a_run_that_ends_without_a_finite_loss_is_noted_whatever_its_status(status):
    runs = [run_of(seed=1), run_of([3.0, None], seed=2, status=status)]
    said = notes(settings_by_problem(runs, baselines=[]))
    assert any("1 of 2 runs of SGD lr=0.1 diverged" in note for note in said)
    assert not any("different numbers of epochs" in note for note in said)


def test_where_nothing_is_done_there_is_what_there_is():
    runs = [
        run_of([3.0, 2.0], seed=1, status="stopped", error=OUT_OF_TIME),
        run_of([3.0], seed=2, status="running"),
    ]
    (row,) = rows(*runs)
    assert row["final_test_objective"] == 2.5
    said = notes(settings_by_problem(runs, baselines=[]))
    assert any(
        "no run of SGD lr=0.1 is done (1 ended by a time limit, 1 running)" in note for note in said
    )


def test_generated_data_is_not_shown_with_official_results():
    problems = settings_by_problem([run_of(LONG, problem="fmnist_2c2d", data="synthetic")])
    assert not any(setting.official for setting in problems["fmnist_2c2d"])
    assert any("the official results are left out" in note for note in notes(problems))
    both = [
        run_of(LONG, problem="fmnist_2c2d", data="synthetic"),
        run_of(LONG, problem="fmnist_2c2d"),
    ]
    problems = settings_by_problem(both)
    assert any(setting.official for setting in problems["fmnist_2c2d"])
    said = [note for note in notes(problems) if "not comparable with the official" in note]
    assert said == [
        "fmnist_2c2d: SGD lr=0.1 data=synthetic is not comparable with the official results: "
        "data synthetic (official: real)."
    ]


def test_generated_data_is_named_on_every_problem():
    """Also where there are no official results, and where only some runs used it."""

    def said(*data):
        runs = [run_of(LONG, problem="fmnist_logreg", data=name) for name in data]
        return [n for n in notes(settings_by_problem(runs, baselines=[])) if "generated" in n]

    assert said("real") == []
    (note,) = said("synthetic")
    assert note.endswith("These results do not hold for the problem.")
    (note,) = said("real", "synthetic")
    assert note.startswith("fmnist_logreg: SGD lr=0.1 data=synthetic is of generated data")
    assert note.endswith("not comparable with the others.")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"l2": 0.1}, "l2 0.1 (official: 0.002)"),
        ({"batch_size": 64}, "batch_size 64 (official: 128)"),
        ({"precision": "bf16"}, "precision bf16 (official: fp32)"),
        ({"l2": 0.002, "l2_via": "optimizer"}, "l2_via optimizer (official: objective)"),
        ({"clip_norm": 1.0}, "clip_norm 1 (official: none)"),
        ({"schedule": Cosine()}, "schedule cosine (official: constant)"),
        ({"valid_size": 100}, "valid_size 100 (official: 0)"),
    ],
)
def test_what_differs_from_the_official_settings_is_said(settings, said):
    def notes_of(**changes):
        found = settings_by_problem(
            [run_of(LONG, problem="cifar10_3c3d", recipe="2019", **changes)]
        )
        return [note for note in notes(found) if "not comparable" in note]

    assert notes_of(l2=0.002, batch_size=128, l2_via="objective") == []
    (note,) = notes_of(**settings)
    assert note.startswith("cifar10_3c3d: SGD lr=0.1")
    assert note.endswith(f"{said}.")


def test_nothing_is_said_where_no_official_results_are_shown():
    results = [
        run_of(LONG, problem="cifar10_3c3d", l2=0.1),
        run_of(LONG, problem="fmnist_logreg", l2=0.1),
    ]
    said = notes(settings_by_problem(results, baselines=[]))
    assert not any("official" in note for note in said)


def test_the_range_of_epochs_in_the_csv(tmp_path):
    from deepobs_runner.results.store import save_result

    folder = tmp_path / "results"
    folder.mkdir()
    for run in (run_of(LONG, seed=1), run_of([3.0, 2.0], seed=2, status="stopped")):
        save_result(run, folder, np.zeros(0))
    assert main(["report", str(folder), "--out", str(tmp_path / "out"), "--formats", "csv"]) == 0
    with (tmp_path / "out" / "tables" / "settings.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["epochs"], row["steps"]) == ("1 to 2", "7 to 14")
    assert row["status"] == "1 done, 1 stopped early"
    assert len(settings_of(load_results(folder))) == 1


def falling(rate, seed, optimizer):
    """Return a run whose objective falls by a rate in every one of 20 epochs."""
    values = [max(30.0 - rate * i, 0.1 * seed) for i in range(21)]
    return run_of(values, seed, optimizer=optimizer, epochs=20)


def test_speedups_are_shown_at_an_easier_and_a_harder_target_too():
    runs = [falling(1.0 + 0.01 * seed, seed, "Adam") for seed in range(3)]
    runs += [falling(2.0 + 0.01 * seed, seed, "AdamW") for seed in range(3)]
    table = TABLES.load("speedup")(gather_data(runs))
    (row,) = table.rows
    assert row["optimizer"] == "AdamW"
    for name in ("", "easier_", "harder_"):
        assert row[f"{name}speedup_value"] == pytest.approx(2.0, rel=0.1)
    assert {"Easier target", "Harder target"} <= {column.title for column in table.columns}
    short = [
        run_of([3.0, 1.0], seed, optimizer=name) for name in ("Adam", "SGD") for seed in (1, 2)
    ]
    table = TABLES.load("speedup")(gather_data(short))
    assert "Easier target" not in {column.title for column in table.columns}


def trials_and_winner(optimizer, rates, reach, seeds=3, epochs=10):
    """Return a trial for each rate, and the runs of the first, which reach 1 or not."""

    def values(seed):
        return [9.0] * (epochs - 3 - seed % 2) + [0.1 if reach else 5.0] * (4 + seed % 2)

    trials = [
        run_of(values(0) if i == 0 else [9.0] * (epochs + 1), lr=rate, optimizer=optimizer,
               valid_size=8, epochs=epochs)
        for i, rate in enumerate(rates)
    ]  # fmt: skip
    settings = {"lr": rates[0], "optimizer": optimizer, "epochs": epochs}
    return trials + [run_of(values(seed), 43 + seed, **settings) for seed in range(seeds)]


def test_the_time_to_the_target_with_tuning():
    adam = trials_and_winner("Adam", [0.1, 0.2, 0.3], reach=True)
    worse = trials_and_winner("SGD", [0.1, 0.2, 0.3], reach=False)
    table = TABLES.load("search")(gather_data([*adam, *worse]))
    by_name = {row["optimizer"]: row for row in table.rows}
    row = by_name["Adam"]
    assert (row["trials"], row["reached"], row["cost"]) == (3, 1, 10)
    assert row["search"] == 2 / 2 * 10 + 7  # of two others one comes before it
    assert (row["tuning"], row["time"], row["together"]) == (30, 7, 37)
    assert (by_name["SGD"]["search"], by_name["SGD"]["together"]) == (np.inf, np.inf)


def test_unequal_budgets_have_no_time_with_tuning():
    runs = trials_and_winner("Adam", [0.1, 0.2, 0.3], reach=True)
    runs += trials_and_winner("SGD", [0.1, 0.2], reach=True)
    rows = TABLES.load("search")(gather_data(runs)).rows
    assert all(np.isnan(row["together"]) for row in rows)
    assert all(np.isfinite(row["search"]) for row in rows)
    untuned = [run_of([3.0, 1.0], seed, optimizer="Adam") for seed in (1, 2)]
    assert TABLES.load("search")(gather_data(untuned)).rows == ()


def test_a_table_imports_neither_torch_nor_what_draws(tmp_path):
    """These take seconds, the table none."""
    heavy = ("torch", "matplotlib", "scipy.stats", "jinja2")
    program = (
        "import sys; from deepobs_runner.cli import main; "
        "main(['table', 'official', '--problem', 'fmnist_vae', '--format', 'csv']); "
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stderr.strip() == "[]"
    assert done.stdout.count("\n") == 4
