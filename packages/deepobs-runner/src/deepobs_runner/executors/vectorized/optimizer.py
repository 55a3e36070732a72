"""One `torch.optim` optimizer for many runs with stacked weights, each at its own rate.

The optimizer steps on tensors of zeros with a learning rate of 1, so that what it leaves there is
the step per unit of rate; each run then takes its own multiple. Exact for elementwise optimizers
with steps proportional to the learning rate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from deepobs_runner.optimizers import IMPLEMENTATION_SWITCHES, find_optimizer, to_arguments

Decay = Literal["gradient", "weights"]

ELEMENTWISE: Mapping[str, Decay] = MappingProxyType(
    {
        "Adadelta": "gradient",
        "Adagrad": "gradient",
        "Adam": "gradient",
        "AdamW": "weights",
        "Adamax": "gradient",
        "Momentum": "gradient",
        "NAdam": "gradient",
        "RAdam": "gradient",
        "RMSprop": "gradient",
        "SGD": "gradient",
    }
)
"""Optimizers that can be stacked, and the default place of `weight_decay`."""

NOT_STACKED = IMPLEMENTATION_SWITCHES | {"maximize"}
"""Options of these optimizers with which they are not stacked."""

TOLERANCE = 1e-9


def other_options(hyperparams: Mapping[str, Any]) -> str:
    """Text that is equal for settings that can share a parameter group."""
    rest = {k: v for k, v in hyperparams.items() if k not in ("lr", "weight_decay")}
    return json.dumps(rest, sort_keys=True)


class StackedOptimizer:
    """Updates weights stacked as `(S, L, ...)`: S seeds, L settings of one optimizer.

    Args:
        name: a key of `ELEMENTWISE`.
        settings: hyperparameters of the L settings; those with equal `other_options` beside each
            other, for each row of such is one parameter group.
        stacks: the weights, updated in place.
        extra_decay: weight decay of each stack in place of that of the settings; None: theirs.
    """

    def __init__(
        self,
        name: str,
        settings: Sequence[Mapping[str, Any]],
        stacks: Sequence[Tensor],
        extra_decay: Sequence[float] | None = None,
    ) -> None:
        self.name, self.stacks = name, list(stacks)
        self.settings, self.extra_decay = list(settings), extra_decay
        self._steps = [torch.zeros_like(stack, requires_grad=False) for stack in stacks]
        self._groups: list[slice] = []
        start = 0
        for _, same in groupby(map(other_options, settings)):
            self._groups.append(slice(start, start := start + len(list(same))))
        self._parameters = [[step[:, group] for step in self._steps] for group in self._groups]
        self.inner = self._build()
        self._rates = [self._column(stack, [s["lr"] for s in settings]) for stack in stacks]
        self._decays = [self._decay_of(i, stack) for i, stack in enumerate(stacks)]

    def _build(self) -> torch.optim.Optimizer:
        groups = []
        for group, parameters in zip(self._groups, self._parameters, strict=True):
            options = to_arguments(self.name, json.loads(other_options(self.settings[group.start])))
            groups.append({"params": parameters, **options, "weight_decay": 0.0})
        built: torch.optim.Optimizer = find_optimizer(self.name)(groups, lr=1.0)
        return built

    def _column(self, stack: Tensor, values: Sequence[float]) -> Tensor:
        """One number per setting in a shape that broadcasts over a stack."""
        column = torch.tensor(values, dtype=stack.dtype, device=stack.device)
        return column.view(1, -1, *[1] * (stack.ndim - 2))

    def _decay_of(self, index: int, stack: Tensor) -> Tensor | None:
        if self.extra_decay is not None:
            values = [self.extra_decay[index]] * len(self.settings)
        else:
            values = [setting.get("weight_decay", 0.0) for setting in self.settings]
        return self._column(stack, values) if any(values) else None

    @property
    def _decays_weights(self) -> bool:
        decoupled = any(setting.get("decoupled_weight_decay") for setting in self.settings)
        return decoupled or ELEMENTWISE[self.name] == "weights"

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], factor: float) -> None:
        """Take a step.

        Args:
            gradients: gradients of the stacks.
            factor: factor of all learning rates, from the schedule.
        """
        to_weights = self._decays_weights
        if not to_weights:
            gradients = [
                gradient if decay is None else torch.addcmul(gradient, stack, decay)
                for gradient, stack, decay in zip(gradients, self.stacks, self._decays, strict=True)
            ]
        for group, parameters in zip(self._groups, self._parameters, strict=True):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient[:, group]
        for step in self._steps:
            step.zero_()
        self.inner.step()
        rates = self._rates if factor == 1.0 else [rate * factor for rate in self._rates]
        for stack, step, rate, decay in zip(
            self.stacks, self._steps, rates, self._decays, strict=True
        ):
            if to_weights and decay is not None:
                stack.mul_(1 - rate * decay)
            stack.addcmul_(step, rate)

    def state_of(self, seed: int, setting: int) -> dict[int, dict[str, Any]]:
        """State of one run as its own optimizer's state dict has it, by parameter."""
        number = next(i for i, g in enumerate(self._groups) if g.start <= setting < g.stop)
        column = setting - self._groups[number].start
        state = {}
        for index, parameter in enumerate(self._parameters[number]):
            state[index] = {
                key: value[seed, column].clone() if _is_stacked(value, parameter) else value
                for key, value in self.inner.state[parameter].items()
            }
        return state

    def kept(self, settings: Sequence[int], stacks: Sequence[Tensor]) -> StackedOptimizer:
        """Optimizer of some of the settings, with its state.

        Args:
            settings: their numbers, increasing.
            stacks: the weights that are left.
        """
        left = StackedOptimizer(
            self.name, [self.settings[i] for i in settings], stacks, self.extra_decay
        )
        for group, parameters in zip(left._groups, left._parameters, strict=True):
            old = next(g for g in self._groups if g.start <= settings[group.start] < g.stop)
            columns = torch.tensor(
                [settings[i] - old.start for i in range(group.start, group.stop)]
            )
            source = self._parameters[self._groups.index(old)]
            for parameter, before in zip(parameters, source, strict=True):
                left.inner.state[parameter] = {
                    key: value.index_select(1, columns.to(value.device))
                    if _is_stacked(value, before)
                    else value
                    for key, value in self.inner.state[before].items()
                }
        return left


def _is_stacked(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.shape == parameter.shape


def agrees_with_torch(name: str, settings: Sequence[Mapping[str, Any]], steps: int = 4) -> bool:
    """Whether the stacked optimizer takes the same steps as torch's own, one for each run.

    Both take a few steps along random gradients in float64, for every setting and two seeds. What
    mixes the numbers of a tensor, or is not proportional to its learning rate, fails.
    """
    random = torch.Generator().manual_seed(0)
    shape = (2, len(settings), 2, 3)
    start = torch.randn(shape, generator=random, dtype=torch.float64)
    gradients = torch.randn((steps, *shape), generator=random, dtype=torch.float64)
    stacked_weights, separate = start.clone(), start.clone()
    stacked = StackedOptimizer(name, settings, [stacked_weights])
    for gradient in gradients:
        stacked.step([gradient], 1.0)
    for seed in range(2):
        for number, setting in enumerate(settings):
            weights = separate[seed, number]
            optimizer = find_optimizer(name)([weights], **to_arguments(name, setting))
            for gradient in gradients:
                weights.grad = gradient[seed, number].clone()
                optimizer.step()
    moved = (separate - start).abs().amax(dim=(0, 2, 3), keepdim=True)
    # The second term is the rounding of weights of about 1.
    return bool(((stacked_weights - separate).abs() <= TOLERANCE * moved + 1e-14).all())
