"""Sessions of a run: a run that was resumed may have epochs of several machines and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from deepobs_runner.results.result import RunResult
from deepobs_runner.text import shorten_paths

SESSIONS = "sessions"
"""Field of an environment; present only where the sessions of a run differ."""

OF_THE_RUN = (SESSIONS, "vectorized")
"""Fields of an environment that are of the run, not of one session."""


def resumed_environment(
    earlier: Mapping[str, Any], now: Mapping[str, Any], epoch: int
) -> dict[str, Any]:
    """Environment of a run that continues after an epoch: the present one, and earlier sessions.

    Args:
        earlier: environment of the stored result.
        now: that of this process.
        epoch: last epoch that is kept.
    """
    now = {name: shorten_paths(v) if isinstance(v, str) else v for name, v in now.items()}
    of_run = {name: earlier[name] for name in OF_THE_RUN if name in earlier}
    sessions = list(_sessions(earlier))
    while sessions[-1]["epoch"] >= epoch and len(sessions) > 1:  # nothing of it is kept
        sessions.pop()
    if _without_epoch(sessions[-1]) != now:
        sessions.append({"epoch": epoch, **now})
    of_run.pop(SESSIONS, None)
    return {**now, **of_run, **({SESSIONS: sessions} if len(sessions) > 1 else {})}


def environments_of(result: RunResult) -> list[Mapping[str, Any]]:
    """Environments that a run was made in, in their order, without repetitions."""
    found: list[Mapping[str, Any]] = []
    shared = {k: v for k, v in result.environment.items() if k == "vectorized"}
    for session in _sessions(result.environment):
        environment = {**_without_epoch(session), **shared}
        if environment not in found:
            found.append(environment)
    return found


def session_changes(result: RunResult) -> list[str]:
    """What changed when a run was resumed, in words, such as `torch 2.6.0, 2.15.0 from epoch 4`."""
    sessions = list(_sessions(result.environment))
    changes: dict[str, list[str]] = {}
    for before, after in pairwise(sessions):
        old, new = _flat(before), _flat(after)
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                first = changes.setdefault(name, [str(old.get(name, "none"))])
                first.append(f"{new.get(name, 'none')} from epoch {after['epoch'] + 1}")
    return [f"{name.replace('_', ' ')} {', '.join(values)}" for name, values in changes.items()]


def _sessions(environment: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the sessions of a run; a file may hold anything in their place."""
    listed = environment.get(SESSIONS)
    valid = isinstance(listed, list) and all(
        isinstance(each, Mapping) and isinstance(each.get("epoch"), int) for each in listed
    )
    if isinstance(listed, list) and listed and valid:
        yield from map(dict, listed)
    else:
        known = {name: value for name, value in environment.items() if name not in OF_THE_RUN}
        yield {**known, "epoch": 0}


def _without_epoch(session: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in session.items() if name != "epoch"}


def _flat(session: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a session, with every package by its name."""
    packages = session.get("packages")
    named = packages if isinstance(packages, Mapping) else {}
    plain = {
        name: value
        for name, value in _without_epoch(session).items()
        if isinstance(value, str | int | float)
    }
    return {**named, **plain}
