"""One step sees one batch, one dropout mask and one incoming state, however often it is called."""

import pytest
import torch
from torch import nn

from deepobs_data import Batch
from deepobs_problems import Problem
from deepobs_runner.training.closure import Closure


@pytest.fixture
def step(problem):
    """Return a closure in the middle of a step, and its model."""
    torch.manual_seed(0)
    model = problem.model()
    model.train()
    closure = Closure(problem, model, l2=problem.l2)
    data = problem.data().train
    closure.begin(next(iter(data.batches(torch.arange(16), 16))))
    return closure, model


def test_every_call_has_the_same_dropout_mask(step):
    closure, _ = step
    values = [closure().item(), closure(backward=False).item(), closure().item()]
    assert values[0] == values[1] == values[2]


def test_batch_norm_advances_once_a_step(step):
    closure, model = step
    closure()
    once = [buffer.clone() for buffer in model.buffers()]
    closure()
    closure(backward=False)
    closure.finish()
    assert model[1].num_batches_tracked == 1
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), once, strict=True))


def test_generator_ends_as_after_one_call(step):
    closure, _ = step
    before = torch.get_rng_state()
    closure()
    after_one = torch.get_rng_state()
    closure()
    closure(backward=False)
    assert torch.equal(torch.get_rng_state(), after_one)
    assert not torch.equal(before, after_one)


def test_an_optimizer_that_draws_between_calls_gets_new_numbers_and_the_same_mask(step):
    closure, _ = step
    drawn, values = [torch.rand(()).item()], []
    for _ in range(4):
        values.append(closure(backward=False).item())
        drawn.append(torch.rand(()).item())
    assert len(set(values)) == 1
    assert len(set(drawn)) == 5


@pytest.mark.parametrize("backward", [True, False])
def test_draws_differ_from_step_to_step(problem, backward):
    """As those of SPSA, which calls twice and draws before each step."""
    torch.manual_seed(0)
    model = problem.model()
    closure = Closure(problem, model, l2=0.0)
    directions = []
    for batch in problem.data().train.batches(torch.arange(64), 16):
        closure.begin(batch)
        directions.append(torch.rand(()).item())
        assert closure(backward=backward).item() == closure(backward=backward).item()
        closure.finish()
    assert len(set(directions)) == 4


def test_an_error_in_a_further_call_leaves_the_optimizers_generator(step, monkeypatch):
    closure, _ = step
    closure()
    state = torch.get_rng_state()

    def fail(*args):
        torch.rand(())
        raise ValueError("broken")

    monkeypatch.setattr(closure.gradient, "value", fail)
    with pytest.raises(ValueError, match="broken"):
        closure(backward=False)
    assert torch.equal(torch.get_rng_state(), state)


class Replacing(nn.Module):
    """A layer that assigns its buffer anew in every call, and multiplies by what it was before."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return x @ self.weight + self.calls


class Growing(Replacing):
    """Its buffer has a row per call, as an observer whose first batch gives the shape."""

    def forward(self, x):
        self.calls = torch.cat([self.calls.reshape(-1), torch.ones(1)])
        return x @ self.weight + self.calls.sum()


class Resized(Replacing):
    """As `Growing`, but the tensor stays the same object."""

    def forward(self, x):
        n = self.calls.numel()
        self.calls.resize_(n + 1).fill_(1)
        return x @ self.weight + n


def spectral():
    torch.manual_seed(0)
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 4))
    return nn.Sequential(layer, nn.Linear(4, 1), nn.Flatten(0))


@pytest.mark.parametrize("build", [Replacing, Growing, Resized, spectral])
def test_buffers_that_a_module_replaces_advance_once_a_step(build):
    from deepobs_problems.losses import model_output

    problem = Problem(name="p", data=None, model=build, loss=model_output, metrics={})
    batch = Batch(torch.ones(2, 3), torch.zeros(2))
    buffers, later = [], []
    for calls in (1, 4):
        model = build()
        model.train()
        closure = Closure(problem, model, l2=0.0)
        for _ in range(3):
            closure.begin(batch)
            values = [closure(backward=i % 2 == 0).item() for i in range(calls)]
            later.append(values[1:])
            closure.finish()
        buffers.append(dict(model.named_buffers()))
        assert set(buffers[-1]) <= set(model.state_dict())
    one, four = buffers
    assert all(torch.equal(one[name], four[name]) for name in one)
    assert all(len(set(values)) <= 1 for values in later)  # calls after the first agree


def test_objective_is_that_of_the_first_call(step):
    closure, model = step
    first = closure().item()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    assert closure().item() != first
    assert closure.finish().item() == first


def test_gradients_are_fresh_in_every_call(step):
    closure, model = step
    closure()
    first = [p.grad.clone() for p in model.parameters()]
    closure()
    assert all(torch.equal(a, p.grad) for a, p in zip(first, model.parameters(), strict=True))


def test_value_alone_computes_no_gradient(step):
    closure, model = step
    value = closure(backward=False)
    assert not value.requires_grad
    assert all(p.grad is None for p in model.parameters())


def test_graph_of_the_gradient_on_request(step):
    closure, model = step
    closure(create_graph=True)
    assert all(p.grad.requires_grad for p in model.parameters())


def test_clip_norm(problem):
    torch.manual_seed(0)
    model = problem.model()
    closure = Closure(problem, model, l2=0.0, clip_norm=1e-3)
    closure.begin(next(iter(problem.data().train.batches(torch.arange(16), 16))))
    closure()
    total = torch.linalg.vector_norm(torch.cat([p.grad.flatten() for p in model.parameters()]))
    assert total.item() == pytest.approx(1e-3, rel=1e-4)


def test_around_backward_surrounds_every_backward_pass(problem):
    from contextlib import contextmanager

    events = []

    @contextmanager
    def watch():
        events.append("in")
        yield
        events.append("out")

    model = problem.model()
    closure = Closure(problem, model, l2=0.0, around_backward=watch)
    closure.begin(next(iter(problem.data().train.batches(torch.arange(16), 16))))
    closure()
    closure(backward=False)
    closure()
    assert events == ["in", "out"] * 2


def test_optimizer_that_never_calls_is_an_error(step):
    closure, _ = step
    with pytest.raises(RuntimeError, match="did not call"):
        closure.finish()


class Counter(nn.Module):
    """A recurrent model whose state is the sum of its inputs."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x, state=None):
        start = torch.zeros(len(x)) if state is None else state[0]
        total = start + self.weight * x.sum(dim=1)
        return total, (total,)


def test_recurrent_state_is_committed_once_and_cut_from_the_graph():
    from deepobs_problems.losses import model_output
    from deepobs_problems.problem import recurrent

    problem = Problem(
        name="counter", data=None, model=Counter, loss=model_output, forward=recurrent, metrics={}
    )
    model = Counter()
    closure = Closure(problem, model, l2=0.0)
    batch = Batch(torch.ones(2, 3), torch.zeros(2))
    for expected in (3.0, 6.0):
        closure.begin(batch)
        assert closure().item() == expected
        assert closure().item() == expected  # the same incoming state
        closure.finish()
    assert model.weight.grad.item() == 3.0  # not through the step before
    closure.reset_state()
    closure.begin(batch)
    assert closure().item() == 3.0
