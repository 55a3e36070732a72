"""The closure: one training step, however often the optimizer evaluates it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn

from deepobs_problems import Batch, Problem
from deepobs_problems.problem import State
from deepobs_runner.backend.backend import Backend, Context
from deepobs_runner.backend.cuda_graphs import map_state
from deepobs_runner.backend.gradient import copy_buffers, gradient_of, put_back_buffers
from deepobs_runner.backend.precision import SkippedStep
from deepobs_runner.errors import UsageError
from deepobs_runner.seeds import Generators


def _untimed(activity: str) -> None:
    """Measure nothing."""


class Closure:
    """Computes the objective and its gradient on the current batch, as often as it is called.

    Every call within one step sees the same batch, dropout mask and incoming state. Batch-norm
    statistics, other buffers and recurrent state advance once per step, by the first call. What an
    optimizer draws from torch's generators between calls is new each time.

    Args:
        problem: defines the objective.
        model: the model in training mode.
        l2: factor of the regularizer in the objective.
        clip_norm: gradients are clipped to this norm after each backward pass; None: not.
        create_graph: keep the graph of the gradient in every call, for Hessian methods.
        around_backward: context of the backward pass, for BackPACK and the like.
        backend: how the gradient is computed. In fp16 one call per step is allowed.
        lap: called with `optimizer` as a call begins, `forward_backward` as it ends; see
            `Stopwatch`.

    Attributes:
        counts: so far: `closure_calls`; `gradient_evaluations`, those with a backward pass;
            `skipped_steps`, steps with a gradient overflow in fp16.
        objective: objective of the last step that called, at its incoming weights; a scalar on the
            device.
        gradient: computes it.
    """

    def __init__(
        self,
        problem: Problem,
        model: nn.Module,
        *,
        l2: float,
        clip_norm: float | None = None,
        create_graph: bool = False,
        around_backward: Context = nullcontext,
        backend: Backend | None = None,
        lap: Callable[[str], object] = _untimed,
    ) -> None:
        self.counts = {"closure_calls": 0, "gradient_evaluations": 0, "skipped_steps": 0}
        self.objective: Tensor | None = None
        self.gradient = gradient_of(
            problem, model, backend or Backend(), l2=l2, around_backward=around_backward
        )
        self._clip_norm = clip_norm
        self._create_graph = create_graph
        self._lap = lap
        self._model = model
        self._generators = Generators({p.device for p in model.parameters()})
        self._state: State = None
        # Of the present step:
        self._batch: Batch | None = None
        self._calls = 0
        self._outgoing: State = None
        self._randomness: list[Tensor] = []
        self._committed: dict[str, Tensor] = {}
        self._versions = 0

    def begin(self, batch: Batch) -> None:
        """Start a step on the batch."""
        self._batch = batch
        self._calls = 0
        if self.gradient.scale is not None:
            self._versions = self._parameter_versions()

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Objective, a scalar; with `backward`, gradients are zeroed and computed.

        Args:
            backward: False for line searches that need the value only.
            create_graph: keep the graph of the gradient in this call.

        Raises:
            SkippedStep: the gradient overflowed in fp16; to be caught around the optimizer's step.
            UsageError: the optimizer does what fp16 or compilation does not allow.
        """
        self._lap("optimizer")
        if self._batch is None:
            raise RuntimeError("The closure was called outside a step.")
        self._calls += 1
        self.counts["closure_calls"] += 1
        if self.gradient.scale is not None:
            self._check_that_a_step_can_be_skipped()
        with self._same_randomness():
            if backward:
                keeps_graph = create_graph or self._create_graph
                objective, state = self.gradient(self._batch, self._state, create_graph=keeps_graph)
                self.counts["gradient_evaluations"] += 1
            else:
                objective, state = self.gradient.value(self._batch, self._state)
        if self._calls == 1:
            self.objective = objective.detach()
            # Gradients are truncated at batch boundaries.
            self._outgoing = map_state(Tensor.detach, state)
        overflowed = backward and not self.gradient.unscale()
        if backward and not overflowed and self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.gradient.parameters, self._clip_norm)
        self._lap("forward_backward")
        if overflowed:
            self.counts["skipped_steps"] += 1
            raise SkippedStep
        return objective

    def finish(self) -> Tensor:
        """End the step; return its objective at the incoming weights, a scalar on the device.

        Raises:
            RuntimeError: the optimizer did not call the closure.
        """
        if self.objective is None or self._calls == 0:
            raise RuntimeError("The optimizer's step(closure) did not call the closure.")
        if self._calls > 1:
            put_back_buffers(self._model, self._committed)
        self._state = self._outgoing
        return self.objective

    def reset_state(self) -> None:
        """Forget the recurrent state, as at the start of every pass over the data."""
        self._state = None

    @contextmanager
    def _same_randomness(self) -> Iterator[None]:
        """Let a further call of this step draw and start as the first one did.

        The optimizer may draw between calls, so it finds the generators as it left them.
        """
        if self._calls == 1:
            self._randomness = self._generators.state()
            yield
            return
        if self._calls == 2:
            self._committed = copy_buffers(self._model)
        else:
            put_back_buffers(self._model, self._committed)
        optimizers_own = self._generators.state()
        self._generators.set_state(self._randomness)
        try:
            yield
        finally:
            self._generators.set_state(optimizers_own)

    def _check_that_a_step_can_be_skipped(self) -> None:
        """Refuse what an overflow would leave half done.

        Raises:
            UsageError: a second call, or weights that were moved before the first.
        """
        if self._calls > 1:
            reason = "calls the closure more than once per step"
        elif self._parameter_versions() != self._versions:
            reason = "moves the weights before it calls the closure"
        else:
            return
        raise UsageError(
            f"The optimizer {reason}; fp16 cannot leave its step out when a gradient overflows. "
            "Use --precision bf16 or fp32."
        )

    def _parameter_versions(self) -> int:
        """Number that grows with every change of a parameter in place."""
        return sum(parameter._version for parameter in self.gradient.parameters)
