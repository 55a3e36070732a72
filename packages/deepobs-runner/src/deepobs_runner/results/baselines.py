"""Baseline sets: results to compare with, each set with a name, a licence and its provenance.

A set is the official results of 2019, a packed folder that `pack_baselines` wrote (`set.json` and
one `<problem>.jsonl.xz` per problem, one result per line), or any folder of results. Their runs
are ordinary results; the environment of each names its set.
"""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from deepobs_runner.config import without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import read_file, write_bytes
from deepobs_runner.results.official import official_problems, official_results
from deepobs_runner.results.result import OFFICIAL, ORIGINAL, YOURS, RunResult, warn_of
from deepobs_runner.results.store import encode_result, load_results, read_result
from deepobs_runner.text import shorten_path, shown_name

FOLDERS_VARIABLE = "DEEPOBS_BASELINE_DIR"
"""Environment variable: folders of further sets, separated as in `PATH`."""

DESCRIPTION = "set.json"
SHIPPED = "baseline_sets"
MOST_UNPACKED = 2**29
"""Bytes of the results of a problem in a packed set; those that are shipped have some megabytes."""
MOST_MEMORY = 2**28
"""Bytes that decompression may use."""
LETTERS = "A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017f"
"""Characters of names: no brackets, which labels have, and no letters that look like others."""
LONGEST_NAME = 60
TWINS = MappingProxyType(
    {
        **dict.fromkeys("i1\u0131\u0142", "l"),
        **dict.fromkeys("0\u00f8", "o"),
        **dict.fromkeys("\u0111\u00f0", "d"),
        "\u0127": "h", "\u0167": "t", "\u0138": "k", "\u014b": "n", "\u00fe": "p",
        "rn": "m", "vv": "w",
    }
)  # fmt: skip
"""What may be taken for what, among small letters and digits."""
LEFT_OUT = ("telemetry",)
"""Fields of a record that a packed set omits."""
CLOCK_DIGITS = 3
"""Significant digits of seconds in a packed set: more would be noise and take most of the space."""


@dataclass(frozen=True, kw_only=True)
class BaselineSet:
    """A named set of results.

    Attributes:
        name: shown beside every setting of the set.
        title: description of the set.
        licence: licence of the numbers.
        folder: folder of its files; None for the official results.
        packed: file of each problem, below the folder; None for a folder of result files.
    """

    name: str
    title: str
    licence: str = "not stated"
    folder: Path | None = None
    packed: Mapping[str, str] | None = None


class _Description(msgspec.Struct):
    """Content of `set.json`; `files` by problem."""

    name: str
    title: str
    licence: str
    files: dict[str, str]


OFFICIAL_SET = BaselineSet(
    name=OFFICIAL,
    title="The official results of 2019: DeepOBS 1.1 on TensorFlow 1, recipe 2019",
    licence="MIT, (c) 2019 Frank Schneider",
    packed=MappingProxyType({problem: f"{problem}.jsonl.gz" for problem in official_problems()}),
)


def baseline_sets(folders: Iterable[Path] = ()) -> dict[str, BaselineSet]:
    """All sets by name: shipped, from the environment, from `folders`.

    Raises:
        UsageError: a folder is not a set, or two sets have the same name.
    """
    named = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    sets = {OFFICIAL: OFFICIAL_SET}
    for folder in [*_shipped(), *(Path(name) for name in named if name), *folders]:
        found = read_set(folder)
        _check_distinct(found, sets.values())
        sets.setdefault(found.name, found)
    return sets


def _check_distinct(found: BaselineSet, known: Iterable[BaselineSet]) -> None:
    """Refuse a set with the name of another one, or with one that looks alike.

    Raises:
        UsageError: it has.
    """
    for twin in known:
        if _alike(twin.name) != _alike(found.name):
            continue
        if twin.folder is None or found.folder is None or not twin.folder.samefile(found.folder):
            raise UsageError(
                f"Two baseline sets are called {found.name!r}: {twin.folder or 'the official one'} "
                f"and {found.folder}. Give one another name."
            )


def _alike(name: str) -> str:
    """Key of names that read alike: without case, accents and kinds of separators.

    >>> _alike("tuned-2026") == _alike("Tuned_2O26") == _alike("tuned 2026."), _alike("official")
    (True, 'offlclal')
    """
    bare = unicodedata.normalize("NFKD", name.casefold())
    for letter, twin in TWINS.items():
        bare = bare.replace(letter, twin)
    bare = "".join(c for c in bare if not unicodedata.combining(c))
    return re.sub(r"[ ._+-]+", "-", bare).strip("-")


def choose_sets(names: Iterable[str]) -> list[BaselineSet]:
    """Sets by name or folder.

    Raises:
        UsageError: unknown set.
    """
    known = baseline_sets()
    chosen: dict[str, BaselineSet] = {}
    for name in names:
        if name in known:
            found = known[name]
        elif Path(name).is_dir():
            found = read_set(Path(name))
            _check_distinct(found, [*known.values(), *chosen.values()])
        else:
            from deepobs_problems.errors import nearest  # imports torch

            raise UsageError(
                f"Unknown baseline set or folder {name!r}.{nearest(name, list(known))} "
                f"Sets: {', '.join(known)}."
            )
        chosen[found.name] = found
    return list(chosen.values())


def shipped_folders() -> list[Path]:
    """Folders of the baselines of this package: the official ones, then its sets."""
    return [Path(str(files("deepobs_runner") / "baselines_2019")), *_shipped()]


def _shipped() -> list[Path]:
    """Folders of the sets that come with this package."""
    folder = Path(str(files("deepobs_runner") / SHIPPED))
    return sorted(path.parent for path in folder.glob(f"*/{DESCRIPTION}"))


def read_set(folder: Path) -> BaselineSet:
    """Set in a folder; a set of plain result files has the name of its folder.

    Raises:
        UsageError: missing folder, damaged description, or a reserved name.
    """
    if not folder.is_dir():
        raise UsageError(f"The folder {folder} of a baseline set is missing.")
    path = folder / DESCRIPTION
    if not path.exists():
        name = _name_of(folder)
        found = BaselineSet(
            name=name, title=f"results in {shorten_path(str(folder))}", folder=folder
        )
    else:
        try:
            described = msgspec.json.decode(read_file(path), type=_Description)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UsageError(f"{path} does not describe a baseline set: {error}.") from None
        found = BaselineSet(
            name=described.name,
            title=described.title,
            licence=described.licence,
            folder=folder,
            packed=described.files,
        )
    _check_name(found.name)
    return found


def _name_of(folder: Path) -> str:
    """Name of a set of plain result files: that of its folder, in characters of `LETTERS`."""
    name = unicodedata.normalize("NFC", folder.resolve().name)
    return re.sub(rf"[^{LETTERS} ._+-]+", "-", name)[:LONGEST_NAME].strip(" ._+-")


def _check_name(name: str) -> None:
    """Check the name of a set, which labels show beside optimizers.

    Raises:
        UsageError: it is reserved, or has characters that a name may not have.
    """
    words = _alike(name).split("-")
    if words in ([_alike(YOURS)], [_alike(ORIGINAL)]) or _alike(OFFICIAL) in words:
        raise UsageError(f"A baseline set cannot be called {name!r}: the name is reserved.")
    if len(name) > LONGEST_NAME or not re.fullmatch(rf"[{LETTERS}][{LETTERS} ._+-]*", name):
        raise UsageError(
            f"A baseline set cannot be called {shown_name(name)!r}. Use at most {LONGEST_NAME} "
            "Latin letters, digits, blanks, '.', '_', '+' and '-', and begin with a letter or "
            "digit. Its title may be any text."
        )


def problems_of(baselines: BaselineSet) -> list[str]:
    """Problems of a set, without the folders of users' files."""
    if baselines.packed is not None:
        return list(dict.fromkeys(map(without_folder, baselines.packed)))
    return list(dict.fromkeys(run.config.problem_id.name for run in _plain(baselines)))


def baseline_results(baselines: BaselineSet, problem: str) -> list[RunResult]:
    """All results of a set on one problem, none if it has none.

    `analysis.tuned_settings` chooses the setting that stands for each optimizer.

    Raises:
        UsageError: a packed file of the set is damaged.
    """
    if baselines.folder is None:
        return official_results(problem, tuned=False)
    name = without_folder(problem)
    if baselines.packed is None:
        found = [run for run in _plain(baselines) if run.config.problem_id.name == name]
    else:
        found = _unpack(baselines, name)
    return [_labelled(result, baselines) for result in found]


def all_results(baselines: BaselineSet) -> list[RunResult]:
    """Results of a set on all its problems."""
    return [run for name in problems_of(baselines) for run in baseline_results(baselines, name)]


def unpacked_results(folder: Path) -> list[RunResult]:
    """All results of a packed set as if they lay in a folder of their own: as yours.

    Raises:
        UsageError: the folder is not a packed set, or one of its files is damaged.
    """
    found = read_set(folder)
    if found.packed is None:
        raise UsageError(f"{folder} is not a packed set: {DESCRIPTION} is missing.")
    return [run for name in problems_of(found) for run in _unpack(found, name)]


def _plain(baselines: BaselineSet) -> list[RunResult]:
    """Results of a folder; an invalid file is left out, with a warning."""
    return [] if baselines.folder is None else load_results(baselines.folder, on_error=warn_of)


def _labelled(result: RunResult, baselines: BaselineSet) -> RunResult:
    return replace(result, origin=baselines.name, path=None)


def _unpack(baselines: BaselineSet, name: str) -> list[RunResult]:
    """Results in the packed files of a problem, one per line."""
    results: list[RunResult] = []
    for problem, file in (baselines.packed or {}).items():
        if baselines.folder is None or without_folder(problem) != name:
            continue
        path = baselines.folder / file
        try:
            if Path(file).name != file:
                raise OSError("it is not a file of the folder of the set")
            lines = _decompress(read_file(path), is_xz=path.suffix == ".xz").splitlines()
        except (OSError, EOFError, lzma.LZMAError, zlib.error, MemoryError) as error:
            raise UsageError(
                f"{path} of the baseline set {baselines.name} is damaged: {error}."
            ) from None
        results += [read_result(line, path) for line in lines]
    return results


def _decompress(content: bytes, *, is_xz: bool) -> bytes:
    """Decompress a file of a set, which may be foreign, up to a limit.

    Raises:
        OSError, EOFError, lzma.LZMAError, zlib.error: it is damaged, or larger.
    """
    if not is_xz:
        with gzip.open(io.BytesIO(content)) as file:
            found = file.read(MOST_UNPACKED + 1)
    else:
        xz = lzma.LZMADecompressor(memlimit=MOST_MEMORY)
        found = xz.decompress(content, max_length=MOST_UNPACKED + 1)
        if not xz.eof and len(found) <= MOST_UNPACKED:
            raise EOFError("it ends too early")
    if len(found) > MOST_UNPACKED:
        raise OSError(f"it holds more than {MOST_UNPACKED:,} bytes")
    return found


def pack_baselines(
    results: Sequence[RunResult], folder: Path, *, name: str, title: str, licence: str
) -> Path:
    """Write completed results as a baseline set; return its folder.

    Telemetry is left out and clocks are rounded; configuration, environment and metrics are kept,
    so that every number can be traced to its run. The same results give the same bytes.

    Raises:
        UsageError: no run is completed, the name is reserved, or the folder is not empty.
    """
    _check_name(name)
    kept = [result for result in results if result.completed]
    if not kept:
        raise UsageError("A baseline set needs at least one completed run. Finish a run first.")
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"The folder {folder} is not empty. Choose a new one for the set.")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _write_set(kept, folder, name=name, title=title, licence=licence)
    except BaseException:  # half a set would be in the way of the next one
        for path in folder.iterdir():
            path.unlink()
        raise
    return folder


def _write_set(
    results: Sequence[RunResult], folder: Path, *, name: str, title: str, licence: str
) -> None:
    """Write completed results as a set into an empty folder."""
    by_problem: dict[str, list[RunResult]] = {}
    for result in sorted(results, key=lambda result: result.config.id):
        by_problem.setdefault(result.config.problem_id.name, []).append(result)
    names = {problem: f"{number:02}" for number, problem in enumerate(by_problem)}
    packed = {
        problem: f"{problem if problem.isidentifier() else names[problem]}.jsonl.xz"
        for problem in by_problem
    }
    for problem, runs in by_problem.items():
        content = b"".join(encode_result(_slim(run)) + b"\n" for run in runs)
        write_bytes(folder / packed[problem], lzma.compress(content))
    description = {"name": name, "title": title, "licence": licence, "files": packed}
    text = json.dumps(description, indent=1) + "\n"  # last: only this file makes the folder a set
    write_bytes(folder / DESCRIPTION, text.encode())


def _slim(result: RunResult) -> RunResult:
    """Copy of a result with only the fields that comparisons need."""
    return replace(result, records=tuple(map(_slim_record, result.records)))


def _slim_record(record: Mapping[str, Any]) -> dict[str, Any]:
    slim = {key: value for key, value in record.items() if key not in LEFT_OUT}
    if "clocks" in slim:
        clocks = slim["clocks"].items()
        slim["clocks"] = {name: float(f"{seconds:.{CLOCK_DIGITS}g}") for name, seconds in clocks}
    return slim
