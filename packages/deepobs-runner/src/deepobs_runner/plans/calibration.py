"""The time of one SGD step of each problem, measured once on a machine and kept.

It predicts plans without timing them again, and is a unit of time: what an optimizer's run took in
SGD steps of the same machine. A time of another machine, number of threads or torch is never used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from platformdirs import user_cache_path

from deepobs_problems import load_problem
from deepobs_runner.backend.devices import choose_device
from deepobs_runner.backend.environment import environment
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError, cannot_write
from deepobs_runner.plans.estimate import Timing, cost_kind, threads_among, time_runs
from deepobs_runner.results.files import read_file, write_bytes
from deepobs_runner.runs.resolve import resolve_config

VARIABLE = "DEEPOBS_CALIBRATION"
"""Environment variable: the file, in place of one in the user's cache folder."""

SCHEMA = 1
OPTIMIZER, RATE = "SGD", 1e-4
"""What is timed; the rate is small, so that no objective overflows."""

Machine = Mapping[str, Any]
"""What has to be equal for times to be comparable, see `machine_of`."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """SGD-step times of one machine.

    Attributes:
        machine: see `machine_of`.
        timings: by problem, see `problem_key`; with the problem's default settings in fp32.
    """

    machine: Machine
    timings: Mapping[str, Timing]


def machine_of(result_environment: Mapping[str, Any]) -> Machine | None:
    """Identity of the machine in a result's environment; None if it is incomplete.

    Processor and device by name, the number of threads, torch's version, and the switches that
    change speed.
    """
    known = result_environment
    machine = {
        "system": known.get("system"),
        "processor": known.get("processor"),
        "device": str(known.get("device", "")).partition(":")[0],
        "device_name": known.get("device_name"),
        "threads": known.get("threads"),
        "torch": known.get("packages", {}).get("torch"),
    }
    if not all(machine.values()):
        return None
    machine["compile"] = bool(known.get("compile", False))
    machine["deterministic"] = bool(known.get("deterministic", True))
    # Older files know neither of these.
    return machine | {name: True for name in ("cuda_graphs", "memory_kept") if known.get(name)}


def problem_key(config: RunConfig) -> str:
    """Key of the problem of a resolved configuration: its definition.

    The name alone would not do: a user's file may be edited.
    """
    name = config.problem.rpartition(":")[2]
    return f"{name} {(config.fingerprint or '').partition('-')[0]}"


def calibration_file() -> Path:
    """File of `DEEPOBS_CALIBRATION`, else one in the user's cache folder."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named).expanduser()
    return Path(user_cache_path("deepobs", appauthor=False)) / "calibration.json"


def measure(
    problems: Iterable[str], execution: Execution, *, jobs: int = 1
) -> tuple[Calibration, list[str]]:
    """Time SGD on each problem with its default settings; nothing is written or downloaded.

    Args:
        problems: names.
        execution: device and data folder.
        jobs: number of parallel runs, which share the threads.

    Returns:
        The times, and for each problem that has none the reason.

    Raises:
        UsageError: the machine does not name its processor.
    """
    configs = [
        resolve_config(RunConfig(problem=name, optimizer=OPTIMIZER, hyperparams={"lr": RATE}))
        for name in problems
    ]
    machine = _machine_here(execution, jobs)
    if machine is None:
        raise UsageError("This machine does not name its processor, so its times cannot be kept.")
    by_kind = time_runs(configs, execution, jobs=jobs)
    found = {problem_key(config): by_kind[cost_kind(config)] for config in configs}
    timings = {key: timing for key, timing in found.items() if isinstance(timing, Timing)}
    reasons = [reason for reason in found.values() if isinstance(reason, str)]
    return Calibration(machine=machine, timings=timings), reasons


def _machine_here(execution: Execution, jobs: int) -> Machine | None:
    here = environment(choose_device(execution.device))
    return machine_of({**here, "threads": threads_among(jobs)})


def load_calibrations(path: Path | None = None) -> tuple[Calibration, ...]:
    """Read the stored times; empty without a file.

    Raises:
        UsageError: the file cannot be read.
    """
    path = path or calibration_file()
    try:
        data = json.loads(read_file(path))
        if data["schema"] != SCHEMA:
            raise ValueError(f"its schema is {data['schema']!r}, this version reads {SCHEMA}")
        return tuple(
            Calibration(
                machine=entry["machine"],
                timings={key: Timing(**timing) for key, timing in entry["paces"].items()},
            )
            for entry in data["calibrations"]
        )
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is not a calibration: {error}. Remove it, and run deepobs calibrate."
        ) from None


def keep_calibration(calibration: Calibration, path: Path | None = None) -> Path:
    """Add the times to the file; those of the same machine and problem are replaced.

    Raises:
        UsageError: the file there is not a calibration, or cannot be written.
    """
    path = path or calibration_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock")):
            others, timings = [], dict[str, Timing]()
            for kept in load_calibrations(path):
                if dict(kept.machine) == dict(calibration.machine):
                    timings |= kept.timings
                else:
                    others.append(kept)
            timings |= calibration.timings
            entries = [*others, Calibration(machine=calibration.machine, timings=timings)]
            data = {"schema": SCHEMA, "calibrations": [_to_json(entry) for entry in entries]}
            write_bytes(path, json.dumps(data, indent=1).encode())
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


def _to_json(calibration: Calibration) -> dict[str, Any]:
    timings = {key: asdict(timing) for key, timing in calibration.timings.items()}
    return {"machine": dict(calibration.machine), "paces": timings}


def calibration_for(
    result_environment: Mapping[str, Any], calibrations: Iterable[Calibration]
) -> Calibration | None:
    """Calibration of the machine that made a result; None if it is another's."""
    return _of_machine(machine_of(result_environment), calibrations)


def _of_machine(machine: Machine | None, calibrations: Iterable[Calibration]) -> Calibration | None:
    if machine is None:
        return None
    return next((c for c in calibrations if dict(c.machine) == dict(machine)), None)


def sgd_step_equivalents(
    seconds: float, calibration: Calibration, config: RunConfig
) -> float | None:
    """Time in SGD steps of the problem: default batch size, fp32; None without one.

    Args:
        seconds: spent by a run.
        calibration: calibration of the machine that spent them, see `calibration_for`.
        config: configuration of the run, resolved.

    Example: a run of 6 s where an SGD step takes 2 ms has taken as long as 3000 SGD steps.
    """
    timing = calibration.timings.get(problem_key(config))
    return None if timing is None else seconds / timing.step


def kept_timings(
    configs: Sequence[RunConfig],
    execution: Execution,
    calibrations: Iterable[Calibration],
    *,
    jobs: int = 1,
) -> dict[str, Timing]:
    """Timings of runs on this machine, by `cost_kind`, from the stored SGD step times.

    Runs that differ from what was timed in more than the optimizer and the length are left out:
    another batch size, recipe, precision, validation split or data.
    """
    found = _of_machine(_machine_here(execution, jobs), calibrations)
    if found is None or execution.compile or execution.cuda_graphs or execution.create_graph:
        return {}
    return {
        cost_kind(config): found.timings[problem_key(config)]
        for config in configs
        if problem_key(config) in found.timings and _as_timed(config)
    }


def _as_timed(config: RunConfig) -> bool:
    plain = (config.recipe, config.precision, config.valid_size, config.data)
    default = load_problem(config.problem).defaults.batch_size
    return plain == ("standard", "fp32", 0, "real") and config.batch_size == default
