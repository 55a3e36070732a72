"""Whether two optimizers are shown to differ by less than a margin."""

import json
import math

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of
from scipy import stats

from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings
from deepobs_runner.analysis.t_tests import student, welch
from deepobs_runner.cli import main
from deepobs_runner.comparison import equivalence_p, equivalences
from deepobs_runner.comparison.equivalence import _interval
from deepobs_runner.report.data import gather_data
from deepobs_runner.report.sections import assemble
from deepobs_runner.results.store import save_result

PAIR = {("Adam", "SGD"): ["p", "q", "r"]}


def finals(values, optimizer, first_seed=0, **settings):
    return [
        run_of([9.0, value], seed, optimizer=optimizer, **settings)
        for seed, value in enumerate(values, start=first_seed)
    ]


def found(*runs, margin=0.01, targets=None, **options):
    return equivalences(tuned_settings(runs), targets or {}, PAIR, margin, **options)


@pytest.mark.parametrize("seed", range(4))
def test_two_one_sided_tests_are_those_of_statsmodels(seed):
    tests = pytest.importorskip("statsmodels.stats.weightstats")
    draws = np.random.default_rng(seed)
    one, other = draws.normal(0.05, 1.0, 7), draws.normal(0.0, 2.0, 9)
    difference = welch(one, other)
    above, below = (difference._replace(value=difference.value + s * 1.5) for s in (1, -1))
    expected = tests.ttost_ind(one, other, -1.5, 1.5, usevar="unequal")[0]
    assert equivalence_p(above, below) == pytest.approx(expected)
    difference = student(one - other[:7])
    above, below = (difference._replace(value=difference.value + s * 1.5) for s in (1, -1))
    assert equivalence_p(above, below) == pytest.approx(
        tests.ttost_paired(one, other[:7], -1.5, 1.5)[0]
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pairs", [False, True])
def test_final_values_are_compared_by_the_ratio_of_means(seed, pairs):
    draws = np.random.default_rng(seed)
    one, other = draws.normal(10.0, 0.1, 8), draws.normal(10.05, 0.2, 8)
    first = 0 if pairs else 100
    (line,) = found(*finals(one, "Adam", first), *finals(other, "SGD"), margin=0.02)
    if pairs:
        p = [
            stats.ttest_rel(one, ratio * other, alternative=side).pvalue
            for ratio, side in ((1 / 1.02, "greater"), (1.02, "less"))
        ]
    else:
        p = [
            stats.ttest_ind(one, ratio * other, equal_var=False, alternative=side).pvalue
            for ratio, side in ((1 / 1.02, "greater"), (1.02, "less"))
        ]
    assert line.quantity == "final value"
    assert line.method == ("paired t over common seeds" if pairs else "Welch's t")
    assert line.ratio == pytest.approx(one.mean() / other.mean())
    assert line.p == pytest.approx(max(p))
    assert (line.low >= 1 / 1.02 and line.high <= 1.02) == (line.p <= 0.05)


def test_times_are_compared_by_their_ratio():
    times = {"Adam": [20, 21, 22, 23], "SGD": [22, 22, 23, 24]}
    runs = [
        reaching(time, seed, 60, optimizer=name)
        for name, listed in times.items()
        for seed, time in enumerate(listed)
    ]
    lines = found(*runs, margin=0.2, targets={"p": BAR})
    time = lines[0]
    assert time.quantity == "time"
    logs = {name: np.log(listed) for name, listed in times.items()}
    assert math.log(time.ratio) == pytest.approx(logs["SGD"].mean() - logs["Adam"].mean())
    known = sum(np.mean(1 / np.array(listed) ** 2) for listed in times.values()) / 12
    contrast = welch(logs["SGD"], logs["Adam"], known)
    limit = math.log(1.2)
    shifted = [contrast._replace(value=contrast.value + s * limit) for s in (1, -1)]
    assert time.p == pytest.approx(equivalence_p(*shifted))
    assert np.log([time.low, time.high]) == pytest.approx(contrast.interval(0.9), abs=1e-6)
    never = [*runs, reaching(None, 9, 60)]
    assert [line.quantity for line in found(*never, targets={"p": BAR})] == ["final value"]


def test_the_end_of_an_interval_may_be_open():
    wide = welch(np.array([0.0, 200.0]), np.array([0.0, 1.0]))
    low, high = _interval(
        lambda ratio: wide._replace(value=wide.value - math.log(ratio)), 1.0, 0.05
    )
    assert (low, high) == (0.0, math.inf)


def test_few_seeds_show_nothing_and_many_do():
    draws = np.random.default_rng(0)
    few, many = (
        found(
            *finals(draws.normal(10.0, 0.1, n), "Adam"),
            *finals(draws.normal(10.0, 0.1, n), "SGD", 100),
        )[0]
        for n in (2, 30)
    )
    assert not few.shown
    assert many.shown


@pytest.mark.parametrize(("seeds", "share"), [(3, 0.011), (5, 0.018), (20, 0.05)])
def test_a_difference_as_large_as_the_margin_is_rarely_called_equivalent(seeds, share):
    draws = np.random.default_rng(0)
    one, other = draws.normal(10.1, 0.1, (20_000, seeds)), draws.normal(10.0, 0.1, (20_000, seeds))
    above, below = welch(one, other / 1.01), welch(one, 1.01 * other)
    sides = [
        stats.t.sf(c.value * sign / c.error, c.freedom) for c, sign in ((above, 1), (below, -1))
    ]
    assert (np.max(sides, axis=0) <= 0.05).mean() == pytest.approx(share, abs=0.006)


def test_the_p_values_are_corrected_together():
    draws = np.random.default_rng(0)
    runs = []
    for problem in ("p", "q", "r"):
        runs += finals(draws.normal(10, 0.1, 5), "Adam", problem=problem)
        runs += finals(draws.normal(10, 0.1, 5), "SGD", 100, problem=problem)
    lines = found(*runs)
    assert [line.problem for line in lines] == ["p", "q", "r"]
    least = min(lines, key=lambda line: line.p)
    assert least.p_corrected == pytest.approx(3 * least.p)
    assert all(line.p_corrected >= line.p for line in lines)


@pytest.mark.parametrize(
    "other",
    [
        finals([1.0], "SGD"),
        [run_of([9.0, None], seed, status="diverged") for seed in range(3)],
        finals([-1.0, -2.0, -3.0], "SGD"),
        finals([1.0, -1.0], "SGD"),
    ],
    ids=["one run", "diverged", "opposite sign", "mean of zero"],
)
def test_what_has_no_ratio_is_left_out(other):
    assert found(*finals([1.0, 2.0, 3.0], "Adam"), *other) == []


def test_negative_objectives_have_ratios_too():
    (line,) = found(*finals([-10.0, -10.1], "Adam"), *finals([-10.0, -10.1], "SGD", 100))
    assert line.ratio == pytest.approx(1.0)
    assert line.low < 1 < line.high


@pytest.mark.parametrize(
    ("options", "words"),
    [({"margin": 0.0}, "margin"), ({"level": 0.5}, "above 0.5"), ({"level": 1.0}, "level")],
)
def test_what_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        found(*finals([1.0, 2.0], "Adam"), *finals([1.0, 2.0], "SGD"), **options)


@pytest.fixture
def folder(tmp_path):
    draws = np.random.default_rng(0)
    for run in (
        *finals(draws.normal(10, 0.01, 6), "Adam"),
        *finals(draws.normal(10, 0.01, 6), "AdamW", 100),
    ):
        save_result(run, tmp_path)
    return tmp_path


def test_the_table_and_the_report_show_it(folder, capsys):
    words = ["table", str(folder), "equivalence", "--no-baselines"]
    assert main([*words, "--equivalence", "1%", "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["shown"] is True
    assert row["margin"] == 0.01
    assert main(words) == 2
    assert "--equivalence" in capsys.readouterr().err
    report = ["report", str(folder), "--no-baselines", "--equivalence", "0.01", "--formats", "html"]
    assert main(report) == 0
    assert (
        "Equivalent within 1 %: 1 of 1 comparison: AdamW and Adam in final value on p"
        in " ".join(capsys.readouterr().out.split())
    )
    assert "equivalent" in (folder / "report" / "report.html").read_text()


def test_the_methods_name_the_tests(folder):
    runs = [*finals([10.0, 10.1], "Adam"), *finals([10.0, 10.1], "AdamW", 100)]
    asked = assemble(gather_data(runs, equivalence=0.02)).methods
    assert "schuirmann1987" in asked.keys
    assert "Equivalence within 2 %" in " ".join(asked.paragraphs)
    assert "schuirmann1987" not in assemble(gather_data(runs)).methods.keys
