"""The analysis of the shipped official results against the tables published with them."""

import numpy as np
import pytest

from deepobs_runner.analysis import (
    divergence_rate,
    expected_best,
    learning_rate_sensitivity,
    metric_of,
    near_best,
    summarize_end,
    tuned_settings,
)
from deepobs_runner.comparison import (
    CONVERGENCE,
    convergence_target,
    differences,
    judge,
    performance_profiles,
    published_speed,
    target_of,
    times_to_target,
)
from deepobs_runner.report.sentences import caveats, overall_sentence, verdict_lines
from deepobs_runner.results.official import (
    official_learning_rate,
    official_problems,
    official_results,
)

# Speed in epochs and runs that do not reach the convergence value, as published.
SPEED = {
    ("quadratic_deep", "SGD"): (51.1, 0),
    ("quadratic_deep", "Momentum"): (70.5, 0),
    ("quadratic_deep", "Adam"): (39.9, 0),
    ("mnist_vae", "SGD"): (1.0, 0),
    ("mnist_vae", "Momentum"): (1.0, 0),
    ("mnist_vae", "Adam"): (1.0, 0),
    ("fmnist_2c2d", "SGD"): (40.6, 0),
    ("fmnist_2c2d", "Momentum"): (59.1, 2),
    ("fmnist_2c2d", "Adam"): (40.1, 0),
    ("cifar10_3c3d", "SGD"): (42.5, 0),
    ("cifar10_3c3d", "Momentum"): (40.7, 0),
    ("cifar10_3c3d", "Adam"): (36.0, 0),
    ("fmnist_vae", "SGD"): (1.0, 0),
    ("fmnist_vae", "Momentum"): (1.0, 0),
    ("fmnist_vae", "Adam"): (1.0, 0),
    ("cifar100_allcnnc", "SGD"): (128.7, 0),
    ("cifar100_allcnnc", "Momentum"): (72.8, 0),
    ("cifar100_allcnnc", "Adam"): (152.6, 0),
    ("svhn_wrn164", "SGD"): (28.3, 0),
    ("svhn_wrn164", "Momentum"): (10.8, 0),
    ("svhn_wrn164", "Adam"): (12.1, 0),
    ("tolstoi_char_rnn", "SGD"): (47.7, 0),
    ("tolstoi_char_rnn", "Momentum"): (88.0, 0),
    ("tolstoi_char_rnn", "Adam"): (62.8, 0),
}

# Mean and population standard deviation of the final and mean of the best test accuracy.
ACCURACY = {
    ("fmnist_2c2d", "SGD"): (0.9227, 0.0017, 0.9229),
    ("fmnist_2c2d", "Momentum"): (0.9214, 0.0020, 0.9219),
    ("fmnist_2c2d", "Adam"): (0.9234, 0.0028, 0.9251),
    ("cifar10_3c3d", "SGD"): (0.8371, 0.0115, 0.8487),
    ("cifar10_3c3d", "Momentum"): (0.8441, 0.0060, 0.8514),
    ("cifar10_3c3d", "Adam"): (0.8475, 0.0033, 0.8521),
    ("cifar100_allcnnc", "SGD"): (0.5706, 0.0156, 0.5886),
    ("cifar100_allcnnc", "Momentum"): (0.6033, 0.0077, 0.6194),
    ("cifar100_allcnnc", "Adam"): (0.5615, 0.0090, 0.5731),
    ("svhn_wrn164", "SGD"): (0.9537, 0.0038, 0.9587),
    ("svhn_wrn164", "Momentum"): (0.9553, 0.0016, 0.9586),
    ("svhn_wrn164", "Adam"): (0.9525, 0.0022, 0.9580),
    ("tolstoi_char_rnn", "SGD"): (0.6207, 0.0028, 0.6227),
    ("tolstoi_char_rnn", "Momentum"): (0.6130, 0.0012, 0.6135),
    ("tolstoi_char_rnn", "Adam"): (0.6123, 0.0029, 0.6128),
}

# Where the rate with the best value over all epochs is not that with the best final value.
BEST_RATE = {
    ("quadratic_deep", "Momentum"): 0.00158489,
    ("cifar10_3c3d", "Momentum"): 0.000630957,
    ("cifar100_allcnnc", "SGD"): 0.251189,
    ("svhn_wrn164", "Momentum"): 0.001,
    ("svhn_wrn164", "Adam"): 0.001,
}


@pytest.fixture(scope="module")
def official():
    """Return all 1,080 official runs, by problem."""
    return {problem: official_results(problem, tuned=False) for problem in official_problems()}


@pytest.fixture(scope="module")
def everything(official):
    return [run for runs in official.values() for run in runs]


@pytest.fixture(scope="module")
def tuned(everything):
    return tuned_settings(everything)


def of(tuned, problem, optimizer):
    return next(c for c in tuned[problem] if c.optimizer == optimizer)


@pytest.mark.parametrize(("problem", "optimizer"), sorted(SPEED))
def test_published_speed(tuned, problem, optimizer):
    mean, unreached = SPEED[problem, optimizer]
    speed = published_speed(of(tuned, problem, optimizer).runs, convergence_target(problem))
    assert speed.runs == 10
    assert speed.mean == pytest.approx(mean, abs=1e-9)
    assert speed.unreached == unreached


@pytest.mark.parametrize(("problem", "optimizer"), sorted(ACCURACY))
def test_published_accuracy(tuned, problem, optimizer):
    mean, std, best = ACCURACY[problem, optimizer]
    runs = of(tuned, problem, optimizer).runs
    end = summarize_end(runs, metric_of(runs))
    assert end.mean == pytest.approx(mean, abs=6e-5)
    assert end.std * np.sqrt(9 / 10) == pytest.approx(std, abs=6e-5)  # published with ddof 0
    assert summarize_end(runs, metric_of(runs), "best").mean == pytest.approx(best, abs=6e-5)
    assert end.low < end.mean < end.high


@pytest.mark.parametrize(("problem", "optimizer"), sorted(SPEED))
def test_published_learning_rates(official, problem, optimizer):
    """The ten seeds were run where seed 42 ended best, in all 24 cases."""
    runs = [run for run in official[problem] if run.config.optimizer == optimizer]
    for kind, rate in (
        ("final", official_learning_rate(problem, optimizer)),
        (
            "best",
            BEST_RATE.get((problem, optimizer), official_learning_rate(problem, optimizer)),
        ),
    ):
        curve = learning_rate_sensitivity(runs, metric_of(runs), kind, seed=42)
        assert len(curve.rates) == 36
        assert curve.rates[curve.best] == pytest.approx(rate, rel=1e-5)


def test_the_tuned_setting_is_the_repeated_one(tuned):
    for problem, listed in tuned.items():
        assert sorted(s.optimizer for s in listed) == ["Adam", "Momentum", "SGD"]
        for setting in listed:
            assert setting.tried == 36
            assert [run.config.seed for run in setting.runs] == list(range(42, 52))
            rate = official_learning_rate(problem, setting.optimizer)
            assert setting.runs[0].config.hyperparams["lr"] == rate


def test_targets(tuned):
    """The official value; for the VAEs what half of Adam's runs reach in 75 % of the epochs."""
    assert set(tuned) == set(CONVERGENCE)
    for problem in set(tuned) - {"mnist_vae", "fmnist_vae"}:
        assert target_of(problem) == convergence_target(problem)
    values = [
        run.series("test", "objective")[:38].min() for run in of(tuned, "mnist_vae", "Adam").runs
    ]
    target = target_of("mnist_vae")
    assert target.value == pytest.approx(np.median(values), rel=2e-3)
    assert "official tuned Adam" in target.source
    assert convergence_target("fmnist_logreg") is None


def test_steps_of_official_runs(tuned):
    runs = of(tuned, "fmnist_2c2d", "Adam").runs
    epochs = times_to_target(runs, target_of("fmnist_2c2d"))
    steps = times_to_target(runs, target_of("fmnist_2c2d"), "steps")
    np.testing.assert_array_equal(steps.times, 468 * epochs.times)
    counted = times_to_target(runs, target_of("fmnist_2c2d"), "gradient_evaluations")
    assert counted.counted == "steps"
    assert times_to_target(runs, target_of("fmnist_2c2d"), "seconds").unknown == 10


def test_half_of_adams_runs_reach_the_target_in_three_quarters_of_the_epochs(tuned):
    times = times_to_target(of(tuned, "mnist_vae", "Adam").runs, target_of("mnist_vae"))
    assert (times.times[times.reached] <= 0.75 * 50).sum() >= 5
    assert np.isfinite(times.median)


def test_diverged_official_runs_are_found(official):
    """They have no status of their own and an accuracy to the end."""
    runs = [run for run in official["cifar10_3c3d"] if run.config.optimizer == "Momentum"]
    lost = [run for run in runs if np.isnan(run.series("test", "objective")[-1])]
    assert divergence_rate(runs).diverged == len(lost) > 0
    window = near_best(learning_rate_sensitivity(runs, metric_of(runs), seed=42))
    assert window.low <= official_learning_rate("cifar10_3c3d", "Momentum") <= window.high
    assert 0 < window.decades < window.decades_at_most


def test_tuning_reaches_the_best_rate(official):
    runs = [run for run in official["quadratic_deep"] if run.config.optimizer == "Adam"]
    metric = metric_of(runs)
    curve = expected_best(runs, metric)
    assert len(curve.expected) == 36
    assert (np.diff(curve.expected) <= 1e-9).all()  # more trials are never worse
    rates = learning_rate_sensitivity(runs, metric, seed=42)
    assert curve.expected[-1] == pytest.approx(rates.medians[rates.best])


def test_verdict_on_adam(everything):
    verdict = judge(everything, "Adam", "SGD")
    assert len(verdict_lines(verdict)) == 8
    for counts in (verdict.speedup_counts, verdict.final_counts):
        assert sum(counts.values()) == 8
    assert caveats(verdict) == []  # they were made alike
    again = judge(everything, "Adam", "SGD")
    assert overall_sentence(again) == overall_sentence(verdict)
    assert verdict_lines(again) == verdict_lines(verdict)
    assert caveats(again) == caveats(verdict)


def test_the_geometric_mean_is_that_of_its_problems(everything):
    verdict = judge(everything, "Adam", "SGD")
    lines = [line.speedup for line in verdict.problems if line.problem in verdict.mean.used]
    values = [estimate.value for estimate in lines]
    assert verdict.geometric_mean.value == pytest.approx(np.exp(np.mean(np.log(values))))
    low, high = verdict.leave_one_out
    assert low < verdict.geometric_mean.value < high


def test_no_mean_over_contradictions(everything):
    """Momentum is decided to be faster than SGD on some problems and slower on others."""
    verdict = judge(everything, "Momentum", "SGD")
    assert verdict.speedup_counts["faster"] >= 1
    assert verdict.speedup_counts["slower"] >= 1
    assert verdict.geometric_mean is None


def test_the_reference_does_not_matter(everything):
    one, other = judge(everything, "Adam", "SGD"), judge(everything, "SGD", "Adam")
    assert one.geometric_mean.value == pytest.approx(1 / other.geometric_mean.value)
    assert one.improvement.value == pytest.approx(1 - other.improvement.value)
    turned = {"faster": "slower", "slower": "faster", "better": "worse", "worse": "better"}
    for here, there in zip(one.problems, other.problems, strict=True):
        assert here.final_status == turned.get(there.final_status, there.final_status)
        assert here.speedup_status == turned.get(there.speedup_status, there.speedup_status)
        assert (here.final.value, here.final.low, here.final.high) == pytest.approx(
            (-there.final.value, -there.final.high, -there.final.low)
        )
        assert here.final.p_corrected == pytest.approx(there.final.p_corrected)
        if here.speedup is not None:
            assert here.speedup.value == pytest.approx(1 / there.speedup.value)
            assert here.speedup.p_corrected == pytest.approx(there.speedup.p_corrected)


def test_profiles(tuned):
    targets = {problem: target_of(problem) for problem in tuned}
    profiles = performance_profiles(tuned, targets, ["SGD", "Momentum", "Adam"])
    assert len(profiles.problems) == 8
    assert profiles.left_out == {}
    fastest = np.min([profile.ratios for profile in profiles.profiles], axis=0)
    np.testing.assert_array_equal(fastest, 1.0)
    for profile in profiles.profiles:
        assert 0 <= profile.integral <= 1
    sgd = profiles.profiles[0]
    assert sgd.shares[-1] == 6 / 8  # it never gets to the targets of the VAEs


def test_equal_contenders_are_not_called_unequal(tuned):
    assert differences(tuned) == []
