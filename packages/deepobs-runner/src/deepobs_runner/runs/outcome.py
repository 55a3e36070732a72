"""One run of many: an error becomes an outcome, so that the others continue."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from deepobs_data import (
    DamagedFileError,
    DataNotFoundError,
    DownloadError,
    MissingPackageError,
)
from deepobs_problems import ProblemError
from deepobs_runner.backend.distributed import SINGLE_PROCESS, ProcessGroup
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import FailedRunError, LostProcessError, RunLockedError, UsageError
from deepobs_runner.results.result import FINISHED, RunResult, repeat_folder, result_path
from deepobs_runner.results.store import save_result, stored_result
from deepobs_runner.runs.disk import explain_disk, failed_for_disk, is_of_disk
from deepobs_runner.runs.recorder import OnRecord
from deepobs_runner.runs.resolve import resolve_planned
from deepobs_runner.runs.run import can_skip, run
from deepobs_runner.text import last_line

REFUSALS = (
    UsageError,
    ProblemError,
    DataNotFoundError,
    DamagedFileError,
    DownloadError,
    MissingPackageError,
)
"""Errors with a complete message; no traceback needed."""

OutcomeStatus = Literal[
    "done", "diverged", "stopped", "running", "failed", "refused", "locked", "killed"
]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        config: configuration of the run, resolved.
        status: status of its result, or one of three without training. `refused`: something it
            needs is missing. `locked`: another process is running it. `killed`: its worker process
            died without reporting.
        message: the error if it was refused, locked, killed or failed; of a failure often with its
            traceback.
    """

    config: RunConfig
    status: OutcomeStatus
    message: str = ""

    @property
    def good(self) -> bool:
        """Whether the run has a result that needs no repetition."""
        return self.status in FINISHED

    @property
    def failed_for_disk(self) -> bool:
        """Whether a disk is why it failed, so that the same command makes it again."""
        return self.status == "failed" and is_of_disk(self.message)

    @property
    def reason(self) -> str:
        """Why it is not good, in one line (of a traceback, the last)."""
        return last_line(self.message) or self.status


def outcome_of(
    config: RunConfig,
    execution: Execution,
    *,
    on_record: OnRecord | None = None,
    force: bool = False,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Outcome:
    """Run one configuration and return its outcome, also of an exception.

    A configuration that another process has resolved is refused if its code has changed since.
    The result file of a failed run has its traceback, also if it failed before the first
    evaluation.

    Raises:
        LostProcessError: another process of the group was lost; nothing further can be run.
    """
    try:
        planned = resolve_planned(config)
        result = run(planned, execution, on_record=on_record, force=force, group=group)
    except LostProcessError:
        raise
    except RunLockedError as error:
        return Outcome(config=config, status="locked", message=str(error))
    except FailedRunError as error:
        if group.is_rank_0:
            keep_failure(config, str(error), execution.out)
        return Outcome(config=config, status="failed", message=str(error))
    except REFUSALS as error:
        return Outcome(config=config, status="refused", message=str(error))
    except (Exception, SystemExit) as error:  # whatever a user's optimizer or problem raises
        text = traceback.format_exc()
        text += explain_disk(error, execution.out)
        if group.is_rank_0:
            keep_failure(config, text, execution.out)
        return Outcome(config=config, status="failed", message=text)
    return Outcome(config=config, status=result.status)


def keep_failure(config: RunConfig, text: str, folder: Path) -> None:
    """Store a failure of which `run` stored nothing; never replaces a file."""
    stored = stored_result(config, folder)
    if stored is not None and stored.finished:  # which the run was to repeat
        folder = repeat_folder(folder)
    if result_path(config, folder).exists():
        return
    failure = RunResult(config=config, status="failed", error=text)
    with suppress(OSError):  # the outcome has the error; a full disk must not end the others
        save_result(failure, folder, np.zeros(0, dtype=np.float32))


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a folder holds of the runs that are asked for.

    Attributes:
        finished: results that need no repetition.
        failed: results of failed runs that are not to be retried.
        todo: configurations to run.
    """

    finished: tuple[RunResult, ...]
    failed: tuple[RunResult, ...]
    todo: tuple[RunConfig, ...]


def survey(
    configs: Sequence[RunConfig],
    execution: Execution,
    *,
    force: bool = False,
    retry_failed: bool = False,
) -> Survey:
    """Look what a folder holds of some resolved configurations.

    Args:
        configs: resolved.
        execution: where results are, and which limits are asked for.
        force: run all of them.
        retry_failed: run failed ones again; those that a disk let fail are in any case.

    Returns:
        A run with a damaged result is to be made, see `stored_result`.
    """
    finished, failed, todo = [], [], []
    for config in configs:
        result = None if force else stored_result(config, execution.out)
        if result is not None and can_skip(result, execution):
            finished.append(result)
        elif result is not None and _stays_failed(result) and not retry_failed:
            failed.append(result)
        else:
            todo.append(config)
    return Survey(finished=tuple(finished), failed=tuple(failed), todo=tuple(todo))


def _stays_failed(result: RunResult) -> bool:
    return result.status == "failed" and not failed_for_disk(result)
