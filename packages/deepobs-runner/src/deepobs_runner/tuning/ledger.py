"""Ledger of a study: `study.json`, and one line per trial, whatever its outcome.

Both are in `<results>/tuning/<study>/`. A line is written when its trial has ended; of several
lines of one trial, which a repetition makes, the last counts. docs/tuning.md describes the fields.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from deepobs_runner.config import without_folder
from deepobs_runner.errors import (
    UnreadableFileError,
    UsageError,
    cannot_read,
    cannot_write,
)
from deepobs_runner.results.files import (
    UnfitFileError,
    check_writable,
    open_file,
    read_file,
    write_bytes,
)
from deepobs_runner.results.outputs import locked, open_unlinked, refuse_links
from deepobs_runner.text import shorten_paths, shorten_spec, shown_name
from deepobs_runner.tuning.study import FOLLOWS, Study
from deepobs_runner.tuning.trials import Trial

FOLDER = "tuning"
STUDY = "study.json"
LEDGER = "ledger.jsonl"
PLAN = "plan.yaml"

KEPT = "Finished trials are kept. Fix this and rerun the command."


class Line(TypedDict):
    """A trial as the ledger holds it, see `Trial`."""

    problem: str
    optimizer: str
    number: int
    run: str
    point: dict[str, Any]
    status: str
    metric: str | None
    value: float | None
    first: float | None
    epochs: int
    steps: int
    seconds: float
    message: str


_DECODER = msgspec.json.Decoder(Line)


def study_folder(out: Path, name: str) -> Path:
    """Folder of a study below a folder of results.

    Raises:
        UsageError: the name is not valid for a folder.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise UsageError(
            f"The study name {name!r} must be of letters, digits, '.', '_' and '-', and begin with "
            "a letter or digit."
        )
    return out / FOLDER / name


def stored_studies(out: Path) -> tuple[dict[Path, Study], list[UsageError]]:
    """Studies below a folder of results by their own folder, and errors of the rest."""
    found, errors = {}, []
    for path in sorted(out.glob(f"{FOLDER}/*/{STUDY}")):
        try:
            study = _read_study(path)
            _check_ledger(path.parent)
            found[path.parent] = study
        except UsageError as error:
            errors.append(error)
    return found, errors


def _check_ledger(folder: Path) -> None:
    """Check that a ledger can be opened.

    Raises:
        UsageError: it cannot.
    """
    path = folder / LEDGER
    try:
        with open_file(path):
            pass
    except FileNotFoundError:
        pass
    except UnfitFileError as error:
        raise _damaged(path, error) from None
    except OSError as error:
        raise cannot_read(path, error) from None


def stored_study(folder: Path) -> Study | None:
    """Study in a folder, None without one.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / STUDY
    return _read_study(path) if path.exists() else None


def _read_study(path: Path) -> Study:
    try:
        # Studies of earlier versions hold whole paths of a user's files.
        return Study.from_json(_named(json.loads(_content(path)), shorten_spec))
    except UnreadableFileError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UsageError:
    return UsageError(
        f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. Remove it and rerun "
        "the command: finished trials are not repeated."
    )


def check_same(study: Study, stored: Study, name: str) -> None:
    """Check that a stored study is the one that is asked for, but for what follows from it.

    Raises:
        UsageError: it is another; names the differences.
    """
    ours, theirs = (_named(each.to_json(), without_folder) for each in (study, stored))
    now = ours.get("sources", {})
    edited = [
        f"{key} (code {value[:8]}, now {now[key][:8]})"
        for key, value in theirs.get("sources", {}).items()
        if now.get(key, value) != value
    ]
    if edited:
        raise UsageError(
            f"The study {name!r} began with another version of {', '.join(edited)}. Choose another "
            "--study to tune the new version."
        )
    compared = [key for key in ours if key not in (*FOLLOWS, "sources")]
    different = [key for key in compared if ours[key] != theirs[key]]
    if different:
        shown = "; ".join(f"{k}: {_short(theirs[k])}, not {_short(ours[k])}" for k in different)
        raise UsageError(
            f"The study {name!r} exists with other settings ({shown}). Choose "
            "another --study; trials that both have are not repeated."
        )


def _named(study: Mapping[str, Any], name: Callable[[str], str]) -> dict[str, Any]:
    """JSON of a study with other names of problems and optimizers."""
    return {
        **study,
        "problems": [name(problem) for problem in study["problems"]],
        "candidates": [
            {**each, "optimizer": name(each["optimizer"])} for each in study["candidates"]
        ],
        **{
            key: {name(spec): value for spec, value in study[key].items()}
            for key in ("valid_sizes", "sources")
            if key in study
        },
        **{key: name(study[key]) for key in ("ruleset", "sampler") if key in study},
    }


def continued(study: Study, stored: Study, name: str) -> Study:
    """Study that is asked for, with what follows from it as it was stored.

    Raises:
        UsageError: the stored study is another.
    """
    check_same(study, stored, name)
    known = {without_folder(problem): n for problem, n in stored.valid_sizes.items()}
    sizes = {p: known[without_folder(p)] for p in study.problems if without_folder(p) in known}
    return replace(study, first_seed=stored.first_seed, valid_sizes=sizes)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


@contextmanager
def open_ledger(study: Study, out: Path, name: str) -> Iterator[Ledger]:
    """Create or reopen the folder of a study and hold its lock.

    Raises:
        UsageError: a study of this name has other settings, another process holds the lock, or
            the folder cannot be written.
    """
    folder = study_folder(out, name)
    refuse_links(folder, out)
    check_writable(folder)
    other = f"is running the study {name!r} in {out}"
    with locked(folder / ".lock", out, other, "choose another --study"):
        stored = stored_study(folder)
        if stored is None:
            try:
                content = json.dumps(_named(study.to_json(), shorten_spec), indent=1).encode()
                write_bytes(folder / STUDY, content)
            except OSError as error:
                raise cannot_write(folder / STUDY, error, KEPT) from None
        else:
            study = continued(study, stored, name)
        yield Ledger(study, name, folder)


class Ledger:
    """The folder of a study, held by this process.

    Args:
        study: study with its validation splits.
        name: name of the study.
        folder: that exists.
    """

    def __init__(self, study: Study, name: str, folder: Path) -> None:
        self.study, self.name, self.folder = study, name, folder
        self._known = {_key(line): line for line in read_ledger(folder)}
        content = _ledger(folder)
        self._torn = bool(content) and not content.endswith(b"\n")

    def append(self, trial: Trial) -> None:
        """Append the trial, unless the last line about it is equal.

        Raises:
            UsageError: the ledger cannot be written, usually for lack of space.
        """
        text = json.dumps(trial.to_json(), allow_nan=False)
        line = _DECODER.decode(text)
        if self._known.get(_key(line)) == line:
            return
        content = f"{text}\n".encode()
        if self._torn:  # the process before was killed while it wrote
            content, self._torn = b"\n" + content, False
        try:
            _append(self.folder / LEDGER, content)
        except OSError as error:
            raise cannot_write(self.folder / LEDGER, error, KEPT) from None
        self._known[_key(line)] = line


def _append(path: Path, content: bytes) -> None:
    """Append to a file: all, or nothing that would be left as half a line."""
    with open_unlinked(path, "ab") as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _key(line: Line) -> tuple[str, str, int, str]:
    names = without_folder(line["problem"]), without_folder(line["optimizer"])
    return *names, line["number"], line["run"]


def read_ledger(folder: Path) -> list[Line]:
    """Last line about every trial of a study, in the order of their first ones.

    An unreadable line, for example truncated by a killed process, is skipped: its trial is appended
    again when the study is resumed. `damaged_lines` has their numbers.
    """
    lines = {_key(line): line for line in _lines(folder) if line is not None}
    return list(lines.values())


def damaged_lines(folder: Path) -> list[int]:
    """Numbers, from 1, of the lines of a study's ledger that cannot be read."""
    return [number for number, line in enumerate(_lines(folder), start=1) if line is None]


def _lines(folder: Path) -> list[Line | None]:
    """Lines of a ledger, None for one that is not a trial."""
    return [_decode(text) for text in _ledger(folder).split(b"\n") if text]


def _ledger(folder: Path) -> bytes:
    """Content of a ledger, empty without one.

    Raises:
        UsageError: it cannot be read.
    """
    _check_ledger(folder)
    path = folder / LEDGER
    return _content(path) if path.exists() else b""


def _content(path: Path) -> bytes:
    """Content of a file of a study.

    Raises:
        UnfitFileError: it is too big, or another thing.
        UnreadableFileError: it cannot be read.
    """
    try:
        return read_file(path)
    except UnfitFileError:
        raise
    except OSError as error:
        raise cannot_read(path, error) from None


def _decode(text: bytes) -> Line | None:
    try:
        line = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    # Ledgers of earlier versions hold whole paths.
    for name in ("problem", "optimizer"):
        line[name] = shown_name(shorten_spec(line[name]))
    line["message"] = shorten_paths(line["message"])
    return line


def damaged_studies(out: Path) -> list[str]:
    """Error message for every study below a folder of results that has damage."""
    studies, errors = stored_studies(out)
    damaged = ((folder, damaged_lines(folder)) for folder in studies)
    return [*map(str, errors), *(_damage(*pair) for pair in damaged if pair[1])]


def _damage(folder: Path, numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:5])) + (", ..." if len(numbers) > 5 else "")
    return (
        f"{folder / LEDGER}: line {shown} is not a trial. Rerun the command of the study to "
        "append missing trials."
    )
