"""State of every kind survives a checkpoint, or a warning names what does not."""

import collections
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch

from deepobs_runner import Execution, load_result, run, train
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.runs.checkpoint_state import decode, encode
from deepobs_runner.runs.recorder import CheckpointWarning, record_to_json
from deepobs_runner.schedules import parse_schedule

CPU = Execution(device="cpu")


class Pair(NamedTuple):
    """Two values of state."""

    a: torch.Tensor
    b: object


class Keeper(torch.optim.SGD):
    """SGD whose first weight has further state, which decides about the steps."""

    def __init__(self, params, keep):
        super().__init__(params, lr=0.1)
        self.keep = keep

    def step(self, closure):
        loss = super().step(closure)
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state["kept"] = self.keep(parameter, state.get("kept"))
        return loss


def recent(parameter, old):
    old = collections.deque(maxlen=2) if old is None else old
    old.append(parameter.grad.clone())
    parameter.data.sub_(0.01 * sum(old))
    return old


def mean(parameter, old):
    value = np.float32(parameter.grad.mean()) + (0 if old is None else 0.5 * old)
    assert isinstance(value, np.floating)
    parameter.data.sub_(0.01 * float(value))
    return value


def pair(parameter, old):
    parameter.data.sub_(0 if old is None else 0.01 * old.a)
    return Pair(parameter.grad.clone(), collections.deque([1], maxlen=3))


def moment(dtype):
    def keep(parameter, old):
        old = torch.zeros_like(parameter, dtype=dtype) if old is None else old
        assert old.dtype == dtype
        old.mul_(0.9).add_(parameter.grad.to(dtype))
        parameter.data.sub_((0.01 * old).to(parameter.dtype))
        return old

    return keep


def count(parameter, old):
    old = torch.zeros((), dtype=torch.int64) if old is None else old
    parameter.data.mul_(1 - 0.01 * (int(old) % 3))
    assert old.dtype == torch.int64
    return old + 2**40 + 1  # float32 cannot hold it


def phase(parameter, old):
    parameter.data.mul_(0.99 if old == "odd" else 1)
    assert old in (None, "odd", "even")
    return "even" if old == "odd" else "odd"


def history(parameter, old):
    old = np.zeros(3) if old is None else old
    old[1:], old[0] = old[:-1].copy(), float(parameter.grad.mean())
    parameter.data.sub_(0.01 * old.sum())
    return old


def own_generator(parameter, old):
    old = torch.Generator().manual_seed(0) if old is None else old
    parameter.data.add_(0.01 * torch.randn(parameter.shape, generator=old))
    return old


def frozen(parameter, old):
    old = frozenset() if old is None else old
    parameter.data.mul_(1 - 0.001 * len(old))
    return old | {len(old)}


KEEPS = {
    "deque": recent,
    "numpy scalar": mean,
    "named tuple": pair,
    "float64": moment(torch.float64),
    "bfloat16": moment(torch.bfloat16),
    "int64": count,
    "text": phase,
    "numpy array": history,
    "generator": own_generator,
    "frozenset": frozen,
}


def comparable(record):
    return reproducible(record_to_json(record)), record.step_objectives.tobytes()


def resume_after(epoch, problem, config, build, folder):
    """Return the records of a run, and those of one that goes on from its checkpoint in a file."""
    whole = []
    for record in train(problem, build, config=config, execution=CPU):
        whole.append(record)
        if record.epoch == epoch:
            path = save_checkpoint(record.snapshot(), folder)
    resume = load_checkpoint(path, config.id)
    return whole, list(train(problem, build, config=config, execution=CPU, resume=resume))


@pytest.mark.parametrize("keep", KEEPS.values(), ids=KEEPS)
def test_state_of_any_kind_is_resumed_bit_for_bit(keep, problem, configure, tmp_path):
    def build(model):
        return Keeper(model.parameters(), keep)

    whole, rest = resume_after(1, problem, configure(epochs=3), build, tmp_path)
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[2:]]


def test_encoded_state_comes_back():
    state = {
        "nested": [({"a": collections.deque([Pair(1, np.int64(2))], 4)},)],
        "bool": np.bool_(True),
        "complex": np.complex64(1 + 2j),
    }
    assert decode(encode(state)) == state
    assert decode(encode(state))["nested"][0][0]["a"].maxlen == 4
    with pytest.raises(ValueError, match="not imported"):
        decode({"deepobs_kind": "namedtuple", "class": ["os", "system"], "items": ["true"]})


class Thing:
    """A type that no checkpoint can hold."""


STATES = {"a lambda": lambda p: 1.0, "a class of its own": Thing(), "a range": range(3)}


@pytest.mark.parametrize("value", STATES.values(), ids=STATES)
def test_a_checkpoint_that_cannot_be_kept_is_a_warning(value, problem, configure, execution):
    def build(model):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.param_groups[0]["extra"] = value
        return optimizer

    statuses = []

    def look(record):
        (path,) = execution.out.glob("*.json")
        statuses.append(load_result(path).status)

    config = configure()
    object.__setattr__(config, "resolution", None)
    module = "deepobs_runner.runs.resolve.make_optimizer"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, lambda *args: build)
        eager = replace(execution, checkpoint_epochs=1)
        name = type(value).__name__
        with pytest.warns(CheckpointWarning, match=name) as caught:
            result = run(config, eager, problem=problem, on_record=look)
    assert len([w for w in caught if w.category is CheckpointWarning]) == 1
    assert result.status == "done"
    assert statuses == ["running"] * 4
    assert not list(execution.out.glob("*.ckpt"))


def test_a_stopped_run_whose_checkpoint_fails_is_stored_as_stopped(
    problem, configure, execution, monkeypatch
):
    def broken(*args):
        raise TypeError("cannot pickle it")

    monkeypatch.setattr("deepobs_runner.runs.checkpoint_file.save_checkpoint", broken)
    with pytest.warns(CheckpointWarning, match="cannot pickle it"):
        result = run(configure(), replace(execution, time_limit=1e-9), problem=problem)
    assert load_result(result.path).status == "stopped"


class Wrapper:
    """Holds the groups of an inner optimizer, as Lookahead does."""

    def __init__(self, base):
        self.base, self.param_groups = base, base.param_groups

    def step(self, closure):
        return self.base.step(closure)

    def state_dict(self):
        return {"base": self.base.state_dict()}

    def load_state_dict(self, state):
        self.base.load_state_dict(state["base"])


class Copying(Wrapper):
    """Holds the same groups in a list of its own."""

    def __init__(self, base):
        super().__init__(base)
        self.param_groups = list(base.param_groups)


class Relinking(Wrapper):
    """Takes the new groups over after loading, as it should."""

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.param_groups = self.base.param_groups


class Several(Wrapper):
    """Holds optimizers in a mapping."""

    def __init__(self, base):
        super().__init__(base)
        self.parts = {"only": [base]}
        del self.base

    def __getattr__(self, name):
        return self.parts["only"][0] if name == "base" else object.__getattribute__(self, name)


def hidden(base):
    """Return a wrapper that holds its optimizer where it is not found."""
    wrapper = Wrapper.__new__(Wrapper)
    wrapper.param_groups = base.param_groups
    wrapper.step = lambda closure: base.step(closure)
    wrapper.state_dict = lambda: base.state_dict()
    wrapper.load_state_dict = lambda state: base.load_state_dict(state)
    return wrapper


WRAPPERS = {
    "wrapper": Wrapper,
    "twice": lambda base: Wrapper(Wrapper(base)),
    "copied list": Copying,
    "relinked": Relinking,
    "in a mapping": Several,
}


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_a_resumed_wrapper_trains_at_the_rate_of_its_record(
    wrap, schedule, problem, configure, tmp_path
):
    def build(model):
        return wrap(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))

    config = configure(epochs=4, schedule=parse_schedule(schedule))
    whole, rest = resume_after(2, problem, config, build, tmp_path)
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[3:]]


def test_resume_refuses_where_the_rate_would_not_arrive(problem, configure, tmp_path):
    def build(model):
        return hidden(torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))

    config = configure(epochs=4, schedule=parse_schedule("cosine"))
    with pytest.raises(UsageError, match="Cannot resume"):
        resume_after(2, problem, config, build, tmp_path)
    # A constant schedule writes no rate.
    whole, rest = resume_after(2, problem, configure(epochs=4), build, tmp_path)
    assert rest[-1].metrics == whole[-1].metrics
