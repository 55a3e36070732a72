"""What a factory may return."""

import pytest
import torch
from torch import nn

from deepobs_runner import Execution, RunConfig, resolve_config, train
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import make_optimizer, resolve_hyperparams
from deepobs_runner.runs.resolve import optimizer_of

FACTORIES = """
import torch
from torch.optim import SGD, Adam


def halves(params):
    params = list(params)
    return params[:2], params[2:]


def as_list(params, lr):
    return [SGD(half, lr=lr) for half in halves(params)]

def as_tuple(params, lr):
    return tuple(as_list(params, lr))

def as_generator(params, lr):
    yield from as_list(params, lr)

def as_mapping(params, lr):
    return dict(zip(("first", "last"), as_list(params, lr)))

def as_map(params, lr):
    return map(lambda half: SGD(half, lr=lr), halves(params))


class NoClosure(SGD):
    def step(self):
        super().step()

class KeywordClosure(SGD):
    def step(self, *, closure=None):
        super().step()

class NeedsClosure(SGD):
    def step(self, closure):
        loss = closure()
        super().step()
        return loss

class CallsTwice(SGD):
    def step(self, closure):
        closure()
        return super().step(closure)

def several_without_closure(params, lr):
    return [NoClosure(half, lr=lr) for half in halves(params)]

def several_with_closure(params, lr):
    return [NeedsClosure(half, lr=lr) for half in halves(params)]

def several_that_call_twice(params, lr):
    return [CallsTwice(half, lr=lr) for half in halves(params)]


class Bare:
    def __init__(self, base):
        self.base = base
    def step(self, closure):
        return self.base.step(closure)

def without_groups(params, lr):
    wrapper = Bare(SGD(params, lr=lr))
    wrapper.state_dict = wrapper.base.state_dict
    wrapper.load_state_dict = wrapper.base.load_state_dict
    return wrapper

def without_state(params, lr):
    wrapper = Bare(SGD(params, lr=lr))
    wrapper.param_groups = wrapper.base.param_groups
    return wrapper

def nothing(params, lr):
    SGD(params, lr=lr)

def a_class(params, lr):
    return SGD

def a_number(params, lr):
    return lr

def empty(params, lr):
    return []

def list_with_none(params, lr):
    return [SGD(params, lr=lr), None]


def passes_on(params, **options):
    return Adam(params, **options)

def passes_on_to_several(params, momentum=0.9, **options):
    return [SGD(half, momentum=momentum, **options) for half in halves(params)]

def passes_on_to_bare_step(params, **options):
    return NoClosure(params, **options)

def has_its_own_rate(params, momentum=0.9, **options):
    return SGD(params, lr=0.05, momentum=momentum, **options)

def has_no_rate(params, momentum=0.9):
    return SGD(params, lr=0.1, momentum=momentum)
"""


def two_layers():
    return nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))


@pytest.fixture
def factories(tmp_path):
    path = tmp_path / "factories.py"
    path.write_text(FACTORIES)
    return f"{path}:"


def last_metrics(problem, name, hyperparams):
    """Return what a run of two epochs reaches."""
    resolved = resolve_hyperparams(name, hyperparams)
    config = resolve_config(
        RunConfig(problem=problem.name, optimizer=name, hyperparams=resolved, epochs=2), problem
    )
    make = optimizer_of(config, problem)
    return list(train(problem, make, config=config, execution=Execution(device="cpu")))[-1].metrics


@pytest.mark.parametrize(
    "name",
    [
        "as_list", "as_tuple", "as_generator", "as_mapping", "as_map", "NoClosure",
        "KeywordClosure", "NeedsClosure", "several_without_closure", "several_with_closure",
    ],
)  # fmt: skip
def test_it_trains_as_the_optimizer_inside(name, factories, problem):
    plain = last_metrics(problem, "SGD", {"lr": 0.1})
    assert last_metrics(problem, factories + name, {"lr": 0.1}) == plain


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("without_groups", r"a Bare without param_groups\. .*returns self\.base\.param_groups"),
        ("without_state", r"a Bare without state_dict, load_state_dict"),
        ("nothing", "returned nothing. End the factory with `return optimizer`"),
        ("a_class", r"returned the class SGD\. Return an optimizer: SGD\(params"),
        ("a_number", "a float without step, state_dict, load_state_dict, param_groups"),
        ("empty", "its list is empty"),
        ("list_with_none", "returned nothing"),
        ("several_that_call_twice", "more than once per step"),
    ],
)
def test_what_is_wrong_is_explained(name, said, factories, problem):
    with pytest.raises(UsageError, match=said):
        last_metrics(problem, factories + name, {"lr": 0.1})


@pytest.mark.parametrize(
    ("name", "kind", "default"),
    [
        ("passes_on", "Adam", "0.001"),
        ("passes_on_to_several", "SGD", "0.001"),
        ("passes_on_to_bare_step", "NoClosure", "0.001"),
    ],
)
def test_a_rate_of_the_library_is_not_taken_silently(name, kind, default, factories):
    def make(hyperparams):
        return make_optimizer(factories + name, hyperparams, nn.Module.parameters)(two_layers())

    with pytest.raises(
        UsageError, match=rf"needs a learning rate.*lr={default}, the default of {kind}"
    ):
        make({})
    assert make({"lr": 0.5}).param_groups[0]["lr"] == 0.5


@pytest.mark.parametrize(("name", "rate"), [("has_its_own_rate", 0.05), ("has_no_rate", 0.1)])
def test_a_rate_in_the_code_of_the_user_is_one(name, rate, factories):
    optimizer = make_optimizer(factories + name, {}, nn.Module.parameters)(two_layers())
    assert optimizer.param_groups[0]["lr"] == rate
    assert isinstance(optimizer, torch.optim.SGD)
