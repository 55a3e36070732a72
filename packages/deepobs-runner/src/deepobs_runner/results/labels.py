"""Labels of settings: the optimizer plus non-default values.

A label depends on the setting alone, with two exceptions: equal labels get a suffix, and
hyperparameters shared by all settings of a user's optimizer are omitted.
"""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from types import MappingProxyType
from typing import Any

from deepobs_runner.config import DEFAULT_PRECISION, Identity, RunConfig
from deepobs_runner.results.names import digits_to_tell, distinct_names
from deepobs_runner.results.result import RunResult, provenance_of
from deepobs_runner.results.shipped_defaults import OPTIMIZERS, problem_row
from deepobs_runner.schedules import DEFAULT, SCHEDULES, Schedule, parse_schedule, schedule_to_json
from deepobs_runner.text import bare_name, shown_name

SETTINGS = (
    "schedule", "epochs", "steps", "batch_size", "l2", "l2_via", "clip_norm", "precision",
    "valid_size", "data", "recipe", "world_size",
)  # fmt: skip
"""Fields of a configuration that a label names where they are no defaults, in this order."""

ADAM_OF_2019 = MappingProxyType({"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8})
ORIGINAL_DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Adam": ADAM_OF_2019,
        "AdamOptimizer": ADAM_OF_2019,
        "Momentum": MappingProxyType({"use_nesterov": False}),
        "MomentumOptimizer": MappingProxyType({"use_nesterov": False}),
    }
)
"""Defaults of TensorFlow 1's optimizers under the names that results of the original have."""

RATES = ("lr", "learning_rate")
"""Names of the learning rate; the latter in some results of the original."""

LONGEST_LABEL = 1000
"""Characters of a label; a foreign result may have thousands of hyperparameters."""

MOST_DIGITS = 7
"""Most significant digits of a number that a person wrote."""


def label_setting(
    config: RunConfig,
    *,
    original: bool = False,
    called: str = "",
    without: Collection[str] = (),
) -> str:
    """Label of a setting: optimizer, learning rate, and values that are not defaults.

    The defaults of a user's optimizer or problem (`location:name`) are not known here, since
    naming a result must not run code; all their hyperparameters, or epochs, batch size and l2,
    are named.

    Args:
        config: resolved; what is left to the problem's defaults is left out.
        original: the result is one of the original DeepOBS, always of recipe `2019`.
        called: what the optimizer is called; empty: its name without module or file.
        without: hyperparameters that are named elsewhere.

    >>> config = RunConfig(problem="quadratic_deep", optimizer="SGD", precision="fp64",
    ...                    hyperparams={"lr": 0.1, "momentum": 0.9, "dampening": 0.0})
    >>> label_setting(config)
    'SGD lr=0.1 momentum=0.9 precision=fp64'
    """
    given = dict(config.hyperparams)
    if "lr" not in given and "learning_rate" in given:  # in some results of the original
        given["lr"] = given.pop("learning_rate")
    known = _default_hyperparams(config.optimizer)
    words = [called or bare_name(config.optimizer)]
    words += [f"lr={show(given.pop('lr'))}"] if "lr" in given else []
    words += [
        f"{show(name)}={show(value)}"
        for name, value in sorted(given.items())
        if (name not in known or _plain(value) != known[name]) and name not in without
    ]
    defaults = _default_settings(config.problem)
    for name in SETTINGS:
        value = getattr(config, name)
        is_open = value is None or value is DEFAULT or value is DEFAULT_PRECISION
        if is_open or (original and name == "recipe"):
            continue
        if name not in defaults or value != defaults[name]:
            words.append(f"{name}={show_schedule(value) if name == 'schedule' else show(value)}")
    return shown_name(" ".join(words), LONGEST_LABEL)


def label_run(config: RunConfig) -> str:
    """Label of a run: problem, setting (see `label_setting`) and seed.

    A user's problem and optimizer are named as they were given, with their files: no table tells
    two of the same name apart here.

    >>> label_run(RunConfig(problem="p", optimizer="SGD", hyperparams={"lr": 0.1}, epochs=2))
    'p SGD lr=0.1 epochs=2 seed 42'
    """
    return f"{config.problem} {label_setting(config, called=config.optimizer)} seed {config.seed}"


def label_results(firsts: Sequence[RunResult]) -> list[str]:
    """Label for each setting; no two of one problem and source are equal.

    Where two would be, users' optimizers are named with their files, and if that is not enough the
    first digits of the hash in the id are added. What `shared_hyperparams` returns for the results
    of one source is left out.

    Args:
        firsts: a result of each setting.
    """
    sources: dict[str, list[RunConfig]] = {}
    for result in firsts:
        sources.setdefault(provenance_of(result), []).append(result.config)
    shared = {source: shared_hyperparams(configs) for source, configs in sources.items()}

    def label(result: RunResult, called: str = "") -> str:
        return label_setting(
            result.config,
            original="source" in result.environment,
            called=called,
            without=shared[provenance_of(result)].get(result.config.optimizer_id.name, ()),
        )

    labels = [label(result) for result in firsts]
    for twins in _twins(firsts, labels):
        names = distinct_names(firsts[i].config.optimizer_id for i in twins)
        if len(names) > 1:
            for i in twins:
                labels[i] = label(firsts[i], names[firsts[i].config.optimizer_id])
    for twins in _twins(firsts, labels):
        hashes = [firsts[i].config.id.rpartition("-")[2] for i in twins]
        digits = digits_to_tell(hashes)
        for i, text in zip(twins, hashes, strict=True):
            labels[i] += f" #{text[:digits]}"
    return labels


def shared_hyperparams(configs: Iterable[RunConfig]) -> dict[str, dict[str, Any]]:
    """Hyperparameters common to all settings of each user's optimizer, except the learning rate.

    The defaults of a user's optimizer are not known here, so most of it are defaults.

    Returns:
        Names and values by optimizer; nothing for torch's optimizers, since their defaults are
        known.
    """
    shared: dict[str, dict[str, Any]] = {}
    for config in configs:
        if ":" in config.optimizer:
            name = config.optimizer_id.name
            found = shared.setdefault(name, dict(config.hyperparams))
            for given in list(found):
                if given not in config.hyperparams or config.hyperparams[given] != found[given]:
                    del found[given]
            for given in RATES:
                found.pop(given, None)
    return shared


def _twins(firsts: Sequence[RunResult], labels: Sequence[str]) -> list[list[int]]:
    """Places of settings with one label, problem and source."""
    found: dict[tuple[Identity, str, str, str], list[int]] = {}
    for i, (result, label) in enumerate(zip(firsts, labels, strict=True)):
        origin = provenance_of(result), str(result.environment.get("source"))
        key = result.config.problem_id, *origin, label
        found.setdefault(key, []).append(i)
    return [places for places in found.values() if len(places) > 1]


def show(value: Any) -> str:
    """Format a value as on the command line.

    Numbers that a user wrote are exact. Those that were computed, such as the rates of a
    logarithmic grid, have the first six digits, but are never shown as a round number they are
    not. A text with blanks or brackets is in quotes.

    >>> show(0.001), show(0.0010000001), show(True), show([0.9, 0.99])
    ('0.001', '0.0010000001', 'true', '0.9,0.99')
    >>> show(0.0025118864315095794), show(0.00100000000001)
    ('0.00251189', '0.00100000000001')
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        compact, exact = f"{value:.6g}", repr(value)
        if float(compact) == value:
            return compact
        return compact if _digits(exact) > MOST_DIGITS and _digits(compact) == 6 else exact
    if isinstance(value, list | tuple):
        return ",".join(map(show, value))
    return shlex.quote(value) if isinstance(value, str) else str(value)


def _digits(number: str) -> int:
    """Significant digits with which a number is written."""
    return len(number.partition("e")[0].replace(".", "").strip("-0"))


def show_schedule(schedule: Schedule) -> str:
    """Schedule as `parse_schedule` reads it, without options that are defaults."""
    data = schedule_to_json(schedule)
    kind = data.pop("kind")
    defaults = {f.name: f.default for f in fields(SCHEDULES[kind]) if f.default is not MISSING}
    options = [
        f"{name}={'/'.join(map(show, value)) if isinstance(value, list) else show(value)}"
        for name, value in data.items()
        if name not in defaults or value != defaults[name]
    ]
    return f"{kind}:{','.join(options)}" if options else str(kind)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@cache
def _default_hyperparams(optimizer: str) -> Mapping[str, Any]:
    """Defaults of an optimizer as JSON values; none for one that is not known."""
    known = dict(ORIGINAL_DEFAULTS.get(optimizer, {}))
    if optimizer in OPTIMIZERS:
        return MappingProxyType(known | dict(OPTIMIZERS[optimizer]))
    from deepobs_runner.optimizers import known_optimizers

    if optimizer in known_optimizers():  # others may run code that a result names
        from deepobs_runner.errors import UsageError
        from deepobs_runner.optimizers import find_optimizer, hyperparameters_of, to_json

        try:
            named = hyperparameters_of(find_optimizer(optimizer))[0]
        except UsageError:  # of the original, or of another release of torch
            named = {}
        known |= {k: to_json(v) for k, v in named.items() if v is not inspect.Parameter.empty}
    return MappingProxyType(known)


@cache
def _default_settings(problem: str) -> Mapping[str, Any]:
    """Defaults of runs of a problem; fewer for a problem that is not known."""
    known: dict[str, Any] = {}
    for field in fields(RunConfig):
        factory: Callable[[], Any] | Any = field.default_factory
        if field.name in SETTINGS and field.name not in ("epochs", "steps", "batch_size", "l2"):
            known[field.name] = field.default if factory is MISSING else factory()
    if (row := problem_row(problem)) is not None:
        known |= {name: row[name] for name in ("epochs", "steps", "precision", "l2")}
        known |= {"batch_size": row["batch size"], "clip_norm": row["clip norm"]}
        known |= {"schedule": parse_schedule(row["schedule"])}
    elif ":" not in problem:
        from deepobs_problems import ProblemError, load_problem

        try:
            found = load_problem(problem)
        except (ProblemError, ImportError, AttributeError):  # of a package that is gone or broken
            return MappingProxyType(known)
        defaults = found.defaults
        names = ("epochs", "steps", "batch_size", "clip_norm", "precision")
        known |= {name: getattr(defaults, name) for name in names}
        known |= {"schedule": parse_schedule(defaults.schedule), "l2": found.l2}
    return MappingProxyType(known)
