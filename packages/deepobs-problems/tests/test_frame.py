"""What a problem may have beside data, model and loss: hooks, defaults, roots, noise, graphs."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepobs_data import Batch, Dataset, Table
from deepobs_problems import Defaults, Hardware, ProblemError, evaluate
from deepobs_problems.noise import unpack, with_noise
from deepobs_problems.testing import check_problem


def smoothed(output, batch):
    return F.cross_entropy(output, batch.y, reduction="none", label_smoothing=0.2)


def squared(output, batch):
    return output[:, 0].square()


def scale_inputs(model, dataset):
    """Give the first layer the scale of the training inputs."""
    with torch.no_grad():
        model[0].weight.div_(dataset.train.x.std())


def first_batch(problem):
    return next(problem.data().train.batches(torch.arange(4), 4))


# ----------------------------------------------------------------------------------------- hooks


def test_smoothed_labels_are_for_training_alone(toy):
    problem = replace(toy, training_loss=smoothed)
    model, batch = problem.model(), first_batch(problem)
    plain, soft = (loss(model(batch.x), batch) for loss in (toy.loss, smoothed))
    assert torch.equal(problem.losses(model.train(), batch)[0], soft)
    assert torch.equal(problem.losses(model.eval(), batch)[0], plain)
    found = evaluate(problem, model.train(), problem.data().test)
    assert found == evaluate(toy, model, problem.data().test)
    assert check_problem(problem).ok


def test_a_model_is_prepared_for_the_data(toy):
    problem = replace(toy, prepare=scale_inputs)
    torch.manual_seed(0)
    expected = problem.model()
    scale_inputs(expected, problem.data())
    torch.manual_seed(0)
    found = problem.build_model(problem.data())
    assert torch.equal(found[0].weight, expected[0].weight)
    assert check_problem(problem).ok


def test_roots_are_reported_beside_their_means(toy):
    problem = replace(toy, metrics={"square": squared}, roots={"size": "square"})
    found = evaluate(problem, problem.model(), problem.data().test)
    assert found["size"] == pytest.approx(math.sqrt(found["square"]), rel=1e-15)
    assert list(found) == ["loss", "objective", "square", "size"]


@pytest.mark.parametrize(
    "change",
    [
        {"training_loss": smoothed},
        {"prepare": scale_inputs},
        {"metrics": {"square": squared}, "roots": {"size": "square"}},
    ],
)
def test_what_changes_numbers_changes_the_fingerprint(toy, change):
    base = replace(toy, metrics=change.get("metrics", toy.metrics))
    assert replace(toy, **change).fingerprint != base.fingerprint


def test_defaults_are_no_part_of_the_definition(toy):
    other = replace(toy, defaults=Defaults(4, None, 7, "cosine", 1.0, "fp64"))
    assert other.fingerprint == toy.fingerprint


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Defaults(-5, 1), "whole numbers >= 1"),
        (lambda: Defaults(None, 1), "whole numbers >= 1"),
        (lambda: Defaults(5, 0), "whole numbers >= 1"),
        (lambda: Defaults(5, None), "neither epochs nor steps"),
        (lambda: Defaults(5, 1, clip_norm=0.0), "clip_norm is 0.0"),
        (lambda: Hardware(0), "whole numbers >= 1"),
        (lambda: Hardware(5, 0), "whole numbers >= 1"),
    ],
)
def test_defaults_that_make_no_sense(make, said):
    with pytest.raises(ProblemError, match=said):
        make()


def test_a_root_may_not_be_called_as_the_objective(toy):
    with pytest.raises(ProblemError, match="called 'objective'"):
        replace(toy, roots={"objective": "accuracy"})


# -------------------------------------------------------------------------- noise of several arrays


def times(n):
    return torch.arange(n) % 7


def pictures(n):
    return torch.arange(n * 6.0).view(n, 2, 3)


def test_evaluation_noise_of_several_arrays(toy):
    data = with_noise(toy.data, [times, pictures], [times])(None, valid_size=5)
    order = torch.tensor([3, 0, 3])
    batch = next(data.train.batches(order, 3))
    time, picture = unpack(batch.y, (), (2, 3))
    assert time.tolist() == [3, 0, 3]
    assert torch.equal(picture, pictures(40)[order])
    assert torch.equal(batch.x, toy.data().train.x[order])
    assert data.train.y is data.train_eval.y
    assert data.test.y.shape == (30, 1)


# ------------------------------------------------------------------------------------------ graphs


class GraphNetwork(nn.Module):
    """Neighbours' features, one layer; examples are node numbers, the graph lies in buffers."""

    def __init__(self):
        super().__init__()
        self.register_buffer("features", torch.empty(6, 4))
        self.register_buffer("neighbours", torch.empty(6, 6))
        self.dense = nn.Linear(4, 2)

    def forward(self, nodes):
        return self.dense(self.neighbours @ self.features)[nodes]


def graph_data(root=None, *, valid_size=0, recipe="standard"):
    def nodes(*numbers):
        numbers = torch.tensor(numbers)
        return Table(numbers, numbers % 2)

    train = nodes(0, 1, 2)
    return Dataset(train=train, train_eval=train, valid=None, test=nodes(3, 4, 5))


def put_graph(model, dataset):
    generator = torch.Generator().manual_seed(0)
    model.features.copy_(torch.randn(6, 4, generator=generator))
    ring = torch.eye(6) + torch.eye(6).roll(1, 0) + torch.eye(6).roll(-1, 0)
    model.neighbours.copy_(ring / 3)


def test_a_graph_in_buffers(toy):
    problem = replace(
        toy, data=graph_data, stand_in=graph_data, model=GraphNetwork, prepare=put_graph
    )
    report = check_problem(problem, examples=3)
    assert report.ok, report
    model, dataset = problem.build_model(problem.data()), problem.data()
    whole = evaluate(problem, model, dataset.test)
    one_by_one = evaluate(problem, model, dataset.test, batch_size=1)
    assert whole == pytest.approx(one_by_one, rel=1e-6)
    batch = Batch(torch.tensor([5]), torch.tensor([1]))
    alone = torch.stack([model.features[n] for n in (4, 5, 0)]).mean(0)
    torch.testing.assert_close(model(batch.x)[0], model.dense(alone))
