"""Errors with the value, the allowed values and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ProblemError(ValueError):
    """A test problem that cannot be found, loaded or used."""


class UnknownProblemError(ProblemError):
    """No problem has this name."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggestion " Did you mean ...?" with the known names closest to `name`, or ""."""
    lowered = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=3, cutoff=0.6)
    if not close:
        return ""
    *first, last = (repr(lowered[match]) for match in close)
    return f" Did you mean {' or '.join(filter(None, (', '.join(first), last)))}?"
