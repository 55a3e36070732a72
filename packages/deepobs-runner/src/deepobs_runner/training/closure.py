"""The closure: the only place that runs the model in training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext

import torch
from torch import Tensor, nn

from deepobs_problems import Batch, Problem
from deepobs_problems.problem import State
from deepobs_runner.backend.compile import compilation, compile_objective
from deepobs_runner.backend.cuda_graphs import GraphedStep, capturing, map_state
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.backend.precision import LossScale, SkippedStep
from deepobs_runner.backend.shared_draws import SharedDraws
from deepobs_runner.errors import UsageError

Context = Callable[[], AbstractContextManager[object]]


def _untimed(activity: str) -> None:
    """Measure nothing."""


class Closure:
    """Computes the objective and its gradient on the current batch, as often as it is called.

    Every call within one step sees the same batch, dropout mask and incoming state. Batch-norm
    statistics and recurrent state advance once a step, by the first call.

    In a process group each process has a share of the batch; objective and gradient are of all.

    Args:
        problem: says what to compute.
        model: in training mode.
        l2: factor of the regularizer in the objective.
        clip_norm: gradients are clipped to this norm after each backward pass; None: not.
        create_graph: keep the graph of the gradient in every call, for Hessian methods.
        autocast: context of the forward pass.
        around_backward: context of the backward pass, for BackPACK and the like.
        scale: of the loss, for fp16; one call a step is allowed then.
        compiled: compile forward pass and objective, see `warm_up`.
        graphed: capture forward and backward pass in CUDA graphs, see `warm_up`.
        lap: told `optimizer` when a call begins, `forward_backward` when it ends; see `Stopwatch`.
        group: the processes that share the batch, connected.

    Attributes:
        counts: so far: `closure_calls`; `gradient_evaluations`, those with a backward pass;
            `skipped_steps`, those whose gradient overflowed in fp16.
        objective: of the last step that called, at its incoming weights; a scalar on the device.
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
        scale: LossScale | None = None,
        compiled: bool = False,
        graphed: bool = False,
        lap: Callable[[str], object] = _untimed,
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.counts = {"closure_calls": 0, "gradient_evaluations": 0, "skipped_steps": 0}
        self._problem = problem
        self._model = model
        self._l2 = l2
        self._clip_norm = clip_norm
        self._create_graph = create_graph
        self._autocast = autocast
        self._around_backward = around_backward
        self._scale = scale
        self._compiled = compiled
        self._compute = compile_objective(problem) if compiled else problem.objective
        self._graphed = GraphedStep(model) if graphed else None
        self._lap = lap
        self._group = group
        self._averages_in_graph = False
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._buffers = list(model.buffers())
        self._devices = _accelerators(model)
        self._state: State = None
        self._outgoing: State = None
        self._batch: Batch | None = None
        self._calls = 0
        self.objective: Tensor | None = None
        self._generators: list[Tensor] = []
        self._committed: list[Tensor] = []
        self._versions = 0

    def warm_up(self, batch: Batch) -> None:
        """Compile or capture what a step computes; no trace is left but in the generators.

        Args:
            batch: of the size of all to come.

        Raises:
            UsageError: it cannot be compiled or captured here.
        """
        buffers = [buffer.clone() for buffer in self._buffers]
        state = self._state
        with ExitStack() as stack:
            if self._graphed is not None:
                stack.enter_context(capturing(self._problem))
            if self._compiled:
                stack.enter_context(compilation(self._problem))
            for _ in range(2):  # with state, if there is any: the second step has another kind
                state = self._prepare(batch, state)
                if state is None:
                    break
        with torch.no_grad():
            for buffer, kept in zip(self._buffers, buffers, strict=True):
                buffer.copy_(kept)
        for parameter in self._trained:
            parameter.grad = None

    def _prepare(self, batch: Batch, state: State) -> State:
        """Compute or capture a gradient; return the outgoing state."""
        if self._graphed is not None:
            return self._graphed.capture(self._objective, batch, state)
        objective, outgoing = self._objective(batch, state)
        objective.backward()  # type: ignore[no-untyped-call]
        return map_state(Tensor.detach, outgoing)

    def begin(self, batch: Batch) -> None:
        """Start a step on the batch."""
        self._batch = batch
        self._calls = 0
        self._generators = _generator_states(self._devices)
        if self._scale is not None:
            self._versions = _versions(self._trained)

    def finish(self) -> Tensor:
        """End the step; return its objective at the incoming weights, a scalar on the device.

        Raises:
            RuntimeError: the optimizer did not call the closure.
        """
        if self.objective is None or self._calls == 0:
            raise RuntimeError("The optimizer's step(closure) did not call the closure.")
        if self._calls > 1:
            for buffer, committed in zip(self._buffers, self._committed, strict=True):
                buffer.copy_(committed)
        self._state = self._outgoing
        return self.objective

    def reset_state(self) -> None:
        """Forget the recurrent state, as at the start of every pass over the data."""
        self._state = None

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Return the objective, a scalar; with `backward`, gradients are zeroed and computed.

        Args:
            backward: False for line searches that want the value alone.
            create_graph: keep the graph of the gradient in this call.

        Raises:
            SkippedStep: the gradient overflowed in fp16; to be caught around the optimizer's step.
            UsageError: the optimizer does what fp16 or compilation does not allow.
        """
        self._lap("optimizer")
        self._calls += 1
        self.counts["closure_calls"] += 1
        if self._calls > 1:
            self._repeat()
        if self._scale is not None:
            self._check_that_a_step_can_be_skipped()
        keep_graph = create_graph or self._create_graph
        if self._graphed is not None and backward and not keep_graph:
            objective, state = self._graphed(self._present_batch(), self._state)
            self.counts["gradient_evaluations"] += 1
        else:
            objective, state = self._launch(backward, keep_graph)
        if self._group.size > 1:
            objective = self._averaged(objective, backward, keep_graph)
        if self._calls == 1:
            self.objective = objective.detach()
            # Gradients are truncated at batch boundaries.
            self._outgoing = map_state(Tensor.detach, state)
        finite = not backward or self._finish_gradient()
        self._lap("forward_backward")
        if not finite:
            self.counts["skipped_steps"] += 1
            raise SkippedStep
        return objective

    def _repeat(self) -> None:
        """Put generators and buffers where a further call of this step needs them."""
        if self._calls == 2:
            self._committed = [buffer.clone() for buffer in self._buffers]
        _restore_generators(self._generators, self._devices)

    def _check_that_a_step_can_be_skipped(self) -> None:
        """Refuse what an overflow would leave half done.

        Raises:
            UsageError: a second call, or weights that were moved before the first.
        """
        if self._calls > 1:
            reason = "calls the closure more than once a step"
        elif _versions(self._trained) != self._versions:
            reason = "moves the weights before it calls the closure"
        else:
            return
        raise UsageError(
            f"The optimizer {reason}; fp16 cannot leave its step out when a gradient overflows. "
            "Use --precision bf16 or fp32."
        )

    def _present_batch(self) -> Batch:
        if self._batch is None:
            raise RuntimeError("The closure was called outside a step.")
        return self._batch

    def _objective(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        with self._autocast(), self._draws(len(batch.x)):
            return self._compute(self._model, batch, state, l2=self._l2)

    def _launch(self, backward: bool, keep_graph: bool) -> tuple[Tensor, State]:
        """Compute the objective, with `backward` its gradient, one operation after another."""
        # Compiled, a value alone comes from the same code: without gradients it would be compiled
        # once more, in the middle of a step, and round differently.
        with torch.set_grad_enabled(backward or self._compiled):
            objective, state = self._objective(self._present_batch(), self._state)
        if not backward:
            return objective.detach(), state
        self._backward(objective, keep_graph)
        return objective, state

    def _backward(self, objective: Tensor, create_graph: bool) -> None:
        """Compute the gradient, in fp16 of the scaled loss."""
        if create_graph and self._compiled:
            raise UsageError(
                "The optimizer differentiates the gradient once more, which torch.compile does not "
                "support. Run it without --compile."
            )
        for parameter in self._trained:
            parameter.grad = None
        if create_graph:
            self._average_in_graph()
        if self._scale is not None:
            objective = self._scale.apply(objective)
        with self._around_backward():
            objective.backward(create_graph=create_graph)  # type: ignore[no-untyped-call]
        self.counts["gradient_evaluations"] += 1

    def _finish_gradient(self) -> bool:
        """Unscale and clip the gradient; return whether it is finite, if fp16 asks."""
        if self._scale is not None and not self._scale.unscale(self._trained):
            return False
        if self._clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._clip_norm)
        return True

    def _draws(self, rows: int) -> AbstractContextManager[object]:
        group = self._group
        return nullcontext() if group.size == 1 else SharedDraws(group.rank, group.size, rows)

    def _averaged(self, objective: Tensor, backward: bool, keep_graph: bool) -> Tensor:
        """Average the gradient over the processes; return the objective of the whole batch."""
        if backward and keep_graph:
            return self._group.differentiable_mean(objective)
        value = objective.detach().clone()
        gradients = [p.grad for p in self._trained if p.grad is not None]
        through_hooks = self._averages_in_graph or not backward
        self._group.average_([value] if through_hooks else [value, *gradients])
        return value

    def _average_in_graph(self) -> None:
        """Average every gradient as it arrives at its parameter, from now on.

        Those that the optimizer computes later from this gradient, such as products with the
        Hessian, go the same way, and are those of the whole batch.
        """
        if self._group.size == 1 or self._averages_in_graph:
            return
        self._averages_in_graph = True
        for parameter in self._trained:
            parameter.register_hook(  # type: ignore[no-untyped-call]
                self._group.differentiable_mean
            )


def _versions(parameters: Iterable[nn.Parameter]) -> int:
    """Return a number that grows with every change of a parameter in place."""
    return sum(parameter._version for parameter in parameters)


def _accelerators(model: nn.Module) -> list[torch.device]:
    """Return the CUDA devices of the model's parameters."""
    return sorted({p.device for p in model.parameters() if p.device.type == "cuda"}, key=str)


def _generator_states(devices: Iterable[torch.device]) -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]


def _restore_generators(states: list[Tensor], devices: Iterable[torch.device]) -> None:
    torch.set_rng_state(states[0])
    for state, device in zip(states[1:], devices, strict=True):
        torch.cuda.set_rng_state(state, device)
