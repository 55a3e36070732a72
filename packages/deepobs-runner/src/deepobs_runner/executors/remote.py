"""Execution of a run on a node, and its progress for the parent.

Parent and workers share the folder of the results and nothing else: a run's progress is read from
its result file.
"""

from __future__ import annotations

import math
import os
import site
import socket
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deepobs_runner.backend.environment import torch_threads
from deepobs_runner.backend.memory import keep_memory
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.results.labels import label_run
from deepobs_runner.results.result import repeat_folder, result_path
from deepobs_runner.results.store import load_result, stored_result
from deepobs_runner.runs.outcome import Outcome, keep_failure, outcome_of
from deepobs_runner.runs.progress import Reporter, epochs_reached, evaluations_of

SECONDS_FOR_A_LOCK = 120.0
"""How long a resumed run waits for the lock of its lost worker. An NFS 4 server frees the locks of
a client that is gone after its lease, by default 90 s."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A run, as sent to a node.

    Attributes:
        config: resolved.
        execution: with absolute folders that the node sees, too.
        force: repeat it if it is finished.
        threads: threads of torch.
    """

    config: RunConfig
    execution: Execution
    force: bool
    threads: int


def make_tasks(
    configs: Sequence[RunConfig], execution: Execution, *, force: bool, threads: int
) -> list[Task]:
    """Task for each distinct configuration, in order."""
    data = execution.data_dir
    execution = replace(
        execution, out=execution.out.absolute(), data_dir=data.absolute() if data else None
    )
    distinct = {config.id: config for config in configs}
    return [
        Task(config=config, execution=execution, force=force, threads=threads)
        for config in distinct.values()
    ]


def perform(task: Task, *, again: bool = False) -> Outcome:
    """Execute a run on this node.

    Args:
        task: the run.
        again: an earlier worker was lost or interrupted. The run is resumed from its checkpoint; if
            that worker's lock is still held, this one waits for it.
    """
    keep_memory()
    execution, force = task.execution, task.force
    if again:
        execution = replace(execution, resume=True)
        # A finished result is the one to be replaced, another what the lost worker has left.
        stored = stored_result(task.config, execution.out)
        force = force and stored is not None and stored.finished
    deadline = time.monotonic() + SECONDS_FOR_A_LOCK
    with torch_threads(task.threads):
        outcome = outcome_of(task.config, execution, force=force)
        while again and outcome.status == "locked" and time.monotonic() < deadline:
            time.sleep(1.0)
            outcome = outcome_of(task.config, execution, force=force)
    if outcome.message:
        outcome = replace(outcome, message=f"On node {socket.gethostname()}: {outcome.message}")
    return outcome


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables that a worker needs beside its own.

    Modules are found where the parent finds them, those of the Python installation excepted.
    """
    own = {name: value for name, value in os.environ.items() if name.startswith("DEEPOBS_")}
    paths = [Path(entry).absolute() for entry in sys.path]
    shared = [str(path) for path in paths if not _is_of_python(path)]
    return {
        **own,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(shared)),
        "PYTHONSAFEPATH": "1",  # and nowhere else, such as in the current folder
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",  # workers must not spin on each other's cores
    }


def _is_of_python(path: Path) -> bool:
    """Whether every interpreter of this installation searches the path by itself.

    A folder that merely lies below the environment's, such as a project in it, is not meant.
    """
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    own = [Path(path) for path in (*map(sysconfig.get_path, names), *site.getsitepackages())]
    zipped = path.suffix == ".zip" and path.parent in {folder.parent for folder in own}
    return zipped or any(folder in (path, *path.parents) for folder in own)


class ProgressWatcher:
    """Reports the progress of remote runs, from their result files.

    Args:
        tasks: that are about to begin; a result that is there now is an earlier run's.
        reporter: receives the progress.
    """

    def __init__(self, tasks: Sequence[Task], reporter: Reporter) -> None:
        self._tasks = {task.config.id: task for task in tasks}
        self._reporter = reporter
        self._read = {name: _changed(task) for name, task in self._tasks.items()}
        self._last: dict[str, int] = {}  # last reported epoch of active runs

    def update(self) -> None:
        """Report the progress since the last call."""
        for name in self._tasks:
            self._update(name)

    def end(self, outcome: Outcome) -> Outcome:
        """Report the end of a run; store a failure that its node could not write.

        Returns:
            The outcome; `failed` if the result is not in the shared folder.
        """
        name = outcome.config.id
        self._update(name)
        self._begin(name)
        self._reporter.finish(name)
        task = self._tasks.pop(name)
        folder = task.execution.out
        if outcome.good and not result_path(task.config, folder).exists():
            message = (
                f"The run was {outcome.status}, but {folder} has no result. The folder must "
                "be on a file system that all nodes share; choose one with --out."
            )
            outcome = replace(outcome, status="failed", message=message)
        if outcome.status == "failed":
            keep_failure(outcome.config, outcome.message, folder)
        return outcome

    def _begin(self, name: str) -> None:
        if name not in self._last:
            config = self._tasks[name].config
            self._last[name] = -1
            self._reporter.start(name, label_run(config), evaluations_of(config))

    def _update(self, name: str) -> None:
        task = self._tasks[name]
        changed = _changed(task)
        if changed is None or changed == self._read[name]:
            return
        self._read[name] = changed
        self._begin(name)
        with suppress(UsageError):  # the reader of the file reports the damage
            for record in load_result(_path(task)).records:
                if record["epoch"] > self._last[name]:
                    self._last[name] = record["epoch"]
                    seconds = sum(record["clocks"].values())
                    metrics = _as_numbers(record["metrics"])
                    epoch = epochs_reached(
                        record["epoch"], record["steps"], record.get("steps_per_epoch")
                    )
                    self._reporter.record(name, epoch, metrics, seconds)


def _path(task: Task) -> Path:
    """Path of the result that a run writes now."""
    repeats = result_path(task.config, repeat_folder(task.execution.out))
    return repeats if repeats.exists() else result_path(task.config, task.execution.out)


def _changed(task: Task) -> int | None:
    """Time at which a run's result file was changed, None without a file."""
    try:
        return _path(task).stat().st_mtime_ns
    except OSError:
        return None


def _as_numbers(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Stored metrics with NaN for what was not finite."""
    return {
        split: {key: math.nan if value is None else value for key, value in values.items()}
        for split, values in metrics.items()
    }
