"""Learning rate of each step, from the schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.schedules import Constant
from deepobs_runner.training.checkpoint import load_optimizer


class LearningRate:
    """Sets the learning rate of every parameter group before each step.

    Args:
        optimizer: its groups have their base rates as `lr`.
        config: with the schedule. A constant one leaves the rate to the optimizer.
        steps_per_epoch: steps of a whole epoch.

    Raises:
        UsageError: the schedule has no effect on a group, which has no `lr`.
    """

    def __init__(self, optimizer: Any, config: RunConfig, steps_per_epoch: int) -> None:
        self._optimizer, self._config = optimizer, config
        self._steps_per_epoch = steps_per_epoch
        self._base_rates = [group.get("lr") for group in optimizer.param_groups]
        if None in self._base_rates and not isinstance(config.schedule, Constant):
            group = optimizer.param_groups[self._base_rates.index(None)]
            keys = ", ".join(key for key in group if key != "params") or "nothing"
            raise UsageError(
                f"The schedule has no effect on {config.optimizer}: a parameter group has no lr "
                f"(it has {keys}). Keep the rate in group['lr'], read it there in every step, or "
                "use the constant schedule."
            )

    def set(self, step: int) -> None:
        """Set the rates of a step, counted from 0."""
        if isinstance(self._config.schedule, Constant):
            return
        factor = rate_factor(self._config, step, self._steps_per_epoch)
        for group, base in zip(self._optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * factor

    def load(self, state: Mapping[str, Any]) -> None:
        """Load the optimizer's state dict; the rate must still reach the groups that it trains.

        Raises:
            UsageError: the optimizer replaced the scheduled groups.
        """
        before = self._shown()
        load_optimizer(self._optimizer, state)
        if self._shown() < before and not isinstance(self._config.schedule, Constant):
            raise UsageError(
                f"Cannot resume {self._config.optimizer}: its load_state_dict replaces the groups "
                "that its param_groups holds, so the schedule would have no effect. Let "
                "param_groups be a property that returns those of the inner optimizer, or leave "
                "out --resume to start again."
            )

    def _shown(self) -> int:
        """Number of times the optimizer's state dict shows what is written to its groups."""
        groups = [group for group in self._optimizer.param_groups if "lr" in group]
        kept = [group["lr"] for group in groups]
        probe = 0.1234567890123  # a number: an optimizer may compute with it
        try:
            for group in groups:
                group["lr"] = probe
            return _occurrences(self._optimizer.state_dict(), probe)
        finally:
            for group, rate in zip(groups, kept, strict=True):
                group["lr"] = rate

    def present(self) -> tuple[float | None, ...]:
        """Rate of each group; None for a group without one."""
        rates = (group.get("lr") for group in self._optimizer.param_groups)
        return tuple(None if rate is None else float(rate) for rate in rates)


def _occurrences(state: Any, value: float) -> int:
    if isinstance(state, Mapping):
        return sum(_occurrences(child, value) for child in state.values())
    if isinstance(state, list | tuple):
        return sum(_occurrences(child, value) for child in state)
    return int(isinstance(state, float) and state == value)


def rate_factor(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """Schedule's factor of the learning rate at a step, counted from 0."""
    planned = [n * steps_per_epoch for n in (config.epochs,) if n is not None]
    total = min([*planned, *(n for n in (config.steps,) if n is not None)])
    return config.schedule.factor(step, steps_per_epoch, total)
