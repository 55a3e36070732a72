"""What the processes of test_distributed.py do; run by path in each of them.

A job is a function of `group` and picklable arguments; `SINGLE_PROCESS` is one process.
"""

import os
import signal
from contextlib import contextmanager
from functools import partial

import torch
import torch.distributed as dist
from torch import nn

from deepobs_data import Dataset, Table
from deepobs_models import CharLSTM
from deepobs_problems import Defaults, Problem, load_problem
from deepobs_problems.losses import sequence_accuracy, sequence_cross_entropy
from deepobs_problems.problem import recurrent
from deepobs_runner import Execution, RunConfig, train
from deepobs_runner.backend.backend import make_backend
from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.runs.resolve import fill_defaults, optimizer_of, resolve
from deepobs_runner.runs.run import run


class Jitter:
    """An augmentation that adds uniform noise."""

    def draw(self, n, generator):
        return torch.rand(n, 1, generator=generator)

    def apply(self, x, draws):
        return x + 0.1 * draws


def blobs(root=None, *, valid_size=0, recipe="standard"):
    """Return 71 rows to train on and 19 to test: no number that two processes divide evenly."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(90, 8, generator=generator)
    y = (x @ torch.randn(8, 3, generator=generator)).argmax(dim=1)
    augment = Jitter()
    return Dataset(
        train=Table(x[:71], y[:71], augment=augment),
        train_eval=Table(x[:33], y[:33], augment=augment),
        valid=None,
        test=Table(x[71:], y[71:]),
        augment=augment,
    )


def text(root=None, *, valid_size=0, recipe="standard"):
    ids = torch.randint(0, 83, (16 * 5 + 1,), generator=torch.Generator().manual_seed(0))
    windows = Table(ids[:-1].reshape(16, 5), ids[1:].reshape(16, 5))
    test = Table(windows.x[:9], windows.y[:9])
    return Dataset(train=windows, train_eval=test, valid=None, test=test, order="stateful")


def network(norm=nn.Identity):
    return nn.Sequential(
        nn.Linear(8, 16), nn.Tanh(), norm(16), nn.Dropout(0.5), nn.Linear(16, 3)
    )  # fmt: skip


def lstm():
    return CharLSTM(hidden_size=8)


def named(name):
    """Return a small problem of this file, or one of the catalog."""
    here = {
        "blobs": Problem(
            name="blobs", data=blobs, model=network, l2=0.1, defaults=Defaults(16, 3)
        ),
        "normed": Problem(
            name="normed",
            data=blobs,
            model=partial(network, nn.BatchNorm1d),
            defaults=Defaults(16, 3),
        ),
        "chars": Problem(
            name="chars",
            data=text,
            model=lstm,
            loss=sequence_cross_entropy,
            metrics={"accuracy": sequence_accuracy},
            forward=recurrent,
            defaults=Defaults(4, 3),
        ),
    }  # fmt: skip
    return here[name] if name in here else load_problem(name)


class Ascending(torch.optim.SGD):
    """Two gradients a step, as SAM: the second at weights that went uphill."""

    def step(self, closure):
        closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        ascents = [0.05 * p.grad for p in parameters]
        with torch.no_grad():
            for parameter, ascent in zip(parameters, ascents, strict=True):
                parameter.add_(ascent)
        loss = closure()
        with torch.no_grad():
            for parameter, ascent in zip(parameters, ascents, strict=True):
                parameter.sub_(ascent)
        super().step()
        return loss


class Searching(torch.optim.SGD):
    """Halves the step until the value alone is lower: processes must agree on how often."""

    def step(self, closure):
        before = closure()
        parameters = [p for group in self.param_groups for p in group["params"]]
        start = [p.detach().clone() for p in parameters]
        rate = 8.0
        while rate > 1e-3:
            with torch.no_grad():
                for parameter, old in zip(parameters, start, strict=True):
                    parameter.copy_(old - rate * parameter.grad)
            if closure(backward=False) < before:
                break
            rate /= 2
        return before


class Curving(torch.optim.SGD):
    """Divides the gradient by a draw of the Hessian's diagonal, as AdaHessian."""

    def step(self, closure):
        loss = closure(create_graph=True)
        parameters = [p for group in self.param_groups for p in group["params"]]
        gradients = [p.grad for p in parameters]
        signs = [torch.randint_like(p, 2) * 2 - 1 for p in parameters]
        products = torch.autograd.grad(gradients, parameters, signs)
        with torch.no_grad():
            for parameter, gradient, product, sign in zip(
                parameters, gradients, products, signs, strict=True
            ):
                parameter.sub_(0.1 * gradient / (1.0 + (sign * product).abs()))
                parameter.grad = gradient.detach()
        return loss


OWN = {"Ascending": Ascending, "Searching": Searching, "Curving": Curving}


def numbers(group, name, optimizer="SGD", hyperparams=None, **settings):
    """Train a problem; return all its numbers."""
    problem, hyperparams = named(name), hyperparams or {"lr": 0.1}
    settings = {"precision": "fp64", **settings}
    config = RunConfig(problem=name, optimizer=optimizer, hyperparams=hyperparams, **settings)
    config = fill_defaults(config, problem, hyperparams)
    if optimizer in OWN:
        build = lambda model: OWN[optimizer](model.parameters(), **hyperparams)  # noqa: E731
    else:
        build = optimizer_of(config, problem)
    backend = make_backend(Execution(device="cpu"), config.precision, group)
    with backend.connected("test") as backend:
        records = train(problem, build, config=config, backend=backend)
        return [
            {
                "metrics": record.metrics,
                "telemetry": record.telemetry,
                "objectives": record.step_objectives.tolist(),
                "weights": {
                    key: value.tolist() for key, value in record.snapshot().model.items()
                },
            }
            for record in records
        ]  # fmt: skip


def resolved(group, name):
    problem = named(name)
    config = RunConfig(problem=name, optimizer="SGD", hyperparams={"lr": 0.1}, epochs=1)
    config = fill_defaults(config, problem, config.hyperparams)
    return resolve(config, problem=problem, group=group).config.world_size


def fail():
    raise ArithmeticError("the matrix is singular")


ENDS = {
    "fail": fail,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "starve": lambda: torch.empty(2**50),  # more memory than any machine has
}


class Ending(torch.optim.SGD):
    """Comes to an end in the second epoch, in one process."""

    def __init__(self, parameters, lr, rank, end):
        super().__init__(parameters, lr=lr)
        self.calls, self.rank, self.end = 0, rank, end

    def step(self, closure):
        self.calls += 1
        if self.calls == 6 and dist.get_rank() == self.rank:
            self.end()
        return super().step(closure)


@contextmanager
def outcome():
    """Yield a dictionary that holds what was raised."""
    found = {}
    try:
        yield found
    except BaseException as error:
        found["raised"] = type(error).__name__
        found["text"] = str(error)


def stored(group, out, *runs):
    """Make runs of `blobs`, one after another; return what became of each.

    Args:
        group: of this process.
        out: folder of results.
        runs: of each a dictionary: `resume`, `time_limit`, `interrupt` (after this epoch, in the
            first process), `fail`, `kill` or `starve` (in this process), `lr`.
    """
    return [_stored(group, out, **options) for options in runs]


def _stored(group, out, resume=False, time_limit=None, interrupt=None, lr=0.1, **ends):
    import deepobs_runner.runs.resolve as module

    problem = named("blobs")
    config = RunConfig(
        problem="blobs", optimizer="SGD", hyperparams={"lr": lr}, epochs=3, precision="fp64"
    )
    execution = Execution(device="cpu", out=out, resume=resume, time_limit=time_limit)

    def on_record(record):
        if record.epoch == interrupt:
            raise KeyboardInterrupt

    build = module.optimizer_of
    for name, rank in ends.items():
        module.optimizer_of = lambda *_, rank=rank, end=ENDS[name]: (
            lambda model: Ending(model.parameters(), lr, rank, end)
        )
    with outcome() as found:
        result = run(config, execution, problem=problem, on_record=on_record, group=group)
        found.update(status=result.status, records=len(result.records))
    module.optimizer_of = build
    return found


def work(connection, port, rank, size, job, arguments, settings):
    """Do a job as one of several processes; send back what it returns."""
    store = dist.TCPStore("127.0.0.1", port, is_master=False)
    group = ProcessGroup(rank=rank, size=size, local_rank=rank, store=store)
    with outcome() as found:
        found["value"] = globals()[job](group, *arguments, **settings)
    connection.send(found)
    connection.close()


if __name__ == "__main__" and "task" in globals():
    work(*globals()["task"])
