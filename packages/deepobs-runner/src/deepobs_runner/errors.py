"""Errors a user can cause; the command line prints them without a traceback, exit code 2."""

from __future__ import annotations


class UsageError(ValueError):
    """What was asked for does not exist or makes no sense; the message says what would."""


class RunLockedError(UsageError):
    """Another process is running this configuration in the same folder."""
