"""The closure: the only place that runs the model in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from deepobs_problems import Batch, Problem
from deepobs_problems.problem import State

Context = Callable[[], AbstractContextManager[object]]


class Closure:
    """Computes the objective and its gradient on the current batch, as often as it is called.

    Every call within one step sees the same batch, dropout mask and incoming state. Batch-norm
    statistics and recurrent state advance once a step, by the first call.

    Args:
        problem: says what to compute.
        model: in training mode.
        l2: factor of the regularizer in the objective.
        clip_norm: gradients are clipped to this norm after each backward pass; None: not.
        create_graph: keep the graph of the gradient in every call, for Hessian methods.
        autocast: context of the forward pass.
        around_backward: context of the backward pass, for BackPACK and the like.
    """

    def __init__(
        self,
        problem: Problem,
        model: nn.Module,
        *,
        l2: float,
        clip_norm: float | None = None,
        create_graph: bool = False,
        autocast: Context = nullcontext,
        around_backward: Context = nullcontext,
    ) -> None:
        self._problem = problem
        self._model = model
        self._l2 = l2
        self._clip_norm = clip_norm
        self._create_graph = create_graph
        self._autocast = autocast
        self._around_backward = around_backward
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._buffers = list(model.buffers())
        self._devices = _accelerators(model)
        self._state: State = None
        self._outgoing: State = None
        self._batch: Batch | None = None
        self._calls = 0
        self._objective: Tensor | None = None
        self._generators: list[Tensor] = []
        self._committed: list[Tensor] = []

    def begin(self, batch: Batch) -> None:
        """Start a step on the batch."""
        self._batch = batch
        self._calls = 0
        self._generators = _generator_states(self._devices)

    def finish(self) -> Tensor:
        """End the step; return its objective at the incoming weights, a scalar on the device.

        Raises:
            RuntimeError: the optimizer did not call the closure.
        """
        if self._objective is None or self._calls == 0:
            raise RuntimeError("The optimizer's step(closure) did not call the closure.")
        if self._calls > 1:
            for buffer, committed in zip(self._buffers, self._committed, strict=True):
                buffer.copy_(committed)
        self._state = self._outgoing
        return self._objective

    def reset_state(self) -> None:
        """Forget the recurrent state, as at the start of every pass over the data."""
        self._state = None

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Return the objective, a scalar; with `backward`, gradients are zeroed and computed.

        Args:
            backward: False for line searches that want the value alone.
            create_graph: keep the graph of the gradient in this call.
        """
        self._calls += 1
        if self._calls > 1:
            self._repeat()
        with torch.set_grad_enabled(backward):
            objective, state = self._forward()
        if self._calls == 1:
            self._objective = objective.detach()
            self._outgoing = _detached(state)
        if backward:
            self._backward(objective, create_graph or self._create_graph)
        return objective

    def _repeat(self) -> None:
        """Put generators and buffers where a further call of this step needs them."""
        if self._calls == 2:
            self._committed = [buffer.clone() for buffer in self._buffers]
        _restore_generators(self._generators, self._devices)

    def _forward(self) -> tuple[Tensor, State]:
        if self._batch is None:
            raise RuntimeError("The closure was called outside a step.")
        with self._autocast():
            return self._problem.objective(self._model, self._batch, self._state, l2=self._l2)

    def _backward(self, objective: Tensor, create_graph: bool) -> None:
        for parameter in self._trained:
            parameter.grad = None
        with self._around_backward():
            objective.backward(create_graph=create_graph)  # type: ignore[no-untyped-call]
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._clip_norm)


def _detached(state: State) -> State:
    """Cut the graph: gradients are truncated at batch boundaries."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple | list):
        return tuple(_detached(part) for part in state)
    return state


def _accelerators(model: nn.Module) -> list[torch.device]:
    """Return the CUDA devices of the model's parameters."""
    return sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)


def _generator_states(devices: Iterable[torch.device]) -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]


def _restore_generators(states: list[Tensor], devices: Iterable[torch.device]) -> None:
    torch.set_rng_state(states[0])
    for state, device in zip(states[1:], devices, strict=True):
        torch.cuda.set_rng_state(state, device)
