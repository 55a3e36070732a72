"""CUDA graphs of what a training step computes: forward pass, objective and gradient.

A graph holds the kernels of eager training, so the results are identical. It saves the kernel
launches, which take most of a small network's step on a fast GPU. The optimizer's step and the
evaluation are not captured.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepobs_problems import Batch, Problem
from deepobs_problems.problem import State
from deepobs_runner.backend.memory import is_out_of_memory
from deepobs_runner.config import Precision
from deepobs_runner.errors import UsageError
from deepobs_runner.text import first_line

Compute = Callable[[Batch, State], tuple[Tensor, State]]
"""The objective of a batch and the state that the next one begins with."""

WARM_UPS = 3
"""Eager steps before the capture, in which libraries choose kernels and allocate workspace."""

TOLERANCE = 1e-2
"""Of a replay against an eager step, relative to the largest number of a tensor: kernels are the
same, but some sum in an order that differs from call to call. What a graph froze by mistake, such
as random numbers drawn on the CPU, makes far larger differences."""

LEAST = 1e-2
"""Gradients smaller than this part of the largest are compared as if they were as large: some are
nothing but rounding, such as that of a bias before batch norm."""

HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_post_accumulate_grad_hooks",
)  # fmt: skip
"""Where torch keeps the hooks of modules and tensors."""


def check_graphs(device: torch.device, precision: Precision, processes: int = 1) -> None:
    """Check that CUDA graphs are possible.

    Raises:
        UsageError: another device, fp16, or several processes.
    """
    if device.type != "cuda":
        reason = f"need an NVIDIA GPU, and the device is {device}"
    elif precision == "fp16":
        reason = "have one scale of the loss, which fp16 adapts; use --precision bf16"
    elif processes > 1:
        reason = "are for runs in one process"
    else:
        return
    raise UsageError(f"CUDA graphs {reason}. Otherwise remove --cuda-graphs.")


@dataclass(frozen=True)
class _Graph:
    """A captured step with the memory that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    state: State
    objective: Tensor
    outgoing: State
    gradients: list[Tensor | None]  # of the trained parameters

    def replay(self, batch: Batch, state: State) -> None:
        """Compute the step of this batch and state."""
        for held, new in zip(
            (*self.batch, *tensors_of(self.state)), (*batch, *tensors_of(state)), strict=True
        ):
            held.copy_(new)
        self.graph.replay()


class GraphedStep:
    """Objective and gradient from CUDA graphs: one for steps with state, one for those without.

    Args:
        model: the model of the step; no parameter may be exchanged for another tensor later.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._trained = [p for p in model.parameters() if p.requires_grad]
        self._addresses: list[int] = []  # of the parameters that were captured
        self._graphs: dict[bool, _Graph] = {}

    def capture(self, compute: Compute, batch: Batch, state: State) -> State:
        """Capture the computation for a batch and a state; return the state after it.

        Buffers and generators advance as in several steps; gradients remain.

        Raises:
            UsageError: a replay computes something else than the eager step, or Python code hangs
                on the model that a replay would not run.
        """
        _refuse_hooks(self._model)
        self._addresses = addresses(self._model.parameters())
        # Held, so that a buffer that takes the place of one does not get its address.
        buffers = [buffer.detach() for buffer in self._model.buffers()]
        with torch.cuda.device(batch.x.device):
            batch = Batch(*(tensor.clone() for tensor in batch))
            state = map_state(Tensor.clone, state)
            self._warm_up(compute, batch, state)
            graph = torch.cuda.CUDAGraph()
            with _recording(graph):
                objective, outgoing = self._step(compute, batch, state)
            gradients = [p.grad for p in self._trained]
            captured = _Graph(graph, batch, state, objective, outgoing, gradients)
            self._check(compute, captured)
        if addresses(self._model.buffers()) != addresses(buffers):
            raise UsageError(
                "The model exchanges a buffer for another in every step, which a CUDA graph cannot "
                "do. Change it in place (`copy_`, `mul_`), or run it without --cuda-graphs."
            )
        self._graphs[state is None] = captured
        return map_state(Tensor.clone, outgoing)

    def __call__(self, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Compute objective and outgoing state, and give every parameter its gradient.

        All of them are tensors of their own, as from an eager step: an optimizer may keep them.

        Raises:
            UsageError: a parameter has moved in memory since the capture.
        """
        if addresses(self._model.parameters()) != self._addresses:
            raise UsageError(
                "The optimizer moved the weights in memory, which a CUDA graph does not "
                "notice. Run it without --cuda-graphs."
            )
        captured = self._graphs[state is None]
        captured.replay(batch, state)
        computed = [gradient for gradient in captured.gradients if gradient is not None]
        copies = iter(torch._foreach_mul(computed, 1.0)) if computed else iter(())
        for parameter, gradient in zip(self._trained, captured.gradients, strict=True):
            parameter.grad = None if gradient is None else next(copies)
        return captured.objective.clone(), map_state(Tensor.clone, captured.outgoing)

    def _step(self, compute: Compute, batch: Batch, state: State) -> tuple[Tensor, State]:
        """Compute objective, outgoing state and gradients, as in the capture."""
        for parameter in self._trained:
            parameter.grad = None
        objective, outgoing = compute(batch, state)
        objective.backward()  # type: ignore[no-untyped-call]
        return objective.detach(), map_state(Tensor.detach, outgoing)

    def _warm_up(self, compute: Compute, batch: Batch, state: State) -> None:
        """Take eager steps on a stream of their own, as torch asks for before a capture.

        Raises:
            RuntimeError: the last of them waits for the device. A capture would fail as well, and
                leave torch's generator unusable.
        """
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    self._step(compute, batch, state)
                with _waiting_is_an_error():
                    self._step(compute, batch, state)
        finally:
            torch.cuda.current_stream().wait_stream(stream)

    def _check(self, compute: Compute, captured: _Graph) -> None:
        """Compare a replay on other inputs with the eager step: nothing may be frozen."""
        device = captured.batch.x.device
        other = captured.batch._replace(x=captured.batch.x.roll(1, 0))
        state = map_state(Tensor.clone, captured.state)
        before = [buffer.clone() for buffer in self._model.buffers()]
        drawn = torch.cuda.get_rng_state(device)
        captured.replay(other, state)
        buffers = [buffer.clone() for buffer in self._model.buffers()]
        torch.cuda.set_rng_state(drawn, device)
        for buffer, old in zip(self._model.buffers(), before, strict=True):
            buffer.copy_(old)
        objective, outgoing = self._step(compute, other, state)
        replayed = [captured.objective, *tensors_of(captured.outgoing), *buffers]
        eager = [objective, *tensors_of(outgoing), *self._model.buffers()]
        gradients = [p.grad for p in self._trained]
        if not (_agree(captured.gradients, gradients, LEAST) and _agree(replayed, eager)):
            raise UsageError(
                "A CUDA graph of the training step computes other numbers than the step itself: "
                "the model may draw random numbers on the CPU, or change what it does from step to "
                "step. Run it without --cuda-graphs."
            )


@contextmanager
def _waiting_is_an_error() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        # torch warns that it is a prototype
        warnings.filterwarnings("ignore", "Synchronization debug mode")
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)


@contextmanager
def _recording(graph: torch.cuda.CUDAGraph) -> Iterator[None]:
    """Record in a graph; after a failure the process can continue without it.

    A capture that fails leaves its stream the current one, and the generator in the belief that it
    is still captured, which a capture of nothing takes from it. The workspace of cuBLAS is kept for
    its stream, which all captures share; a graph must not use that of another, which may be freed.
    """
    with torch.cuda.stream(torch.cuda.current_stream()):
        torch._C._cuda_clearCublasWorkspaces()
        try:
            with torch.cuda.graph(graph):
                yield
        except RuntimeError:
            with suppress(RuntimeError), torch.cuda.graph(torch.cuda.CUDAGraph()):
                torch.zeros(1, device="cuda")
            raise
        finally:
            torch._C._cuda_clearCublasWorkspaces()


@contextmanager
def capturing(problem: Problem) -> Iterator[None]:
    """Explain why a step cannot be captured.

    Raises:
        UsageError: it waits for the device, for instance.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if is_out_of_memory(error) or not any(word in text for word in ("captur", "synchroniz")):
            raise  # as without graphs
        raise UsageError(
            f"The training step of {problem.name} cannot be captured in a CUDA graph: "
            f"{first_line(error)}. It must not wait for the device, as `.item()` does. Run it "
            "without --cuda-graphs."
        ) from error


def addresses(tensors: Iterable[Tensor]) -> list[int]:
    """Addresses of tensors in memory."""
    return [tensor.data_ptr() for tensor in tensors]


def map_state(function: Callable[[Tensor], Tensor], state: State) -> State:
    """State with the function applied to its tensors."""
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, tuple | list):
        return tuple(map_state(function, part) for part in state)
    return state


def tensors_of(state: State) -> list[Tensor]:
    """Tensors of a state."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_state(keep, state)
    return found


def _agree(
    ones: Sequence[Tensor | None], others: Sequence[Tensor | None], least: float = 0.0
) -> bool:
    """Whether tensors are equal up to rounding, where they are finite, and finite alike.

    Args:
        ones: None for a missing gradient.
        others: to compare with them.
        least: of the largest number of all, what every tensor is taken to reach.
    """
    if [one is None for one in ones] != [other is None for other in others]:
        return False
    pairs = [
        (one.double(), other.double())
        for one, other in zip(ones, others, strict=True)
        if one is not None and other is not None and one.numel()
    ]
    sizes = [float(torch.where(other.isfinite(), other.abs(), 0.0).amax()) for _, other in pairs]
    floor = least * max(sizes, default=0.0)
    for (one, other), size in zip(pairs, sizes, strict=True):
        finite = other.isfinite()
        apart = float(torch.where(finite, (one - other).abs(), 0.0).amax())
        if not (torch.equal(one.isfinite(), finite) and apart <= TOLERANCE * max(size, floor)):
            return False
    return True


def _refuse_hooks(model: nn.Module) -> None:
    """Refuse hooks, since a replay would not run their Python code.

    Hooks of torch itself, such as `weight_norm`, compute on the device and are captured.
    """
    owners: Sequence[Any] = [*model.modules(), *model.parameters()]
    found = [getattr(owner, name, None) or {} for owner in owners for name in HOOKS]
    for hook in (hook for hooks in found for hook in hooks.values()):
        module = getattr(hook, "__module__", None) or type(hook).__module__
        if not module.startswith("torch."):
            raise UsageError(
                f"There is a hook on the model or its parameters, {module}."
                f"{getattr(hook, '__qualname__', type(hook).__qualname__)}, which a CUDA graph "
                "cannot call. Run it without --cuda-graphs."
            )
