"""Trackers: who is told about every record of a run, beside its result file.

`Tracker` is all there is to one. A run has those that `Execution.track` names: the kinds below,
and a user's own, written `package.module:factory` or `path/to/file.py:factory`. `tracking.py` calls
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from deepobs_problems.errors import nearest
from deepobs_problems.user_code import import_location
from deepobs_runner.errors import UsageError
from deepobs_runner.results.result import RunResult, Status


class TrackerWarning(UserWarning):
    """A tracker is dropped, or does less than was asked for; the run goes on, and is whole."""


class Tracker(Protocol):
    """Told about one run, from its first record to its end.

    What it raises ends the tracker, not the run.
    """

    def start(self, result: RunResult) -> None:
        """The run begins.

        Every record is handed over, whether the run is new or resumed, so a tracker begins anew
        here what it has of the run.

        Args:
            result: with configuration and environment; its records are those of an earlier
                attempt that a resumed run goes on from, which come first.
        """

    def record(self, record: Mapping[str, Any], step_objectives: np.ndarray) -> None:
        """The run was evaluated.

        Args:
            record: as in the result file (docs/results.md).
            step_objectives: of every step since the record before, `(steps,)`.
        """

    def end(self, status: Status) -> None:
        """The run is over; `running` if it was interrupted."""


MakeTracker = Callable[[Path], Tracker]
"""Makes the tracker of a run; gets the tracker's folder, which need not exist yet."""


class Kind(NamedTuple):
    """A tracker that is built in.

    Attributes:
        module: in this package.
        factory: in the module.
        package: what has to be installed; the extra is called like it. "" for nothing.
    """

    module: str
    factory: str
    package: str = ""


KINDS: Mapping[str, Kind] = {
    "tensorboard": Kind("tensorboard", "EventFiles", "tensorboard"),
    "wandb": Kind("wandb", "WeightsAndBiases", "wandb"),
    "csv": Kind("files", "CsvTable"),
    "jsonl": Kind("files", "JsonLines"),
}


def tracker_folder(name: str, out: Path) -> Path:
    """Return where a tracker keeps its files, all runs of the results folder `out` together.

    >>> tracker_folder("csv", Path("results")).as_posix()
    'results/tracking/csv'
    """
    return out / "tracking" / name.rpartition(":")[2]


def find_tracker(name: str) -> MakeTracker:
    """Return what makes the tracker that `name` names.

    Raises:
        UsageError: no such tracker, or its package is not installed.
        ProblemError: no such module or file.
    """
    if ":" in name:
        return _from_user(name)
    if name not in KINDS:
        raise UsageError(
            f"Unknown tracker {name!r}.{nearest(name, KINDS)} Use {', '.join(KINDS)}, "
            "package.module:factory or path/to/file.py:factory."
        )
    kind = KINDS[name]
    if kind.package and not is_installed(kind.package):
        raise UsageError(
            f"The tracker {name} needs the package {kind.package}, which is not installed. "
            f'Install it with: pip install "deepobs-runner[{kind.package}]"'
        )
    module = import_module(f"deepobs_runner.trackers.{kind.module}")
    made: MakeTracker = getattr(module, kind.factory)
    return made


def check_trackers(names: Iterable[str]) -> None:
    """Look every tracker up.

    Raises:
        UsageError, ProblemError: see `find_tracker`.
    """
    for name in names:
        find_tracker(name)


def is_installed(package: str) -> bool:
    """Whether a distribution is installed.

    Its module is not looked for: W&B makes folders `wandb`, which Python would import.
    """
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def _from_user(name: str) -> MakeTracker:
    location, _, attribute = name.rpartition(":")
    module, _ = import_location(location)
    factory = getattr(module, attribute, None)
    if not callable(factory):
        callables = [n for n, v in vars(module).items() if callable(v) and not n.startswith("_")]
        raise UsageError(f"{location} has no {attribute!r}.{nearest(attribute, callables)}")
    made: MakeTracker = factory
    return made
