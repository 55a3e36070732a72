"""Compiled training: the records of eager training, and a clock of its own."""

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from deepobs_data import Batch
from deepobs_runner import Execution, run, train
from deepobs_runner.backend.backend import Backend
from deepobs_runner.errors import UsageError
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.training.closure import Closure

COMPILERS = ("c++", "g++", "clang++", "cl")
CPU = Execution(device="cpu")
inductor = pytest.mark.skipif(
    not any(map(shutil.which, COMPILERS)), reason="Inductor needs a C++ compiler"
)


@pytest.fixture
def captured(monkeypatch):
    """Let torch capture what is compiled, but not build it; return the graphs as they come."""
    graphs, compile_ = [], torch.compile

    def keep(graph, inputs):
        graphs.append(graph)
        return graph.forward

    def capture(function, **options):
        return compile_(function, backend=keep, dynamic=options["dynamic"])

    monkeypatch.setattr(torch, "compile", capture)
    return graphs


def records(problem, config, **execution):
    build = optimizer_of(config, problem)
    return list(train(problem, build, config=config, execution=replace(CPU, **execution)))


def assert_equal_records(compiled, eager):
    """Sums are taken in another order: single precision after a few steps."""
    for one, other in zip(compiled, eager, strict=True):
        assert one.step_objectives == pytest.approx(other.step_objectives, rel=1e-4)
        for split, metrics in other.metrics.items():
            assert one.metrics[split] == pytest.approx(metrics, rel=1e-4)


def test_all_is_compiled_before_the_first_step(problem, configure, captured):
    """With dropout, batch norm, augmentation and L2, over two epochs and their evaluations."""
    config, seen = configure("Adam", {"lr": 0.01}, epochs=2), []

    def build(model):
        optimizer = optimizer_of(config, problem)(model)
        optimizer.register_step_pre_hook(lambda *_: seen.append(len(captured)))
        return optimizer

    compiled = list(train(problem, build, config=config, execution=replace(CPU, compile=True)))
    assert len(captured) > 0
    assert seen == [len(captured)] * 8
    assert_equal_records(compiled, records(problem, config))
    assert compiled[1].clocks["compile"] > 0
    assert [r.clocks["compile"] for r in (compiled[0], compiled[2])] == [0.0, 0.0]
    assert [r.counters["closure_calls"] for r in compiled] == [0, 4, 8]


def test_a_value_alone_is_of_the_same_code(problem, configure, captured):
    """A line search compiles nothing in a step, and compares like with like."""
    seen = []

    class Searcher(torch.optim.SGD):
        def step(self, closure):
            before = len(captured)
            value, objective = closure(backward=False), closure()
            equal = value.item() == objective.item()
            seen.append((len(captured) - before, value.requires_grad, equal))
            return super().step()

    build = lambda model: Searcher(model.parameters(), lr=0.1)  # noqa: E731
    config, execution = configure(epochs=1), replace(CPU, compile=True)
    list(train(problem, build, config=config, execution=execution))
    assert seen == [(0, False, True)] * 4


def test_every_run_of_a_process_is_compiled(problem, configure, captured):
    """Torch gives up on a function that was compiled too often, which is eight times."""
    counts = []
    for width in range(3, 13):
        other = replace(problem, model=partial(nn.Linear, 8, width))
        records(other, configure(epochs=1, l2=0.0), compile=True)
        counts.append(len(captured))
    assert counts == list(range(1, 11))


@inductor
@pytest.mark.slow
def test_compiled_training_is_eager_training(problem, configure):
    """In float64, because Adam makes steps of what rounding leaves of a gradient."""
    config = configure("Adam", {"lr": 0.01}, epochs=2, precision="fp64")
    assert_equal_records(records(problem, config, compile=True), records(problem, config))


def test_warming_up_leaves_no_trace(problem, captured):
    torch.manual_seed(0)
    model = problem.model().train()
    closure = Closure(problem, model, l2=0.0, backend=Backend(compile=True))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    closure.gradient.prepare(next(iter(problem.data().train.batches(torch.arange(16), 16))))
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert closure.counts["closure_calls"] == 0


def test_what_cannot_be_compiled_is_a_sentence(problem, configure, execution, monkeypatch):
    """As it is without a C++ compiler: the result says so, and what to do."""
    from torch._inductor.exc import InvalidCxxCompiler

    def compile_(function, **_):
        def fail(*args, **kwargs):
            raise InvalidCxxCompiler

        return fail

    monkeypatch.setattr(torch, "compile", compile_)
    config = configure()
    with pytest.raises(UsageError, match=r"cannot compile blobs.*C\+\+ compiler.*--compile"):
        run(config, replace(execution, compile=True), problem=problem)


def test_second_derivatives_are_refused(problem, captured):
    model = problem.model()
    closure = Closure(problem, model, l2=0.0, backend=Backend(compile=True))
    closure.begin(Batch(torch.zeros(4, 8), torch.zeros(4, dtype=torch.int64)))
    with pytest.raises(UsageError, match="without --compile"):
        closure(create_graph=True)


def test_results_say_that_they_were_compiled(problem, configure, execution, captured):
    config = configure(epochs=1)
    compiled = run(config, replace(execution, compile=True), problem=problem)
    assert compiled.environment["compile"] is True
    eager = run(config, execution, problem=problem, force=True)
    assert eager.environment["compile"] is False
    assert compiled.config.id == eager.config.id
