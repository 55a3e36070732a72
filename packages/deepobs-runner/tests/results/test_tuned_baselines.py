"""The shipped set `tuned-2026` is what its description and its plan say."""

import pytest

from deepobs_runner import load_plan, resolve_config
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.results.baselines import baseline_results, baseline_sets, problems_of

TRIALS = {
    "quadratic_deep": 32,
    "two_d_rosenbrock": 32,
    "two_d_beale": 32,
    "two_d_branin": 32,
    "fmnist_logreg": 16,
    "fmnist_mlp": 8,
}
OPTIMIZERS = {"SGD", "Momentum", "Adam", "AdamW"}


@pytest.fixture(scope="module")
def tuned():
    return baseline_sets()["tuned-2026"]


@pytest.fixture(scope="module")
def planned(tuned):
    """The runs of the plan that lies with the set, resolved, by id."""
    configs = [resolve_config(config) for config in load_plan(tuned.folder / "plan.yaml")]
    return {config.id: config for config in configs}


def test_the_plan_has_ten_seeds_of_four_optimizers_on_every_problem(tuned, planned):
    assert set(problems_of(tuned)) == set(TRIALS)
    assert len(planned) == 10 * len(OPTIMIZERS) * len(TRIALS)


@pytest.mark.parametrize("problem", TRIALS)
def test_the_winners_are_the_runs_of_the_plan(problem, tuned, planned):
    chosen = tuned_settings(baseline_results(tuned, problem))[problem]
    runs = [run for setting in chosen for run in setting.runs]
    assert {run.config.id for run in runs} == {
        name for name, config in planned.items() if config.problem == problem
    }
    assert {run.config.optimizer for run in runs} == OPTIMIZERS
    for run in runs:
        assert run.config.recipe == "standard"
        assert run.config.to_json()["schedule"]["kind"] == "cosine"
        assert run.config.valid_size == 0
        assert run.environment["packages"]["torch"] == "2.15.0"


@pytest.mark.parametrize("problem", TRIALS)
def test_budgets_were_equal(problem, tuned):
    runs = baseline_results(tuned, problem)
    trials = [run for run in runs if run.config.valid_size]
    for optimizer in OPTIMIZERS:
        rates = {t.config.hyperparams["lr"] for t in trials if t.config.optimizer == optimizer}
        assert len(rates) == TRIALS[problem]
    for setting in tuned_settings(runs)[problem]:
        assert setting.tried == TRIALS[problem]
