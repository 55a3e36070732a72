"""Whose results these are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepobs_runner.results.result import RunResult

YOURS = "yours"
OFFICIAL = "official"
ORIGINAL = "original"


def whose(result: RunResult) -> str:
    """Return whose a result is, in a word.

    `yours`; `official` for the results of 2019; `original` for another file of the original
    DeepOBS; else the name of the baseline set it was taken from.
    """
    environment = result.environment
    if "baselines" in environment:
        return str(environment["baselines"])
    source = environment.get("source")
    if source is None:
        return YOURS
    return OFFICIAL if str(source).startswith("official") else ORIGINAL
