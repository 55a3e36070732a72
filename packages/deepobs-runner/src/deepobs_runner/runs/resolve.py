"""From a configuration as it was given to a run that is ready to be trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, cast

from deepobs_problems import Problem, load_problem
from deepobs_runner.backend.backend import Backend, make_backend
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.backend.shared_draws import batch_dependence
from deepobs_runner.config import DEFAULT_PRECISION, Execution, Precision, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.optimizers import (
    MakeOptimizer,
    make_optimizer,
    resolve_hyperparams,
    source_hash,
)
from deepobs_runner.optimizers.weight_decay import parameters_of, without_weight_decay
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.schedules import DEFAULT, parse_schedule
from deepobs_runner.seeds import global_stream
from deepobs_runner.trackers import check_trackers


@dataclass(frozen=True, kw_only=True)
class ResolvedRun:
    """A run that is ready to be trained; see `resolve`.

    Attributes:
        config: configuration with every default filled in.
        execution: where and how; its trackers are known.
        problem: that is trained.
        make_optimizer: builds the optimizer of a model.
        group: the processes that train it together; they can divide its batches.
    """

    config: RunConfig
    execution: Execution
    problem: Problem
    make_optimizer: MakeOptimizer
    group: ProcessGroup

    @cached_property
    def backend(self) -> Backend:
        """What computes the run on this machine.

        Raises:
            UsageError: this machine cannot, see `make_backend`.
        """
        return make_backend(self.execution, self.config.precision, self.group)


def resolve(
    config: RunConfig,
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> ResolvedRun:
    """Run that a configuration and an execution describe.

    Everything is checked except this machine's devices, since the run may be sent elsewhere.

    Args:
        config: defaults are filled in, unless `resolve_config` has done so already.
        execution: where and how.
        problem: use this instead of `config.problem`.
        group: the process group.

    Raises:
        UsageError, ProblemError: unknown or incompatible values.
    """
    execution = execution or Execution()
    if config.resolution is None or problem is not None:
        config = resolve_config(config, problem)
    found: _Resolution = config.resolution
    if group.size > 1 or config.world_size > 1:
        config = _with_world_size(config, found, group)
    check_trackers(execution.track)
    return ResolvedRun(
        config=config,
        execution=execution,
        problem=found.problem,
        make_optimizer=found.make_optimizer,
        group=group,
    )


@dataclass(frozen=True)
class _Resolution:
    """What a resolved configuration names."""

    problem: Problem
    make_optimizer: MakeOptimizer
    seed: int

    @cached_property
    def batch_dependence(self) -> str | None:
        """See `batch_dependence`; a model is built to look at, once."""
        with global_stream(self.seed, "init"):
            return batch_dependence(self.problem.model())


def resolve_config(config: RunConfig, problem: Problem | None = None) -> RunConfig:
    """Configuration with every default filled in, checked against what exists.

    Hyperparameters that are not given are those of the problem's reference setting, if it has this
    optimizer; a learning rate is else the tuned one of the official runs, if they have this problem
    and optimizer.

    Raises:
        UsageError, ProblemError: unknown problem, optimizer or hyperparameter, or no rate.
    """
    problem = load_problem(config.problem) if problem is None else problem
    source = source_hash(config.optimizer)
    hyperparams = resolve_hyperparams(
        config.optimizer,
        {**reference_hyperparams(problem, config.optimizer), **config.hyperparams},
        official_lr=official_learning_rate(problem.name, config.optimizer),
        problem=config.problem,
    )
    if config.l2_via == "optimizer":
        hyperparams = without_weight_decay(config, hyperparams)
    resolved = fill_defaults(config, problem, hyperparams, source)
    found = _Resolution(problem, optimizer_of(resolved, problem), config.seed)
    if source_hash(config.optimizer) != source:
        raise UsageError(f"{config.optimizer} was edited while it was read. Run it again.")
    object.__setattr__(resolved, "resolution", found)
    return resolved


def resolve_planned(config: RunConfig) -> RunConfig:
    """Configuration that another process has resolved, with what it names here.

    Raises:
        UsageError: its code is another here, so its numbers would not be those of its id.
    """
    if config.resolution is not None or config.fingerprint is None:
        return config
    found = resolve_config(config)
    if found.id == config.id:
        return found
    parts = zip(
        (config.problem, config.optimizer),
        config.fingerprint.split("-"),
        (found.fingerprint or "").split("-"),
        strict=False,
    )
    other = [name for name, planned, here in parts if planned != here]
    raise UsageError(
        f"{' and '.join(other) or 'The resolved configuration'} changed after the run was planned: "
        "it was edited, or this process finds another version. Run the command again to train the "
        "new version."
    )


def fill_defaults(
    config: RunConfig, problem: Problem, hyperparams: Mapping[str, Any], optimizer_source: str = ""
) -> RunConfig:
    """Configuration with the defaults of a problem filled in.

    Args:
        config: configuration as the user gave it.
        problem: that it names.
        hyperparams: hyperparameters of the optimizer, see `optimizers.resolve_hyperparams`.
        optimizer_source: changes when a user's optimizer is edited.
    """
    defaults = problem.defaults
    ends = (config.epochs, config.steps)
    epochs, steps = (defaults.epochs, defaults.steps) if ends == (None, None) else ends
    schedule, precision, clip_norm = config.schedule, config.precision, config.clip_norm
    if precision is DEFAULT_PRECISION:
        precision = cast(Precision, defaults.precision)
    if clip_norm is None:
        clip_norm = defaults.clip_norm
    elif clip_norm == 0 and defaults.clip_norm is None:
        clip_norm = None  # the same run as one without the option
    return replace(
        config,
        hyperparams=dict(hyperparams),
        schedule=parse_schedule(defaults.schedule) if schedule is DEFAULT else schedule,
        batch_size=config.batch_size or defaults.batch_size,
        epochs=epochs,
        steps=steps,
        clip_norm=clip_norm,
        precision=precision,
        l2=problem.l2 if config.l2 is None else float(config.l2),
        fingerprint="-".join(filter(None, (problem.fingerprint, optimizer_source))),
    )


def reference_hyperparams(problem: Problem, optimizer: str) -> Mapping[str, Any]:
    """Hyperparameters of the reference setting of a problem, if it has this optimizer."""
    reference = problem.defaults.reference
    if reference is None or reference.optimizer != optimizer:
        return {}
    return reference.hyperparams


def _with_world_size(config: RunConfig, found: _Resolution, group: ProcessGroup) -> RunConfig:
    """Configuration with the number of processes, if that changes its numbers.

    Raises:
        UsageError: it is one of another number of processes, or a batch cannot be divided.
    """
    group.check(config.batch_size or 0)
    wanted = 1 if found.batch_dependence is None else group.size
    if config.world_size not in (1, wanted):
        raise UsageError(
            f"world_size is {config.world_size}, but {config.problem} runs with world_size "
            f"{wanted} here. Start that many processes with torchrun, or omit world_size."
        )
    config = replace(config, world_size=wanted)
    object.__setattr__(config, "resolution", found)
    return config


def optimizer_of(config: RunConfig, problem: Problem) -> MakeOptimizer:
    """Function that builds the optimizer of a resolved configuration."""
    groups = partial(parameters_of, config, problem)
    return make_optimizer(config.optimizer, config.hyperparams, groups)
