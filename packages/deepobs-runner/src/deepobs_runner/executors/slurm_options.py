"""`--slurm key=value`: what a job may take, for submitit and sbatch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from deepobs_runner.errors import UsageError
from deepobs_runner.executors.options import ExecutorOptions

CLUSTERS = ("slurm", "local", "debug")
"""submitit's executors: the real one, processes of this machine, and this very process."""

MINUTES = 60
NUMBERS = ("array_parallelism", "signal_delay_s")
OURS = {
    "cpus_per_task": "--cpus-per-run", "gpus_per_node": "--gpus-per-run",
    "gpus_per_task": "--gpus-per-run", "array": "the number of runs",
    "nodes": "deepobs: a run is one process", "ntasks": "deepobs: a run is one process",
    "ntasks_per_node": "deepobs: a run is one process", "output": "deepobs: OUT/slurm",
    "error": "deepobs: OUT/slurm", "signal": "submitit; see signal_delay_s",
}  # fmt: skip
"""Options of sbatch that are not to be given, and who sets them."""


def parse_slurm(words: Iterable[str]) -> dict[str, Any]:
    """Return `key=value` words as options; `setup` may be given several times.

    Raises:
        UsageError: a word without `=`, a key given twice, or one that is set otherwise.

    >>> parse_slurm(["partition=gpu", "time=1-02:30:00", "setup=module load cuda"])
    {'partition': 'gpu', 'time': 1590, 'setup': ['module load cuda']}
    """
    parsed: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        key = key.replace("-", "_")
        if not equals or not key.isidentifier() or not text:
            raise UsageError(f"Cannot read {word!r}: write --slurm key=value, such as time=60.")
        if key in OURS:
            raise UsageError(f"--slurm {word} cannot be given: it is set by {OURS[key]}.")
        if key == "setup":
            parsed["setup"] = [*parsed.get("setup", []), text]
        elif key in parsed:
            raise UsageError(f"--slurm {key} is given twice.")
        else:
            parsed[key] = _parse_value(key, text)
    if parsed.get("cluster", CLUSTERS[0]) not in CLUSTERS:
        raise UsageError(
            f"--slurm cluster={parsed['cluster']} is unknown; allowed: {', '.join(CLUSTERS)}."
        )
    return parsed


def _parse_value(key: str, text: str) -> Any:
    if key == "time":
        return minutes_of(text)
    if key in NUMBERS:
        if not text.isdecimal() or int(text) < 1:
            raise UsageError(f"--slurm {key} is {text!r}; it must be a whole number >= 1.")
        return int(text)
    return {"true": True, "false": False}.get(text.lower(), text)


def minutes_of(text: str) -> int:
    """Return a time of sbatch in minutes, rounded up.

    Its forms are minutes, minutes:seconds, hours:minutes:seconds, and with days before them
    days-hours, days-hours:minutes, days-hours:minutes:seconds (sbatch's manual, `--time`).

    Raises:
        UsageError: it is none of these, or nothing.

    >>> minutes_of("90"), minutes_of("2:00:00"), minutes_of("1-12"), minutes_of("0:30")
    (90, 120, 2160, 1)
    """
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text)
    if match is None:
        raise UsageError(f"--slurm time is {text!r}; write minutes, hh:mm:ss or days-hh:mm:ss.")
    numbers = [int(number) for number in match.groups()[1:] if number is not None]
    if match[1] is None:  # the last of the numbers are seconds, unless there is one alone
        units = {1: [60], 2: [60, 1], 3: [3600, 60, 1]}[len(numbers)]
    else:
        units = [3600, 60, 1]
    days = int(match[1] or 0)
    pairs = zip(numbers, units, strict=False)
    seconds = 86400 * days + sum(number * unit for number, unit in pairs)
    if seconds == 0:
        raise UsageError(f"--slurm time is {text!r}; a job needs some time.")
    return -(-seconds // 60)


def submitit_parameters(options: ExecutorOptions) -> dict[str, Any]:
    """Return the parameters of submitit's AutoExecutor."""
    others = dict(options.slurm)
    others.pop("cluster", None)
    parameters: dict[str, Any] = {
        "name": "deepobs",
        "timeout_min": others.pop("time", MINUTES),
        "cpus_per_task": options.threads,
        "nodes": 1,
        "tasks_per_node": 1,
    }
    if options.gpus_per_run:
        parameters["gpus_per_node"] = int(options.gpus_per_run)
    for name in ("setup", *NUMBERS):
        if name in others:
            parameters[f"slurm_{name}"] = others.pop(name)
    if others:
        parameters["slurm_additional_parameters"] = others
    return parameters
