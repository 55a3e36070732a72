"""Where the schedule writes the learning rate."""

from __future__ import annotations

from typing import Any

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.schedules import Constant


class LearningRate:
    """Sets the learning rate of every parameter group before each step.

    Args:
        optimizer: whose groups have their base rates as `lr`.
        config: with the schedule. A constant one leaves the rate to the optimizer.
        steps_per_epoch: of a whole epoch.

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

    def present(self) -> tuple[float | None, ...]:
        """Return the rate of each group; None for a group without one."""
        rates = (group.get("lr") for group in self._optimizer.param_groups)
        return tuple(None if rate is None else float(rate) for rate in rates)


def rate_factor(config: RunConfig, step: int, steps_per_epoch: int) -> float:
    """Return the schedule's factor of the learning rate at a step, counted from 0."""
    planned = [n * steps_per_epoch for n in (config.epochs,) if n is not None]
    total = min([*planned, *(n for n in (config.steps,) if n is not None)])
    return config.schedule.factor(step, steps_per_epoch, total)
