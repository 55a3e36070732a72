"""Plans: YAML files that list runs; see docs/plans.md.

Runs are problems x optimizers x settings x seeds. Overrides change settings, hyperparameters or
seeds of some problems, some optimizers, or pairs of them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from deepobs_problems import ProblemError, load_problem, problems_with
from deepobs_problems.errors import nearest
from deepobs_runner.config import CHOICES, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import find_optimizer
from deepobs_runner.plans.strict_yaml import Check, Item, number, read_yaml, text, whole_number
from deepobs_runner.runs.resolve import resolve_config
from deepobs_runner.schedules import Schedule, parse_schedule

MOST_RUNS = 100_000
"""Most runs of a plan; to list more takes minutes."""

FIRST_SEED = 42
"""Of the official runs: N seeds are 42 to 41 + N."""

TOP_KEYS = {
    "problems": None, "suites": None, "optimizers": None, "settings": None, "seeds": None,
    "overrides": None,
}  # fmt: skip
OPTIMIZER_KEYS = {"name": None, "hyperparams": None, "grid": None}
OVERRIDE_KEYS = {
    "problem": None, "optimizer": None, "settings": None, "hyperparams": None, "seeds": None,
}  # fmt: skip


def _choice(item: Item) -> Any:
    value = str(item.value) if item.value == 2019 else item.value  # the recipe, without quotes
    allowed = CHOICES[item.name.rpartition(".")[2]]
    if value not in allowed:
        raise item.fail(f"{item.name} is {item.shown()}; allowed: {', '.join(allowed)}.")
    return value


def _schedule(item: Item) -> Schedule:
    written = item.expect(str, "a text such as cosine:warmup=0.05")
    try:
        return parse_schedule(written)
    except UsageError as error:
        raise item.fail(str(error)) from None


SETTINGS: Mapping[str, Check] = {
    "epochs": whole_number,
    "steps": whole_number,
    "batch_size": whole_number,
    "valid_size": whole_number,
    "l2": number,
    "clip_norm": number,
    "schedule": _schedule,
    **dict.fromkeys(CHOICES, _choice),
}
"""What `settings` may hold: everything of a run's identity that is given elsewhere in the plan."""


@dataclass(frozen=True)
class _Layer:
    """Settings, hyperparameters and seeds that are laid over those before."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class _Optimizer:
    name: str
    hyperparams: Mapping[str, Any]
    item: Item


@dataclass(frozen=True)
class _Override:
    problems: tuple[str, ...]
    optimizers: tuple[str, ...]
    layer: _Layer
    item: Item

    def fits(self, problem: str, optimizer: str) -> bool:
        return (not self.problems or problem in self.problems) and (
            not self.optimizers or optimizer in self.optimizers
        )


def load_plan(path: Path) -> list[RunConfig]:
    """Resolved configurations of the runs of a plan, in the plan's order.

    Raises:
        PlanError: something in it is unknown, missing, of the wrong type, given twice or without
            effect; the message has the line, the value and what is allowed.
    """
    plan = read_yaml(path, "the plan")
    found = plan.mapping(TOP_KEYS, _hint_of)
    problems = _problems(plan, found)
    optimizers = _optimizers(plan, found)
    variants = _variants(found.get("settings"))
    seeds = _seeds(found["seeds"]) if "seeds" in found else (FIRST_SEED,)
    names = tuple(dict.fromkeys(optimizer.name for optimizer in optimizers))
    overrides = [
        _override(item, tuple(problems), names)
        for item in (found["overrides"].items() if "overrides" in found else ())
    ]
    _check_number(plan, len(problems) * len(optimizers) * len(variants))
    planned: list[tuple[str, Item, _Optimizer, list[_Layer]]] = [
        (
            problem,
            place,
            optimizer,
            [
                _Layer(variant, optimizer.hyperparams, seeds),
                *(o.layer for o in overrides if o.fits(problem, optimizer.name)),
            ],
        )
        for (problem, place), optimizer, variant in product(problems.items(), optimizers, variants)
    ]
    _check_number(plan, sum(len(_last_seeds(layers)) for *_, layers in planned))
    configs: dict[str, tuple[RunConfig, Item]] = {}
    for problem, place, optimizer, layers in planned:
        for config in _runs(problem, optimizer, layers, place):
            if config.id in configs:
                other = configs[config.id][1]
                raise optimizer.item.fail(
                    f"{optimizer.name} on {problem} with seed {config.seed} is listed twice "
                    f"with the same settings and hyperparameters (see line {other.line}, and "
                    "settings "
                    "and overrides); leave one out."
                )
            configs[config.id] = config, optimizer.item
    return [config for config, _ in configs.values()]


def _check_number(item: Item, runs: int) -> None:
    """Refuse an unreasonable number of runs before they are listed.

    Raises:
        PlanError: there are more.
    """
    if runs > MOST_RUNS:
        raise item.fail(f"{item.name} has {runs:,} runs; at most {MOST_RUNS:,} are planned.")


def _runs(
    problem: str, optimizer: _Optimizer, layers: list[_Layer], place: Item
) -> Iterator[RunConfig]:
    """Yield the resolved runs of a pair; the last layer wins."""
    settings: dict[str, Any] = {}
    hyperparams: dict[str, Any] = {}
    for layer in layers:
        settings |= layer.settings
        hyperparams |= layer.hyperparams
    for seed in _last_seeds(layers):
        try:
            config = RunConfig(
                problem=problem,
                optimizer=optimizer.name,
                hyperparams=hyperparams,
                seed=seed,
                **settings,
            )
            resolved = resolve_config(config)
        except ProblemError as error:
            raise place.fail(str(error)) from None
        except UsageError as error:
            raise optimizer.item.fail(f"{optimizer.name} on {problem}: {error}") from None
        yield resolved


def _last_seeds(layers: list[_Layer]) -> tuple[int, ...]:
    return next(layer.seeds for layer in reversed(layers) if layer.seeds is not None)


def _problems(plan: Item, found: Mapping[str, Item]) -> dict[str, Item]:
    """Names of the problems, each with where it is asked for."""
    if "problems" not in found and "suites" not in found:
        raise plan.fail("The plan names no problems; add `problems:` or `suites:` with a list.")
    problems: dict[str, Item] = {}
    for item in found["problems"].items() if "problems" in found else ():
        name = text(item)
        if name in problems:
            raise item.fail(f"The problem {name!r} is listed twice.")
        _checked(item, load_problem, name)
        problems[name] = item
    suites = found["suites"].items() if "suites" in found else []
    _refuse_repetition(suites, "suite")
    for item in suites:
        for name in _checked(item, lambda suite: problems_with(suite=suite), text(item)):
            problems.setdefault(name, item)
    return problems


def _checked(item: Item, look_up: Callable[[str], Any], name: str) -> Any:
    try:
        return look_up(name)
    except (ProblemError, UsageError) as error:
        raise item.fail(str(error)) from None


def _refuse_repetition(items: list[Item], kind: str) -> None:
    seen: set[Any] = set()
    for item in items:
        if text(item) in seen:
            raise item.fail(f"The {kind} {item.value!r} is listed twice.")
        seen.add(item.value)


def _optimizers(plan: Item, found: Mapping[str, Item]) -> list[_Optimizer]:
    """Optimizers, one for each point of a grid."""
    if "optimizers" not in found:
        raise plan.fail("The plan names no optimizers; add `optimizers:` with a list.")
    return [o for item in found["optimizers"].items() for o in _points(item)]


def _points(item: Item) -> Iterator[_Optimizer]:
    if isinstance(item.value, str):
        _checked(item, find_optimizer, item.value)
        yield _Optimizer(item.value, {}, item)
        return
    item.expect(dict, "a name, or a mapping with name, hyperparams and grid")
    parts = item.mapping(OPTIMIZER_KEYS)
    if "name" not in parts:
        raise item.fail(f"{item.name} has no name; write `name: SGD`.")
    name = text(parts["name"])
    _checked(parts["name"], find_optimizer, name)
    given = _hyperparams(parts.get("hyperparams"))
    axes: dict[str, list[Any]] = {}
    for key, values in parts["grid"].mapping().items() if "grid" in parts else ():
        if key in given:
            raise values.fail(f"{key!r} is in both hyperparams and grid of {name}; leave one out.")
        axes[key] = [value.plain() for value in values.items()]
    if axes:
        _check_number(parts["grid"], math.prod(map(len, axes.values())))
    for point in product(*axes.values()):
        yield _Optimizer(name, {**given, **dict(zip(axes, point, strict=True))}, item)


def _hyperparams(item: Item | None) -> dict[str, Any]:
    return {} if item is None else {key: value.plain() for key, value in item.mapping().items()}


def _variants(item: Item | None) -> list[Mapping[str, Any]]:
    """Settings: one mapping, or a list of them to be run one beside the other."""
    if item is None:
        return [{}]
    if isinstance(item.value, list):
        return [_settings(variant) for variant in item.items()]
    item.expect(dict, "a mapping of settings, or a list of such mappings")
    return [_settings(item)]


def _hint_of(key: str) -> str:
    """Where a setting belongs that is at the top of the plan."""
    if not nearest(key, SETTINGS):
        return ""
    return " Settings of runs such as epochs belong under 'settings'."


def _settings(item: Item) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for key, value in item.mapping(SETTINGS).items():
        checked[key] = None if value.value is None else SETTINGS[key](value)
        try:  # the limits of the values are those of the configuration
            RunConfig(problem="", optimizer="", **{key: checked[key]})
        except UsageError as error:
            raise value.fail(f"{item.name}: {error}") from None
    return {key: value for key, value in checked.items() if value is not None}


def _seeds(item: Item) -> tuple[int, ...]:
    if not isinstance(item.value, list):
        count = item.expect(int, "a whole number (3 means 42, 43, 44) or a list of seeds")
        if count < 1:
            raise item.fail(f"{item.name} is {count}, so there is nothing to run; at least 1.")
        _check_number(item, count)
        return tuple(range(FIRST_SEED, FIRST_SEED + count))
    seeds = [whole_number(seed) for seed in item.items()]
    times = Counter(seeds)
    for place, seed in zip(item.items(), seeds, strict=True):
        if times[seed] > 1:
            raise place.fail(f"The seed {seed} is listed twice.")
    return tuple(seeds)


def _override(item: Item, problems: tuple[str, ...], optimizers: tuple[str, ...]) -> _Override:
    parts = item.mapping(OVERRIDE_KEYS)
    if not {"problem", "optimizer"} & set(parts):
        raise item.fail(
            f"{item.name} names neither problem nor optimizer. Write values for all runs into "
            "`settings:` or `optimizers:`."
        )
    if not {"settings", "hyperparams", "seeds"} & set(parts):
        raise item.fail(f"{item.name} overrides nothing; add settings, hyperparams or seeds.")
    layer = _Layer(
        _settings(parts["settings"]) if "settings" in parts else {},
        _hyperparams(parts.get("hyperparams")),
        _seeds(parts["seeds"]) if "seeds" in parts else None,
    )
    return _Override(
        _subset(parts.get("problem"), "problem", problems),
        _subset(parts.get("optimizer"), "optimizer", optimizers),
        layer,
        item,
    )


def _subset(item: Item | None, kind: str, planned: tuple[str, ...]) -> tuple[str, ...]:
    """Problems or optimizers an override is for; each must be in the plan."""
    if item is None:
        return ()
    names = item.items() if isinstance(item.value, list) else [item]
    _refuse_repetition(names, kind)
    for name in names:
        if name.value not in planned:
            raise name.fail(
                f"The override is for the {kind} {name.value!r}, which is not in the plan."
                f"{nearest(name.value, planned)} Planned: {', '.join(planned)}."
            )
    return tuple(name.value for name in names)
