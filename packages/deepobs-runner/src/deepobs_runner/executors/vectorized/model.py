"""One model with the weights of many runs: S seeds by L settings, stacked as `(S, L, ...)`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import vmap

from deepobs_data import Batch
from deepobs_models import roles
from deepobs_problems import Problem
from deepobs_problems.losses import model_output
from deepobs_problems.problem import feed_forward
from deepobs_runner.errors import UsageError

NOT_STACKABLE = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd, nn.RNNBase)
"""Modules with state of their own or random numbers, which separate runs would not share."""


class CannotStackError(UsageError):
    """The model cannot be vectorised; the message gives the reason."""


class StackedModel:
    """Evaluates a problem for all runs at once.

    Args:
        problem: defines loss and metrics.
        models: one for each of the S seeds, as separate runs would start with.
        settings: L, the number of runs that start with each of them.
        l2: factor of the regularizer in the training objective.
        evaluated_l2: that in evaluations.

    Raises:
        CannotStackError: the model has batch norm, dropout or recurrent layers, or frozen values
            that differ between seeds.
    """

    def __init__(
        self,
        problem: Problem,
        models: Sequence[nn.Module],
        settings: int,
        *,
        l2: float,
        evaluated_l2: float,
    ) -> None:
        _check_stackable(problem, models)
        self.model, self.l2 = models[0], l2
        self.names = [name for name, p in self.model.named_parameters() if p.requires_grad]
        paths = [name.rpartition(".") for name in self.names]
        self._places = [(self.model.get_submodule(path), name) for path, _, name in paths]
        self._own = [module._parameters[name] for module, name in self._places]
        columns = zip(*(_trained(model) for model in models), strict=True)
        self.weights = [
            torch.stack([p.detach() for p in seeds])
            .unsqueeze(1)
            .repeat(1, settings, *[1] * seeds[0].ndim)
            .requires_grad_()
            for seeds in columns
        ]
        role_of = roles(self.model)
        self._by_role: dict[str, list[int]] = {}
        for index, name in enumerate(self.names):
            self._by_role.setdefault(role_of[name], []).append(index)

        def objective(x: Tensor, y: Tensor) -> Tensor:
            value: Tensor = problem.objective(self.model, Batch(x, y), l2=l2)[0]
            return value

        def measures(x: Tensor, y: Tensor) -> dict[str, Tensor]:
            batch = Batch(x, y)
            output, _ = problem.forward(self.model, batch, None)
            return problem.measures(output, batch)

        # Where runs broadcast, the output is the loss: (S, L, B).
        def mean_output(x: Tensor, y: Tensor) -> Tensor:
            output: Tensor = self.model(x)
            return output.mean(dim=-1)

        def outputs(x: Tensor, y: Tensor) -> dict[str, Tensor]:
            return {"loss": self.model(x)}

        def penalty() -> Tensor:
            # The model has the weights of one run here, see `_over_runs`.
            value = problem.regularizer(self.model, evaluated_l2)
            return torch.as_tensor(value, device=self.weights[0].device)

        self._penalty = self._over_runs(penalty, 0)
        if _broadcasts(problem, self.model) and not l2:
            self._objective = self._at_once(mean_output)
            self._measures = self._at_once(outputs)
        else:
            self._objective = self._over_runs(objective, 2)
            self._measures = self._over_runs(measures, 2)

    def _over_runs(self, function: Callable[..., Any], arguments: int) -> Callable[..., Any]:
        """Function of all runs: inputs `(S, ...)` are shared by the runs of a seed."""

        def call(weights: Sequence[Tensor], *inputs: Tensor) -> Any:
            with self._exchanged(weights):
                return function(*inputs)

        over_settings = vmap(call, in_dims=(0, *[None] * arguments))
        return vmap(over_settings, in_dims=(0, *[0] * arguments))

    def _at_once(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Function of all runs, without `vmap`: of a step with few numbers it is most."""

        def call(weights: Sequence[Tensor], *inputs: Tensor) -> Any:
            # Weights (S, L, 1, ...) and inputs (S, 1, B, ...) broadcast.
            with self._exchanged([weight.unsqueeze(2) for weight in weights]):
                return function(*(part.unsqueeze(1) for part in inputs))

        return call

    @contextmanager
    def _exchanged(self, weights: Sequence[Tensor]) -> Iterator[None]:
        """Let the model have other weights; what `torch.func.functional_call` does, for less.

        It looks through the whole model at each call, which here would be a large part of a step.
        """
        self._put(weights)
        try:
            yield
        finally:
            self._put(self._own)

    def _put(self, weights: Sequence[Any]) -> None:
        for (module, name), weight in zip(self._places, weights, strict=True):
            module._parameters[name] = weight

    def gradients(self, batch: Batch) -> tuple[Tensor, list[Tensor]]:
        """Training objectives `(S, L)` and the gradients of the stacked weights.

        Args:
            batch: tensors `(S, B, ...)`.
        """
        objectives: Tensor = self._objective(self.weights, *batch)
        # No run's objective depends on the weights of another.
        gradients = torch.autograd.grad(objectives.sum(), self.weights)
        return objectives.detach(), list(gradients)

    def measures(self, batch: Batch) -> dict[str, Tensor]:
        """Loss and metrics of each example, `(S, L, B)`."""
        columns: dict[str, Tensor] = self._measures(self.weights, *batch)
        return columns

    def penalties(self) -> Tensor:
        """Regularization terms in evaluation, `(S, L)`."""
        penalties: Tensor = self._penalty(self.weights)
        return penalties

    def clip(self, gradients: Sequence[Tensor], norm: float) -> list[Tensor]:
        """Gradients clipped for each run as `torch.nn.utils.clip_grad_norm_` does."""
        factor = (norm / (norms(gradients) + 1e-6)).clamp(max=1.0)  # (S, L)
        return [g * factor.view(*factor.shape, *[1] * (g.ndim - 2)) for g in gradients]

    def telemetry(
        self, before: Sequence[Tensor], gradients: Sequence[Tensor]
    ) -> list[list[dict[str, Any]]]:
        """Telemetry of a step, see `Telemetry.after`, for each seed and setting.

        Args:
            before: the weights before the step.
            gradients: gradients of the step.
        """
        after = [weight.detach() for weight in self.weights]
        updates = [new - old for new, old in zip(after, before, strict=True)]
        gradient, parameter = norms(gradients).tolist(), norms(after).tolist()
        ratios = {
            role: _ratios(norms([updates[i] for i in of]), norms([before[i] for i in of]))
            for role, of in self._by_role.items()
        }
        return [
            [
                {
                    "gradient_norm": gradient[s][i],
                    "parameter_norm": parameter[s][i],
                    "update_ratio": {role: values[s][i] for role, values in ratios.items()},
                }
                for i in range(len(gradient[s]))
            ]
            for s in range(len(gradient))
        ]

    def keep(self, settings: Sequence[int]) -> None:
        """Leave out all runs but those of the settings with these numbers."""
        chosen = torch.tensor(settings, device=self.weights[0].device)
        self.weights = [
            weight.detach().index_select(1, chosen).requires_grad_() for weight in self.weights
        ]


def norms(stacks: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of each run over all its numbers, `(S, L)`."""
    parts = [
        torch.linalg.vector_norm(stack.detach().flatten(2), dim=2)
        if stack.ndim > 2
        else stack.detach().abs()
        for stack in stacks
    ]
    total: Tensor = torch.linalg.vector_norm(torch.stack(parts), dim=0)
    return total


def _ratios(updates: Tensor, weights: Tensor) -> list[list[float | None]]:
    """Quotients; None where the weights are zero."""
    pairs = zip((updates / weights).tolist(), weights.tolist(), strict=True)
    return [
        [ratio if weight > 0 else None for ratio, weight in zip(*rows, strict=True)]
        for rows in pairs
    ]


def _broadcasts(problem: Problem, model: nn.Module) -> bool:
    """Whether weights and inputs with further dimensions in front give the losses of many runs."""
    plain = problem.loss is model_output and problem.forward is feed_forward
    return plain and not problem.metrics and getattr(model, "broadcasts", False)


def _trained(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def _check_stackable(problem: Problem, models: Sequence[nn.Module]) -> None:
    """Refuse a model with state or random numbers of its own."""
    for module in models[0].modules():
        drops = isinstance(module, nn.modules.dropout._DropoutNd) and module.p == 0
        if isinstance(module, NOT_STACKABLE) and not drops:
            raise CannotStackError(f"The network of {problem.name} has {type(module).__name__}.")
    shared = [
        [*model.buffers(), *(p for p in model.parameters() if not p.requires_grad)]
        for model in models
    ]
    if any(not torch.equal(a, b) for own in shared for a, b in zip(shared[0], own, strict=True)):
        raise CannotStackError(
            f"The network of {problem.name} has values that are not trained and differ by seed."
        )
    # The same parameter in two places, of which named_parameters() lists one.
    places = [p for _, p in models[0].named_parameters(remove_duplicate=False)]
    if len(places) > len(set(map(id, places))):
        raise CannotStackError(f"The network of {problem.name} uses a parameter in two places.")
    if not _trained(models[0]):
        raise CannotStackError(f"The network of {problem.name} has nothing to train.")
