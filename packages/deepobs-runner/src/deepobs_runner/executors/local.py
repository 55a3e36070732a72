"""Local executor: runs in sequence in this process, or in several worker processes.

A worker that dies (for example killed by the kernel) fails its run; a new worker replaces it.
`sys.argv` is not read, so this works in notebooks, too.
"""

from __future__ import annotations

import queue
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.backend.environment import usable_cores
from deepobs_runner.config import Execution, RunConfig, Vectorize
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import Execute, ExecutorKind, ExecutorOptions
from deepobs_runner.executors.vectorized.run import run_sets
from deepobs_runner.executors.worker import WorkerProcess
from deepobs_runner.results.labels import label_run
from deepobs_runner.runs.interrupts import interruptible
from deepobs_runner.runs.outcome import Outcome, outcome_of
from deepobs_runner.runs.progress import Reporter, Silent, evaluations_of, reported
from deepobs_runner.text import printable

SECONDS_TO_STOP = 20.0
"""Seconds after an interrupt for all workers to store their runs, before they are killed."""


def run_all(
    configs: Sequence[RunConfig],
    execution: Execution | None = None,
    *,
    jobs: int = 1,
    force: bool = False,
    reporter: Reporter | None = None,
    vectorize: Vectorize = "off",
    group: ProcessGroup = SINGLE_PROCESS,
) -> list[Outcome]:
    """Run resolved configurations; return their outcomes, in the order of `configs`.

    Duplicate configurations run once.

    Args:
        configs: resolved, see `resolve_config`.
        execution: where and how.
        jobs: number of worker processes that share the processor's cores; 1: run here.
        force: repeat finished runs.
        reporter: receives the progress.
        vectorize: train runs of one small problem in one pass, see docs/speed.md: `auto` where it
            pays, `on` wherever possible.
        group: the processes that train every run together, see `distributed.torchrun_group`.

    Raises:
        UsageError: less than one job, several in each of several processes, or no worker process
            can be started.
        KeyboardInterrupt: on Ctrl-C and SIGTERM, after the workers have ended.
        LostProcessError: a peer process was lost.
    """
    if jobs < 1:
        raise UsageError(f"jobs is {jobs}; it must be at least 1.")
    if jobs > 1 and group.size > 1:
        raise UsageError(
            f"jobs is {jobs}, but {group.size} processes share every run. "
            "Use either --jobs or torchrun."
        )
    execution = execution or Execution()
    reporter = reporter or Silent()
    distinct = {config.id: config for config in configs}
    with interruptible():
        outcomes: dict[str, Outcome] = {}
        if vectorize != "off" and group.size == 1:
            outcomes |= run_sets(
                list(distinct.values()),
                execution,
                vectorize=vectorize,
                force=force,
                reporter=reporter,
            )
        separate = [config for name, config in distinct.items() if name not in outcomes]
        jobs = min(jobs, len(separate))
        if jobs <= 1:
            for config in separate:
                with reported(reporter, config) as record:
                    outcomes[config.id] = outcome_of(
                        config, execution, on_record=record, force=force, group=group
                    )
        else:
            with _Pool(separate, execution, jobs, force, reporter) as pool:
                outcomes |= pool.outcomes()
        return [outcomes[name] for name in distinct]


def threads_per_worker(jobs: int, cores: int | None = None) -> int:
    """Number of threads of each of `jobs` workers.

    >>> threads_per_worker(3, cores=8)
    2
    """
    return max(1, (cores or usable_cores()) // jobs)


def spread_devices(device: str, worker: int, accelerators: int) -> str:
    """Device of a worker: `auto` distributes workers over the CUDA devices.

    >>> [spread_devices("auto", worker, 2) for worker in range(3)]
    ['cuda:0', 'cuda:1', 'cuda:0']
    """
    if device == "auto" and accelerators > 1:
        return f"cuda:{worker % accelerators}"
    return device


class _Pool:
    """Distributes runs to workers until all have an outcome."""

    def __init__(
        self,
        configs: Iterable[RunConfig],
        execution: Execution,
        jobs: int,
        force: bool,
        reporter: Reporter,
    ) -> None:
        self._execution, self._force, self._reporter = execution, force, reporter
        self._queue = deque(configs)
        self._locked: deque[RunConfig] = deque()  # repeated once at the end
        self._repeated: set[str] = set()
        self._outcomes: dict[str, Outcome] = {}
        self._total = len(self._queue)
        self._threads = threads_per_worker(jobs)
        self._jobs = jobs
        self._events: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers: dict[int, WorkerProcess] = {}
        self._failed_starts = 0
        self._accelerators = torch.cuda.device_count() if execution.device == "auto" else 0

    def __enter__(self) -> _Pool:
        for number in range(self._jobs):
            self._start(number)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for worker in self._workers.values():
                worker.interrupt()
        deadline = time.monotonic() + SECONDS_TO_STOP
        for worker in self._workers.values():
            worker.close(deadline if kind is not None else None)

    def _start(self, number: int) -> None:
        self._workers[number] = WorkerProcess(number, self._threads, self._events)

    def outcomes(self) -> dict[str, Outcome]:
        """Outcome of every run, by id, when there is one for each."""
        while len(self._outcomes) < self._total:
            worker, event = self._events.get()
            if event is None:
                self._replace(worker)
            elif event["event"] == "ready":
                worker.ready, self._failed_starts = True, 0
                self._hand_out(worker)
            elif event["event"] == "record":
                self._reporter.record(
                    worker.config.id, event["epoch"], event["metrics"], event["seconds"]
                )
            else:
                self._end(worker, event["status"], event["message"])
                self._hand_out(worker)
        return self._outcomes

    def _hand_out(self, worker: WorkerProcess) -> None:
        if not self._queue and not any(w.config for w in self._workers.values()):
            self._queue, self._locked = self._locked, deque()
        if not self._queue:
            return
        config = worker.config = self._queue.popleft()
        device = spread_devices(self._execution.device, worker.number, self._accelerators)
        self._reporter.start(config.id, label_run(config), evaluations_of(config))
        execution = replace(self._execution, device=device)
        worker.send({"config": config, "execution": execution, "force": self._force})

    def _end(self, worker: WorkerProcess, status: Any, message: str) -> None:
        config, worker.config = worker.config, None
        if config is None:
            return
        self._reporter.finish(config.id)
        text = worker.take_output().strip()
        if text:
            with suppress(OSError):  # a full disk or a closed terminal must not end the others
                print(printable(text), file=sys.stderr)
        if status == "locked" and config.id not in self._repeated:
            self._repeated.add(config.id)
            self._locked.append(config)
            return
        self._outcomes[config.id] = Outcome(config=config, status=status, message=message)

    def _replace(self, worker: WorkerProcess) -> None:
        """Record the outcome of a dead worker's run, and replace the worker while runs are left."""
        end = worker.describe_end()
        text = worker.take_output().strip()
        worker.close()
        if worker.config is not None:
            message = f"{text}\n{end[0].upper()}{end[1:]}; run it again to repeat it."
            self._end(worker, "killed", message.strip())
        elif not worker.ready:
            self._failed_starts += 1
            if self._failed_starts > 2 * self._jobs:
                raise UsageError(f"Cannot start a worker process: {end}. {text}")
        if self._queue or self._locked:
            self._start(worker.number)


def _make(options: ExecutorOptions, group: ProcessGroup | None) -> Execute:
    group = SINGLE_PROCESS if group is None else group
    return partial(run_all, jobs=options.jobs, vectorize=options.vectorize, group=group)


EXECUTOR = ExecutorKind(make=_make, options=("jobs", "vectorize"), local=True)
