"""Configuration of a run (everything that changes its numbers) and its execution.

The identity of a run is the hash of its resolved configuration. The fields below are the schema of
stored results; see docs/results.md before changing one.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

from deepobs_runner.errors import UsageError
from deepobs_runner.schedules import DEFAULT, Schedule, schedule_from_json, schedule_to_json
from deepobs_runner.text import shown_name

Recipe = Literal["standard", "2019"]
L2Via = Literal["objective", "optimizer"]
Precision = Literal["fp32", "tf32", "fp64", "bf16", "fp16"]
DataSource = Literal["real", "synthetic"]
Vectorize = Literal["off", "auto", "on"]

VECTORIZE: tuple[str, ...] = get_args(Vectorize)

Unit = Literal["epochs", "steps", "gradient_evaluations", "seconds"]
"""Units of the time to target; seconds are those of training."""
UNITS: tuple[str, ...] = get_args(Unit)
"""Which runs are vectorised; not part of a run's identity."""


class _Word(str):
    """A text compared by identity."""


DEFAULT_PRECISION = cast(Precision, _Word("fp32"))
"""The precision of a configuration without one: this object, not an equal text."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "recipe": get_args(Recipe),
    "l2_via": get_args(L2Via),
    "precision": get_args(Precision),
    "data": get_args(DataSource),
}


LEAST: Mapping[str, int] = {
    "seed": 0,
    "batch_size": 1,
    "epochs": 0,
    "steps": 0,
    "valid_size": 0,
    "world_size": 1,
}


def _as_python(value: Any, kind: type, python: type) -> Any:
    """Convert a numpy number to Python's own type, for JSON."""
    is_foreign = isinstance(value, kind) and not isinstance(value, int | float)
    return python(value) if is_foreign else value


LONGEST_ID = 220
"""Characters: file systems allow 255, and files in progress have longer names."""


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)


def without_folder(spec: str) -> str:
    """`folder/file.py:name` without the folder, which does not affect results.

    >>> without_folder("there/mine.py:problem"), without_folder("there.mine:problem")
    ('mine.py:problem', 'there.mine:problem')
    """
    location, colon, attribute = spec.rpartition(":")
    if not location.endswith(".py"):
        return spec
    return re.split(r"[\\/]", location)[-1] + colon + attribute


@dataclass(frozen=True)
class Identity:
    """Identity of a problem or an optimizer, for all its names.

    Attributes:
        name: without the folder of a user's file.
        content: hash of a user's file, if the results record it; else empty, since an imported name
            is unique.
        given: the name as it was given; ignored in comparisons.
    """

    name: str
    content: str
    given: str = field(compare=False)


def _identity(given: str, content: str) -> Identity:
    content = content if ".py:" in given else ""
    return Identity(shown_name(without_folder(given)), content, shown_name(given))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that changes the numbers of a run.

    Fields that are None, a schedule that is not given, and a precision that is not given are
    filled in from the problem's defaults by `resolve_config` before the configuration is hashed or
    saved.

    Attributes:
        problem: a name, `path/to/file.py:name` or `package.module:name`.
        optimizer: a `torch.optim` class, `Momentum`, `package.module:factory` or
            `path/to/file.py:factory`.
        hyperparams: the optimizer's arguments, JSON values.
        schedule: learning-rate schedule.
        seed: seed of initialisation, data order, augmentation and dropout.
        recipe: `standard`, or `2019` to repeat what the official runs did.
        batch_size: training batch size; the last partial batch of an epoch is dropped.
        epochs: number of epochs; None if only `steps` ends the run.
        steps: number of optimizer steps after which the run ends.
        valid_size: training examples held out for validation.
        l2: L2 coefficient.
        l2_via: add the regularizer to the objective, or pass it to the optimizer as `weight_decay`
            of parameter groups.
        clip_norm: clip the gradient to this norm; 0 disables clipping; None uses the problem's
            default, if any.
        precision: precision of the model's arithmetic; `bf16` and `fp16` by autocast, the latter
            with loss scaling.
        data: `real`, or `synthetic` for generated stand-ins of the same shapes.
        fingerprint: hash of the problem's definition and of the file of a user's optimizer. Filled
            in by `resolve_config`.
        world_size: number of processes that share a batch, if that changes the numbers, as with
            batch norm; else 1. Filled in by `run`.
    """

    problem: str
    optimizer: str
    hyperparams: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = DEFAULT
    seed: int = 42
    recipe: Recipe = "standard"
    batch_size: int | None = None
    epochs: int | None = None
    steps: int | None = None
    valid_size: int = 0
    l2: float | None = None
    l2_via: L2Via = "objective"
    clip_norm: float | None = None
    precision: Precision = DEFAULT_PRECISION
    data: DataSource = "real"
    fingerprint: str | None = None
    world_size: int = 1

    resolution: ClassVar[Any] = None
    """Result of `resolve_config` for this object, see `runs.resolve`; None in a changed copy."""

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise UsageError(f"{name} is {value!r}; allowed: {', '.join(allowed)}.")
        for name, least in LEAST.items():
            value = _as_python(getattr(self, name), Integral, int)
            object.__setattr__(self, name, value)
            if value is None and name not in ("seed", "valid_size", "world_size"):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name} is {value!r}; it must be a whole number >= {least}.")
        for name in ("l2", "clip_norm"):
            object.__setattr__(self, name, _as_python(getattr(self, name), Real, float))
        if self.l2 is not None and not (_is_finite(self.l2) and self.l2 >= 0):
            raise UsageError(f"l2 is {self.l2!r}; it must be a finite number >= 0.")
        if self.clip_norm is not None and not (_is_finite(self.clip_norm) and self.clip_norm >= 0):
            raise UsageError(f"clip_norm is {self.clip_norm!r}; it must be a finite number >= 0.")
        if not callable(getattr(self.schedule, "factor", None)):
            raise UsageError(
                f"schedule is {self.schedule!r}; make one with parse_schedule, or a class of "
                "deepobs_runner.schedules."
            )

    def __getstate__(self) -> dict[str, Any]:
        """State to pickle; another process looks up problem and optimizer itself."""
        return {name: value for name, value in vars(self).items() if name != "resolution"}

    def to_json(self) -> dict[str, Any]:
        """Configuration as JSON."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        data["schedule"] = schedule_to_json(self.schedule)
        data["hyperparams"] = dict(sorted(self.hyperparams.items()))
        if self.world_size == 1:  # keeps the ids from before this field
            del data["world_size"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunConfig:
        """Configuration that `to_json` wrote.

        Raises:
            UsageError: unknown field, or a value that is not allowed.
        """
        unknown = set(data) - {f.name for f in fields(cls)}
        if unknown:
            raise UsageError(
                f"A run configuration has no field {', '.join(sorted(unknown))}. Remove it."
            )
        return cls(**{**data, "schedule": schedule_from_json(data["schedule"])})

    @cached_property
    def id(self) -> str:
        """Name of the run's files, made of problem, optimizer, seed and a hash.

        A user's file counts by its name and content (in the fingerprint), not by its folder.
        """
        data = self.to_json()
        for key in ("problem", "optimizer"):
            data[key] = without_folder(data[key])
        text = json.dumps(data, sort_keys=True, allow_nan=False)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        words = [self.problem.rpartition(":")[2], self.optimizer.rpartition(":")[2]]
        readable = "-".join(re.sub(r"[^A-Za-z0-9_.]+", "_", word) for word in words)
        end = f"-{self.seed}-{digest}"
        return readable[: LONGEST_ID - len(end)] + end

    @cached_property
    def problem_id(self) -> Identity:
        """Identity of the problem, for any path of its file."""
        return _identity(self.problem, (self.fingerprint or "").partition("-")[0])

    @cached_property
    def optimizer_id(self) -> Identity:
        """Identity of the optimizer, for any path of its file."""
        return _identity(self.optimizer, (self.fingerprint or "").partition("-")[2])

    @cached_property
    def setting_id(self) -> str:
        """Identity of the setting, equal for runs that differ in the seed only."""
        return replace(self, seed=0).id


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a run is executed; recorded, but not part of its identity.

    Attributes:
        device: `auto` (CUDA if there is one, else CPU) or any torch device.
        deterministic: ask torch for deterministic algorithms where it has them.
        compile: compile forward pass and objective of training with `torch.compile`.
        cuda_graphs: capture forward and backward pass of training in CUDA graphs.
        create_graph: keep the graph of every gradient, for optimizers that differentiate it again.
        out: folder of the results.
        data_dir: folder of the data sets; None: `DEEPOBS_DATA_DIR`, else the user's cache.
        resume: continue from the run's checkpoint, if it exists.
        checkpoint_epochs: epochs between checkpoints; None: by time only.
        checkpoint_minutes: minutes between checkpoints.
        time_limit: seconds after which the run stops at the end of its epoch; None: no limit.
        patience: stop after this many epochs without a lower objective on `valid`, or on
            `train_eval` without validation examples; None: never.
        track: trackers that get every record, see `trackers`: `tensorboard`, `wandb`, `csv`,
            `jsonl`, `package.module:factory` or `path/to/file.py:factory`.
    """

    device: str = "auto"
    deterministic: bool = True
    compile: bool = False
    cuda_graphs: bool = False
    create_graph: bool = False
    out: Path = Path("results")
    data_dir: Path | None = None
    resume: bool = False
    checkpoint_epochs: int | None = None
    checkpoint_minutes: float = 10.0
    time_limit: float | None = None
    patience: int | None = None
    track: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.track, str):
            raise UsageError(f"track is {self.track!r}; it must be a tuple: ({self.track!r},).")
        object.__setattr__(self, "device", str(self.device))
        object.__setattr__(self, "track", tuple(self.track))
        for name in ("out", "data_dir"):
            path = getattr(self, name)
            object.__setattr__(self, name, None if path is None else Path(path))
        for name in ("checkpoint_epochs", "checkpoint_minutes", "time_limit", "patience"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value!r}; it must be a number > 0.")
