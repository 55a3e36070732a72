"""CUDA graphs: the numbers of eager training, and refusals where they would be others.

Without a GPU a stand-in takes the place of the graph: a replay computes the step again and writes
it where a graph would write. What only a GPU can tell is in the tests with `cuda`.
"""

import gc
import weakref
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import pytest
import torch
from torch import nn

from deepobs_problems import CATALOG
from deepobs_runner import Execution, RunConfig, resolve_config, run, train
from deepobs_runner.backend import backend, cuda_graphs
from deepobs_runner.backend.cuda_graphs import GraphedStep, _Graph, check_graphs
from deepobs_runner.cli import main
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import reproducible
from deepobs_runner.runs.checkpoint_file import load_checkpoint, save_checkpoint
from deepobs_runner.runs.recorder import record_to_json
from deepobs_runner.runs.resolve import optimizer_of


@pytest.fixture
def stand_in(monkeypatch):
    """Put a step that is computed anew in the place of a graph; return how often it was replayed.

    Like a graph it reads and writes always the same memory.
    """
    steps, replays = [], []
    step = GraphedStep._step

    def keep_step(graphed, compute, batch, state):
        steps[:] = [weakref.ref(graphed), weakref.WeakMethod(compute)]
        return step(graphed, compute, batch, state)

    def replay(captured, batch, state):
        for held, new in zip(captured.batch, batch, strict=True):
            held.copy_(new)
        for held, new in zip(*map(cuda_graphs.tensors_of, (captured.state, state)), strict=True):
            held.copy_(new)
        graphed, compute = (reference() for reference in steps)
        objective, outgoing = step(graphed, compute, captured.batch, captured.state)
        pairs = [(captured.objective, objective)]
        pairs += zip(*map(cuda_graphs.tensors_of, (captured.outgoing, outgoing)), strict=True)
        pairs += zip(captured.gradients, (p.grad for p in graphed._trained), strict=True)
        for held, new in pairs:
            if held is not None:
                held.copy_(new)
        replays.append(captured)

    monkeypatch.setattr(GraphedStep, "_step", keep_step)
    monkeypatch.setattr(GraphedStep, "_warm_up", lambda *_: None)
    monkeypatch.setattr(_Graph, "replay", replay)
    for name in ("device", "graph", "stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda *_: nullcontext())
    monkeypatch.setattr(torch.cuda, "CUDAGraph", object)
    monkeypatch.setattr(torch._C, "_cuda_clearCublasWorkspaces", lambda: None, raising=False)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: torch.get_rng_state())
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda s, device: torch.set_rng_state(s))
    monkeypatch.setattr(backend, "check_graphs", lambda *_: None)
    return replays


def records(problem, config, device="cpu", build=None, **execution):
    execution = Execution(device=device, **execution)
    build = build or optimizer_of(config, problem)
    return list(train(problem, build, config=config, execution=execution))


def comparable(record):
    return reproducible(record_to_json(record)), record.step_objectives.tobytes()


class KeepsGradients(torch.optim.Optimizer):
    """Steps against the gradient of the step before, which it keeps without a copy."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr})

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            value = closure()
        for parameter in self.param_groups[0]["params"]:
            old = self.state[parameter].get("old", parameter.grad)
            parameter.sub_(old, alpha=self.param_groups[0]["lr"])
            self.state[parameter]["old"] = parameter.grad
        return value


class Searches(torch.optim.SGD):
    """Asks for the value alone, then twice for the gradient."""

    def step(self, closure):
        value = closure(backward=False)
        assert value.item() == closure().item() == closure().item()
        return super().step()


class Differentiates(torch.optim.SGD):
    """Scales its step by the norm of a Hessian-vector product."""

    def step(self, closure):
        closure(create_graph=True)
        weights = self.param_groups[0]["params"]
        gradients = [p.grad for p in weights]
        products = torch.autograd.grad(gradients, weights, [g.detach() for g in gradients])
        with torch.no_grad():
            for weight, product in zip(weights, products, strict=True):
                weight.grad = weight.grad.detach() + 0.01 * product
        return super().step()


OPTIMIZERS = {
    "SGD": None,
    "Adam": None,
    "keeps gradients": lambda model: KeepsGradients(model.parameters(), lr=0.05),
    "searches": lambda model: Searches(model.parameters(), lr=0.1),
    "differentiates": lambda model: Differentiates(model.parameters(), lr=0.1),
    "LBFGS": lambda model: torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3),
}


def assert_equal_training(problem, configure, optimizer, device):
    """With dropout, batch norm, augmentation and L2: bit for bit."""
    build = OPTIMIZERS[optimizer]
    config = configure(optimizer if build is None else "SGD", {"lr": 0.01})
    eager = records(problem, config, device, build)
    graphed = records(problem, config, device, build, cuda_graphs=True)
    assert [comparable(r) for r in graphed] == [comparable(r) for r in eager]
    assert graphed[1].clocks["compile"] > 0
    assert graphed[2].clocks["compile"] == 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_records_are_those_of_eager_training(problem, configure, optimizer, stand_in):
    assert_equal_training(problem, configure, optimizer, "cpu")
    assert (len(stand_in) > 3) == (optimizer != "differentiates")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_records_on_a_gpu_are_those_of_eager_training(problem, configure, optimizer, cuda):
    assert_equal_training(problem, configure, optimizer, cuda)


def catalog_records(name, device, **settings):
    config = RunConfig(
        problem=name,
        optimizer="Momentum",
        hyperparams={"lr": 1e-3},
        data="real" if name.startswith(("two_d", "quadratic")) else "synthetic",
        batch_size=4,
        steps=3,
        precision=settings.pop("precision", "fp32"),
    )
    problem = CATALOG[name]
    stand_in = problem.stand_in or problem.data

    def few(*args, **options):
        data = stand_in(*args, **options)
        rows = torch.arange(8)
        short = {name: replace(getattr(data, name), rows=rows) for name in ("test", "train_eval")}
        return replace(data, **short)

    small = replace(problem, data=few, stand_in=few)
    return records(small, resolve_config(config), device, **settings)


def test_recurrent_state_goes_on(stand_in):
    """The first step of an epoch has no state and a graph of its own."""
    eager = catalog_records("tolstoi_char_rnn", "cpu")
    graphed = catalog_records("tolstoi_char_rnn", "cpu", cuda_graphs=True)
    assert [comparable(r) for r in graphed] == [comparable(r) for r in eager]
    assert len({id(captured) for captured in stand_in}) == 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [n for n in CATALOG if not n.startswith("imagenet")])
def test_problems_on_a_gpu_compute_the_same(name, precision, cuda):
    eager = catalog_records(name, cuda, precision=precision)
    graphed = catalog_records(name, cuda, precision=precision, cuda_graphs=True)
    assert [comparable(r) for r in graphed] == [comparable(r) for r in eager]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_training_goes_on_in_graphs(problem, configure, cuda, precision, tmp_path):
    config = configure("Adam", {"lr": 0.01}, precision=precision, epochs=4)
    build, execution = optimizer_of(config, problem), Execution(device=cuda, cuda_graphs=True)
    whole = []
    for record in train(problem, build, config=config, execution=execution):
        whole.append(record)
        if record.epoch == 2:
            checkpoint = load_checkpoint(save_checkpoint(record.snapshot(), tmp_path), config.id)
    rest = list(train(problem, build, config=config, execution=execution, resume=checkpoint))
    assert [comparable(r) for r in rest] == [comparable(r) for r in whole[3:]]


def test_runs_side_by_side_keep_their_own_graphs(problem, configure, cuda):
    """Captured on one stream, one after the other ended while the second goes on."""
    config, execution = configure(epochs=4), Execution(device=cuda, cuda_graphs=True)
    build = optimizer_of(config, problem)
    expected = [comparable(r) for r in records(problem, config, cuda)]
    first, second = (train(problem, build, config=config, execution=execution) for _ in range(2))
    begun = [[comparable(next(run)) for _ in range(2)] for run in (first, second)]
    assert begun[0] + [comparable(r) for r in first] == expected
    del first
    assert begun[1] + [comparable(r) for r in second] == expected


@pytest.mark.slow
def test_compiled_training_in_graphs(problem, configure, cuda):
    pytest.importorskip("triton")
    config = configure("Adam", {"lr": 0.01}, precision="fp64")
    eager = records(problem, config, cuda)
    both = records(problem, config, cuda, compile=True, cuda_graphs=True)
    for one, other in zip(both, eager, strict=True):
        assert one.step_objectives == pytest.approx(other.step_objectives, rel=1e-6)


def test_graphs_are_freed_with_their_run(problem, configure, cuda):
    """Without waiting for the garbage collector, which does not know how much a GPU holds."""
    config = configure()
    records(problem, config, cuda, cuda_graphs=True)
    gc.collect()
    before = torch.cuda.memory_allocated(cuda)
    gc.disable()
    try:
        records(problem, config, cuda, cuda_graphs=True)
        assert torch.cuda.memory_allocated(cuda) == before
    finally:
        gc.enable()


@pytest.mark.parametrize("graphs", [False, True])
def test_the_model_is_freed_with_its_run(problem, configure, stand_in, monkeypatch, graphs):
    models = []

    def build():
        model = problem.model()
        models.append(weakref.ref(model))
        return model

    gc.collect()
    gc.disable()
    try:
        records(replace(problem, model=build), configure(), cuda_graphs=graphs)
        assert models[-1]() is None
    finally:
        gc.enable()


def test_results_say_that_graphs_were_used(problem, configure, execution, stand_in):
    graphed = run(configure(), replace(execution, cuda_graphs=True), problem=problem)
    assert graphed.environment["cuda_graphs"] is True
    eager = run(configure(), execution, problem=problem, force=True)
    assert eager.environment["cuda_graphs"] is False
    assert graphed.config.id == eager.config.id


# ------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("device", "precision", "processes", "sentence"),
    [
        ("cpu", "fp32", 1, r"need an NVIDIA GPU, and the device is cpu.*--cuda-graphs"),
        ("cuda", "fp16", 1, "fp16.*bf16"),
        ("cuda", "fp32", 2, "one process"),
    ],
)
def test_where_there_can_be_none(device, precision, processes, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_graphs(torch.device(device), precision, processes)


@pytest.mark.parametrize(
    "command",
    [
        ["run", "two_d_beale", "SGD", "lr=0.1"],
        ["bench", "SGD", "lr=0.1", "--problem", "two_d_beale"],
        ["tune", "two_d_beale", "SGD"],
    ],
)
def test_commands_refuse_before_they_begin(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*command, "--device", "cpu", "--cuda-graphs", "--out", str(out)]) == 2
    assert "need an NVIDIA GPU" in " ".join(capsys.readouterr().err.split())
    assert not list(out.rglob("*.json"))


def test_frozen_numbers_are_refused(problem, configure, cuda):
    """Drawn on the CPU and copied: the graph has the number that was drawn at its capture."""

    class Frozen(nn.Linear):
        def forward(self, x):
            return super().forward(x) * float(torch.rand(()))

    frozen = replace(problem, model=lambda: Frozen(8, 3))
    with pytest.raises(UsageError, match="other numbers than the step itself"):
        records(frozen, configure(l2=0.0), cuda, cuda_graphs=True)


@pytest.mark.parametrize("wait", ["reads a number", "waits for the stream"])
def test_steps_that_wait_are_refused(problem, configure, cuda, wait):
    """The second is found in the capture alone; the process goes on as if nothing had been."""

    class Waits(nn.Linear):
        def forward(self, x):
            if wait == "reads a number":
                return super().forward(x) * x.abs().max().item()
            torch.cuda.current_stream().synchronize()
            return super().forward(x)

    before = [comparable(r) for r in records(problem, configure(), cuda)]
    waits = replace(problem, model=lambda: Waits(8, 3))
    stream = torch.cuda.current_stream()
    with pytest.raises(UsageError, match="cannot be captured in a CUDA graph"):
        records(waits, configure(l2=0.0), cuda, cuda_graphs=True)
    assert torch.cuda.current_stream() == stream
    assert torch.cuda.get_sync_debug_mode() == 0
    assert [comparable(r) for r in records(problem, configure(), cuda)] == before
    graphed = records(problem, configure(), cuda, cuda_graphs=True)
    assert [comparable(r) for r in graphed] == before


def test_hooks_are_refused(problem, configure, stand_in):
    def build(model):
        model[0].register_forward_hook(lambda *_: None)
        return torch.optim.SGD(model.parameters(), lr=0.1)

    with pytest.raises(UsageError, match=r"a hook .*test_cuda_graphs.*lambda"):
        records(problem, configure(), build=build, cuda_graphs=True)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_hooks_of_torch_are_captured(problem, configure, stand_in):
    normed = replace(problem, model=lambda: nn.utils.weight_norm(nn.Linear(8, 3)))
    eager = records(normed, configure(l2=0.0))
    graphed = records(normed, configure(l2=0.0), cuda_graphs=True)
    assert [comparable(r) for r in graphed] == [comparable(r) for r in eager]


def test_buffers_that_are_exchanged_are_refused(problem, configure, stand_in):
    """A graph would go on reading the first one, and the evaluation see what it never writes."""

    class Averages(nn.Linear):
        def __init__(self):
            super().__init__(8, 3)
            self.register_buffer("running", torch.zeros(3))

        def forward(self, x):
            outputs = super().forward(x)
            if not self.training:
                return outputs - self.running
            self.running = 0.9 * self.running + 0.1 * outputs.detach().mean(dim=0)
            return outputs

    averages = replace(problem, model=Averages)
    with pytest.raises(UsageError, match="exchanges a buffer"):
        records(averages, configure(l2=0.0), cuda_graphs=True)


@pytest.mark.parametrize(
    ("one", "other", "least", "equal"),
    [
        ([1.0, 2.0], [1.0, 2.01], 0.0, True),
        ([1.0, 2.0], [1.0, 2.1], 0.0, False),
        ([float("nan"), 2.0], [1.0, 2.0], 0.0, False),
        ([1.0, 2.0], [float("inf"), 2.0], 0.0, False),
        ([float("nan"), 2.0], [float("nan"), 2.0], 0.0, True),
        ([], [], 0.0, True),
        ([1e-9], [-1e-9], 0.0, False),
        ([1e-9], [-1e-9], 1e-2, True),  # of the 1.0 beside it, which is compared as well
    ],
)
def test_what_agrees(one, other, least, equal):
    ones, others = ([None, torch.tensor(values), torch.ones(1)] for values in (one, other))
    assert cuda_graphs._agree(ones, others, least) is equal
    assert not cuda_graphs._agree(ones, [torch.ones(1), *others[1:]], least)


def test_a_training_error_stays_what_it_is(problem, configure, stand_in):
    wrong = replace(problem, model=lambda: nn.Linear(7, 3))
    with pytest.raises(RuntimeError, match="shapes"), cuda_graphs.capturing(wrong):
        nn.Linear(7, 3)(torch.zeros(2, 8))


def test_other_memory_of_the_weights_is_refused(problem, configure, stand_in):
    class Replaces(torch.optim.SGD):
        def step(self, closure):
            value = super().step(closure)
            for parameter in self.param_groups[0]["params"]:
                parameter.data = parameter.data.clone()
            return value

    build = lambda model: Replaces(model.parameters(), lr=0.1)  # noqa: E731
    with pytest.raises(UsageError, match="moved the weights in memory"):
        records(problem, configure(), build=build, cuda_graphs=True)


def test_a_context_around_the_backward_pass_is_refused(problem, configure, stand_in):
    @contextmanager
    def around():
        yield

    config = configure()
    execution = Execution(device="cpu", cuda_graphs=True)
    build = optimizer_of(config, problem)
    with pytest.raises(UsageError, match="around_backward"):
        list(train(problem, build, config=config, execution=execution, around_backward=around))
