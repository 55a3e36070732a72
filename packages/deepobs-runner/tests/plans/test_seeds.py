"""How many seeds a comparison needs."""

import csv
import io
import json
import math
from itertools import pairwise, product

import numpy as np
import pytest
from runner_builders import BAR, reaching, run_of

from deepobs_problems import load_problem
from deepobs_runner import UsageError
from deepobs_runner.analysis import tuned_settings, welch_power
from deepobs_runner.cli import main
from deepobs_runner.comparison import targets_of, times_to_target
from deepobs_runner.comparison.speedup import log_speedup
from deepobs_runner.plans.seeds import number_of_tests, seed_plan, spread_of, spreads_of
from deepobs_runner.results.baselines import baseline_results, baseline_sets
from deepobs_runner.results.store import save_result


def setting_of(runs):
    (setting,) = tuned_settings(runs)["p"]
    return setting


def spread(times, length=40):
    runs = [reaching(time, seed, length) for seed, time in enumerate(times)]
    return spread_of(setting_of(runs), BAR, "mine", "epochs")


def test_the_spread_is_that_of_log_times_and_final_values():
    times = [10, 12, 20]
    found = spread(times)
    assert (found.problem, found.reference, found.source) == ("p", "SGD", "mine")
    assert (found.runs, found.reached) == (3, 3)
    assert found.time == pytest.approx(np.prod(times) ** (1 / 3))
    assert found.log_spread == pytest.approx(np.std(np.log(times), ddof=1))
    # A time is known up to an epoch: a variance of 1/12, of each of two optimizers.
    assert found.log_known == pytest.approx(2 * np.mean(1 / np.array(times) ** 2) / 12)
    finals = [run_of([3.0, value], seed) for seed, value in enumerate([1.0, 2.0, 6.0])]
    found = spread_of(setting_of(finals), None, "mine", "epochs")
    assert found.final == pytest.approx(3.0)
    assert found.final_spread == pytest.approx(np.std([1, 2, 6], ddof=1))
    assert math.isnan(found.log_spread)


@pytest.mark.parametrize(
    ("times", "known"),
    [([10, 12, 20, None], True), ([10, 12, None, None], False), ([10, 12], False)],
)
def test_a_spread_takes_three_runs_and_half_of_them(times, known):
    found = spread(times)
    assert found.reached == sum(time is not None for time in times)
    assert math.isfinite(found.log_spread) == known
    assert (found.seeds(1.2, 0.8, 0.95) is not None) == known
    assert math.isfinite(found.power(1.2, 5, 0.95)) == known


def test_the_plan_holds_power_and_seeds_at_the_corrected_level():
    found = spread([30, 33, 36, 39])
    (row,) = seed_plan([found], ratios=[1.2], seeds=[5], tests=6)
    strict = 1 - 0.05 / 6
    power = welch_power(
        math.log(1.2), found.log_spread, 5, known_variance=found.log_known, level=strict
    )
    assert row["power_1.2_of_5"] == pytest.approx(power)
    assert row["seeds_1.2"] == found.seeds(1.2, 0.8, strict) > found.seeds(1.2, 0.8, 0.95)
    assert row["difference_of_5"] == found.difference(5, 0.8, strict)
    (alone,) = seed_plan([found], ratios=[1.2], seeds=[5])
    assert alone["power_1.2_of_5"] > power


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ratios": [1.0]}, "ratio"),
        ({"tests": 0}, "tests"),
        ({"level": 0.0}, "level"),
        ({"seeds": [1]}, "two seeds"),
        ({"power": 2.0}, "power"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(options, words):
    with pytest.raises(UsageError, match=words):
        seed_plan([spread([10, 12, 20])], **options)


def test_spreads_of_the_shipped_sets():
    sets = baseline_sets().values()
    found = spreads_of(sets, ["two_d_beale", "quadratic_deep"])
    assert [(s.problem, s.source) for s in found] == [
        *[("two_d_beale", "tuned-2026")] * 3,
        *[("quadratic_deep", "official")] * 3,
        *[("quadratic_deep", "tuned-2026")] * 3,
    ]
    assert {s.reference for s in found} == {"SGD", "Momentum", "Adam"}
    assert number_of_tests(found) == 2 * 2 * 3 + 3  # each reference over problems, too
    assert number_of_tests(found[:3]) == 6
    assert number_of_tests(spreads_of(sets)) == 13 * 2 * 3 + 2 * 3
    assert all(s.runs == 10 for s in found)


@pytest.mark.parametrize("problem", ["quadratic_deep", "cifar10_3c3d", "tolstoi_char_rnn"])
def test_the_planned_power_is_that_of_resampled_official_times(problem):
    draws = np.random.default_rng(0)
    tuned = tuned_settings(baseline_results(baseline_sets()["official"], problem))[problem]
    target = targets_of(problem, tuned).main
    for setting in tuned:
        found = spread_of(setting, target, "official", "epochs")
        times = times_to_target(setting.runs, target)
        assert times.reached.all()
        for seeds in (3, 10):
            one, other = draws.integers(0, len(times.times), (2, 2000, seeds))
            contrast = log_speedup(
                times.times[one] / 1.2, times.times[other], times.grid[one], times.grid[other]
            )
            share = (contrast.p() <= 0.05).mean()
            assert found.power(1.2, seeds, 0.95) == pytest.approx(share, abs=0.08)


def test_the_command(capsys):
    assert main(["plan-seeds", "quadratic_deep", "--baselines", "official", "--seeds", "3"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Corrected for 6 tests" in shown
    assert "3 seeds per optimizer show a speedup with probability 0.8" in shown
    words = ["plan-seeds", "quadratic_deep", "mnist_mlp", "--ratio", "1.3", "--tests", "1"]
    assert main([*words, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["problem"] for row in rows} == {"quadratic_deep"}
    powers = [rows[0][f"power_1.3_of_{n}"] for n in range(2, 21)]
    assert all(0 <= one <= other + 1e-9 for one, other in pairwise(powers))
    assert main([*words, "--format", "csv"]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == len(rows)
    assert main(words) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no baselines, so no spread: mnist_mlp" in shown
    assert "Not corrected" in shown


def test_a_problem_in_a_file_is_known_by_name_and_content(tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.write_text("from deepobs_problems import load_problem\np = load_problem('two_d_branin')\n")
    fingerprint = load_problem(f"{path}:p").fingerprint
    (tmp_path / "done").mkdir()
    for seed, content in product(range(3), (fingerprint, "0" * 16)):
        run = run_of([3.0, 2.0], seed, problem="there/mine.py:p", fingerprint=content)
        save_result(run, tmp_path / "done")
    words = ["plan-seeds", f"{path}:p", "--baselines", str(tmp_path / "done")]
    assert main([*words, "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["problem"], row["runs"], row["is_edited"]) == ("mine.py:p", 3, False)
    path.write_text(path.read_text() + "# edited\n")
    assert main(words) == 0
    assert "mine.py:p: the file has changed since" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mnist_mlp"], "No baselines of mnist_mlp"),
        (["--ratio", "fast"], "--ratio takes numbers"),
        (["quadratic"], "quadratic"),
        (["--seeds", "1"], "two seeds"),
    ],
)
def test_the_command_refuses(words, message, capsys):
    assert main(["plan-seeds", *words]) == 2
    assert message in capsys.readouterr().err
