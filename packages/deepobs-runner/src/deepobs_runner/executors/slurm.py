"""Runs as jobs of a SLURM array, through submitit.

A job that reaches its time limit, or is preempted, writes its checkpoint, queues itself again and
is resumed; SLURM itself queues the jobs of a lost node again. Queue, limits and priorities
are SLURM's. Pickled jobs, their results and their output are in a new folder per submission,
`<out>/slurm/<time>-<random>`: unpickling runs code, so no file is read that was there before.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from deepobs_runner.backend.distributed import ProcessGroup
from deepobs_runner.backend.environment import environment_variables
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import Execute, ExecutorKind, ExecutorOptions
from deepobs_runner.executors.remote import (
    ProgressWatcher,
    Task,
    make_tasks,
    perform,
    worker_environment,
)
from deepobs_runner.extensions import Requirement
from deepobs_runner.results.outputs import private_folder
from deepobs_runner.runs.interrupts import interruptible
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import Reporter, Silent

JOBS_IN_AN_ARRAY = 1000
"""SLURM's `MaxArraySize` is 1001 if a site has not changed it."""

SECONDS_BETWEEN_UPDATES = {"slurm": 5.0, "local": 0.2, "debug": 0.0}
SECONDS_TO_A_KILL = 120.0

CLUSTERS = ("slurm", "local", "debug")
"""submitit's executors: the real one, processes of this machine, and this very process."""

MINUTES = 60
NUMBERS = ("array_parallelism", "signal_delay_s")
RESERVED = {
    "cpus_per_task": "--cpus-per-run", "gpus_per_node": "--gpus-per-run",
    "gpus_per_task": "--gpus-per-run", "array": "the number of runs",
    "nodes": "deepobs: a run is one process", "ntasks": "deepobs: a run is one process",
    "ntasks_per_node": "deepobs: a run is one process", "output": "deepobs: OUT/slurm",
    "error": "deepobs: OUT/slurm", "signal": "submitit; see signal_delay_s",
}  # fmt: skip
"""Reserved options of sbatch, with the option or program that sets them."""


def parse_slurm(words: Iterable[str]) -> dict[str, Any]:
    """`key=value` words as options; `setup` may be given several times.

    Raises:
        UsageError: a word without `=`, a key given twice, or one that is set otherwise.

    >>> parse_slurm(["partition=gpu", "time=1-02:30:00", "setup=module load cuda"])
    {'partition': 'gpu', 'time': 1590, 'setup': ['module load cuda']}
    """
    parsed: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.replace("-", "_")
        if not equals or not key.isidentifier() or not text:
            raise UsageError(f"Cannot read {word!r}: write --slurm key=value, e.g. time=60.")
        if key in RESERVED:
            raise UsageError(f"--slurm {word} is reserved: {RESERVED[key]} sets it. Remove it.")
        if key == "setup":
            parsed["setup"] = [*parsed.get("setup", []), text]
        elif key in parsed:
            raise UsageError(f"--slurm {key} is given twice. Remove one.")
        else:
            parsed[key] = _parse_value(key, text)
    if parsed.get("cluster", CLUSTERS[0]) not in CLUSTERS:
        raise UsageError(
            f"--slurm cluster={parsed['cluster']} is unknown; allowed: {', '.join(CLUSTERS)}."
        )
    return parsed


def _parse_value(key: str, text: str) -> Any:
    if key == "time":
        return minutes_of(text)
    if key in NUMBERS:
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"--slurm {key} is {text!r}; it must be a whole number >= 1.")
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def minutes_of(text: str) -> int:
    """Time of sbatch in minutes, rounded up.

    Its forms are minutes, minutes:seconds, hours:minutes:seconds, and with days before them
    days-hours, days-hours:minutes, days-hours:minutes:seconds (sbatch's manual, `--time`).

    Raises:
        UsageError: it has another form, or is 0.

    >>> minutes_of("90"), minutes_of("2:00:00"), minutes_of("1-12"), minutes_of("0:30")
    (90, 120, 2160, 1)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise UsageError(f"--slurm time is {text!r}; write minutes, hh:mm:ss or days-hh:mm:ss.")
    numbers = [int(number) for number in match.groups()[1:] if number is not None]
    if match[1] is None:  # the last of the numbers are seconds, unless there is one alone
        units = {1: [60], 2: [60, 1], 3: [3600, 60, 1]}[len(numbers)]
    else:
        units = [3600, 60, 1]
    days = int(match[1] or 0)
    pairs = zip(numbers, units, strict=False)
    seconds = 86400 * days + sum(number * unit for number, unit in pairs)
    if seconds == 0:
        raise UsageError(f"--slurm time is {text!r}; it must be > 0.")
    return -(-seconds // 60)


def submitit_parameters(options: ExecutorOptions) -> dict[str, Any]:
    """Parameters of submitit's AutoExecutor.

    Raises:
        UsageError: a part of a GPU is asked for.
    """
    gpus = options.gpus_per_run or 0
    if not float(gpus).is_integer():
        raise UsageError(
            f"--gpus-per-run is {gpus:g}, but SLURM assigns whole GPUs. Use a whole number, "
            "or share GPUs with --executor ray inside an allocation."
        )
    others = dict(options.slurm)
    others.pop("cluster", None)
    parameters: dict[str, Any] = {
        "name": "deepobs",
        "timeout_min": others.pop("time", MINUTES),
        "cpus_per_task": options.threads,
        "nodes": 1,
        "tasks_per_node": 1,
    }
    if gpus:
        parameters["gpus_per_node"] = int(gpus)
    for name in ("setup", *NUMBERS):
        if name in others:
            parameters[f"slurm_{name}"] = others.pop(name)
    if others:
        parameters["slurm_additional_parameters"] = others
    return parameters


@dataclass(frozen=True, kw_only=True)
class Job:
    """A run as submitit pickles it: called on the node, and asked how to resume it.

    Attributes:
        task: the run.
        again: an earlier job of this run was lost or interrupted.
    """

    task: Task
    again: bool = False

    def __call__(self) -> Outcome:
        """Make the run; on submitit's signal leave it with a checkpoint, then let submitit act."""
        restarted = int(os.environ.get("SLURM_RESTART_COUNT") or 0) > 0
        with _interrupted_by_submitit():
            return perform(self.task, again=self.again or restarted)

    def checkpoint(self) -> Any:
        """Submission that submitit queues in place of this job."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(replace(self, again=True))


@contextmanager
def _interrupted_by_submitit() -> Iterator[None]:
    """Interrupt the run before submitit queues the job again.

    Its own handler would end the process in the middle of a step. Which of the two user signals it
    listens to is a setting of the site. SIGTERM, by which SLURM announces both preemption and
    cancellation and which submitit ignores, interrupts, too: a further signal then tells them
    apart.
    """
    numbers = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)
    handlers = {int(n): h for n in numbers if callable(h := signal.getsignal(n))}
    if signal.SIGTERM not in handlers or len(handlers) == 1:  # not started by submitit
        yield
        return
    received: Sequence[int] = ()
    try:
        with interruptible(list(handlers)) as received:
            yield
    except KeyboardInterrupt:
        if signal.SIGTERM in received:
            time.sleep(SECONDS_TO_A_KILL)
        elif received:
            handlers[received[0]](received[0], None)
        raise


def run_on_slurm(
    configs: Sequence[RunConfig],
    execution: Execution | None = None,
    *,
    options: ExecutorOptions,
    force: bool = False,
    reporter: Reporter | None = None,
) -> list[Outcome]:
    """Run resolved configurations as SLURM jobs; see `run_all`.

    Raises:
        UsageError: SLURM is missing, or it refuses the jobs.
        KeyboardInterrupt: on Ctrl-C and SIGTERM, after the jobs were cancelled.
    """
    execution = execution or Execution()
    tasks = make_tasks(configs, execution, force=force, threads=options.threads)
    watcher = ProgressWatcher(tasks, reporter or Silent())
    outcomes: dict[str, Outcome] = {}
    out = execution.out.absolute()
    todo = [Job(task=task) for task in tasks]
    with interruptible():
        for left in reversed(range(options.max_retries + 1)):
            jobs = _submit(todo, private_folder(out / "slurm", out), options)
            todo = []
            for job, handle, outcome in _wait(jobs, options, watcher):
                if outcome is None and left:
                    todo.append(replace(job, again=True))
                    continue
                outcome = outcome or _lost(job, options, handle.paths.folder)
                outcomes[outcome.config.id] = watcher.end(outcome)
            if not todo:
                break
    return [outcomes[task.config.id] for task in tasks]


def _cluster(options: ExecutorOptions) -> str:
    return str(options.slurm.get("cluster", "slurm"))


def _submit(todo: Sequence[Job], folder: Path, options: ExecutorOptions) -> list[tuple[Job, Any]]:
    """Queue jobs; return each with submitit's view of it.

    Args:
        todo: jobs of runs.
        folder: empty and private, for pickles.
        options: where and how to run them.

    Raises:
        UsageError: SLURM is missing, or it refuses the jobs.
    """
    import submitit

    cluster = _cluster(options)
    limits = {} if cluster == "debug" else {f"{cluster}_max_num_timeout": options.max_retries}
    handles: list[Any] = []
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **limits)
        executor.update_parameters(**submitit_parameters(options))
        with environment_variables(worker_environment(options.threads)):  # jobs inherit them
            for first in range(0, len(todo), JOBS_IN_AN_ARRAY):
                array = todo[first : first + JOBS_IN_AN_ARRAY]
                handles += executor.submit_array(array)
    except BaseException as error:
        _cancel(handles)
        if isinstance(error, RuntimeError | NameError):  # no srun; sbatch's or submitit's refusal
            raise UsageError(
                f"SLURM refused the jobs: {error} Submit on a login node, fix --slurm, or test "
                "without SLURM: --slurm cluster=local."
            ) from None
        raise
    return list(zip(todo, handles, strict=True))


def _wait(
    jobs: Sequence[tuple[Job, Any]], options: ExecutorOptions, watcher: ProgressWatcher
) -> Iterator[tuple[Job, Any, Outcome | None]]:
    """Yield every job with its handle and outcome as it ends; None if it was lost."""
    pending = list(jobs)
    pause = SECONDS_BETWEEN_UPDATES[_cluster(options)]
    try:
        while pending:
            for pair in list(pending):
                job, handle = pair
                if handle.done():
                    pending.remove(pair)
                    yield job, handle, _outcome_of(job, handle)
            watcher.update()
            time.sleep(pause if pending else 0.0)
    except BaseException:  # usually Ctrl-C
        _cancel([handle for _, handle in pending])
        raise


def _outcome_of(job: Job, handle: Any) -> Outcome | None:
    import submitit

    try:
        outcome: Outcome = handle.result()
    except submitit.core.utils.FailedJobError as error:  # submitit has interrupted the run
        return _cut_off(job, str(error))
    except submitit.core.utils.UncompletedJobError:
        _cancel([handle])  # in case SLURM has queued it again
        return None
    return outcome


def _cut_off(job: Job, message: str) -> Outcome:
    found = [line for line in message.splitlines() if "not requeued because" in line]
    reason = found[-1].rpartition("not requeued because: ")[2] if found else f"\n{message}\n"
    return Outcome(
        config=job.task.config,
        status="killed",
        message=f"Its job was not queued again: {reason} Resume it with --resume.",
    )


def _lost(job: Job, options: ExecutorOptions, folder: Path) -> Outcome:
    return Outcome(
        config=job.task.config,
        status="killed",
        message=f"Its job was lost {options.max_retries + 1} times without a report (see "
        f"{folder}); resume it with --resume.",
    )


def _cancel(handles: Sequence[Any]) -> None:
    for handle in handles:
        handle.cancel(check=False)


def _make(options: ExecutorOptions, group: ProcessGroup | None) -> Execute:
    submitit_parameters(options)  # refused here, before anything is trained
    return partial(run_on_slurm, options=options)


EXECUTOR = ExecutorKind(
    make=_make,
    options=("cpus_per_run", "gpus_per_run", "retries", "slurm"),
    requires=Requirement("submitit", extra="slurm"),
)
