"""Find a problem by what the user wrote: three doors and the catalog.

`"fmnist_2c2d"` (the catalog, then the entry-point group `deepobs.problems`),
`"path/to/file.py:name"` and `"package.module:name"`. A `Problem` object passes through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points

from deepobs_problems.catalog import CATALOG
from deepobs_problems.errors import ProblemError, UnknownProblemError, nearest
from deepobs_problems.problem import Problem
from deepobs_problems.user_code import import_location

ENTRY_POINT_GROUP = "deepobs.problems"


def load_problem(spec: str | Problem) -> Problem:
    """Problem that `spec` names.

    Args:
        spec: a name of the catalog or of an installed package's entry point,
            `"path/to/file.py:name"`, `"package.module:name"`, or a `Problem`.

    Raises:
        UnknownProblemError: no such name; the message has the nearest ones.
        ProblemError: the file, module or attribute does not exist or is no `Problem`, or two
            origins claim the same name, or an installed package cannot be imported. Errors raised
            by the user's own code pass unchanged.

    >>> load_problem("quadratic_deep").defaults.batch_size
    128
    """
    if isinstance(spec, Problem):
        return spec
    if not isinstance(spec, str):
        raise ProblemError(f"A problem is named by text or a Problem, got a {type(spec).__name__}.")
    if ":" in spec:
        location, _, attribute = spec.rpartition(":")
        return _attribute(location, attribute)
    clashes: list[ProblemError] = []
    installed = installed_problems(on_clash=clashes.append)
    if spec in {*CATALOG, *installed}:
        for clash in clashes:  # of this name; that of another costs nothing here
            if f"called {spec!r}" in str(clash):
                raise clash
    if spec in CATALOG:
        return CATALOG[spec]
    if spec in installed:
        return _installed(installed[spec])
    if spec.endswith(".py"):
        raise UnknownProblemError(
            f"{spec} is a file. Write {spec}:NAME, with the name of the problem in it."
        )
    known = [*CATALOG, *installed]
    raise UnknownProblemError(
        f'Unknown problem {spec!r}.{nearest(spec, known)} Run "deepobs list" for all {len(known)}.'
    )


def installed_problems(
    entries: Iterable[EntryPoint] | None = None,
    *,
    on_clash: Callable[[ProblemError], object] | None = None,
) -> dict[str, EntryPoint]:
    """Problems that installed packages offer, by name, without importing them.

    Args:
        entries: entry points of packages; None: of those that are installed.
        on_clash: called with the error about a name that several use; the first keeps it. None:
            the error is raised.

    Raises:
        ProblemError: two packages, or a package and the catalog, use the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in _entries(_search_path()) if entries is None else entries:
        origin = "the DeepOBS catalog" if entry.name in CATALOG else None
        if entry.name in found and found[entry.name].value != entry.value:
            origin = found[entry.name].value
        if origin:
            clash = ProblemError(
                f"Two problems are called {entry.name!r}: one from {origin}, one from "
                f"{entry.value}. Uninstall one of the packages or rename its entry point."
            )
            if on_clash is None:
                raise clash
            on_clash(clash)
            continue
        found[entry.name] = entry
    return found


@lru_cache(maxsize=1)
def _entries(search_path: tuple[tuple[str, int], ...]) -> tuple[EntryPoint, ...]:
    """Entry points of all packages, cached: the search takes milliseconds per run."""
    return tuple(entry_points(group=ENTRY_POINT_GROUP))


def _search_path() -> tuple[tuple[str, int], ...]:
    """Folders of the search path, each with the time of its last change."""
    return tuple((folder, _changed(folder)) for folder in sys.path)


def _changed(folder: str) -> int:
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return 0


def _installed(entry: EntryPoint) -> Problem:
    """Problem of an installed package.

    Raises:
        ProblemError: importing it raises anything.
    """
    try:
        return _attribute(entry.module, entry.attr)
    except (KeyboardInterrupt, ProblemError):
        raise
    except BaseException as error:
        lines = str(error).strip().splitlines() or [""]
        raise ProblemError(
            f"The installed package that offers {entry.name!r} ({entry.value}) cannot be imported: "
            f"{type(error).__name__}: {lines[0]}. Repair or uninstall it."
        ) from error


def _attribute(location: str, attribute: str) -> Problem:
    module, source = import_location(location)
    found = getattr(module, attribute, None)
    if isinstance(found, Problem):
        return replace(found, source=source)
    problems = [name for name, value in vars(module).items() if isinstance(value, Problem)]
    where = getattr(module, "__file__", None) or module.__name__
    if found is None:
        raise ProblemError(
            f"{where} has no {attribute!r}. Problems there: {', '.join(problems) or 'none'}."
        )
    swapped = " The problem comes first, then the optimizer." if hasattr(found, "step") else ""
    raise ProblemError(
        f"{attribute!r} in {where} is a {type(found).__name__}, not a deepobs_problems.Problem."
        f"{swapped}"
    )
