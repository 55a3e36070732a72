"""Failures of a disk: their messages, and the runs that are made again because of them."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from deepobs_runner.results.result import RunResult
from deepobs_runner.text import last_line

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
"""Error numbers of a full disk and of a quota that is used up."""

AGAIN = "the same command makes"
"""In the last line of every failure of a disk: the run, or a folder, again."""


def explain_disk(error: BaseException | None, folder: Path) -> str:
    """Message about a failing disk and what to do, "" for another failure."""
    numbers = set()
    while error is not None:  # one that it followed from counts, too
        if isinstance(error, OSError):
            numbers.add(error.errno)
        error = error.__cause__ or error.__context__
    host, again = socket.gethostname(), f"{AGAIN} the run again"
    if numbers & set(FULL):
        return f"A disk of {host} is full (results go to {folder}). Make room; {again}."
    if errno.EFBIG in numbers:
        return (
            f"{host} allows no larger file (results go to {folder}). Raise the limit (ulimit -f); "
            f"{again}."
        )
    if errno.EROFS in numbers:
        return (
            f"A disk of {host} can only be read (results go to {folder}). Choose another --out, or "
            f"make it writable; {again}."
        )
    if numbers and not folder.is_dir():
        return f"The folder {folder} is gone; {AGAIN} it and its results again."
    return ""


def is_of_disk(message: str) -> bool:
    """Whether the message of a failure ends with one of `explain_disk`."""
    return AGAIN in last_line(message)


def failed_for_disk(result: RunResult) -> bool:
    """Whether a run failed because of a disk, so that the same command makes it again.

    So did one that has no reason: the disk had no room for that either.
    """
    return result.status == "failed" and (not result.error or is_of_disk(result.error))
