"""Which optimizers are compared."""

import pytest
from runner_builders import run_of

from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import choose_pairs
from deepobs_runner.results.official import official_results

OFFICIAL_RUNS = [
    run for problem in ("quadratic_deep", "mnist_vae") for run in official_results(problem)
]


def pairs_of(*runs, **options):
    """Return which optimizers are compared in a report about runs."""
    return list(problems_of_pairs(*runs, **options))


def problems_of_pairs(*runs, baselines=OFFICIAL_RUNS, references=()):
    """Return which optimizers are compared in a report about runs, and on which problems."""
    problems = tuned_settings([*runs, *baselines])
    listed = (setting for found in problems.values() for setting in found)
    ours = dict.fromkeys(s.optimizer for s in listed if not s.baseline)
    return choose_pairs(problems, list(ours), references)


def seeds_of(optimizer, seeds, problem="quadratic_deep"):
    """Return runs of the recipe of the official ones."""
    given = {"problem": problem, "optimizer": optimizer, "recipe": "2019"}
    return [run_of([350.0, 87.0], seed=seed, **given) for seed in seeds]


def test_your_own_runs_are_the_reference_if_they_have_the_same_seeds():
    mine = seeds_of("AdamW", [1, 2, 3])
    three = [("AdamW", f"{name} (official)") for name in ("Momentum", "Adam")]
    assert pairs_of(*mine, *seeds_of("SGD", [1, 2, 3])) == [("AdamW", "SGD (yours)"), *three]
    for others in (
        seeds_of("SGD", [1, 2]),
        seeds_of("SGD", [4, 5, 6]),
    ):
        assert pairs_of(*mine, *others) == [("AdamW", "SGD (official)"), *three]


def test_each_problem_has_its_own_reference():
    mine = [*seeds_of("AdamW", [1, 2, 3]), *seeds_of("SGD", [1, 2, 3])]
    shared = {("AdamW", "SGD (yours)"): ["quadratic_deep"]}
    both = ["quadratic_deep", "mnist_vae"]
    for more in (
        seeds_of("AdamW", [1, 2, 3], "mnist_vae"),
        seeds_of("AdamW", [1], "mnist_vae") + seeds_of("SGD", [1], "mnist_vae"),
    ):
        found = problems_of_pairs(*mine, *more)
        assert {pair: names for pair, names in found.items() if "SGD" in pair[1]} == (
            shared | {("AdamW", "SGD (official)"): ["mnist_vae"]}
        )
        assert found["AdamW", "Adam (official)"] == both
    found = problems_of_pairs(*mine, *seeds_of("AdamW", [1], "mnist_vae"), baselines=())
    assert found == {("AdamW", "SGD"): both}  # the second with the reason that SGD has no runs


def test_usual_references_among_themselves_are_compared_with_the_first():
    mine = seeds_of("Adam", [1, 2, 3])
    assert pairs_of(*mine) == [("Adam (yours)", "SGD (official)")]
    assert pairs_of(*mine, *seeds_of("SGD", [1, 2, 3])) == [("Adam (yours)", "SGD (yours)")]
    assert pairs_of(*seeds_of("SGD", [1, 2, 3])) == [("SGD (yours)", "SGD (official)")]


def test_without_a_usual_reference_the_first_is_one():
    runs = [run_of(optimizer=name, seed=seed) for name in ("A", "B", "C") for seed in range(3)]
    assert pairs_of(*runs, baselines=()) == [("B", "A"), ("C", "A")]


def test_references_are_named_by_label_or_by_optimizer():
    mine = seeds_of("AdamW", [1, 2, 3])
    pairs = pairs_of(*mine, *seeds_of("Adam", [1]), references=["Adam (official)"])
    assert pairs[0] == ("AdamW", "Adam (official)")
    assert pairs_of(*mine, references=["Adam"]) == [("AdamW", "Adam")]
    files = [run_of(optimizer="there/mine.py:Mine"), run_of()]
    for name in ("Mine", "mine.py:Mine", "./mine.py:Mine"):
        assert pairs_of(*files, baselines=(), references=[name]) == [("SGD", "Mine")]
    with pytest.raises(UsageError, match=r"'Lion' is not in the results\. Choose one of: SGD"):
        pairs_of(run_of(), baselines=(), references=["Lion"])
    with pytest.raises(UsageError, match=r"'Adam' means Adam \(yours\), Adam \(official\)"):
        pairs_of(*seeds_of("Adam", [1]), references=["Adam"])


def test_generated_data_is_compared_with_generated_data_alone():
    runs = [run_of(optimizer=name, data="synthetic") for name in ("SGD", "AdamW")]
    runs += [run_of(optimizer="Adam")]
    assert pairs_of(*runs, baselines=()) == [("AdamW", "SGD")]
    with pytest.raises(UsageError, match="no other optimizer has real data"):
        pairs_of(*runs, baselines=(), references=["Adam"])
