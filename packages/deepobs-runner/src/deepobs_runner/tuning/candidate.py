"""An optimizer that is tuned, with a search space that fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from deepobs_problems.errors import nearest
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import (
    find_optimizer,
    hyperparameters_of,
    make_optimizer,
    resolve_hyperparams,
)
from deepobs_runner.tuning.priors import GRID_2019, PRIORS
from deepobs_runner.tuning.rulesets import Ruleset
from deepobs_runner.tuning.samplers import Point
from deepobs_runner.tuning.spaces import Space

ONE_SHOT = "one-shot"
"""The budget of a single trial, with the defaults of the optimizer's signature."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An optimizer that is tuned.

    Attributes:
        optimizer: its name, as in a `RunConfig`.
        fixed: hyperparameters that have a value.
        space: search space of the others.
    """

    optimizer: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    space: Space

    def hyperparams(self, point: Point) -> dict[str, Any]:
        """Hyperparameters at a point; `betas.1` becomes a part of `betas`."""
        given = dict(self.fixed)
        for name, value in point.items():
            whole, dot, index = name.rpartition(".")
            if not dot:
                given[name] = value
                continue
            defaults, _ = hyperparameters_of(find_optimizer(self.optimizer))
            parts = list(given.get(whole, defaults[whole]))
            parts[int(index)] = value
            given[whole] = parts
        return given


def make_candidate(
    rules: Ruleset,
    name: str,
    fixed: Mapping[str, Any],
    space: Space | None,
    *,
    one_shot: bool,
) -> Candidate:
    """Optimizer with its space.

    Raises:
        UsageError: no space, the ruleset allows no other than its own, or it does not fit.
    """
    find_optimizer(name)
    if one_shot:
        return _with_defaults(name, fixed, space)
    if rules.space == "2019" and space is not None:
        raise UsageError(
            "This ruleset has the grid of the official runs and no other space. For a grid of your "
            "own: --ruleset best-of-k --sampler grid."
        )
    found = space or (GRID_2019 if rules.space == "2019" else PRIORS.get(name))
    if found is None:
        raise UsageError(
            f"{name} has no default search space. Give one: --space {name}.lr=log:1e-4:1."
        )
    if space is None:  # what is fixed by the user is not tuned
        found = Space(
            {k: d for k, d in found.dimensions.items() if k.partition(".")[0] not in fixed}
        )
        if not found.dimensions:
            raise UsageError(f"{name} has nothing left to tune: {', '.join(fixed)} is fixed.")
    candidate = Candidate(optimizer=name, fixed=dict(fixed), space=found)
    _check_space(candidate)
    return candidate


def _with_defaults(name: str, fixed: Mapping[str, Any], space: Space | None) -> Candidate:
    """Optimizer with the learning rate of its signature and nothing to tune."""
    if space is not None:
        raise UsageError(f"The budget {ONE_SHOT} tries default values; it takes no search space.")
    defaults, _ = hyperparameters_of(find_optimizer(name))
    rate = fixed.get("lr", defaults.get("lr"))
    if "lr" in defaults and not isinstance(rate, int | float):
        raise UsageError(f"{name} has no default learning rate, so the budget {ONE_SHOT} has none.")
    given = {**fixed, "lr": float(rate)} if "lr" in defaults else dict(fixed)
    return Candidate(optimizer=name, fixed=given, space=Space({}))


def _smallest_network() -> nn.Module:
    """Network with one hidden matrix, which some optimizers need."""
    return nn.Sequential(nn.Linear(1, 2), nn.Linear(2, 1))


def _check_space(candidate: Candidate) -> None:
    """Check that an optimizer takes the values at the ends and in the middle of its space."""
    name = candidate.optimizer
    named, takes_any = hyperparameters_of(find_optimizer(name))
    for key in candidate.space.dimensions:
        whole, dot, index = key.rpartition(".")
        whole = whole if dot else key
        if whole not in named and not takes_any:
            raise UsageError(
                f"The search space tunes {key}, but {name} has no hyperparameter {whole!r}."
                f"{nearest(whole, named)} It has: {', '.join(named)}."
            )
        if whole in candidate.fixed and not dot:
            raise UsageError(f"{key} of {name} is fixed and tuned at once; leave one out.")
        if dot:
            base = candidate.fixed.get(whole, named.get(whole))
            if not isinstance(base, list | tuple) or not index.isdecimal():
                raise UsageError(f"{key} is not part of a list: {whole} of {name} is {base!r}.")
            if int(index) >= len(base):
                raise UsageError(f"{whole} of {name} has {len(base)} numbers; {key} is beyond.")
    for end in (0.0, 0.5, 1.0):
        hyperparams = candidate.hyperparams(candidate.space.at(end))
        try:
            resolved = resolve_hyperparams(name, hyperparams, official_lr=1.0)
            if ":" not in name:
                make_optimizer(name, resolved, nn.Module.parameters)(_smallest_network())
        except UsageError as error:
            raise UsageError(
                f"The search space {candidate.space} contradicts {name}: {error}"
            ) from None
