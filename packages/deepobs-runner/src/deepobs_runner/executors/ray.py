"""Runs as tasks of a Ray cluster.

Ray schedules them by CPUs and (fractions of) GPUs. Runs of a lost node resume on another node from
their checkpoints.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.backend.environment import usable_cores
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.local import SECONDS_TO_STOP
from deepobs_runner.executors.registry import Execute, ExecutorKind, ExecutorOptions
from deepobs_runner.executors.remote import (
    ProgressWatcher,
    Task,
    make_tasks,
    perform,
    worker_environment,
)
from deepobs_runner.extensions import Requirement
from deepobs_runner.results.files import check_writable
from deepobs_runner.runs.interrupts import interruptible
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import Reporter, Silent
from deepobs_runner.text import first_line

SECONDS_BETWEEN_UPDATES = 1.0


def run_on_ray(
    configs: Sequence[RunConfig],
    execution: Execution | None = None,
    *,
    options: ExecutorOptions,
    force: bool = False,
    reporter: Reporter | None = None,
) -> list[Outcome]:
    """Run resolved configurations on a Ray cluster; see `run_all`.

    An existing connection of this process takes precedence over the address.

    Raises:
        UsageError: no cluster at the address, or none of its nodes can hold a run.
        KeyboardInterrupt: on Ctrl-C and SIGTERM, after the runs were stopped.
    """
    execution = execution or Execution()
    tasks = make_tasks(configs, execution, force=force, threads=options.threads)
    if not tasks:
        return []
    check_writable(execution.out)
    watcher = ProgressWatcher(tasks, reporter or Silent())
    with interruptible(), _connected(options) as ray, _meeting_point(execution.out) as folder:
        _check_resources(ray.nodes(), options, execution.device)
        remote = ray.remote(_perform_on_ray).options(
            num_cpus=options.threads,
            num_gpus=options.gpus_per_run or 0,
            max_retries=options.max_retries,
            runtime_env={"env_vars": worker_environment(options.threads)},
        )
        with interruptible():  # Ray replaced the first handler with its own
            pending = {remote.remote(task, folder): task for task in tasks}
            outcomes = _wait(ray, pending, options, watcher)
    return [outcomes[task.config.id] for task in tasks]


def _perform_on_ray(task: Task, folder: Path) -> Outcome:
    """Make a run, on a node.

    Args:
        task: the run.
        folder: in the folder of results; a task leaves a mark there, so that the next one of the
            same run resumes it.
    """
    if not folder.is_dir():
        return Outcome(
            config=task.config,
            status="refused",
            message=f"A node of the cluster cannot find {task.execution.out}. The results must "
            "be on a file system that all nodes share; choose a folder there with --out.",
        )
    mark = folder / task.config.id
    again = mark.exists()
    try:
        mark.touch()
    except OSError as error:
        reason = f"A node of the cluster cannot write to {task.execution.out}: {error}."
        return Outcome(config=task.config, status="refused", message=reason)
    return perform(task, again=again)


@contextmanager
def _meeting_point(out: Path) -> Iterator[Path]:
    """Make a folder among the results, by which nodes see that they share them."""
    with tempfile.TemporaryDirectory(prefix=".ray-", dir=out.absolute()) as name:
        yield Path(name)


@contextmanager
def _connected(options: ExecutorOptions) -> Iterator[Any]:
    """Yield ray, connected to the cluster; leave it as it was found.

    Raises:
        UsageError: no cluster at the address.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when a Ray starts
    # Ray 2.60 announces with every start that it will leave CUDA_VISIBLE_DEVICES alone.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    if ray.is_initialized():
        yield ray
        return
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    start: dict[str, Any] = {"address": address}
    if address == "local":
        start |= {"num_cpus": usable_cores(), "include_dashboard": False}
        start |= {"_node_ip_address": "127.0.0.1"}  # local connections only
    try:
        ray.init(**start, logging_level=logging.ERROR, log_to_driver=False)
    except Exception as error:  # slow nodes raise no specific class
        raise UsageError(
            f"No Ray cluster at --address {address}: {first_line(error)} Start one "
            "with `ray start --head`, or omit --address to use this machine."
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_resources(
    nodes: Sequence[Mapping[str, Any]], options: ExecutorOptions, device: str
) -> None:
    """Refuse runs that would wait forever, or leave GPUs idle by mistake.

    Raises:
        UsageError: no node can hold a run, or the GPUs of a run are not given.
    """
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    gpus = options.gpus_per_run
    if device.startswith("cuda") and not gpus:
        raise UsageError(
            f"--device {device} on Ray needs GPUs. Add --gpus-per-run 1, or a fraction such as 0.5."
        )
    if device == "auto" and gpus is None and any(node.get("GPU") for node in alive):
        raise UsageError(
            "The cluster has GPUs, but --gpus-per-run is missing. Add --gpus-per-run 1 (or "
            "0.5, or 0), or use --device cpu."
        )
    fits = any(
        node.get("CPU", 0) >= options.threads and node.get("GPU", 0) >= (gpus or 0)
        for node in alive
    )
    if not fits:
        has = "; ".join(f"{n.get('CPU', 0):g} CPUs, {n.get('GPU', 0):g} GPUs" for n in alive)
        raise UsageError(
            f"A run needs {options.threads} CPUs and {gpus or 0:g} GPUs; no node of the cluster "
            f"has them (nodes: {has}). Reduce --cpus-per-run or --gpus-per-run."
        )


def _wait(
    ray: Any, pending: dict[Any, Task], options: ExecutorOptions, watcher: ProgressWatcher
) -> dict[str, Outcome]:
    """Outcome of every task, by id; on Ctrl-C stop all, then raise it."""
    outcomes = {}
    try:
        while pending:
            ready, _ = ray.wait(list(pending), timeout=SECONDS_BETWEEN_UPDATES)
            for reference in ready:
                task = pending.pop(reference)
                outcome = watcher.end(_outcome_of(ray, reference, task, options))
                outcomes[task.config.id] = outcome
            watcher.update()
    except BaseException:
        for reference in pending:
            ray.cancel(reference)  # a KeyboardInterrupt in the worker, which stores what it has
        ray.wait(list(pending), num_returns=len(pending), timeout=SECONDS_TO_STOP)
        raise
    return outcomes


def _outcome_of(ray: Any, reference: Any, task: Task, options: ExecutorOptions) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # the run itself raises nothing; an import did
        return Outcome(config=task.config, status="failed", message=str(error))
    except ray.exceptions.RayError as error:
        message = (
            f"{error}\nIts worker was lost {options.max_retries + 1} times; rerun the command "
            "to repeat it."
        )
        return Outcome(config=task.config, status="killed", message=message)
    return outcome


def _make(options: ExecutorOptions, group: ProcessGroup | None) -> Execute:
    return partial(run_on_ray, options=options)


EXECUTOR = ExecutorKind(
    make=_make,
    options=("cpus_per_run", "gpus_per_run", "retries", "address"),
    requires=Requirement("ray", extra="ray"),
)
