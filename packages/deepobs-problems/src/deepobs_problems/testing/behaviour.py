"""Checks of what a problem does: evaluation, checkpoints, state, gradients, training steps."""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from deepobs_data import Batch
from deepobs_problems.evaluation import evaluate, evaluation_mode, evaluation_order
from deepobs_problems.testing.case import Case, FailedCheckError, arrow, close, listed, rows_of


def check_evaluation(case: Case) -> str:
    """Evaluating the same weights gives the same numbers, whatever the batch size and order."""
    model, problem, dataset, size = case.model, case.problem, case.dataset, case.examples
    split = dataset.test
    if dataset.order == "stateful":
        order = evaluation_order(dataset, split, size)[: 2 * size]
        pair = [evaluate(problem, model, split, batch_size=size, order=order) for _ in range(2)]
        said = "Evaluated twice"
    else:
        order = torch.arange(size)
        pair = [
            evaluate(problem, model, split, batch_size=size, order=order),
            evaluate(problem, model, split, batch_size=size - 1, order=order.flip(0)),
        ]
        said = "With another batch size and order"
    for name, first in pair[0].items():
        if not close(torch.tensor(pair[1][name]), torch.tensor(first)):
            raise FailedCheckError(
                f"{said}, {name} is {pair[1][name]:.8g}, not {first:.8g}. Is there noise, or a "
                "statistic over the batch, in evaluation mode?"
            )
    return f"{said}, the numbers are the same."


def check_rows(case: Case) -> str:
    """In evaluation mode, the loss of an example does not depend on the others in its batch."""
    together = case.evaluation_losses(case.model, case.batch)
    alone = torch.cat([case.evaluation_losses(case.model, row) for row in rows_of(case.batch)])
    if not close(alone, together):
        worst = int((alone - together).abs().argmax())
        raise FailedCheckError(
            f"In evaluation mode, example {worst} has the loss {together[worst]:.8g} in a batch "
            f"and {alone[worst]:.8g} alone. Rows must be independent."
        )
    return "In evaluation mode, an example has the same loss in a batch and alone."


def check_stock_loss(case: Case) -> str | None:
    """`stock_loss` is the mean of `loss`."""
    if case.problem.stock_loss is None:
        return None
    output = case.forward("evaluation")
    mean = case.problem.loss(output, case.batch).mean()
    stock = case.problem.stock_loss()(output, case.batch.y)
    if not close(stock, mean):
        raise FailedCheckError(
            f"`stock_loss` gives {stock.item():.8g}, but the mean of `loss` is {mean.item():.8g}. "
            "Give the torch.nn loss that equals it, or stock_loss=None."
        )
    return "The stock loss is the mean of the loss."


def check_state_dict(case: Case) -> str:
    """A model's state, saved and loaded into another instance, gives the same losses."""
    buffer = io.BytesIO()
    torch.save(case.model.state_dict(), buffer)
    buffer.seek(0)
    other = case.build_model(offset=1)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    found = case.evaluation_losses(other, case.batch)
    if not close(found, case.evaluation_losses(case.model, case.batch)):
        raise FailedCheckError(
            "A model with the saved and loaded state_dict has other losses. Keep everything that "
            "the output depends on in parameters or buffers."
        )
    return "Saved and loaded, the state_dict gives the same losses."


def check_state(case: Case) -> str | None:
    """A recurrent model takes the state that it returned, and it matters."""
    stateful = case.dataset.order == "stateful"
    model = case.model
    with evaluation_mode(model), torch.no_grad():
        first, state = case.problem.losses(model, case.batch)
        if state is None and not stateful:
            return None
        if state is None:
            raise FailedCheckError(
                "The data is read in order, but the model returns no state to carry on. Pass "
                "forward=deepobs_problems.recurrent, or order the data 'shuffled'."
            )
        second, _ = case.problem.losses(model, case.batch, state)
    if torch.equal(first, second):
        raise FailedCheckError("The losses do not depend on the incoming state.")
    return "State is returned and taken up by the next batch."


def check_per_example(case: Case) -> str | None:
    """Where the tag promises it, gradients per example average to the gradient of the mean."""
    if "per-example-safe" not in case.problem.tags:
        return None
    losses = _Losses(case).eval()
    parameters: dict[str, Tensor] = {n: p for n, p in losses.named_parameters() if p.requires_grad}
    batch = Batch(case.batch.x[:2], case.batch.y[:2])

    def mean_loss(parameters: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        values: Tensor = functional_call(losses, parameters, (x, y))
        return values.mean()

    rows = Batch(batch.x.unsqueeze(1), batch.y.unsqueeze(1))  # (2, 1, ...)
    with warnings.catch_warnings():
        # torch warns that its LSTM kernel has no batching rule; the result is right.
        warnings.filterwarnings("ignore", "There is a performance drop")
        per_example = vmap(grad(mean_loss), in_dims=(None, 0, 0))(parameters, *rows)
    for name, expected in grad(mean_loss)(parameters, *batch).items():
        if not close(per_example[name].mean(dim=0), expected, 1e-3):
            raise FailedCheckError(
                f"The gradients of {name} per example do not average to the gradient of the mean "
                "loss. Fix the model, or remove the tag per-example-safe."
            )
    return "torch.func gradients per example average to the gradient of the mean loss."


class _Losses(nn.Module):
    """Model and loss as one module, for `functional_call`."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.problem, self.model = case.problem, case.model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.problem.losses(self.model, Batch(x, y))[0]


def check_training(case: Case) -> str:
    """Three SGD steps run; each is a hundredth of what would bring a linear objective to zero.

    An ill-conditioned objective, like one with second derivatives in it, rises in such steps: then
    they are repeated with a hundredth of their length.
    """
    model = case.model.train()
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in parameters.items()}
    values = _take_steps(case, list(parameters.values()), 0.01)
    if values[-1] >= values[0]:
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(before[name])
        values = _take_steps(case, list(parameters.values()), 0.0001)
    if not torch.tensor(values).isfinite().all():
        raise FailedCheckError(f"In three SGD steps the objective went {arrow(values)}.")
    unused = [name for name, p in parameters.items() if p.grad is None]
    if len(unused) == len(parameters):
        raise FailedCheckError("No parameter gets a gradient from the objective.")
    if all(torch.equal(p, before[name]) for name, p in parameters.items()):
        raise FailedCheckError("Three SGD steps changed no parameter: all gradients are zero.")
    said = "lowered the objective" if values[-1] < values[0] else "ran"
    note = f" Without a gradient: {listed(unused)}." if unused else ""
    return f"Three SGD steps {said}: {arrow(values)}.{note}"


def _take_steps(case: Case, parameters: list[nn.Parameter], fraction: float) -> list[float]:
    """Take three SGD steps in place; return the objective before each and at the end."""
    values = [_take_step(case, parameters, fraction) for _ in range(3)]
    torch.default_generator.manual_seed(case.seed)
    return [*values, case.problem.objective(case.model, case.batch)[0].item()]


def _take_step(case: Case, parameters: list[nn.Parameter], fraction: float) -> float:
    """Take one SGD step in place; return the objective before it."""
    torch.default_generator.manual_seed(case.seed)  # the same dropout and noise in every step
    objective, _ = case.problem.objective(case.model, case.batch)
    for parameter in parameters:
        parameter.grad = None
    try:
        objective.backward()  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise FailedCheckError(f"The objective cannot be differentiated: {error}") from error
    norm = sum(p.grad.double().square().sum().item() for p in parameters if p.grad is not None)
    rate = fraction * abs(objective.item()) / norm if norm else 0.0
    with torch.no_grad():
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=rate)
    return objective.item()
