"""The single-file examples do what they say."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from deepobs_problems import Batch, load_problem
from deepobs_runner.cli import main as deepobs

EXAMPLES = Path(__file__).parents[1] / "examples"


def load_example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A custom optimizer


def test_two_steps_of_lion_by_hand():
    lion = load_example("custom_optimizer").Lion
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    optimizer = lion([weight], lr=0.1, beta1=0.5, beta2=0.75, weight_decay=0.2)
    gradients = iter([torch.tensor([2.0, -1.0, 0.0]), torch.tensor([-3.0, -1.0, 4.0])])

    def closure():
        weight.grad = next(gradients).double()
        return weight.sum()

    # decay by 1 - 0.1 * 0.2, then 0.1 against sign(0.5 m + 0.5 g); m starts at 0
    optimizer.step(closure)
    assert weight.tolist() == pytest.approx([0.98 - 0.1, -1.96 + 0.1, 0.49])
    # m = 0.25 g = (0.5, -0.25, 0); 0.5 m + 0.5 g = (-1.25, -0.625, 2)
    optimizer.step(closure)
    expected = [0.88 * 0.98 + 0.1, -1.86 * 0.98 + 0.1, 0.49 * 0.98 - 0.1]
    assert weight.tolist() == pytest.approx(expected)
    # 0.75 m + 0.25 g
    assert optimizer.state[weight]["momentum"].tolist() == pytest.approx([-0.375, -0.4375, 1.0])


def test_lion_through_the_command(tmp_path, capsys):
    optimizer = f"{EXAMPLES / 'custom_optimizer.py'}:Lion"
    words = ["run", "quadratic_deep", optimizer, "lr=0.01", "--epochs", "5", "--device", "cpu"]
    assert deepobs([*words, "--quiet", "--out", str(tmp_path)]) == 0
    (path,) = tmp_path.glob("*.json")
    result = json.loads(path.read_text())
    objectives = [record["metrics"]["test"]["objective"] for record in result["records"]]
    assert objectives[-1] < 0.9 * objectives[0]
    assert result["config"]["hyperparams"] == {
        "lr": 0.01,
        "beta1": 0.9,
        "beta2": 0.99,
        "weight_decay": 0.0,
    }


@pytest.mark.parametrize(
    ("words", "message"), [([], "lr"), (["lr=0.01", "bata1=0.5"], "beta1"), (["lr=-1"], "negative")]
)
def test_wrong_hyperparameters_of_lion_are_refused(words, message, tmp_path, capsys):
    optimizer = f"{EXAMPLES / 'custom_optimizer.py'}:Lion"
    options = ["--epochs", "1", "--quiet", "--device", "cpu", "--out", str(tmp_path)]
    assert deepobs(["run", "two_d_branin", optimizer, *words, *options]) != 0
    captured = capsys.readouterr()
    assert message in captured.out + captured.err


def test_lion_passes_the_conformance_suite(capsys):
    optimizer = f"{EXAMPLES / 'custom_optimizer.py'}:Lion"
    assert deepobs(["check", optimizer, "lr=0.001"]) == 0


# Gradients per example


@pytest.fixture(scope="module")
def example():
    return load_example("per_example_gradients")


@pytest.mark.parametrize("name", ["quadratic_deep", "fmnist_2c2d", "mnist_logreg"])
def test_gradients_equal_those_of_single_backward_passes(example, name):
    problem = load_problem(name)
    torch.manual_seed(0)
    model = problem.model().double()
    data = problem.stand_in()
    batch = next(data.train.batches(torch.arange(4), 4))
    x = batch.x.double()
    y = batch.y.double() if batch.y.is_floating_point() else batch.y
    gradients = example.per_example_gradients(problem, model, Batch(x, y))
    assert list(gradients) == [key for key, _ in model.named_parameters()]
    for i in range(4):
        model.zero_grad()
        losses, _ = problem.losses(model, Batch(x[i : i + 1], y[i : i + 1]))
        losses.sum().backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(gradients[key][i], parameter.grad, rtol=1e-9, atol=1e-12)


def test_noise_by_hand(example):
    """Two parameters, three examples: means (2, 1), variances (1, 3)."""
    gradients = {
        "a": torch.tensor([[1.0], [2.0], [3.0]]),
        "b": torch.tensor([0.0, 0.0, 3.0]),
    }
    found = example.gradient_noise(gradients)
    assert found.noise == pytest.approx(1 + 3)
    assert found.signal == pytest.approx(4 + 1 - 4 / 3)
    assert found.scale == pytest.approx(4 / (5 - 4 / 3))
    equal = example.gradient_noise({"a": torch.tensor([1.0, -1.0])})
    assert equal.noise == pytest.approx(2)
    assert math.isnan(equal.scale)  # mean 0: no signal was seen
    with pytest.raises(ValueError, match="at least 2"):
        example.gradient_noise({"a": torch.ones(1)})


def test_noise_of_the_quadratic_is_that_of_its_hessian(example):
    """Its gradients are H (theta - x), x normal with deviation 0.6: tr(S) is 0.36 |H|^2."""
    problem = load_problem("quadratic_deep")
    expected = 0.36 * problem.model().hessian.square().sum().item()
    steps = list(example.train(problem, batch_size=128, lr=0.01, steps=10))
    assert len(steps) == 10
    assert sum(step.noise for step in steps) / 10 == pytest.approx(expected, rel=0.05)
    assert steps[-1].signal < 0.2 * steps[0].signal


def test_the_example_prints_a_row_a_step(example, capsys):
    example.main(["fmnist_2c2d", "--batch-size", "8", "--steps", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all(len(line.split()) == 4 for line in lines[2:])


def test_problems_whose_examples_mix_are_refused(example, capsys):
    with pytest.raises(SystemExit):
        example.main(["cifar100_wrn404"])
    assert "not tagged per-example-safe" in capsys.readouterr().err
