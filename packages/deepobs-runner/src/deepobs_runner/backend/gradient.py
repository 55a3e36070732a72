"""The gradient of a training step: eager, compiled, captured, scaled or shared by processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn

from deepobs_problems import Batch, Problem
from deepobs_problems.problem import State
from deepobs_runner.backend.backend import Backend, Context
from deepobs_runner.backend.compile import compilation, compile_objective
from deepobs_runner.backend.cuda_graphs import GraphedStep, capturing, map_state
from deepobs_runner.backend.shared_draws import SharedDraws
from deepobs_runner.errors import UsageError


class Gradient:
    """Computes the objective of a batch and its gradient, one operation after another.

    Args:
        problem: defines the objective.
        model: the model in training mode.
        backend: how.
        l2: factor of the regularizer in the objective.
        around_backward: context of the backward pass, for BackPACK and the like.

    Attributes:
        parameters: trainable parameters, with `grad` to write.
        scale: scale of the loss, in fp16; else None.
    """

    def __init__(
        self,
        problem: Problem,
        model: nn.Module,
        backend: Backend,
        *,
        l2: float,
        around_backward: Context,
    ) -> None:
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.scale = backend.loss_scale()
        self._problem, self._model, self._backend = problem, model, backend
        self._l2 = l2
        self._autocast = backend.autocast
        self._around_backward = around_backward
        self._compute = compile_objective(problem) if backend.compile else problem.objective

    def prepare(self, batch: Batch) -> None:
        """Compile or capture a step; only the generators change.

        Args:
            batch: batch of the size of all later batches.

        Raises:
            UsageError: it cannot be compiled or captured here.
        """
        buffers = copy_buffers(self._model)
        state: State = None
        with ExitStack() as stack:
            if self._backend.cuda_graphs:
                stack.enter_context(capturing(self._problem))
            if self._backend.compile:
                stack.enter_context(compilation(self._problem))
            for _ in range(2):  # with state, if there is any: the second step has another kind
                state = self._prepare(batch, state)
                if state is None:
                    break
        put_back_buffers(self._model, buffers)
        for parameter in self.parameters:
            parameter.grad = None

    def _prepare(self, batch: Batch, state: State) -> State:
        """Compute a gradient; return the outgoing state."""
        objective, outgoing = self._objective(batch, state)
        objective.backward()  # type: ignore[no-untyped-call]
        return map_state(Tensor.detach, outgoing)

    def value(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Objective, a scalar, without its gradient, and the outgoing state."""
        # Compiled, the same code computes a value: without gradients it would be compiled again, in
        # the middle of a step, and round differently.
        with torch.set_grad_enabled(self._backend.compile):
            objective, outgoing = self._objective(batch, state)
        return objective.detach(), outgoing

    def __call__(
        self, batch: Batch, state: State, *, create_graph: bool = False
    ) -> tuple[Tensor, State]:
        """Compute objective and outgoing state; write the gradient, in fp16 of the scaled loss.

        Args:
            batch: this process's share.
            state: incoming, of a recurrent model.
            create_graph: keep the graph of the gradient.
        """
        with torch.enable_grad():
            objective, outgoing = self._objective(batch, state)
        if create_graph and self._backend.compile:
            raise UsageError(
                "The optimizer differentiates the gradient, which torch.compile does not "
                "support. Run it without --compile."
            )
        for parameter in self.parameters:
            parameter.grad = None
        scaled = objective if self.scale is None else self.scale.apply(objective)
        with self._around_backward():
            scaled.backward(create_graph=create_graph)  # type: ignore[no-untyped-call]
        return objective, outgoing

    def unscale(self) -> bool:
        """Undo the loss scale; return False if the gradient overflowed."""
        return self.scale is None or self.scale.unscale(self.parameters)

    def _objective(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        with self._autocast():
            return self._compute(self._model, batch, state, l2=self._l2)


class GraphedGradient(Gradient):
    """Replays a CUDA graph, but where the graph of the gradient is kept."""

    @cached_property
    def _graphed(self) -> GraphedStep:
        return GraphedStep(self._model)

    def _prepare(self, batch: Batch, state: State) -> State:
        return self._graphed.capture(self._objective, batch, state)

    def __call__(
        self, batch: Batch, state: State, *, create_graph: bool = False
    ) -> tuple[Tensor, State]:
        """Compute objective and outgoing state; write the gradient."""
        if create_graph:
            return super().__call__(batch, state, create_graph=True)
        return self._graphed(batch, state)


class SharedGradient(Gradient):
    """Gradient of a shared batch; objective and gradient are means over the processes.

    The mean is taken before the gradient is unscaled, so that all processes skip the same steps.
    """

    _averages_in_graph = False

    def _objective(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        group = self._backend.group
        with SharedDraws(group.rank, group.size, len(batch.x)):
            return super()._objective(batch, state)

    def value(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Objective of the whole batch, and the outgoing state of the share."""
        objective, outgoing = super().value(batch, state)
        return self._mean(objective), outgoing

    def __call__(
        self, batch: Batch, state: State, *, create_graph: bool = False
    ) -> tuple[Tensor, State]:
        """Objective of the whole batch; write its gradient."""
        if create_graph:
            self._average_in_graph()
        objective, outgoing = super().__call__(batch, state, create_graph=create_graph)
        if create_graph:
            return self._backend.group.differentiable_mean(objective), outgoing
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        return self._mean(objective, [] if self._averages_in_graph else gradients), outgoing

    def _mean(self, objective: Tensor, gradients: Sequence[Tensor] = ()) -> Tensor:
        """Average gradients in place; return the mean of the objective, without its graph."""
        value = objective.detach().clone()
        self._backend.group.average_([value, *gradients])
        return value

    def _average_in_graph(self) -> None:
        """From now on, average every gradient as it arrives at its parameter.

        Those that the optimizer computes later from this gradient, such as products with the
        Hessian, go the same way, and are those of the whole batch.
        """
        if self._averages_in_graph:
            return
        self._averages_in_graph = True
        for parameter in self.parameters:
            parameter.register_hook(  # type: ignore[no-untyped-call]
                self._backend.group.differentiable_mean
            )


def copy_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Copy of every buffer, by name."""
    return {name: buffer.detach().clone() for name, buffer in model.named_buffers()}


@torch.no_grad()
def put_back_buffers(model: nn.Module, kept: Mapping[str, Tensor]) -> None:
    """Give buffers the values of `copy_buffers`, in place where that is possible.

    They are looked up by name, since a module may have replaced or resized one.
    """
    present = dict(model.named_buffers())
    for name, value in kept.items():
        buffer = present.get(name)
        if buffer is not None and (buffer.shape, buffer.dtype) == (value.shape, value.dtype):
            buffer.copy_(value)
        else:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, value.clone())


def gradient_of(
    problem: Problem, model: nn.Module, backend: Backend, *, l2: float, around_backward: Context
) -> Gradient:
    """Make the gradient computation for this backend; see `Gradient`.

    Raises:
        UsageError: CUDA graphs with a context around the backward pass, which a replay leaves out.
    """
    if backend.group.size > 1:
        kind: type[Gradient] = SharedGradient
    else:
        kind = GraphedGradient if backend.cuda_graphs else Gradient
    if kind is GraphedGradient and around_backward is not nullcontext:
        raise UsageError("CUDA graphs replay backward passes without `around_backward`.")
    return kind(problem, model, backend, l2=l2, around_backward=around_backward)
