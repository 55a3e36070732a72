"""Write the winners of a study as plans for `deepobs bench`."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from deepobs_runner.config import RunConfig
from deepobs_runner.errors import cannot_write
from deepobs_runner.results.files import read_file, set_aside, write_bytes
from deepobs_runner.results.labels import show_schedule
from deepobs_runner.schedules import schedule_from_json
from deepobs_runner.text import shorten_spec

Winners = Mapping[tuple[str, str], Sequence[RunConfig]]
"""Configurations of the runs of every winner, by problem and optimizer."""


def write_plans(
    path: Path, winners: Winners, settings: Mapping[str, Any], title: str
) -> list[Path]:
    """Write plans that hold the runs of all winners; return their paths.

    A plan is a product of problems and optimizers. Where an optimizer has no winner on some
    problem, the problems are split into several plans, `plan.yaml`, `plan-2.yaml`, ....

    A plan that was edited is renamed, with a warning.

    Args:
        path: path of the first plan.
        winners: settings to run.
        settings: those asked for, as in `Study`.
        title: a line of comment.

    Raises:
        UsageError: a plan cannot be written, or an edited one cannot be renamed.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for problem in dict.fromkeys(problem for problem, _ in winners):
        optimizers = tuple(optimizer for name, optimizer in winners if name == problem)
        groups.setdefault(optimizers, []).append(problem)
    paths = []
    for number, (optimizers, problems) in enumerate(groups.items(), start=1):
        place = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        text = _plan(problems, optimizers, winners, settings, title)
        _keep_edited(place)
        try:
            write_bytes(place, text.encode())
        except OSError as error:
            raise cannot_write(
                place, error, "Finished runs are kept; mend that and give the same command again."
            ) from None
        paths.append(place)
    for stale in path.parent.glob(f"{path.stem}-*{path.suffix}"):
        if stale not in paths and _is_ours(stale, path, title):
            stale.unlink()
    return paths


class EditedPlanWarning(UserWarning):
    """A plan that was edited is renamed, since a new one is written."""


def _is_ours(place: Path, first: Path, title: str) -> bool:
    """Whether an earlier call wrote a further plan; what a user put beside it stays."""
    if not re.fullmatch(r"-[1-9]\d*", place.stem.removeprefix(first.stem)):
        return False
    with suppress(OSError):
        line = _text(place).partition("\n")[0]
        return line.rstrip() == f"# {title}" and not _is_edited(place)
    return False


def _keep_edited(place: Path) -> None:
    if place.is_file() and _is_edited(place):
        kept = set_aside(place, ending="edited")
        warnings.warn(
            f"{place} was edited, or is of an earlier version. It is kept as {kept.name}.",
            EditedPlanWarning,
            stacklevel=3,
        )


def _is_edited(place: Path) -> bool:
    """Whether a plan is not as it was written: its second line has the hash of the others."""
    try:
        text = _text(place)
    except OSError:  # too large, for one
        return True
    first, _, rest = text.partition("\n")
    second, _, body = rest.partition("\n")
    return second != _hash_line(f"{first}\n{body}")


def _text(place: Path) -> str:
    return read_file(place).decode(errors="replace")


HASH = "# sha256 of the other lines: "


def _hash_line(text: str) -> str:
    return HASH + hashlib.sha256(text.encode()).hexdigest()[:16]


def _plan(
    problems: Sequence[str],
    optimizers: Sequence[str],
    winners: Winners,
    settings: Mapping[str, Any],
    title: str,
) -> str:
    seeds = [config.seed for config in winners[problems[0], optimizers[0]]]
    short = {name: _value(shorten_spec(name)) for name in (*problems, *optimizers)}
    lines = [
        f"# {title}",
        *(["# paths of files are relative to where bench is called"] if _has_files(short) else []),
        "problems:",
        *(f"  - {short[problem]}" for problem in problems),
        "optimizers:",
        *(f"  - {short[optimizer]}" for optimizer in optimizers),
    ]
    if settings:
        lines += ["settings:", *(f"  {k}: {_value(_plain(k, v))}" for k, v in settings.items())]
    lines += [f"seeds: {_value(seeds)}", "overrides:"]
    for problem in problems:
        for optimizer in optimizers:
            hyperparams = winners[problem, optimizer][0].hyperparams
            lines += [
                f"  - problem: {short[problem]}",
                f"    optimizer: {short[optimizer]}",
                "    hyperparams:",
                *(f"      {key}: {_value(value)}" for key, value in hyperparams.items()),
            ]
    first, *body = [*lines, ""]
    return "\n".join([first, _hash_line("\n".join([first, *body])), *body])


def _has_files(names: Iterable[str]) -> bool:
    return any(".py:" in name for name in names)


def _plain(name: str, value: Any) -> Any:
    return show_schedule(schedule_from_json(value)) if name == "schedule" else value


def _value(value: Any) -> str:
    """Value as JSON, which YAML 1.2 reads: text in quotes stays text."""
    return json.dumps(value)
