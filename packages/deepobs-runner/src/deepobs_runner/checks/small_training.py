"""Small training runs for the conformance tests of optimizers."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepobs_data import Batch
from deepobs_problems import Problem
from deepobs_runner.optimizers import MakeOptimizer, set_mode, wants_graph
from deepobs_runner.seeds import generator, global_stream
from deepobs_runner.training.closure import Closure


def small_network() -> nn.Module:
    """Network of 8 inputs and 3 classes with dropout and batch norm."""
    return nn.Sequential(
        nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.25), nn.Linear(16, 3)
    )


def network_without_draws() -> nn.Module:
    """Network without dropout."""
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


class ComplexNetwork(nn.Module):
    """A network that multiplies its inputs by complex weights."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = nn.Parameter(torch.randn(8, 8, dtype=torch.complex64) / 8)
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8) to (N, 3)."""
        found: Tensor = self.layers((x.to(self.spectrum.dtype) @ self.spectrum).abs())
        return found


class CountingNetwork(nn.Module):
    """A network with batch norm, and with a buffer that every pass in training replaces."""

    passes: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = small_network()
        self.register_buffer("passes", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, 8) to (N, 3)."""
        if self.training:
            self.passes = self.passes + 1
        found: Tensor = self.layers(x)
        return found


def _no_data(*_: Any, **__: Any) -> Any:
    raise RuntimeError("The conformance tests generate their own data.")


SMALL_PROBLEM = Problem(name="conformance", data=_no_data, model=small_network)


class CountingClosure:
    """Passes calls on to a closure, counts them, and sees what is drawn between them.

    Attributes:
        drawn_from: states of the global generators from which the optimizer drew random numbers.
    """

    def __init__(self, closure: Closure) -> None:
        self._closure = closure
        self.calls = self.forward_only = 0
        self.drawn_from: list[bytes] = []
        self._left = b""

    def look(self) -> None:
        """Begin or end a step."""
        self._note_draws()
        self._left = generator_states()

    def _note_draws(self) -> None:
        if self._left and generator_states() != self._left:
            self.drawn_from.append(self._left)

    def __call__(self, backward: bool = True, create_graph: bool = False) -> Tensor:
        """Call the closure."""
        self._note_draws()
        self.calls += 1
        self.forward_only += not backward
        objective = self._closure(backward, create_graph)
        self._left = generator_states()
        return objective


def generator_state() -> bytes:
    """State of torch's global generator."""
    return torch.get_rng_state().numpy().tobytes()


def generator_states() -> bytes:
    """States of the global generators of torch, Python and numpy."""
    numpy = np.random.get_state(legacy=False)
    return generator_state() + pickle.dumps((random.getstate(), numpy))


class SmallTraining:
    """A small network in training with the optimizer under test.

    Args:
        make: builds the optimizer.
        dtype: dtype of the parameters.
        seed: seed of network and data.
        unused: a further parameter that the loss does not depend on.
        network: makes the network.
    """

    def __init__(
        self,
        make: MakeOptimizer,
        *,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        unused: nn.Parameter | None = None,
        network: Callable[[], nn.Module] = small_network,
    ) -> None:
        with global_stream(seed, "init"):
            self.model = network()
        if dtype != torch.float32:
            self.model.to(dtype)
        if unused is not None:
            self.model.register_parameter("unused", unused)
        with global_stream(seed, "setup"):
            self.optimizer: Any = make(self.model)
        self.closure = Closure(
            SMALL_PROBLEM,
            self.model,
            l2=0.0,
            create_graph=wants_graph(self.optimizer),
        )
        self.counted = CountingClosure(self.closure)
        stream = generator(seed, "data", 1)
        x = torch.randn(32, 8, generator=stream).to(dtype)
        y = (x.float() @ torch.randn(8, 3, generator=stream)).argmax(dim=1)
        self.batch = Batch(x, y)

    def steps(self, first: int, count: int) -> list[float]:
        """Take steps with a noise stream of their own. Return the objectives."""
        set_mode(self.optimizer, training=True)
        self.model.train()
        objectives = []
        with global_stream(0, "noise", first):
            for _ in range(count):
                self.closure.begin(self.batch)
                self.counted.look()
                self.optimizer.step(self.counted)
                self.counted.look()
                objectives.append(self.closure.finish().item())
        return objectives

    def scale_rates(self, factor: float) -> None:
        """Multiply the learning rate of every group."""
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["lr"]

    def load(self, model: Mapping[str, Any], optimizer: Mapping[str, Any]) -> None:
        """Take over the state dicts of another training."""
        self.model.load_state_dict(dict(model))
        self.optimizer.load_state_dict(dict(optimizer))

    def weights(self) -> list[Tensor]:
        """Copies of all parameters."""
        return [p.detach().clone() for p in self.model.parameters()]
