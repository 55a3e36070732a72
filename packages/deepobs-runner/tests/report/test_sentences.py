"""Verdicts and fairness in words."""

import math

import pytest
from runner_builders import BAR, OFFICIAL, reaching, run_of, two_optimizers

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import (
    compare_paired,
    differences,
    foreign_targets,
    judge,
    judge_settings,
    speedup,
    target_of,
)
from deepobs_runner.comparison.fairness import FACETS
from deepobs_runner.report.sentences import (
    DIFFERENCES,
    difference_sentence,
    exclusion,
    foreign_sentence,
    overall_sentence,
    paired_sentence,
    ratio_bracket,
    verdict_lines,
    verdict_text,
)


def test_paired_in_words_from_the_other_side():
    runs = [run_of([1.0 + 0.1 * s], s) for s in range(6)]
    runs += [run_of([1.5 + 0.2 * s], s, optimizer="Adam") for s in range(6)]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired.gain == pytest.approx(-0.75)
    assert paired_sentence(paired) == (
        "The final test objective of Adam is worse by 0.750 [0.500, 1.00] over 6 common seeds "
        "(p = 0.031)."
    )


def test_equal_and_undecided_in_words():
    runs = [run_of([3.0, 1.0], s, optimizer=o) for o in ("SGD", "Adam") for s in range(3)]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired_sentence(paired) == (
        "The final test objective of Adam is equal to that of SGD on all 3 common seeds."
    )
    (paired,) = compare_paired(tuned_settings([runs[0], runs[3]]), "Adam", "SGD")
    assert paired_sentence(paired).endswith("is equal to that of SGD on the common seed.")
    lost = [run_of([3.0, None], 0, optimizer=o, status="diverged") for o in ("SGD", "Adam")]
    (paired,) = compare_paired(tuned_settings(lost), "Adam", "SGD")
    assert paired_sentence(paired) == "Adam and SGD both diverge on the common seed."
    (paired,) = compare_paired(tuned_settings([*lost, runs[1], runs[4]]), "Adam", "SGD")
    assert paired_sentence(paired).endswith("on all 2 common seeds, and on 1 of them both diverge.")
    theirs = run_of([3.0, None], 1, status="diverged", environment=OFFICIAL)
    (paired,) = compare_paired(tuned_settings([lost[1], theirs]), "Adam", "SGD")
    assert (paired.by_seed, paired.diverged) == (False, 1)
    assert paired_sentence(paired) == "All runs of Adam and SGD diverge."
    assert ratio_bracket(0.5, 1.0004) == "[0.500, 1.0004]"
    assert ratio_bracket(1.0, math.inf) == "[1.00, ∞]"


def test_differences_in_words():
    runs = [run_of([3.0, 1.0], lr=lr) for lr in (0.1, 1.0)]
    runs += [
        run_of([3.0, 1.0, 1.0], s, optimizer="Adam", recipe="2019", precision="bf16", batch_size=64)
        for s in (42, 43)
    ]
    runs += [run_of([3.0], problem="q"), run_of([3.0], problem="q", optimizer="Adam")]
    said = list(map(difference_sentence, differences(tuned_settings(runs))))
    assert said == [
        "Unequal tuning budgets on p: SGD 2 settings tried, Adam (recipe 2019) 1 setting tried.",
        "Different recipes on p: SGD recipe standard, Adam (recipe 2019) recipe 2019.",
        "Different precisions on p: SGD fp32, Adam (recipe 2019) bf16.",
        "Different numbers of epochs on p: SGD 1 epoch, Adam (recipe 2019) 2 epochs.",
        "Different seeds on p: SGD 1 seed (42), Adam (recipe 2019) 2 seeds (42 to 43).",
    ]


def test_every_facet_has_words():
    facets = {facet.name for facet in FACETS} | {"planned epochs"}
    assert set(DIFFERENCES) == facets


def test_foreign_targets_in_words():
    runs = [run_of(seed=seed, problem="quadratic_deep") for seed in range(3)]
    runs += [run_of(problem="quadratic_deep", data="synthetic", optimizer="Adam")]
    targets = {"quadratic_deep": target_of("quadratic_deep")}
    said = list(map(foreign_sentence, foreign_targets(tuned_settings(runs), targets)))
    assert said == [
        "The runs of SGD on quadratic_deep follow the recipe standard, but the target was set by "
        "runs of the recipe 2019.",
        "The runs of Adam on quadratic_deep saw generated stand-in data, for which the official "
        "target means nothing.",
    ]


def three(optimizer, epoch, length=10):
    return [reaching(epoch, seed, length, optimizer=optimizer) for seed in range(3)]


BARE = [run_of(seed=seed, optimizer="Adam", metric="accuracy") for seed in range(3)]


@pytest.mark.parametrize(
    ("runs", "target", "words"),
    [
        (two_optimizers([4] * 3, [2] * 3), BAR, ""),
        (two_optimizers([4] * 3, [2] * 3), None, "it has no target"),
        (three("SGD", 3), BAR, "there are no runs of Adam"),
        (three("Adam", 3), BAR, "there are no runs of SGD"),
        (
            [*three("SGD", 3), *BARE], BAR,
            "the runs of Adam do not say test objective and epochs",
        ),
        (
            [*three("SGD", 8), *three("Adam", None, 5)], BAR,
            "the runs of Adam end before SGD reaches the target",
        ),
        (
            two_optimizers([10, None, None], [20] * 3), BAR,
            "less than half of the runs reach the target: SGD in 1 of 3 runs",
        ),
        ([*three("SGD", 0), *three("Adam", 3)], BAR, "the target is reached before training"),
        (two_optimizers([10], [5]), BAR, "one seed has no interval"),
        (two_optimizers([10] * 3, [5] * 2), BAR, "two seeds have no interval"),
    ],
)  # fmt: skip
def test_why_a_problem_has_no_speedup(runs, target, words):
    (line,) = speedup(tuned_settings(runs), {"p": target}, "Adam", "SGD").problems
    assert exclusion(line) == words
    assert bool(line.excluded) == bool(words)


def test_a_problem_that_is_too_short_is_named():
    runs = [*three("SGD", 8), *three("Adam", None, 5)]
    verdict = judge_settings(tuned_settings(runs), {"p": BAR}, "Adam", "SGD")
    assert "on p the runs of Adam end before SGD reaches it" in overall_sentence(verdict)


def test_paired_across_programs_in_words():
    runs = [run_of([1.0 + 0.01 * s], s, environment=OFFICIAL) for s in range(10)]
    runs += [run_of([0.5 + 0.01 * s], s, optimizer="Adam") for s in range(3)]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired_sentence(paired) == (
        "The final test objective of Adam is better by 0.535 [0.500, 0.570] over 3 runs "
        "against 10, not paired, as two programs made them (p = 0.007)."
    )
    runs = [run_of([1.0], 1), run_of([1.0], 2, optimizer="Adam")]
    (paired,) = compare_paired(tuned_settings(runs), "Adam", "SGD")
    assert paired_sentence(paired) == "No seed in common."


def test_verdict_in_words():
    runs = two_optimizers([24, 26, 25, 24, 27, 26], [20, 21, 20, 22, 20, 21])
    runs += two_optimizers([5, 30, 9, 26, 8], [20, 9, 22, 14, 30], "q")
    runs += two_optimizers([9, 9, 9], [None, None, None], "r")
    for problem in "pqr":  # the bar is what Adam, unlike SGD's, ends at
        assert target_of(problem, runs) is not None
    verdict = judge(runs, "Adam", "SGD")
    assert overall_sentence(verdict).startswith("Adam reaches the target ")
    assert "[" in overall_sentence(verdict)
    lines = verdict_lines(verdict)
    assert list(lines) == ["p", "q", "r"]
    assert lines["p"].startswith(
        "Adam reaches the target (test objective 0.5) 1.24 times as fast as SGD ["
    )
    assert "this leaves open which is faster" in lines["q"]
    assert lines["p"].endswith("Adam is equal to that of SGD on all 6 common seeds.")
    assert len(verdict_text(verdict).splitlines()) == 4


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "No verdict: no run of Adam and SGD has a record; there are no results."),
        ([run_of([1.0])], "No verdict: no run of Adam has a record; there are results of SGD."),
        (
            [run_of([3.0, 1.0]), run_of([3.0, 1.0], optimizer="Adam")],
            "No verdict on the speed of Adam against SGD: none of 1 problem has a speed-up with an "
            "interval; p cannot be judged; 1 needs 2 more seeds.",
        ),
        (
            [
                run_of([None], optimizer=o, seed=s, status="diverged")
                for o in ("SGD", "Adam")
                for s in range(3)
            ],
            "No verdict on the speed of Adam against SGD: none of 1 problem has a speed-up with an "
            "interval; p cannot be judged.",
        ),
    ],
)
def test_verdict_on_too_little(runs, words):
    assert overall_sentence(judge(runs, "Adam", "SGD")) == words
