"""Errors a user can cause; the command line prints them without a traceback, exit code 2."""

from __future__ import annotations

from pathlib import Path


class UsageError(ValueError):
    """What was asked for does not exist or makes no sense; the message says what would."""


class RunLockedError(UsageError):
    """Another process is running this configuration in the same folder."""


class FailedRunError(UsageError):
    """A run failed after it had begun, for a reason that the message explains."""


class DivergedError(ArithmeticError):
    """A run could not go on because its numbers are not finite, or too large for their type."""


class ToldError(UsageError):
    """Of several processes that train together, the first could not go on, and says why."""


class LostProcessError(RuntimeError):
    """Of several processes that train together, another one is gone; no fault of the run."""


def cannot_write(path: Path, error: OSError, advice: str = "") -> UsageError:
    """Return the error to raise if a file cannot be written."""
    return UsageError(f"Cannot write {path}: {error.strerror or error}. {advice}".rstrip())
