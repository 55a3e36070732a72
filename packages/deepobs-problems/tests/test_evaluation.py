"""Evaluation counts every example once, whatever the batch size and order."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from deepobs_data import Batch, Dataset, Table
from deepobs_problems import (
    CATALOG,
    NO_METRICS,
    Hardware,
    Problem,
    ProblemError,
    evaluate,
    evaluation_order,
    load_problem,
)
from deepobs_problems.evaluation import prepare
from deepobs_problems.losses import sequence_cross_entropy
from deepobs_problems.problem import recurrent


@pytest.mark.parametrize("batch_size", [1, 7, 29, 30, 1000])
def test_evaluation_does_not_depend_on_the_batch_size(toy, batch_size):
    model, split = toy.model().double(), toy.data().test
    expected = evaluate(toy, model, split, batch_size=30, dtype=torch.float64)
    found = evaluate(toy, model, split, batch_size=batch_size, dtype=torch.float64)
    assert found == pytest.approx(expected, rel=1e-14)


def test_evaluation_does_not_depend_on_the_order(toy):
    model, split = toy.model().double(), toy.data().test
    order = torch.from_numpy(np.random.RandomState(1).permutation(30))
    found = evaluate(toy, model, split, order=order, batch_size=7, dtype=torch.float64)
    expected = evaluate(toy, model, split, dtype=torch.float64)
    assert found == pytest.approx(expected, rel=1e-14)


def test_evaluation_is_the_mean_over_examples(toy):
    model, split = toy.model().double(), toy.data().test
    found = evaluate(toy, model, split, batch_size=4, dtype=torch.float64)
    with torch.no_grad():
        logits = model(split.x.double())
        losses = nn.functional.cross_entropy(logits, split.y, reduction="none").numpy()
    assert found["loss"] == pytest.approx(losses.sum() / 30, rel=1e-14)
    penalty = toy.regularizer(model).item()
    assert found["objective"] == pytest.approx(losses.mean() + penalty, rel=1e-14)
    assert found["accuracy"] == pytest.approx(float((logits.argmax(1) == split.y).sum()) / 30)


def test_evaluation_leaves_modes_gradients_and_statistics_alone(toy):
    model = nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    model[0].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = evaluate(toy, model, toy.data().test)
    assert first == evaluate(toy, model, toy.data().test)
    assert [module.training for module in model] == [False, True, True]
    assert all(p.grad is None for p in model.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_nothing_to_evaluate_is_an_error(toy):
    split = toy.data().test
    with pytest.raises(ValueError, match="Nothing to evaluate"):
        evaluate(toy, toy.model(), split, order=torch.arange(0))


@pytest.mark.parametrize("instance", [1, 2, 3])
def test_untrained_quadratic_has_the_test_loss_of_every_official_run(instance):
    problem = load_problem("quadratic_deep")
    models = [problem.model() for _ in range(instance)]
    found = evaluate(problem, models[-1], problem.data().test)
    assert found["loss"] == found["objective"] == pytest.approx(353.4468, abs=5e-5)
    assert list(found) == ["loss", "objective"]
    assert CATALOG["quadratic_deep"].metrics is NO_METRICS


# ------------------------------------------------------------------------- recurrent models


class Counter(nn.Module):
    """A recurrent model whose logits depend on how many characters it has seen in its row."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.1))

    def forward(self, x, state=None):
        seen = (torch.zeros(len(x)) if state is None else state) + x.shape[1]
        logits = torch.nn.functional.one_hot(x, 4) * self.scale * seen[:, None, None]
        return logits, seen


def text_data(root=None, *, valid_size=0, recipe="standard"):
    ids = torch.arange(10 * 6 + 1) % 4
    table = Table(ids[:-1].view(10, 6), ids[1:].view(10, 6))
    return Dataset(train=table, train_eval=table, valid=None, test=table, order="stateful")


def test_state_starts_at_zero_and_is_carried_from_batch_to_batch():
    problem = Problem(
        name="counter",
        data=text_data,
        model=Counter,
        loss=sequence_cross_entropy,
        metrics=NO_METRICS,
        forward=recurrent,
    )
    model, data = problem.model(), problem.data()
    order = evaluation_order(data, data.test, 2)
    assert order.tolist() == [0, 5, 1, 6, 2, 7, 3, 8, 4, 9]
    found = evaluate(problem, model, data.test, order=order, batch_size=2)

    total, state = 0.0, None
    for batch in data.test.batches(order, 2):
        losses, state = problem.losses(model, batch, state)
        total += losses.sum().item()
    assert state.tolist() == [30, 30]  # 5 windows of 6 characters in each row
    assert found["loss"] == pytest.approx(total / 10, rel=1e-6)
    assert found == evaluate(problem, model, data.test, order=order, batch_size=2)


def test_order_of_a_shuffled_set_is_that_of_the_file(toy):
    data = toy.data()
    assert torch.equal(evaluation_order(data, data.test, 7), torch.arange(30))
    assert len(evaluation_order(text_data(), text_data().test, 3)) == 9


def test_text_is_evaluated_in_order_by_default():
    """Row b of each batch continues row b of the batch before."""
    from deepobs_data import stateful_order

    problem = load_problem("tolstoi_char_rnn")
    torch.manual_seed(0)
    model = problem.model()
    split = problem.stand_in().test
    rows = stateful_order(len(split), 20)
    default = evaluate(problem, model, split, batch_size=20)
    assert default == evaluate(problem, model, split, batch_size=20, order=rows)


def tiny_batch(problem):
    generator = torch.Generator().manual_seed(0)
    example = problem.stand_in(None, valid_size=0, recipe="standard").train[0]
    x = torch.randn(4, *example.x.shape, generator=generator, dtype=torch.float64)
    return Batch(x, torch.arange(4) % 10)


@pytest.mark.parametrize("name", ["fmnist_2c2d", "cifar10_3c3d", "cifar100_allcnnc", "svhn_wrn164"])
def test_the_memory_format_changes_no_number(name):
    problem = load_problem(name)
    assert problem.hardware.channels_last
    batch = tiny_batch(problem)
    prepared = prepare(problem, batch, torch.float64)
    assert prepared.x.stride(1) == 1
    assert torch.equal(prepared.x, batch.x)
    model = problem.model().double().eval()
    losses = []
    gradients = []
    for one in (batch, prepared):
        model.zero_grad()
        objective, _ = problem.objective(model, one)
        objective.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        losses.append(objective.detach())
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    for own, other in zip(*gradients, strict=True):
        assert other.is_contiguous()  # optimizers may flatten parameters and gradients with `view`
        torch.testing.assert_close(own, other, rtol=1e-9, atol=1e-12)


def test_only_images_of_problems_that_say_so_are_laid_out_by_pixels():
    problem = load_problem("fmnist_mlp")
    batch = tiny_batch(problem)
    assert prepare(problem, batch, None) is batch
    flat = Batch(batch.x.flatten(1), batch.y)
    assert prepare(replace(problem, hardware=Hardware(channels_last=True)), flat, None) is flat


def test_evaluation_hands_images_over_by_pixels():
    seen = []

    def forward(model, batch, state):
        seen.append(batch.x.stride(1))
        return model(batch.x), None

    for channels_last in (False, True):
        problem = replace(
            load_problem("cifar10_3c3d"),
            forward=forward,
            hardware=Hardware(channels_last=channels_last),
        )
        split = problem.stand_in(None, valid_size=0, recipe="standard").test
        evaluate(problem, problem.model(), split, order=torch.arange(4))
    assert seen == [32 * 32, 1]


def test_batches_are_larger_where_no_cache_is_to_be_kept(toy):
    problem = replace(toy, hardware=Hardware(evaluation_batch_cpu=7))
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    sizes = [problem.hardware.evaluation_batch_on(device) for device in (cpu, gpu)]
    assert sizes == [7, 1000]
    assert toy.hardware.evaluation_batch_on(cpu) == 1000
    sizes = []
    watched = replace(problem, loss=lambda *both: sizes.append(len(both[0])) or toy.loss(*both))
    for device in (None, cpu, "cpu"):
        sizes.clear()
        evaluate(watched, toy.model(), toy.data().test, device=device)
        assert sizes == [7, 7, 7, 7, 2]


def spread(output, batch):  # targets (B,) beside outputs (B, 3)
    return output.sum(dim=1, keepdim=True) - batch.y


OTHER_SHAPES = {
    "targets broadcast": (spread, r"shape \(30, 30\) for 30 examples \(output \(30, 3\), targets"),
    "one value per class": (lambda output, batch: output, r"shape \(30, 3\)"),
    "a column": (lambda output, batch: output[:, :1], r"shape \(30, 1\)"),
    "a mean": (lambda output, batch: output.mean(), r"shape \(\)"),
    "a number": (lambda output, batch: float(output.mean()), "float"),
    "too few": (lambda output, batch: output[1:, 0], r"shape \(29,\)"),
}


@pytest.mark.parametrize("as_metric", [False, True], ids=["loss", "metric"])
@pytest.mark.parametrize(("function", "got"), OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_what_is_not_one_value_per_example_is_refused(toy, function, got, as_metric):
    wrong = {"metrics": {"spread": function}} if as_metric else {"loss": function}
    with pytest.raises(ProblemError, match=f"of toy returned {got}") as error:
        evaluate(replace(toy, **wrong), toy.model(), toy.data().test)
    assert "must return shape (30,)" in str(error.value)
    assert f"The {'spread' if as_metric else 'loss'} of" in str(error.value)
