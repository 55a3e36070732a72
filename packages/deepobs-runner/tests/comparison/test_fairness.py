"""What else differs between optimizers."""

import pytest
from runner_builders import BAR, OFFICIAL, run_of

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import agreement, differences, foreign_targets, target_of
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.schedules import Cosine


def test_runs_unlike_those_that_set_the_target():
    targets = {"quadratic_deep": target_of("quadratic_deep"), "p": BAR}

    def found(*runs):
        return foreign_targets(tuned_settings(runs), targets)

    where = {"problem": "quadratic_deep"}
    standard = [run_of(seed=seed, **where) for seed in range(3)]
    made_up = run_of(recipe="2019", data="synthetic", optimizer="Adam", **where)
    assert found(*standard) == [("recipe", ("SGD",), ("quadratic_deep",))]
    assert found(made_up) == [("data", ("Adam",), ("quadratic_deep",))]
    assert [each.reason for each in found(*standard, made_up)] == ["recipe", "data"]
    assert found(run_of(recipe="2019", **where)) == []
    assert found(run_of()) == []


@pytest.mark.parametrize(
    ("settings", "facet", "values"),
    [
        ({"schedule": Cosine()}, "schedule", ("constant", "cosine")),
        ({"clip_norm": 1.0}, "clipping", ("no clipping", "gradients clipped at norm 1")),
        ({"world_size": 2}, "number of processes", ("1 process", "2 processes")),
        ({"seed": 7}, "seeds", ("1 seed (42)", "1 seed (7)")),
        ({"last_steps": 3}, "epochs", ("1 epoch", "0.4286 epochs")),
        ({"recipe": "2019"}, "recipe", ("recipe standard", "recipe 2019")),
        ({"precision": "bf16"}, "precision", ("fp32", "bf16")),
        ({"batch_size": 64}, "batch size", ("batch size 8", "batch size 64")),
        ({"data": "synthetic"}, "data", ("real data", "synthetic data")),
        ({"valid_size": 9}, "validation examples", ("no examples", "9 examples")),
        ({"l2": 0.5}, "regularizer", ("L2 0", "L2 0.5")),
        ({"values": (3.0, 1.0, 1.0)}, "epochs", ("1 epoch", "2 epochs")),
    ],
)
def test_each_difference_is_found_and_not_called_equal(settings, facet, values):
    alike = {"l2": 0.0, "batch_size": 8}
    other = run_of(optimizer="Adam", **{**alike, **settings})
    if "last_steps" in settings:
        other.records[-1]["steps_per_epoch"] = 7
    problems = tuned_settings([run_of(**alike), other])
    (found,) = differences(problems)
    assert (found.facet, found.problems) == (facet, ("p",))
    assert tuple(value for _, value in found.values) == values
    same = agreement(problems)
    assert len(same.equal) == 12
    assert facet not in same.equal
    assert same.unknown == ()


def test_seeds_of_another_major_version_are_named():
    runs = [run_of(optimizer=name, seed=seed) for name in ("SGD", "Adam") for seed in (42, 43)]
    for run in runs:
        run.environment["packages"] = {"deepobs-problems": "1.2.0", "torch": "2.15.0"}
    assert not [d for d in differences(tuned_settings(runs)) if d.facet == "versions"]
    runs[-1].environment["packages"] = {"deepobs-problems": "1.3.1", "torch": "2.6.0"}
    assert not [d for d in differences(tuned_settings(runs)) if d.facet == "versions"]
    runs[-1].environment["packages"] = {"deepobs-problems": "2.0.0", "torch": "2.15.0"}
    (found,) = (d for d in differences(tuned_settings(runs)) if d.facet == "versions")
    words = {label.partition(" ")[0]: value for label, value in found.values}
    assert words["SGD"] == "deepobs-problems 1.x"
    assert words["Adam"] == "deepobs-problems 1.x and deepobs-problems 2.x"


def test_a_mixture_of_vectorized_runs_and_others_is_named():
    runs = [run_of(), run_of(optimizer="Adam", seed=42), run_of(optimizer="Adam", seed=43)]
    runs[1].environment["vectorized"] = 4
    (found,) = (d for d in differences(tuned_settings(runs)) if d.facet == "vectorization")
    assert dict(found.values) == {
        "SGD": "trained separately",
        "Adam": "trained separately and vectorized",
    }
    for run in runs:
        run.environment["vectorized"] = 4
    assert not [d for d in differences(tuned_settings(runs)) if d.facet == "vectorization"]


def test_problems_that_differ_in_the_same_way_are_listed_together():
    runs = [run_of(lr=lr, problem=p) for lr in (0.1, 1.0) for p in "pq"]
    runs += [run_of(optimizer="Adam", problem=p) for p in "pqr"] + [run_of(problem="r")]
    (found,) = differences(tuned_settings(runs))
    assert found == (
        "tuning budget", ("p", "q"), (("SGD", "2 settings tried"), ("Adam", "1 setting tried")),
    )  # fmt: skip
    assert differences(tuned_settings(runs), ["SGD"]) == []


def test_what_is_not_known_is_not_called_equal():
    runs = [run_of(batch_size=8), run_of(optimizer="Adam")]
    found = agreement(tuned_settings(runs))
    assert found.unknown == ("batch size", "regularizer")
    assert "epochs" in found.equal
    assert agreement(tuned_settings(runs[:1])) == ((), ())


def test_a_rate_of_the_official_runs_was_tuned():
    official = official_learning_rate("quadratic_deep", "SGD")
    runs = [
        run_of(problem="quadratic_deep", lr=official),
        run_of(problem="quadratic_deep", optimizer="AdamW"),
    ]
    (found,) = differences(tuned_settings(runs))
    assert found.values == (
        ("SGD", "1 setting tried at the official learning rate, not retuned"),
        ("AdamW", "1 setting tried"),
    )


def test_official_runs_have_the_regularizer_of_their_problem():
    runs = [
        run_of(problem="fmnist_2c2d", environment=OFFICIAL),
        run_of(problem="fmnist_2c2d", l2=0.5, optimizer="Adam"),
    ]
    found = {
        difference.facet: difference.values for difference in differences(tuned_settings(runs))
    }
    assert found["regularizer"] == (("SGD", "L2 0"), ("Adam", "L2 0.5"))
