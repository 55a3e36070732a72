"""Optimizers that are more than one call of a closure."""

import warnings
from dataclasses import replace

import pytest
import torch
from torch import nn

from deepobs_models import roles
from deepobs_problems import load_problem
from deepobs_runner import Execution, RunConfig, resolve_config, run, train
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import CombinedOptimizer
from deepobs_runner.optimizers.weight_decay import DoubleDecayWarning, double_decay
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.schedules import parse_schedule

CPU = Execution(device="cpu")


def records(problem, make, config):
    return list(train(problem, make, config=config, execution=CPU))


def metrics(recorded):
    return [record.metrics for record in recorded]


def test_several_optimizers_equal_one_with_groups(problem, configure):
    """Momentum on the weights and another rate on the rest, as two optimizers or two groups."""

    def split(model):
        role = roles(model)
        weights = [p for n, p in model.named_parameters() if role[n] in ("hidden", "head")]
        others = [p for n, p in model.named_parameters() if role[n] not in ("hidden", "head")]
        return weights, others

    def two(model):
        weights, others = split(model)
        return CombinedOptimizer(
            [torch.optim.SGD(weights, lr=0.1, momentum=0.9), torch.optim.SGD(others, lr=0.01)]
        )

    def grouped(model):
        weights, others = split(model)
        groups = [{"params": weights, "momentum": 0.9}, {"params": others, "lr": 0.01}]
        return torch.optim.SGD(groups, lr=0.1)

    config = configure()
    one, other = records(problem, two, config), records(problem, grouped, config)
    assert metrics(one) == metrics(other)
    assert one[-1].lr == (0.1, 0.01)


def test_several_optimizers_resume(problem, configure):
    def two(model):
        half = list(model.parameters())
        return CombinedOptimizer(
            [torch.optim.Adam(half[:2], lr=0.01), torch.optim.SGD(half[2:], lr=0.1)]
        )

    config = configure()
    whole = []
    for record in train(problem, two, config=config, execution=CPU):
        whole.append(record)
        if record.epoch == 1:
            checkpoint = record.snapshot()
    rest = list(train(problem, two, config=config, execution=CPU, resume=checkpoint))
    assert metrics(rest) == metrics(whole[2:])


class Averaging(torch.optim.SGD):
    """Evaluates at the mean of start and present weights, as averaging optimizers do."""

    def __init__(self, params, lr):
        super().__init__(params, lr=lr)
        self.start = [p.detach().clone() for group in self.param_groups for p in group["params"]]
        self.present = None

    def eval(self):
        if self.present is None:
            parameters = [p for group in self.param_groups for p in group["params"]]
            self.present = [p.detach().clone() for p in parameters]
            for p, start in zip(parameters, self.start, strict=True):
                p.data.lerp_(start, 0.5)

    def train(self):
        if self.present is not None:
            parameters = [p for group in self.param_groups for p in group["params"]]
            for p, present in zip(parameters, self.present, strict=True):
                p.data.copy_(present)
            self.present = None


def test_optimizers_with_modes_train_at_their_training_weights(problem, configure):
    config = configure()
    averaged = records(problem, lambda m: Averaging(m.parameters(), lr=0.1), config)
    plain = records(problem, lambda m: torch.optim.SGD(m.parameters(), lr=0.1), config)
    for one, other in zip(averaged, plain, strict=True):
        assert one.step_objectives.tolist() == other.step_objectives.tolist()
    assert averaged[-1].metrics != plain[-1].metrics


def test_batch_norm_is_recalibrated_for_exchanged_weights(problem, configure):
    """The evaluation uses statistics of the evaluated weights, and training does not see them."""
    config = configure(epochs=1)
    models = []

    def make(model):
        models.append(model)
        return Averaging(model.parameters(), lr=0.1)

    recorded = records(problem, make, config)
    model, data = models[0], problem.data()
    trained = [buffer.clone() for buffer in model.buffers()]

    by_hand = problem.model()
    by_hand.load_state_dict(model.state_dict())
    optimizer_start = problem.model()
    from deepobs_runner.seeds import global_stream

    with global_stream(config.seed, "init"):
        optimizer_start = problem.model()
    with torch.no_grad():
        for p, start in zip(by_hand.parameters(), optimizer_start.parameters(), strict=True):
            p.lerp_(start, 0.5)
    from deepobs_runner.training.evaluation import first_order

    by_hand[1].reset_running_stats()
    by_hand[1].momentum = None
    by_hand.train()
    rows = first_order(data, config, 16).rows
    with torch.no_grad():
        for batch in data.train.batches(rows, 16):
            by_hand(batch.x)
        by_hand.eval()
        expected = nn.functional.cross_entropy(by_hand(data.test.x), data.test.y)
    assert recorded[1].metrics["test"]["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(trained, model.buffers(), strict=True))
    assert model[1].momentum == 0.1


class SAM(torch.optim.SGD):
    """Sharpness-aware minimisation: gradient at a perturbed point, step from the incoming one."""

    def __init__(self, params, lr, rho=0.05):
        super().__init__(params, lr=lr)
        self.rho = rho

    @torch.no_grad()
    def step(self, closure):
        loss = closure()
        parameters = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack([p.grad.norm() for p in parameters]))
        steps = [p.grad * (self.rho / norm) for p in parameters]
        for p, step in zip(parameters, steps, strict=True):
            p.add_(step)
        closure()
        for p, step in zip(parameters, steps, strict=True):
            p.sub_(step)
        super().step()
        return loss


def test_sam_on_a_net_with_dropout_and_batch_norm(problem, configure):
    config = configure(epochs=1)
    models = []

    def make(model):
        models.append(model)
        return SAM(model.parameters(), lr=0.1)

    recorded = records(problem, make, config)
    assert models[0][1].num_batches_tracked == 4  # once a step, though two calls each
    # rho towards 0 is SGD: both calls see the same dropout mask
    still = records(problem, lambda m: SAM(m.parameters(), lr=0.1, rho=1e-9), config)
    plain = records(problem, lambda m: torch.optim.SGD(m.parameters(), lr=0.1), config)
    assert still[1].step_objectives.tolist() == pytest.approx(
        plain[1].step_objectives.tolist(), rel=1e-4
    )
    assert recorded[1].metrics != plain[1].metrics


class Newton(torch.optim.Optimizer):
    """Divides by the Hessian's diagonal, estimated from a graph of the gradient."""

    create_graph = True

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                curvature = torch.autograd.grad(p.grad.sum(), p, retain_graph=True)[0]
                p.data.sub_(group["lr"] * p.grad.detach() / curvature.abs().clamp(min=1.0))
        return loss


@pytest.mark.filterwarnings("ignore:Using backward")
def test_hessian_methods_get_the_graph():
    problem = load_problem("quadratic_deep")
    config = resolve_config(
        RunConfig(problem=problem.name, optimizer="SGD", hyperparams={"lr": 0.1}, epochs=3)
    )
    recorded = records(problem, lambda m: Newton(m.parameters(), lr=0.1), config)
    assert recorded[-1].metrics["test"]["loss"] < recorded[0].metrics["test"]["loss"]


class ForgetsTheGraph(Newton):
    create_graph = False


class Twice(torch.optim.SGD):
    """Differentiates the loss once more, whose graph is gone by then."""

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            torch.autograd.grad(loss, group["params"])
        return super().step(lambda: loss)


class Checks(torch.optim.SGD):
    """Says itself what it needs, as some libraries do."""

    def step(self, closure):
        loss = super().step(closure)
        if any(p.grad.grad_fn is None for group in self.param_groups for p in group["params"]):
            raise RuntimeError("Gradient tensor has no graph. Set create_graph=True.")
        return loss


@pytest.mark.filterwarnings("ignore:Using backward")
@pytest.mark.parametrize("kind", [ForgetsTheGraph, Twice, Checks])
def test_a_missing_graph_is_explained_and_can_be_asked_for(kind, problem, configure):
    config = configure(epochs=1)

    def trained(execution):
        return list(
            train(
                problem, lambda m: kind(m.parameters(), lr=0.01), config=config, execution=execution
            )
        )

    with pytest.raises(UsageError, match="once more: run it with --create-graph"):
        trained(CPU)
    assert trained(Execution(device="cpu", create_graph=True))[-1].steps == 4


def test_other_errors_of_an_optimizer_pass_unchanged(problem, configure):
    class Broken(torch.optim.SGD):
        def step(self, closure):
            raise RuntimeError("the optimizer is broken")

    with pytest.raises(RuntimeError, match="is broken"):
        records(problem, lambda m: Broken(m.parameters(), lr=0.1), configure())


class OtherKey(torch.optim.Optimizer):
    """Keeps its rate under another name."""

    def __init__(self, params, **options):
        super().__init__(params, options)

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data.sub_(0.01 * p.grad)
        return loss


def one_of_two_groups(model):
    half = list(model.parameters())
    return OtherKey([{"params": half[:2], "lr": 0.1}, {"params": half[2:]}])


def one_of_two_optimizers(model):
    half = list(model.parameters())
    return CombinedOptimizer([torch.optim.SGD(half[:2], lr=0.1), OtherKey(half[2:], eta=0.1)])


@pytest.mark.parametrize("schedule", ["cosine", "step:epochs=1,factors=0.1", "exponential:gamma=1"])
@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (lambda m: OtherKey(m.parameters(), learning_rate=0.1), "learning_rate"),
        (lambda m: OtherKey(m.parameters(), alpha=0.1, lr=None), "alpha, lr"),
        (lambda m: OtherKey(m.parameters()), "nothing"),
        (one_of_two_groups, "nothing"),
        (one_of_two_optimizers, "eta"),
    ],
)
def test_a_schedule_without_effect_is_refused(make, keys, schedule, problem, configure):
    config = configure(schedule=parse_schedule(schedule))
    with pytest.raises(UsageError, match=rf"no effect on SGD: .* no lr \(it has {keys}\)"):
        records(problem, make, config)
    assert records(problem, make, configure())[-1].epoch == 3


def test_double_decay_is_said(problem, configure, execution):
    config = configure("AdamW", {"lr": 0.01, "weight_decay": 0.01})
    assert "decay once" in double_decay(config)
    with pytest.warns(DoubleDecayWarning, match="decays weights by 0.01"):
        run(config, execution, problem=problem)
    assert double_decay(configure("AdamW", {"lr": 0.01, "weight_decay": 0.0})) is None
    assert double_decay(replace(config, l2=0.0)) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(configure("SGD", {"lr": 0.1}), execution, problem=problem)


def test_l2_through_an_optimizer_that_knows_none():
    config = RunConfig(
        problem="cifar10_3c3d", optimizer="LBFGS", hyperparams={"lr": 1.0}, l2_via="optimizer"
    )
    with pytest.raises(UsageError, match="has no weight_decay"):
        resolve_config(config)
    given = {"lr": 1.0, "weight_decay": 0.1}
    with pytest.raises(UsageError, match="Use --l2"):
        resolve_config(replace(config, optimizer="SGD", hyperparams=given))


def test_l2_through_the_optimizer_leaves_the_decay_to_the_groups(problem, configure):
    config = configure("AdamW", {"lr": 0.01}, l2_via="optimizer")
    model = problem.model()
    optimizer = optimizer_of(config, problem)(model)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [1e-3, 0.0]
    assert len(optimizer.param_groups[0]["params"]) == 2


def test_telemetry_of_the_last_step(problem, configure):
    config = configure(epochs=1)
    recorded = records(problem, optimizer_of(config, problem), config)
    assert recorded[0].telemetry == {}
    measured = recorded[1].telemetry
    assert set(measured["update_ratio"]) == {"hidden", "head", "norm", "bias"}
    # plain SGD moves every weight by lr times its gradient
    models = []

    def make(model):
        models.append(model)
        return torch.optim.SGD(model.parameters(), lr=0.1)

    records(problem, make, config)
    parameters = list(models[0].parameters())
    gradient = torch.cat([p.grad.flatten() for p in parameters]).norm().item()
    weights = torch.cat([p.detach().flatten() for p in parameters]).norm().item()
    assert measured["gradient_norm"] == pytest.approx(gradient, rel=1e-5)
    assert measured["parameter_norm"] == pytest.approx(weights, rel=1e-5)
    head = models[0][4].weight
    ratio = 0.1 * head.grad.norm() / (head.detach() + 0.1 * head.grad).norm()
    assert measured["update_ratio"]["head"] == pytest.approx(ratio.item(), rel=1e-3)


class LazyAverage(torch.optim.SGD):
    """Evaluates at an average that its first step creates."""

    def step(self, closure):
        loss = super().step(closure)
        for p in self.param_groups[0]["params"]:
            self.state[p].setdefault("average", p.detach().clone()).lerp_(p.detach(), 0.1)
        return loss

    def _swap(self):
        for p in self.param_groups[0]["params"]:
            p.data, self.state[p]["average"] = self.state[p]["average"], p.data

    eval = _swap


class Strict(LazyAverage):
    """Counts its calls of eval."""

    calls = 0

    def eval(self):
        Strict.calls += 1


def combined(model):
    return CombinedOptimizer([LazyAverage(model.parameters(), lr=0.1)])


@pytest.mark.parametrize(
    "make",
    [
        lambda m: LazyAverage(m.parameters(), lr=0.1),
        combined,
        lambda m: Strict(m.parameters(), 0.1),
    ],
)
def test_eval_is_not_called_before_the_first_step(make, problem, configure):
    Strict.calls = 0
    make_first = records(problem, make, configure(epochs=0))
    assert [record.epoch for record in make_first] == [0]
    assert Strict.calls == 0
