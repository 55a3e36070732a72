"""Errors a user can cause; the command line prints them without a traceback, exit code 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class UsageError(ValueError):
    """Invalid request; the message names what is allowed."""


class UnreadableFileError(UsageError):
    """A file cannot be read now; its content may be sound, so it is neither moved nor replaced."""


class RunLockedError(UsageError):
    """Another process holds the lock of the run, study or report."""


class FailedRunError(UsageError):
    """A run failed after it had begun, for a reason that the message explains."""


class DivergedError(ArithmeticError):
    """A run cannot continue: its numbers are not finite, or too large for their type."""


class RankZeroError(UsageError):
    """Rank 0 of the process group ended the run, and reports why."""


class LostProcessError(RuntimeError):
    """A peer process was lost."""


def cannot_read(path: Path, error: OSError) -> UnreadableFileError:
    """Error to raise if a file cannot be read, whatever it holds."""
    return UnreadableFileError(
        f"Cannot read {path}: {error.strerror or error}. Its content may be sound, so it stays as "
        "it is. Make it readable, or move it away."
    )


def cannot_write(path: Path, error: OSError, advice: str = "") -> UsageError:
    """Error to raise if a file cannot be written."""
    return UsageError(f"Cannot write {path}: {error.strerror or error}. {advice}".rstrip())
