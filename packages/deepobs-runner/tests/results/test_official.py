"""The shipped official results against the published tables."""

import numpy as np
import pytest

from deepobs_runner.analysis import Metric, curve_band, summarize_end
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.results.official import (
    official_learning_rate,
    official_problems,
    official_results,
)
from deepobs_runner.results.settings import settings_of

# Mean and population standard deviation of the final test loss over seeds 42..51.
PUBLISHED = {
    ("quadratic_deep", "SGD"): (0.0158489, 87.3975, 0.1603),
    ("quadratic_deep", "Momentum"): (0.00251189, 87.0450, 0.0239),
    ("quadratic_deep", "Adam"): (0.0398107, 87.1119, 0.0230),
    ("mnist_vae", "SGD"): (0.00398107, 38.4561, 11.8339),
    ("mnist_vae", "Momentum"): (2.51189e-05, 52.9271, 0.0117),
    ("mnist_vae", "Adam"): (0.000158489, 27.8308, 0.0898),
    ("fmnist_2c2d", "SGD"): (0.158489, 0.6820, 0.0199),
    ("fmnist_2c2d", "Momentum"): (0.00251189, 0.7285, 0.0122),
    ("fmnist_2c2d", "Adam"): (0.000251189, 0.6329, 0.0234),
    ("cifar10_3c3d", "SGD"): (0.0630957, 0.8572, 0.0428),
    ("cifar10_3c3d", "Momentum"): (0.000398107, 0.7896, 0.0209),
    ("cifar10_3c3d", "Adam"): (0.000398107, 0.7423, 0.0139),
    ("fmnist_vae", "SGD"): (0.00398107, 23.7990, 0.2331),
    ("fmnist_vae", "Momentum"): (1e-05, 59.2279, 17.4217),
    ("fmnist_vae", "Adam"): (0.000158489, 23.0739, 0.0881),
    ("cifar100_allcnnc", "SGD"): (0.158489, 2.3857, 0.0864),
    ("cifar100_allcnnc", "Momentum"): (0.00398107, 2.2875, 0.0451),
    ("cifar100_allcnnc", "Adam"): (0.001, 2.1345, 0.0417),
    ("svhn_wrn164", "SGD"): (0.0251189, 0.3198, 0.0186),
    ("svhn_wrn164", "Momentum"): (0.000630957, 0.2691, 0.0059),
    ("svhn_wrn164", "Adam"): (0.000158489, 0.3013, 0.0087),
    ("tolstoi_char_rnn", "SGD"): (1.58489, 1.2301, 0.0085),
    ("tolstoi_char_rnn", "Momentum"): (0.0398107, 1.2629, 0.0077),
    ("tolstoi_char_rnn", "Adam"): (0.00251189, 1.2664, 0.0098),
}


def test_all_problems_are_there():
    assert {problem for problem, _ in PUBLISHED} == set(official_problems())


@pytest.mark.parametrize("problem", sorted({problem for problem, _ in PUBLISHED}))
def test_tuned_results_are_the_published_ones(problem):
    settings = settings_of(official_results(problem))
    assert {setting.optimizer for setting in settings} == {"SGD", "Momentum", "Adam"}
    for setting in settings:
        lr, mean, std = PUBLISHED[problem, setting.optimizer]
        assert official_learning_rate(problem, setting.optimizer) == pytest.approx(lr, rel=1e-5)
        assert [run.config.seed for run in setting.runs] == list(range(42, 52))
        end = summarize_end(setting.runs, TEST_OBJECTIVE)
        assert end.mean == pytest.approx(mean, abs=6e-5)
        assert end.std * np.sqrt(9 / 10) == pytest.approx(std, abs=6e-5)  # published with ddof 0


def test_the_whole_grid():
    results = official_results("quadratic_deep", tuned=False)
    assert len(results) == 135
    rates = {result.config.hyperparams["lr"] for result in results}
    assert np.allclose(sorted(rates), np.logspace(-5, 2, 36), rtol=1e-6)


def test_records_are_complete():
    for result in official_results("fmnist_2c2d"):
        assert result.epochs().tolist() == list(range(101))
        assert np.isfinite(result.series("train_eval", "accuracy")).all()


def test_no_official_results_elsewhere():
    assert official_results("fmnist_logreg") == []
    assert official_learning_rate("fmnist_logreg", "SGD") is None
    assert official_learning_rate("quadratic_deep", "AdamW") is None


def test_curve_counts_the_runs_that_reached_an_epoch():
    from deepobs_runner import RunConfig, RunResult

    def result(seed, values):
        config = RunConfig(problem="p", optimizer="SGD", seed=seed)
        records = tuple(
            {"epoch": i, "metrics": {"test": {"loss": value}}} for i, value in enumerate(values)
        )
        return RunResult(config=config, status="done", records=records)

    loss, accuracy = (Metric("test", name, higher_is_better=False) for name in ("loss", "accuracy"))
    drawn = curve_band([result(42, [4.0, 2.0, 1.0]), result(43, [2.0, 4.0])], loss)
    assert drawn.mean.tolist() == [3.0, 3.0, 1.0]
    assert drawn.std[:2] == pytest.approx([np.sqrt(2), np.sqrt(2)])
    assert np.isnan(drawn.std[2])
    assert curve_band([result(42, [1.0])], accuracy) is None
