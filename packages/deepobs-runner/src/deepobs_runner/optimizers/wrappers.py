"""Optimizers made of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from deepobs_runner.errors import UsageError

GRAPH_HINT = (
    "{}: {}. The optimizer differentiates the gradient once more: run it with --create-graph, or "
    "give it an attribute `create_graph = True`."
)
_GRAPH_ERRORS = (
    "does not have a grad_fn",
    "does not require grad",
    "backward through the graph a second time",
    "create_graph",
)


def wants_graph(optimizer: Any) -> bool:
    """Whether an optimizer asks for the graph of every gradient."""
    return bool(getattr(optimizer, "create_graph", False))


def lacks_graph(error: Exception) -> bool:
    """Whether an error is that of a gradient that is differentiated without its graph."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _GRAPH_ERRORS)


class CombinedOptimizer:
    """Several optimizers that step one after another with the gradient of one closure call.

    Args:
        optimizers: each with parameters of its own.
    """

    def __init__(self, optimizers: Iterable[torch.optim.Optimizer]) -> None:
        self.optimizers = list(optimizers)
        self.create_graph = any(map(wants_graph, self.optimizers))

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all, one after another."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def step(self, closure: Callable[[], Any]) -> Any:
        """Call the closure once and take a step with each optimizer."""
        loss = closure()
        for optimizer in self.optimizers:
            optimizer.step(_KnownLoss(loss))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """State dicts of all."""
        return {"optimizers": [optimizer.state_dict() for optimizer in self.optimizers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)

    def train(self) -> bool:
        """Switch optimizers with a training mode to it; return whether there are any."""
        return self._set_mode(training=True)

    def eval(self) -> bool:
        """Switch optimizers that evaluate at other weights; return whether there are any."""
        return self._set_mode(training=False)

    def _set_mode(self, *, training: bool) -> bool:
        switched = [set_mode(optimizer, training=training) for optimizer in self.optimizers]
        return any(switched)  # after all of them were asked


class _KnownLoss:
    """A closure with a loss and gradient computed earlier."""

    def __init__(self, loss: Any) -> None:
        self._loss, self._called = loss, False

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Any:
        if self._called:
            raise UsageError(
                "One of several optimizers calls the closure more than once per step, but they "
                "share one gradient. Give it all parameters, or leave it out."
            )
        self._called = True
        return self._loss


class AfterClosure:
    """An optimizer with a `step` without closure: it gets its gradient before.

    Args:
        optimizer: all else is its own.
    """

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer

    def step(self, closure: Callable[[], Any]) -> Any:
        """Call the closure, then take a step."""
        loss = closure()
        self.optimizer.step()
        return loss

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optimizer"], name)


class OnMatrices(AfterClosure):
    """An optimizer of matrices that sees convolution kernels as such: (out, in * k * k).

    Args:
        make: builds it.
        groups: groups of its parameters.
    """

    def __init__(self, make: Callable[[], Any], groups: Iterable[Mapping[str, Any]]) -> None:
        self._kernels = [p for group in groups for p in group["params"] if p.ndim > 2]
        with flattened(self._kernels):
            super().__init__(make())

    def step(self, closure: Callable[[], Any]) -> Any:
        """Call the closure, then take a step along matrices."""
        loss = closure()
        with flattened(self._kernels):
            self.optimizer.step()
        return loss


@contextmanager
def flattened(parameters: Sequence[torch.nn.Parameter]) -> Iterator[None]:
    """Context in which parameters (out, ...) and their gradients are matrices (out, rest)."""
    kept = [(p.shape, p.grad) for p in parameters]
    for parameter, (_, gradient) in zip(parameters, kept, strict=True):
        parameter.grad = None  # which has to have the shape of the data
        parameter.data = parameter.data.flatten(1)
        parameter.grad = None if gradient is None else gradient.flatten(1)
    try:
        yield
    finally:
        for parameter, (shape, gradient) in zip(parameters, kept, strict=True):
            parameter.grad = None
            parameter.data = parameter.data.view(shape)
            parameter.grad = gradient


def set_mode(optimizer: Any, *, training: bool) -> bool:
    """Switch an optimizer with two sets of weights to one of them; return whether it has any."""
    switch = getattr(optimizer, "train" if training else "eval", None)
    return callable(switch) and switch() is not False
