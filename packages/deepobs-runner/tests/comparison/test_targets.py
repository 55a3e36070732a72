"""What a run must reach."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from runner_builders import OFFICIAL, run_of

from deepobs_runner.analysis import first_epochs, tuned_settings
from deepobs_runner.comparison import (
    convergence_target,
    stored_targets,
    target_of,
    targets_of,
    times_to_target,
)
from deepobs_runner.comparison.targets import CONVERGENCE, TOO_EASY, is_harder
from deepobs_runner.results.baselines import baseline_results, baseline_sets
from deepobs_runner.results.official import official_results

TOOLS = Path(__file__).parents[4] / "tools"
LENGTH = {"epochs": 10}


def falling(end, seed=42, *, start=12.0, epochs=10, **settings):
    """Return a run that falls in equal steps from the start to its end."""
    values = [start + (end - start) * i / epochs for i in range(epochs + 1)]
    return run_of(values, seed, epochs=epochs, **settings)


def targets_among(*runs, problem="p"):
    return targets_of(problem, tuned_settings(runs)[problem])


def test_the_target_is_what_half_of_the_runs_of_adam_reach_in_three_quarters_of_the_epochs():
    adam = [falling(end, 42 + i, optimizer="Adam") for i, end in enumerate([2.0, 1.0, 3.0])]
    worse = [falling(0.1 * lr, optimizer="Adam", lr=lr) for lr in (20.0, 30.0)]
    found = targets_among(*adam, *worse, falling(0.0))
    assert found.main.source == (
        "value that half of 3 runs of Adam here reach in 75 % of 10 epochs"
    )
    # A run in steps of one meets from the fifth last on what it has there.
    assert [target.value for target in found] == [7.0, 5.0, 3.0]
    assert target_of("p", [*adam, *worse, falling(0.0)]) == found.main
    times = times_to_target(adam, found.main)
    assert (times.times[times.reached] <= 7.5).sum() == 2


@pytest.mark.parametrize(
    ("optimizers", "value"),
    [
        (("SGD", "Momentum", "Adam"), 4.0),
        (("SGD", "Momentum", "AdamW"), 3.0),
        (("SGD", "AdamW"), 2.0),
    ],
)
def test_the_optimizer_that_sets_the_target_does_not_depend_on_who_is_better(optimizers, value):
    ends = {"SGD": 2.0, "Momentum": 3.0, "Adam": 4.0, "AdamW": 1.0}
    runs = [run_of([9.0, ends[name]], optimizer=name) for name in optimizers]
    assert targets_among(*runs).main.value == value


def test_nobody_sets_a_target_without_a_reference_that_reaches_something():
    assert target_of("p", []) is None
    assert target_of("p", [run_of(optimizer="AdamW")]) is None
    assert target_of("p", [run_of([None], optimizer="Adam", status="diverged")]) is None
    assert target_of("p", [run_of([None, None], status="diverged")]) is None


def test_a_harder_and_an_easier_target_differ_from_the_main_one():
    found = targets_among(run_of([9.0, 1.0], epochs=1, optimizer="Adam"))
    assert found == (None, found.main, None)
    assert found.main.value == 1.0


def test_runs_of_another_length_have_a_target_of_their_own():
    problem = "two_d_rosenbrock"
    stored = stored_targets()[problem]
    assert stored.main.epochs == 100
    long = [falling(1.0, epochs=100, optimizer=name, problem=problem) for name in ("SGD", "Adam")]
    assert targets_among(*long, problem=problem) == stored
    short = [
        run_of([9.0, 4.0, 3.0, 2.0], seed, epochs=3, optimizer=name, problem=problem)
        for name in ("SGD", "Adam", "mine.py:Mine")
        for seed in (1, 2)
    ]
    found = targets_among(*short, problem=problem)
    assert (found.main.value, found.main.epochs) == (3.0, 3)
    assert "half of 2 runs of Adam here reach in 75 % of 3 epochs" in found.main.source
    # The baselines beside them have 100 epochs, and do not change what most of one's own have.
    baselines = baseline_results(baseline_sets()["tuned-2026"], problem)
    assert targets_among(*short, *baselines, problem=problem) == found
    mine = [run for run in short if run.config.optimizer.startswith("mine")]
    assert targets_among(*mine, problem=problem) == stored


def test_most_settings_of_ones_own_decide_about_the_length():
    def run(name, epochs):
        return falling(1.0, epochs=epochs, optimizer=name)

    long, short = [run("Adam", 10), run("SGD", 10)], [run("Momentum", 2), run("AdamW", 2)]
    assert targets_among(*long, short[0]).main.epochs == 10
    assert targets_among(*short, long[0]).main.epochs == 2
    assert targets_among(*long, *short).main.epochs == 2


def test_generated_data_has_targets_of_its_own():
    made_up = {"data": "synthetic", "problem": "quadratic_deep", "epochs": 100}
    found = targets_among(
        run_of([9.0, 5.0, 4.0], optimizer="Adam", **made_up), problem="quadratic_deep"
    )
    assert found.main.value == 4.0
    alone = targets_among(run_of(optimizer="AdamW", **made_up), problem="quadratic_deep")
    assert alone == (None, None, None)


def test_the_shipped_targets_of_a_problem_are_in_order():
    assert set(CONVERGENCE) < set(stored_targets())
    for problem, (easier, main, harder) in stored_targets().items():
        assert is_harder(main, easier), problem
        assert harder is None or is_harder(harder, main), problem
        if problem in set(CONVERGENCE) - TOO_EASY:
            assert main == convergence_target(problem)


@pytest.fixture(scope="module")
def tool():
    if not TOOLS.is_dir():
        pytest.skip("tools/ is beside the packages in the repository alone")
    sys.path.insert(0, str(TOOLS))
    try:
        import make_targets
    finally:
        sys.path.remove(str(TOOLS))
    return make_targets


def test_the_official_targets_are_those_of_the_shipped_runs(tool):
    path = tool.SHIPPED / "baselines_2019" / "targets.json"
    assert json.loads(path.read_text()) == tool.official_targets()


def test_the_page_shows_the_targets(tool):
    shown = tool.PAGE.read_text(encoding="utf-8").split(tool.START)[1].split(tool.END)[0]
    assert shown == tool.table(), "run: python tools/make_targets.py"


@pytest.mark.parametrize("problem", sorted(set(CONVERGENCE) - TOO_EASY))
def test_official_adam_reaches_the_easier_target_before_the_main_one(tool, problem):
    adam = [run for run in official_results(problem) if run.config.optimizer == "Adam"]
    easier, main, _ = stored_targets()[problem]
    time = np.median(tool.times_to_reach(adam, main))
    assert 0.2 < time / adam[0].config.epochs < 0.6
    assert (tool.times_to_reach(adam, easier) <= 2 / 3 * time).sum() >= len(adam) / 2


def test_the_runs_of_a_target_take_part_in_no_comparison():
    for name, found in baseline_sets().items():
        path = None if found.folder is None else found.folder / "targets.json"
        if path is None or not path.exists():
            continue
        for problem, stored in json.loads(path.read_text())["targets"].items():
            compared = {run.config.seed for run in baseline_results(found, problem)}
            assert compared.isdisjoint(stored["seeds"]), (name, problem)
            assert set(stored) > {"metric", "epochs", "main", "hyperparams", "versions"}


def test_shortened_official_runs_set_the_target_that_they_set_alone():
    official, _ = first_epochs(official_results("fmnist_2c2d"), 6)
    own = run_of([0.1] * 7, epochs=6, optimizer="AdamW", problem="fmnist_2c2d", metric="accuracy")
    tuned = tuned_settings([own, *official])["fmnist_2c2d"]
    found = targets_of("fmnist_2c2d", tuned, epochs=6)
    assert found == targets_of("fmnist_2c2d", [], epochs=6)
    assert found.main.source.startswith("value that half of 10 runs of official Adam reach")


def test_official_runs_beside_short_ones_set_the_target_if_there_is_no_reference():
    official = official_results("quadratic_deep")
    own = run_of([300.0, 200.0, 100.0], epochs=2, optimizer="AdamW", problem="quadratic_deep")
    found = targets_among(own, *official, problem="quadratic_deep")
    assert found.main == target_of("quadratic_deep", epochs=2)
    assert "official Adam reach in 75 % of 2 epochs" in found.main.source
    assert official[0].environment["source"] == OFFICIAL["source"]
