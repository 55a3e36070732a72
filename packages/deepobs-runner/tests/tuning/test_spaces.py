"""Search spaces, samplers, selection and studies: what is tried, and what is refused."""

import json

import numpy as np
import pytest
from runner_builders import OUT_OF_TIME, run_of

from deepobs_runner import UsageError, official_results
from deepobs_runner.analysis.metrics import Metric
from deepobs_runner.cli.main import build_parser
from deepobs_runner.optimizers import ADAPTERS, find_optimizer
from deepobs_runner.results.official import official_learning_rate, official_problems
from deepobs_runner.schedules import Exponential
from deepobs_runner.tuning.priors import GRID_2019, PRIORS
from deepobs_runner.tuning.rulesets import RULESETS
from deepobs_runner.tuning.samplers import predrawn
from deepobs_runner.tuning.spaces import (
    Choice,
    IntUniform,
    LogUniform,
    OneMinusLogUniform,
    Space,
    Uniform,
    parse_dimension,
    read_spaces,
    show_dimension,
)
from deepobs_runner.tuning.study import Study, make_study
from deepobs_runner.tuning.trials import Trial, best_of, shares_of_progress, trial_of

ONE_OF_EACH = Space(
    {
        "lr": LogUniform(1e-4, 1.0),
        "dampening": Uniform(0.0, 0.5),
        "momentum": OneMinusLogUniform(1e-3, 0.5),
        "n": IntUniform(1, 4),
        "nesterov": Choice((True, False)),
    }
)


def test_every_kind_of_range_survives_json_and_the_command_line():
    assert Space.from_json(json.loads(json.dumps(ONE_OF_EACH.to_json()))) == ONE_OF_EACH
    for dimension in list(ONE_OF_EACH.dimensions.values())[:4]:
        assert parse_dimension(show_dimension(dimension)) == dimension
    assert parse_dimension("choice:true/0.9,0.99/sum").values == (True, [0.9, 0.99], "sum")


def test_places_in_the_unit_interval():
    assert [LogUniform(1e-4, 1.0).at(u) for u in (0, 0.5, 1)] == [1e-4, 1e-2, 1.0]
    assert [OneMinusLogUniform(1e-3, 0.1).at(u) for u in (0, 0.5, 1)] == [0.999, 0.99, 0.9]
    assert [IntUniform(1, 4).at(u) for u in (0, 0.24, 0.26, 0.99, 1)] == [1, 1, 2, 4, 4]
    assert [Choice("ab").at(u) for u in (0, 0.49, 0.5, 1)] == ["a", "a", "b", "b"]
    assert [Uniform(-1, 3).at(u) for u in (0, 0.25, 1)] == [-1, 0, 3]


def test_the_grid_of_the_official_runs_holds_exactly_their_rates():
    rates = [point["lr"] for point in predrawn("grid", GRID_2019, 36)]
    assert rates == pytest.approx(np.logspace(-5, 2, 36), rel=1e-7)
    published = {
        run.config.hyperparams["lr"] for run in official_results("fmnist_2c2d", tuned=False)
    }
    assert set(rates) == published


@pytest.mark.parametrize("problem", official_problems())
def test_selection_finds_the_published_rate_among_the_published_runs(problem):
    runs = [run for run in official_results(problem, tuned=False) if run.config.seed == 42]
    for optimizer in ("SGD", "Momentum", "Adam"):
        own = [run for run in runs if run.config.optimizer == optimizer]
        assert len(own) == 36
        trials = [
            trial_of(
                run, "test", {"problem": problem, "optimizer": optimizer, "number": i, "point": {}}
            )
            for i, run in enumerate(own)
        ]
        winner = best_of(trials)[0]
        chosen = own[winner.number].config.hyperparams["lr"]
        assert chosen == official_learning_rate(problem, optimizer)


@pytest.mark.parametrize("sampler", ["random", "sobol", "halton"])
def test_trial_i_is_the_same_whatever_the_budget(sampler):
    points = predrawn(sampler, ONE_OF_EACH, 37, seed=5)
    assert len(points) == 37
    for budget in (1, 2, 16, 21):
        assert predrawn(sampler, ONE_OF_EACH, budget, seed=5) == points[:budget]
    assert predrawn(sampler, ONE_OF_EACH, 37, seed=6) != points


def test_trials_are_the_same_everywhere():
    """Frozen: a change would make other trials of the studies that people have."""
    space = Space({"lr": LogUniform(1e-4, 1.0), "momentum": Uniform(0.0, 1.0)})
    found = {name: predrawn(name, space, 2) for name in ("random", "sobol", "halton")}
    assert found == FROZEN


FROZEN = {
    "random": [
        {"lr": 0.00086190893, "momentum": 0.97744245},
        {"lr": 0.01305986, "momentum": 0.77440917},
    ],
    "sobol": [
        {"lr": 0.00099324546, "momentum": 0.015903594},
        {"lr": 0.099324546, "momentum": 0.51590359},
    ],
    "halton": [
        {"lr": 0.00064972454, "momentum": 0.87731399},
        {"lr": 0.064972454, "momentum": 0.21064732},
    ],
}


@pytest.mark.parametrize(("sampler", "base"), [("sobol", 2), ("halton", 2)])
def test_quasi_random_points_are_even_in_every_range(sampler, base):
    space = Space({"a": Uniform(0.0, 1.0), "b": Uniform(0.0, 1.0)})
    first = np.array([point["a"] for point in predrawn(sampler, space, 16, seed=3)])
    gaps = np.diff(np.sort(first))
    assert gaps.max() <= 2 / 16 + 1e-9
    if sampler == "sobol":  # one in each sixteenth, of both coordinates
        for name in space.dimensions:
            values = [point[name] for point in predrawn(sampler, space, 16, seed=3)]
            assert sorted(int(16 * value) for value in values) == list(range(16))


def test_random_points_are_uniform():
    from scipy.stats import kstest

    values = [point["x"] for point in predrawn("random", Space({"x": Uniform(0, 1)}), 500)]
    assert kstest(values, "uniform").pvalue > 0.01


def test_a_grid_takes_all_choices_and_as_many_points_as_fit():
    space = Space({"lr": LogUniform(1e-3, 1.0), "nesterov": Choice((True, False))})
    points = predrawn("grid", space, 9)
    assert len(points) == 8
    assert [p["lr"] for p in points[::2]] == [0.001, 0.01, 0.1, 1.0]
    with pytest.raises(UsageError, match="at least 4 trials; the budget is 3"):
        predrawn("grid", space, 3)
    assert len(predrawn("grid", Space({"n": IntUniform(1, 3)}), 10)) == 3


@pytest.mark.parametrize("name", PRIORS)
def test_default_spaces_fit_their_optimizers(name):
    adapter = ADAPTERS.get(name)
    if adapter is not None and adapter.requires is not None:
        pytest.importorskip(adapter.source.partition(":")[0])
    find_optimizer(name)
    study = make_study("best-of-k", ["two_d_branin"], [(name, {})])
    point = predrawn("sobol", study.candidates[0].space, 1)[0]
    hyperparams = study.trial("two_d_branin", study.candidates[0], point).hyperparams
    for key in ("lr", "adamw_lr"):
        assert hyperparams.get(key) == point.get(key)
    if name == "Adam":
        assert hyperparams["betas"] == [point["betas.0"], point["betas.1"]]


def test_every_bare_name_of_another_package_has_a_default_space():
    assert set(ADAPTERS) <= set(PRIORS)


@pytest.mark.parametrize(
    ("optimizer", "key", "least", "greatest"),
    [
        ("SGD", "lr", 1.2087541473e-04, 7.2866537375e-01),
        ("Adagrad", "lr", 1.2087541473e-04, 4.3379206975e-01),
        ("RMSprop", "lr", 1.0521761868e-04, 7.5568101413e-01),
        ("RMSprop", "alpha", 1.5512259126e-03, 9.1339958469e-01),
        ("Adam", "lr", 1.0521761868e-04, 8.8623265086e-01),
        ("Adam", "betas.0", 5.1103032267e-01, 9.2969000519e-01),
        ("Adam", "betas.1", 8.1139340614e-01, 9.5637947097e-01),
    ],
)
def test_priors_are_as_wide_as_crowded_valley_published(optimizer, key, least, greatest):
    """Extremes of its runs of quadratic_deep (large budget; cosine, or cosine_wr for SGD)."""
    dimension = PRIORS[optimizer].dimensions[key]
    assert dimension.low <= least <= 2 * dimension.low
    assert dimension.high / 2.5 <= greatest <= dimension.high


def test_what_is_fixed_is_not_tuned():
    (candidate,) = make_study(
        "best-of-k", ["two_d_branin"], [("Adam", {"betas": [0.8, 0.9]})]
    ).candidates
    assert list(candidate.space.dimensions) == ["lr"]
    assert candidate.hyperparams({"lr": 0.1}) == {"betas": [0.8, 0.9], "lr": 0.1}


def test_a_study_survives_json():
    study = make_study(
        "best-of-k",
        ["two_d_branin"],
        [("SGD", {"nesterov": False}), ("Adam", {})],
        spaces={"SGD": Space({"lr": LogUniform(1e-3, 1.0)})},
        settings={"epochs": 3, "recipe": "2019"},
    )
    assert Study.from_json(json.loads(json.dumps(study.to_json()))) == study
    other = make_study("best-of-k", ["two_d_branin"], [("SGD", {}), ("Adam", {})])
    assert study.default_name != other.default_name


def test_spaces_of_the_command_line_and_of_files(tmp_path):
    names = ["SGD", "mine.py:Adam"]
    found = read_spaces(["lr=log:1e-3:1", "mine.py:Adam.betas.0=uniform:0:0.9"], names)
    assert found["SGD"] == Space({"lr": LogUniform(1e-3, 1.0)})
    assert list(found["mine.py:Adam"].dimensions) == ["lr", "betas.0"]
    path = tmp_path / "space.yaml"
    path.write_text(
        "lr: log:1e-3:1\n"
        "SGD:\n  momentum: {kind: uniform, low: 0, high: 0.9}\n  nesterov: choice:true\n"
    )
    found = read_spaces([str(path)], ["SGD", "Adam"])
    assert str(found["SGD"]) == "lr=log:0.001:1 momentum=uniform:0:0.9 nesterov=choice:True"
    assert str(found["Adam"]) == "lr=log:0.001:1"
    path.write_text("lr: log:1e-3:1\nAdm:\n  eps: log:1e-8:1\n")
    with pytest.raises(UsageError, match=r"space.yaml:2: 'Adm' is not an optimizer of this study"):
        read_spaces([str(path)], ["Adam"])
    path.write_text("lr: {kind: lg, low: 1, high: 2}\n")
    with pytest.raises(UsageError, match=r"space.yaml:1: the space.lr: .*Kinds: log, uniform"):
        read_spaces([str(path)], ["Adam"])
    with pytest.raises(UsageError, match="lr of Adam is given twice"):
        read_spaces(["lr=log:1e-3:1", "Adam.lr=log:1e-3:1"], ["Adam"])


@pytest.mark.parametrize(
    ("space", "sentence"),
    [
        ("betas.0=uniform:0:1", "SGD has no hyperparameter 'betas'"),
        ("momentm=uniform:0:1", "no hyperparameter 'momentm'. Did you mean 'momentum'"),
        ("nesterov=uniform:0:1", "contradicts SGD: nesterov of SGD must be true or false"),
        ("momentum=uniform:-1:0.5", "contradicts SGD: SGD does not take these hyperparameters"),
        ("momentum.0=uniform:0:1", "momentum.0 is not part of a list: momentum of SGD is 0"),
        ("lr=log:1:1e-3", "The range log:1:0.001 is empty; write the lower end first"),
        ("lr=log:0:1", "The lower end of log:0:1 must be > 0"),
        ("lr=log:1", "Cannot read the range 'log:1'"),
        ("lr=1e-5:1", "needs a kind in front, for example log:1e-5:1"),
        ("lr=logg:1:2", "Unknown kind of range 'logg' in 'logg:1:2'. Did you mean 'log'"),
        ("lr=int:1:2.5", "with two whole numbers"),
        ("momentum=one-minus-log:0.5:2", "its ends must be in"),
        ("lr", "Cannot read the space 'lr'"),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(space, sentence):
    with pytest.raises(UsageError) as caught:
        make_study(
            "best-of-k", ["two_d_branin"], [("SGD", {})], spaces=read_spaces([space], ["SGD"])
        )
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("ruleset", "options", "sentence"),
    [
        ("best-of-j", {}, "Unknown ruleset 'best-of-j'. Did you mean 'best-of-k'"),
        ("best-of-k", {"budget": 1}, "The budget of best-of-k is 1; allowed: a whole number > 1"),
        ("crowded-valley", {"budget": 30}, "allowed: one-shot (1), small (25), medium (50)"),
        ("crowded-valley", {"sampler": "sobol"}, "allows no sampler 'sobol'. It allows: random"),
        (
            "crowded-valley",
            {"settings": {"schedule": Exponential(0.9)}},
            "no schedule 'exponential'. It has: constant, cosine, cosine-restarts, trapezoidal",
        ),
        ("deepobs-2019", {"spaces": {"Adam": GRID_2019}}, "and no other space"),
        ("best-of-k", {"prune": True}, "sobol cannot prune trials. Samplers that can: gp, tpe"),
        ("best-of-k", {"at_once": 2}, "at_once is for adaptive samplers"),
    ],
)
def test_what_a_ruleset_does_not_allow(ruleset, options, sentence):
    with pytest.raises(UsageError) as caught:
        make_study(ruleset, ["two_d_branin"], [("Adam", {})], **options)
    assert sentence in str(caught.value)


def test_optimizers_that_cannot_be_tuned_as_asked():
    with pytest.raises(UsageError, match="SGD is given twice"):
        make_study("best-of-k", ["two_d_branin"], [("SGD", {}), ("SGD", {"momentum": 0.9})])
    with pytest.raises(UsageError, match="Rprop has no default search space"):
        make_study("best-of-k", ["two_d_branin"], [("Rprop", {})])
    with pytest.raises(UsageError, match="nothing left to tune: lr is fixed"):
        make_study("best-of-k", ["two_d_branin"], [("SGD", {"lr": 0.1})])


def test_the_budgets_of_crowded_valley():
    budgets = RULESETS.load("crowded-valley").budgets
    assert dict(budgets) == {"one-shot": 1, "small": 25, "medium": 50, "large": 75}
    study = make_study("crowded-valley", ["two_d_branin"], [("Adam", {})], budget="one-shot")
    assert study.sampler_of(study.candidates[0]).ask(5) == [{}]
    config = study.trial("two_d_branin", study.candidates[0], {})
    assert config.hyperparams["lr"] == 1e-3  # of the signature


ACCURACY = Metric("valid", "accuracy", higher_is_better=True)
LOSS = Metric("valid", "objective", higher_is_better=False)


def trial(number, value, *, metric=LOSS, status="done", first=10.0):
    return Trial(
        problem="p",
        optimizer="o",
        number=number,
        run=str(number),
        point={},
        status=status,
        metric=metric,
        value=value,
        first=first,
    )


@pytest.mark.parametrize(
    ("settings", "merit"),
    {
        "done": ({}, -1.0),
        "stopped early": ({"status": "stopped", "error": "no lower objective on valid"}, -1.0),
        "out of time": ({"status": "stopped", "error": OUT_OF_TIME}, None),
        "pruned": ({"status": "stopped", "error": "pruned: Hyperband ended it"}, None),
        "failed": ({"status": "failed"}, None),
        "running": ({"status": "running"}, None),
        "diverged": ({"status": "diverged"}, None),
    }.values(),
)
def test_only_what_counts_can_win(settings, merit):
    about = {"problem": "p", "optimizer": "SGD", "number": 0, "point": {}}
    made = trial_of(run_of((3.0, 1.0), **settings), "test", about)
    assert made.merit == merit
    assert made.was_cut == (settings.get("error") == OUT_OF_TIME)
    worse = trial(1, 2.0)
    assert best_of([made, worse]) == ([worse] if merit is None else [made])


def test_lost_trials_never_win_and_the_first_of_equals_does():
    lost = [trial(0, None, status="diverged"), trial(1, 0.0, status="pruned")]
    lost += [trial(2, 0.0, status="failed"), trial(3, None)]
    assert best_of(lost) == []
    worst = trial(4, 1e9)
    assert best_of([*lost, worst])[0] is worst
    best = best_of([*lost, trial(5, 2.0), trial(6, 1.0), trial(7, 1.0)])
    assert [t.number for t in best] == [6, 7]
    assert best_of([trial(0, 0.8, metric=ACCURACY), trial(1, 0.9, metric=ACCURACY)])[0].number == 1


def test_shares_of_progress_by_hand():
    """Progress from 10: shares 1, 1/2, 0 on the first; 0.4, 1, lost on the second."""
    first = [trial(0, 2.0), trial(1, 6.0), trial(2, 11.0)]
    accuracies = [
        trial(0, 0.3, metric=ACCURACY, first=0.1),
        trial(1, 0.6, metric=ACCURACY, first=0.1),
        trial(2, None, metric=ACCURACY, first=0.1, status="diverged"),
    ]
    scores = shares_of_progress({"p": first, "q": accuracies})
    assert scores == pytest.approx({0: 0.4**0.5, 1: 0.5**0.5, 2: 0.0})
    # A problem on which nobody moved says nothing.
    idle = [trial(i, 10.0) for i in range(3)]
    assert shares_of_progress({"p": first, "q": idle})[1] == pytest.approx(0.5)


def test_the_command_line_knows_the_rulesets():
    arguments = build_parser("tune").parse_args(["tune", "two_d_branin", "SGD", "--budget", "4"])
    assert (arguments.ruleset, arguments.valid_size, arguments.recipe) == (
        "best-of-k",
        None,
        "standard",
    )
