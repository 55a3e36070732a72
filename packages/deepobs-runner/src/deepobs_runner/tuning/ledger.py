"""What a study did: `study.json` and a line for every trial, whatever became of it.

Both lie in `<results>/tuning/<study>/`. A line is written when its trial has ended; of several
lines of one trial, which a repetition makes, the last counts. docs/tuning.md describes the fields.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from deepobs_runner.errors import RunLockedError, UsageError
from deepobs_runner.results import check_writable, write_bytes
from deepobs_runner.tuning.selection import Trial
from deepobs_runner.tuning.study import Study

FOLDER = "tuning"
STUDY = "study.json"
LEDGER = "ledger.jsonl"
PLAN = "plan.yaml"

Line = Mapping[str, Any]


def study_folder(out: Path, name: str) -> Path:
    """Return where a study lies below a folder of results.

    Raises:
        UsageError: the name is none for a folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(
            f"The study name {name!r} must be of letters, digits, '.', '_' and '-', and begin with "
            "a letter or digit."
        )
    return out / FOLDER / name


def stored_study(folder: Path) -> Study | None:
    """Return the study that lies in a folder, None if there is none.

    Raises:
        UsageError: what lies there cannot be read.
    """
    path = folder / STUDY
    if not path.exists():
        return None
    try:
        return Study.from_json(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def check_same(study: Study, stored: Study, name: str) -> None:
    """Check that a stored study is the one that is asked for, but for its validation splits.

    Raises:
        UsageError: it is another; says in what.
    """
    ours, theirs = study.to_json(), stored.to_json()
    different = [key for key in ours if key != "valid_sizes" and ours[key] != theirs[key]]
    if different:
        shown = "; ".join(f"{k}: {_short(theirs[k])}, not {_short(ours[k])}" for k in different)
        raise UsageError(
            f"There is a study {name!r} already, and it has other settings ({shown}). Choose "
            "another --study; trials that both have are not repeated."
        )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def opened(study: Study, out: Path, name: str) -> Iterator[Ledger]:
    """Create or reopen the folder of a study and hold its lock.

    Raises:
        UsageError: a study of this name has other settings, another process is at it, or the
            folder cannot be written.
    """
    folder = study_folder(out, name)
    check_writable(folder)
    try:
        with FileLock(folder / ".lock", timeout=0):
            stored = stored_study(folder)
            if stored is not None:
                check_same(study, stored, name)
                study = replace(study, valid_sizes=stored.valid_sizes)
            else:
                text = json.dumps(study.to_json(), indent=1)
                write_bytes(folder / STUDY, text.encode())
            yield Ledger(study, name, folder)
    except Timeout:
        raise RunLockedError(
            f"Another process is at the study {name!r} in {out}. Wait for it, or choose another "
            "--study."
        ) from None


class Ledger:
    """The folder of a study, held by this process.

    Args:
        study: with its validation splits.
        name: of the study.
        folder: that exists.
    """

    def __init__(self, study: Study, name: str, folder: Path) -> None:
        self.study, self.name, self.folder = study, name, folder
        self._known = {_key(line): line for line in read_ledger(folder)}
        path = folder / LEDGER
        content = path.read_bytes() if path.exists() else b""
        self._torn = bool(content) and not content.endswith(b"\n")

    def note(self, trial: Trial) -> None:
        """Append the trial, unless the last line about it says the same."""
        line = trial.to_json()
        text = json.dumps(line, allow_nan=False)
        if self._known.get(_key(line)) == json.loads(text):
            return
        content = f"{text}\n".encode()
        if self._torn:  # the process before was killed while it wrote
            content, self._torn = b"\n" + content, False
        descriptor = os.open(self.folder / LEDGER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._known[_key(line)] = json.loads(text)


def _key(line: Line) -> tuple[Any, ...]:
    return line["problem"], line["optimizer"], line["number"], line["run"]


def read_ledger(folder: Path) -> list[Line]:
    """Return the last line about every trial of a study, in the order of their first ones.

    A line that was cut off when a process was killed is left out: its trial is noted again when
    the study is resumed.
    """
    path = folder / LEDGER
    if not path.exists():
        return []
    lines: dict[tuple[Any, ...], Line] = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            lines[_key(line)] = line
        except (ValueError, KeyError, TypeError):
            continue
    return list(lines.values())


@dataclass(frozen=True, kw_only=True)
class TuningCost:
    """What tuning an optimizer on a problem took, the runs of the winner not included.

    Attributes:
        study: its name.
        ruleset: its name.
        sampler: its name.
        problem: its name.
        optimizer: its name.
        budget: trials that were planned.
        trials: trials that were made.
        diverged: of them.
        pruned: of them.
        failed: of them: those that failed, were refused, locked or killed.
        epochs: of all trials together; so are the following.
        steps: optimizer steps.
        seconds: by the clocks of the runs, training and evaluation.
    """

    study: str
    ruleset: str
    sampler: str
    problem: str
    optimizer: str
    budget: int
    trials: int
    diverged: int
    pruned: int
    failed: int
    epochs: int
    steps: int
    seconds: float


def tuning_cost(folder: Path) -> list[TuningCost]:
    """Return the cost of every study below a folder of results, a row a problem and optimizer.

    Raises:
        UsageError: a study that cannot be read.
    """
    costs = []
    for path in sorted(folder.glob(f"{FOLDER}/*/{STUDY}")):
        study = stored_study(path.parent)
        if study is None:
            continue
        lines = read_ledger(path.parent)
        for problem in study.problems:
            for candidate in study.candidates:
                own = [
                    line
                    for line in lines
                    if (line["problem"], line["optimizer"]) == (problem, candidate.optimizer)
                ]
                costs.append(_cost(study, path.parent.name, problem, candidate.optimizer, own))
    return costs


def _cost(study: Study, name: str, problem: str, optimizer: str, lines: list[Line]) -> TuningCost:
    states = [line["status"] for line in lines]
    ended = sum(state in ("done", "stopped", "running") for state in states)
    diverged, pruned = states.count("diverged"), states.count("pruned")
    return TuningCost(
        study=name,
        ruleset=study.ruleset,
        sampler=study.sampler,
        problem=problem,
        optimizer=optimizer,
        budget=study.budget,
        trials=len(lines),
        diverged=diverged,
        pruned=pruned,
        failed=len(lines) - ended - diverged - pruned,
        epochs=sum(line["epochs"] for line in lines),
        steps=sum(line["steps"] for line in lines),
        seconds=sum(line["seconds"] for line in lines),
    )
