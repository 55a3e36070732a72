"""Result files of the original DeepOBS: written here by the documented key order and formats."""

import json
import math

import numpy as np
import pytest

from deepobs_runner import UsageError, load_results
from deepobs_runner.cli import main
from deepobs_runner.results.original import load_original
from deepobs_runner.results.settings import settings_of
from deepobs_runner.schedules import Constant, Step

EPOCHS = 4


def curve(start, end):
    return [float(value) for value in np.geomspace(start, end, EPOCHS + 1)]


def content_2019(**changes):
    """Return what DeepOBS 1.1 wrote, keys in its order."""
    data = {
        "train_losses": curve(2.3, 0.1),
        "test_losses": curve(2.4, 0.2),
        "minibatch_train_losses": [1.0] * 8,
        "train_accuracies": curve(0.1, 0.9),
        "test_accuracies": curve(0.1, 0.8),
        "optimizer": "MomentumOptimizer",
        "testproblem": "fmnist_2c2d",
        "weight_decay": None,
        "batch_size": 128,
        "num_epochs": EPOCHS,
        "learning_rate": 0.0025118864315095794,
        "lr_sched_epochs": None,
        "lr_sched_factors": None,
        "random_seed": 42,
        "train_log_interval": 1,
        "hyperparams": {"momentum": 0.99, "use_nesterov": False},
    }
    return {**data, **changes}


def content_beta(**changes):
    """Return what the 1.2 beta wrote, keys in its order."""
    data = {
        "testproblem": "mnist_mlp",
        "batch_size": 64,
        "num_epochs": EPOCHS,
        "random_seed": 43,
        "weight_decay": None,
        "optimizer_name": "SGD",
        "optimizer_hyperparams": {"lr": 0.01, "momentum": 0.9, "nesterov": True},
        "training_params": {},
        "train_losses": curve(2.3, 0.1),
        "valid_losses": curve(2.3, 0.3),
        "test_losses": curve(2.4, 0.2),
        "minibatch_train_losses": [2.5, 1.5, 1.0, 0.5],
        "train_accuracies": curve(0.1, 0.9),
        "valid_accuracies": curve(0.1, 0.7),
        "test_accuracies": curve(0.1, 0.8),
    }
    return {**data, **changes}


def write(root, data, *, indent=None):
    """Write a file where the original would; NaN and Infinity as bare words, as Python does."""
    optimizer = data.get("optimizer") or data["optimizer_name"]
    setting = f"num_epochs__{data['num_epochs']}__batch_size__{data['batch_size']}__lr__1.e-02"
    folder = root / data["testproblem"] / optimizer / setting
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"random_seed__{data['random_seed']}__2019-02-09-15-01-36.json"
    path.write_text(json.dumps(data, indent=indent))
    return path


def test_the_layout_of_2019(tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    path = write(tmp_path, content_2019())
    (result,) = load_results(tmp_path)
    config = result.config
    assert (config.problem, config.optimizer, config.seed) == (
        "fmnist_2c2d", "MomentumOptimizer", 42,
    )  # fmt: skip
    assert config.hyperparams == {
        "lr": 0.0025118864315095794, "momentum": 0.99, "use_nesterov": False,
    }  # fmt: skip
    assert (config.batch_size, config.epochs, config.l2) == (128, EPOCHS, None)
    assert (config.recipe, config.schedule) == ("2019", Constant())
    assert result.status == "done"
    assert result.environment == {
        "source": "original DeepOBS, layout of 2019",
        "file": path.name,
    }
    assert result.epochs().tolist() == [0, 1, 2, 3, 4]
    assert result.series("train_eval", "objective").tolist() == curve(2.3, 0.1)
    assert result.series("test", "accuracy").tolist() == curve(0.1, 0.8)
    assert set(result.records[0]["metrics"]) == {"train_eval", "test"}
    with pytest.raises(UsageError, match="No step objectives"):
        result.step_objectives()


def test_the_layout_of_the_beta(tmp_path):
    write(tmp_path, content_beta(weight_decay=0.002), indent=4)
    (result,) = load_results(tmp_path)
    config = result.config
    assert (config.problem, config.optimizer, config.seed) == ("mnist_mlp", "SGD", 43)
    assert config.hyperparams == {"lr": 0.01, "momentum": 0.9, "nesterov": True}
    assert (config.batch_size, config.epochs, config.l2) == (64, EPOCHS, 0.002)
    assert result.status == "done"
    assert "1.2 beta" in result.environment["source"]
    assert result.series("valid", "objective").tolist() == curve(2.3, 0.3)
    assert result.series("valid", "accuracy").tolist() == curve(0.1, 0.7)
    assert len(result.records) == EPOCHS + 1


@pytest.mark.parametrize("token", [math.nan, math.inf])
def test_a_run_of_2019_that_diverged_goes_to_its_end(tmp_path, token):
    losses = [2.3, 5.0, *[token] * 3]
    path = write(tmp_path, content_2019(train_losses=losses, test_losses=losses))
    assert "NaN" in path.read_text() or "Infinity" in path.read_text()
    (result,) = load_results(tmp_path)
    assert result.status == "diverged"
    assert len(result.records) == EPOCHS + 1
    assert result.records[2]["metrics"]["test"]["objective"] is None
    assert np.isnan(result.series("test", "objective")[2:]).all()


def filled(values, last):
    """Return a list as the beta left it: values up to epoch `last`, then the first again."""
    return values[: last + 1] + [values[0]] * (EPOCHS - last)


@pytest.mark.parametrize("last", [0, 2, 3])
def test_values_that_the_beta_made_up_are_left_out(tmp_path, last):
    data = content_beta()
    names = [name for name in data if name.endswith(("_losses", "_accuracies"))]
    for name in names:
        data[name] = filled(data[name], last)
    data["minibatch_train_losses"] = [2.5, 3.0, math.nan] + [2.5] * (EPOCHS - last)
    write(tmp_path, data)
    (result,) = load_results(tmp_path)
    assert result.status == "diverged"
    assert result.epochs().tolist() == list(range(last + 1))


def test_an_accuracy_that_does_not_move_is_no_divergence(tmp_path):
    flat = {f"{split}_accuracies": [0.1] * 5 for split in ("train", "valid", "test")}
    write(tmp_path, content_beta(**flat, minibatch_train_losses=[2.5, 2.4, 2.5]))
    (result,) = load_results(tmp_path)
    assert (result.status, len(result.records)) == ("done", EPOCHS + 1)


def test_problems_without_accuracy(tmp_path):
    without = {k: v for k, v in content_2019().items() if not k.endswith("accuracies")}
    write(tmp_path, {**without, "testproblem": "quadratic_deep"})
    beta = {k: v for k, v in content_beta().items() if not k.endswith("accuracies")}
    write(tmp_path, {**beta, "testproblem": "mnist_vae"})
    for result in load_results(tmp_path):
        assert "accuracy" not in result.records[-1]["metrics"]["test"]
        assert result.records[-1]["metrics"]["test"]["objective"] == pytest.approx(0.2)


def test_schedules(tmp_path):
    write(tmp_path, content_2019(lr_sched_epochs=[2, 3], lr_sched_factors=[0.1, 0.01]))
    training = {"lr_sched_epochs": [1], "lr_sched_factors": [0.5]}
    write(tmp_path, content_beta(training_params=training))
    schedules = [result.config.schedule for result in load_results(tmp_path)]
    assert schedules == [Step((2, 3), (0.1, 0.01)), Step((1,), (0.5,))]


def test_training_parameters_of_a_custom_runner_tell_settings_apart(tmp_path):
    for noise, seed in ((0.1, 42), (0.1, 43), (0.2, 44)):
        write(tmp_path, content_beta(training_params={"noise": noise}, random_seed=seed))
    settings = settings_of(load_results(tmp_path))
    assert [setting.label for setting in settings] == [
        "SGD lr=0.01 momentum=0.9 nesterov=true noise=0.1 epochs=4 batch_size=64",
        "SGD lr=0.01 momentum=0.9 nesterov=true noise=0.2 epochs=4 batch_size=64",
    ]
    assert [len(setting.runs) for setting in settings] == [2, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not a result of the original"),
        ("{}", "not a result of the original"),
        ("[]", "not a result of the original"),
        (json.dumps(content_2019(num_epochs=7)), "5 values of objective on train_eval, but 8"),
        (json.dumps(content_2019(test_losses=[])), "train_losses or test_losses are missing"),
        (json.dumps(content_2019(batch_size="128")), "batch_size is '128'"),
        (json.dumps(content_beta(training_params=None)), "not a result of the original"),
        (json.dumps(content_beta(lr_sched=1, train_losses=3)), "not a result of the original"),
        (
            json.dumps(content_2019(lr_sched_epochs=[3, 2], lr_sched_factors=[1, 2])),
            "must increase",
        ),
    ],
)
def test_what_is_no_result_is_said_with_its_path(tmp_path, text, said):
    path = tmp_path / "random_seed__42__2019-02-09-15-01-36.json"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_original(path)
    assert str(caught.value).startswith(str(path))
    assert said in str(caught.value)


def test_load_results_and_report_read_such_folders(tmp_path, capsys):
    folder = tmp_path / "baselines"
    write(folder, content_2019(testproblem="quadratic_deep"))
    write(folder, content_2019(testproblem="quadratic_deep", random_seed=43))
    write(folder, content_beta())
    # Beside the official results there is a file that is none.
    (folder / "convergence_performance.json").write_text('{"quadratic_deep": {}}')
    assert len(load_results(folder)) == 3
    (folder / "mnist_mlp" / "random_seed__1__cut.json").write_text("{")
    words = ["report", str(folder), "--out", str(tmp_path / "report"), "--formats", "png"]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "MomentumOptimizer" in printed.out
    assert "lr=0.00251189" in printed.out
    assert "original, 2019" in printed.out
    assert "Results of the 1.2 beta" in printed.out
    assert "random_seed__1__cut.json" in printed.err
    assert (tmp_path / "report" / "figures" / "curves-mnist_mlp.png").exists()
