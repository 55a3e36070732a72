"""Verdicts and fairness in words."""

import re
from dataclasses import replace

import pytest
from runner_builders import BAR, reaching, run_of, two_optimizers

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.comparison import (
    differences,
    foreign_targets,
    judge,
    judge_settings,
    target_of,
)
from deepobs_runner.comparison.fairness import FACETS
from deepobs_runner.report.sentences import (
    DIFFERENCES,
    difference_sentence,
    exclusion,
    final_sentence,
    foreign_sentence,
    overall_sentence,
    speedup_sentence,
    verdict_lines,
)


def sentences_of(runs, target=BAR, **options):
    """Return both sentences on problem p."""
    verdict = judge_settings(tuned_settings(runs), {"p": target}, "Adam", "SGD", **options)
    (line,) = verdict.problems
    return speedup_sentence(line), final_sentence(line)


def ending(values, optimizer="SGD", environment=None):
    return [
        run_of(
            [3.0, value], seed, optimizer=optimizer, environment=environment,
            status="done" if value is not None else "diverged",
        )
        for seed, value in enumerate(values)
    ]  # fmt: skip


HARD = replace(BAR, value=-99.0)


def test_a_bound_without_an_interval_is_shown_as_on_the_page():
    said, _ = sentences_of(two_optimizers([10, 11, 12], [None]))
    assert said.startswith("Inconclusive: at most 0.1")


@pytest.mark.parametrize(
    ("slow", "fast", "words"),
    [
        (
            [24, 26, 25, 24], [20, 21, 20, 22],
            "1.19× faster (95 % CI 1.09–1.30, p = 0.0049); 20.7 vs. 24.7 epochs to test objective "
            "1.",
        ),
        (
            [20, 21, 20, 22], [24, 26, 25, 24],
            "1.19× slower (95 % CI 1.09–1.30, p = 0.0049); 24.7 vs. 20.7 epochs to test objective "
            "1.",
        ),
        (
            [20, 30, 40], [24, 26, 31],
            "Inconclusive: 1.07× (95 % CI 0.504–2.29, p = 1); 26.8 vs. 28.8 epochs to test "
            "objective 1.",
        ),
        (
            [None] * 6, [10, 10, 12, 11, 12, 10],
            "At least 5.63× faster (95 % CI ≥ 4.92, p = 0.0043); test objective 1 reached by 6 of "
            "6 vs. 0 of 6 runs (Fisher's exact p = 0.0022).",
        ),
        (
            [10, 10, 12, 11, 12, 10], [None] * 6,
            "At least 5.63× slower (95 % CI ≥ 4.92, p = 0.0043); test objective 1 reached by 0 of "
            "6 vs. 6 of 6 runs (Fisher's exact p = 0.0022).",
        ),
        (
            [None] * 10, [59] * 7 + [None] * 3,
            "Faster by an unknown factor (p = 0.0031); test objective 1 reached by 7 of 10 vs. 0 "
            "of 10 runs (Fisher's exact p = 0.0031).",
        ),
        (
            [None] * 3, [None, 20, None],
            "No speedup estimate: too few runs reach the target; test objective 1 reached by 1 of "
            "3 vs. 0 of 3 runs.",
        ),
        ([10], [5], "Inconclusive: 2.00× from one run on a side; 5.00 vs. 10.0 epochs to test "
         "objective 1."),
    ],
)  # fmt: skip
def test_speedup_in_words(slow, fast, words):
    assert sentences_of(two_optimizers(slow, fast))[0] == words


def test_a_speedup_that_only_the_correction_leaves_undecided():
    p = two_optimizers([24, 26, 25], [21, 23, 22])
    others = [r for q in "qrs" for r in two_optimizers([3, 9], [4, 8], q)]
    verdict = judge_settings(tuned_settings(p + others), dict.fromkeys("pqrs", BAR), "Adam", "SGD")
    assert speedup_sentence(verdict.problems[0]).startswith(
        "Inconclusive after correction for multiple tests: 1.14× (95 % CI 1.02–1.27, p = 0."
    )


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        (
            [1.0, 1.1, 1.2], [0.5, 0.6, 0.7],
            "Final test objective: 0.500 better (95 % CI 0.273–0.727, p = 0.0036), 3 vs. 3 runs.",
        ),
        (
            [0.5, 0.6, 0.7], [1.0, 1.1, 1.2],
            "Final test objective: 0.500 worse (95 % CI 0.273–0.727, p = 0.0036), 3 vs. 3 runs.",
        ),
        (
            [1.0, 1.1, 1.2], [1.0, 1.1, 1.25],
            "Final test objective: inconclusive, -0.0167 (95 % CI -0.280 to 0.246, p = 0.87), 3 "
            "vs. 3 runs.",
        ),
        (
            [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], [0.8, 0.9, 1.0, 1.1, 1.2, 1.31],
            "Final test objective: 0.198 better (95 % CI 0.194–0.203, p < 0.0001), over 6 common "
            "seeds.",
        ),
        (
            [None] * 5, [1.0, 1.1, 1.2, 1.3, 1.4],
            "Final test objective: better, 5 vs. 5 runs; 0 vs. 5 diverged.",
        ),
        (
            [None, 1.0], [1.0, 1.0],
            "Final test objective: inconclusive, 2 vs. 2 runs; 0 vs. 1 diverged.",
        ),
        ([None, None], [None], "Final test objective: all runs of both diverge."),
        ([1.0], [0.5], "Final test objective: inconclusive, +0.500, 1 vs. 1 run."),
    ],
)  # fmt: skip
def test_final_values_in_words(theirs, ours, words):
    assert sentences_of([*ending(theirs), *ending(ours, "Adam")], HARD)[1] == words


def test_without_a_common_metric_there_is_no_sentence():
    runs = [run_of([1.0]), run_of([0.5], optimizer="Adam", metric="accuracy")]
    assert sentences_of(runs)[1] == ""


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
        "The runs of SGD on quadratic_deep use recipe standard, but the target comes from "
        "runs of recipe 2019.",
        "The runs of Adam on quadratic_deep use generated stand-in data, for which the official "
        "target is meaningless.",
    ]


def three(optimizer, epoch, length=10):
    return [reaching(epoch, seed, length, optimizer=optimizer) for seed in range(3)]


BARE = [run_of(seed=seed, optimizer="Adam", metric="accuracy") for seed in range(3)]


@pytest.mark.parametrize(
    ("runs", "target", "words"),
    [
        (two_optimizers([4] * 3, [2] * 3), BAR, ""),
        (two_optimizers([4] * 3, [2] * 3), None, "the problem has no target"),
        (three("SGD", 3), BAR, "no runs of Adam"),
        (three("Adam", 3), BAR, "no runs of SGD"),
        (
            [*three("SGD", 3), *BARE], BAR,
            "the runs of Adam do not record test objective and epochs",
        ),
        (
            [*three("SGD", 8), *three("Adam", None, 5)], BAR,
            "the runs of Adam end before SGD reaches the target",
        ),
        ([*three("SGD", 0), *three("Adam", 3)], BAR, "the target is reached before training"),
        (two_optimizers([None] * 3, [None] * 3), BAR, "too few runs reach the target"),
    ],
)  # fmt: skip
def test_why_a_problem_has_no_speedup(runs, target, words):
    (line,) = judge_settings(tuned_settings(runs), {"p": target}, "Adam", "SGD").problems
    assert exclusion(line) == words
    if words:
        assert speedup_sentence(line).startswith(f"No speedup estimate: {words}")


def several(*problems):
    """Return the verdict on problems, each with the times of SGD and Adam."""
    names = "pqrstuvw"[: len(problems)]
    runs = [
        r for name, pair in zip(names, problems, strict=True) for r in two_optimizers(*pair, name)
    ]
    return judge_settings(tuned_settings(runs), dict.fromkeys(names, BAR), "Adam", "SGD")


FASTER = ([24, 26, 25, 24, 27, 26], [20, 21, 20, 22, 20, 21])
OPEN = ([5, 30, 9, 26, 8], [20, 9, 22, 14, 30])
FAILED = ([9] * 5, [None] * 5)


def test_counts_come_before_means():
    verdict = several(FASTER, OPEN, FAILED)
    text = overall_sentence(verdict)
    assert text.startswith(
        "Adam vs. SGD, 3 problems. Time to target: faster 1, slower 1, inconclusive 1. Final "
        "value: worse 1, inconclusive 2. Probability of being faster: 0.4"
    )
    assert "mean" not in text
    assert list(verdict_lines(verdict)) == ["p", "q", "r"]


def test_a_mean_is_shown_with_its_three_intervals():
    text = overall_sentence(several(FASTER, FASTER, FASTER, OPEN, FASTER))
    assert "Geometric mean speedup: 1.1" in text
    assert re.search(r"on 5 of 5 problems \(95 % CI [^ ]+ over seeds, [^ ]+ over problems; ", text)


def test_one_problem_is_a_line():
    text = overall_sentence(several(OPEN))
    assert text.startswith("Adam vs. SGD, 1 problem. Inconclusive: 0.7")


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "No verdict: Adam and SGD have no evaluated run."),
        ([run_of([1.0])], "No verdict: Adam has no evaluated run. Results: SGD."),
    ],
)
def test_verdict_on_too_little(runs, words):
    assert overall_sentence(judge(runs, "Adam", "SGD")) == words
