"""Run one configuration and store its result."""

from __future__ import annotations

import signal
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from deepobs_problems import Problem, ProblemError
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.backend.environment import environment
from deepobs_runner.backend.memory import explain_out_of_memory, is_out_of_memory
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import (
    DivergedError,
    FailedRunError,
    LostProcessError,
    RunLockedError,
    UnreadableFileError,
    UsageError,
)
from deepobs_runner.optimizers.weight_decay import DoubleDecayWarning, double_decay
from deepobs_runner.results.files import check_writable, set_aside
from deepobs_runner.results.outputs import refuse_links
from deepobs_runner.results.result import RunResult, repeat_folder, result_path, steps_path
from deepobs_runner.results.store import (
    load_result,
    remove_leftovers,
    set_damaged_aside,
    stored_result,
)
from deepobs_runner.runs.checkpoint_file import checkpoint_path, load_checkpoint
from deepobs_runner.runs.disk import explain_disk
from deepobs_runner.runs.interrupts import interruptible, was_interrupted
from deepobs_runner.runs.lock import run_lock
from deepobs_runner.runs.recorder import (
    SECONDS_BETWEEN_SAVES,
    CheckpointWarning,
    OnRecord,
    Recorder,
    continued,
)
from deepobs_runner.runs.resolve import resolve
from deepobs_runner.training.checkpoint import Checkpoint
from deepobs_runner.training.loop import train


def run(
    config: RunConfig,
    execution: Execution | None = None,
    *,
    problem: Problem | None = None,
    on_record: OnRecord | None = None,
    force: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> RunResult:
    """Train one configuration and store its result after every epoch.

    A finished run is read, not repeated. A run that diverges ends there, also where an exception
    follows from numbers that are not finite. Any other exception after training has begun is
    recorded in the result, then raised; an interrupt (Ctrl-C, or SIGTERM on the command line)
    leaves a checkpoint of the last completed epoch. The file is written at most every
    `SECONDS_BETWEEN_SAVES`.

    Args:
        config: what to run; defaults are filled in.
        execution: where and how.
        problem: use this instead of `config.problem`.
        on_record: called with every record, which need not be in the file yet. Return a string to
            stop the run; it is stored as the reason.
        force: repeat a finished run. Its result stays until the new one is finished, which then
            replaces it; with `execution.resume`, continue a repetition that was interrupted.
        group: the processes that train together, see `distributed.torchrun_group`; each calls
            this alike. Rank 0 reads and writes the files and calls `on_record`.

    Returns:
        Result with all records so far and the status of the run.

    Raises:
        RunLockedError: another process runs it, or its lock was removed during the run.
        UsageError, ProblemError: before anything is trained, if something asked for does not
            exist or the results cannot be written.
        FailedRunError: memory ran out, or the optimizer does what this precision or compilation
            does not allow; the result records it, too.
        LostProcessError: another process of the group was lost.
    """
    began = time.perf_counter()
    resolved = resolve(config, execution, problem=problem, group=group)
    config, execution = resolved.config, resolved.execution
    if group.is_rank_0 and (warning := double_decay(config)) is not None:
        warnings.warn(warning, DoubleDecayWarning, stacklevel=2)
    with resolved.backend.connected(config.id) as backend, ExitStack() as held:
        held.enter_context(interruptible([signal.SIGINT]))
        group = backend.group

        locks: list[Callable[[], None]] = []

        def begin() -> tuple[RunResult | Checkpoint | None, Path]:
            check_writable(execution.out)
            locks.append(held.enter_context(run_lock(config, execution.out)))
            return _look_for(config, execution, force)

        found, folder = group.from_rank_0(begin)
        if isinstance(found, RunResult):
            return found
        facts = {**environment(backend.device, execution), "world_size": group.size}
        recorder = Recorder(
            RunResult(config=config, status="running", environment=facts),
            execution,
            resumed=found if group.is_rank_0 else None,
            on_record=on_record,
            began=began,
            seconds_between_saves=SECONDS_BETWEEN_SAVES,
            folder=folder,
            check_lock=locks[0] if locks else None,
        )
        if found is not None and (ended := group.from_rank_0(recorder.ended_before)) is not None:
            return ended
        records = train(
            resolved.problem,
            resolved.make_optimizer,
            config=config,
            execution=execution,
            resume=found,
            backend=backend,
        )
        try:
            for record in records:
                ended = group.from_rank_0(partial(recorder.take, record))
                if ended is not None:
                    return ended
            return group.from_rank_0(recorder.complete)
        except DivergedError as error:
            return recorder.diverge(str(error))
        except RunLockedError:  # another process may write these files
            raise
        except (KeyboardInterrupt, LostProcessError):
            recorder.interrupt()
            raise
        except (Exception, SystemExit) as error:  # SystemExit: user code that calls sys.exit
            if was_interrupted():  # which user code turned into another exception
                recorder.interrupt()
                raise KeyboardInterrupt from error
            reason = _explain(error, recorder.result, backend.device)
            recorder.fail(reason or traceback.format_exc() + explain_disk(error, execution.out))
            if reason is not None:
                raise FailedRunError(reason) from error
            raise


def _explain(error: BaseException, result: RunResult, device: torch.device) -> str | None:
    """The reason of a failure if the error has a clear message; None otherwise."""
    if is_out_of_memory(error):
        return explain_out_of_memory(error, result.config, device)
    refused = isinstance(error, (UsageError, ProblemError))
    return str(error) if refused and result.records else None


def _look_for(
    config: RunConfig, execution: Execution, force: bool
) -> tuple[RunResult | Checkpoint | None, Path]:
    """Finished result of a run, or the checkpoint to resume; None for a new run.

    Returns:
        That, and the folder of the run's files until it is finished.
    """
    finished = tidy(config, execution, force)
    if finished is not None:
        return finished, execution.out
    folder = unfinished_folder(config, execution, force)
    if force and folder == execution.out:  # do not resume the earlier run
        execution = replace(execution, resume=False)
    begun = _checkpoint_of(config, replace(execution, out=folder))
    if begun is None:
        remove_unfinished(config, execution, folder)
    return begun, folder


def unfinished_folder(config: RunConfig, execution: Execution, force: bool) -> Path:
    """Make the folder of a run's files until it is finished; to be called under its lock.

    Raises:
        UsageError: it is a symbolic link or a file.
    """
    stored = stored_result(config, execution.out) if force else None
    if stored is None or not stored.finished:
        return execution.out
    folder = repeat_folder(execution.out)
    refuse_links(result_path(config, folder), execution.out)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError:
        raise UsageError(
            f"{folder} is a file, and repetitions need a folder of this name. Remove it, or choose "
            "another folder with --out."
        ) from None
    return folder


def remove_unfinished(config: RunConfig, execution: Execution, folder: Path) -> None:
    """Remove what does not fit the records of a new run: an earlier checkpoint, or repetition.

    A checkpoint that was to be resumed is set aside, with a warning.
    """
    paths = [checkpoint_path(folder, config.id)]
    if folder != execution.out:
        paths += [result_path(config, folder), steps_path(result_path(config, folder))]
    if execution.resume and paths[0].exists():  # its result is missing, or was set aside
        lost = UsageError(f"{paths[0]} cannot be continued: the records before it are missing.")
        _keep_aside(paths[0], lost)
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            _keep_aside(path, UsageError(f"{path} is a folder."))
        else:
            path.unlink(missing_ok=True)


def _keep_aside(path: Path, error: UsageError) -> None:
    """Rename a checkpoint that cannot be used, with a warning."""
    kept = set_aside(path, error)
    warnings.warn(
        f"{error} The checkpoint is kept as {kept.name}, and the run starts from scratch.",
        CheckpointWarning,
        stacklevel=2,
    )


def tidy(config: RunConfig, execution: Execution, force: bool) -> RunResult | None:
    """Tidy up after an earlier run of a configuration, under its lock.

    Returns:
        Its finished result, unless the run is to be repeated.
    """
    remove_leftovers(config, execution.out)
    set_damaged_aside(config, execution.out)
    return None if force else finished_result(config, execution)


def finished_result(config: RunConfig, execution: Execution) -> RunResult | None:
    """Finished result of a resolved configuration, None without one."""
    result = stored_result(config, execution.out)
    return result if result is not None and can_skip(result, execution) else None


def can_skip(result: RunResult, execution: Execution) -> bool:
    """Whether a run can be skipped, for there is nothing left to do.

    Limits are not part of a run's identity. A run that was stopped early is skipped only if a
    limit is given again, and not if it is to be resumed.
    """
    limited = execution.time_limit is not None or execution.patience is not None
    if result.status == "stopped" and (execution.resume or not limited):
        return False
    return result.finished


def _checkpoint_of(config: RunConfig, execution: Execution) -> Checkpoint | None:
    """Checkpoint to resume; one that cannot be used is set aside, with a warning.

    Raises:
        UnreadableFileError: one is there that cannot be read.
    """
    path, results = checkpoint_path(execution.out, config.id), result_path(config, execution.out)
    if not (execution.resume and path.exists() and results.exists()):
        return None
    try:
        checkpoint = load_checkpoint(path, config.id)
        continued(load_result(results), checkpoint)
    except UnreadableFileError:
        raise
    except UsageError as error:
        _keep_aside(path, error)
        return None
    return checkpoint
