"""Find a problem by what the user wrote: three doors and the catalog.

`"fmnist_2c2d"` (the catalog, then the entry-point group `deepobs.problems`),
`"path/to/file.py:name"` and `"package.module:name"`. A `Problem` object passes through.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from deepobs_problems.catalog import CATALOG
from deepobs_problems.errors import ProblemError, UnknownProblemError, nearest
from deepobs_problems.problem import Problem

ENTRY_POINT_GROUP = "deepobs.problems"


def load_problem(spec: str | Problem) -> Problem:
    """Return the problem that `spec` names.

    Args:
        spec: a name of the catalog or of an installed package's entry point,
            `"path/to/file.py:name"`, `"package.module:name"`, or a `Problem`.

    Raises:
        UnknownProblemError: no such name; the message has the nearest ones.
        ProblemError: the file, module or attribute does not exist or is no `Problem`, or two
            origins claim the same name. Errors raised by the user's own code pass unchanged.

    >>> load_problem("quadratic_deep").defaults.batch_size
    128
    """
    if isinstance(spec, Problem):
        return spec
    if ":" in spec:
        location, _, attribute = spec.rpartition(":")
        if location.endswith(".py"):
            return _from_file(Path(location), attribute)
        return _attribute(_import(location), attribute, source=_source_hash(location))
    installed = installed_problems()
    if spec in CATALOG:
        return CATALOG[spec]
    if spec in installed:
        entry = installed[spec]
        return _attribute(_import(entry.module), entry.attr, source=_source_hash(entry.module))
    known = [*CATALOG, *installed]
    raise UnknownProblemError(
        f'Unknown problem {spec!r}.{nearest(spec, known)} Run "deepobs list" for all {len(known)}.'
    )


def installed_problems(entries: Iterable[EntryPoint] | None = None) -> dict[str, EntryPoint]:
    """Return the problems that installed packages offer, by name, without importing them.

    Raises:
        ProblemError: two packages, or a package and the catalog, use the same name.
    """
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP) if entries is None else entries:
        origin = "the DeepOBS catalog" if entry.name in CATALOG else None
        if entry.name in found and found[entry.name].value != entry.value:
            origin = found[entry.name].value
        if origin:
            raise ProblemError(
                f"Two problems are called {entry.name!r}: one from {origin}, one from "
                f"{entry.value}. Uninstall one of the packages or rename its entry point."
            )
        found[entry.name] = entry
    return found


def _from_file(path: Path, attribute: str) -> Problem:
    if not path.is_file():
        raise ProblemError(f"There is no file {path}. Expected path/to/file.py:name.")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"deepobs_user_{digest[:16]}"
    module = sys.modules.get(name)
    if module is None:
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise ProblemError(f"Python cannot import {path}.")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # before it runs: its dataclasses and pickles look it up
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return _attribute(module, attribute, source=digest)


def _import(module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the user's module exists but imports something that does not
        raise ProblemError(
            f"There is no module {error.name!r}. Expected package.module:name or "
            "path/to/file.py:name; is the package installed?"
        ) from None


def _source_hash(module: str) -> str:
    """Return the sha256 of the module's file, "" where it has none (a namespace, a builtin)."""
    file = _import(module).__file__
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _attribute(module: ModuleType, attribute: str, *, source: str) -> Problem:
    found = getattr(module, attribute, None)
    if isinstance(found, Problem):
        return replace(found, source=source)
    problems = [name for name, value in vars(module).items() if isinstance(value, Problem)]
    where = module.__file__ or module.__name__
    if found is None:
        raise ProblemError(
            f"{where} has no {attribute!r}. Problems there: {', '.join(problems) or 'none'}."
        )
    raise ProblemError(
        f"{attribute!r} in {where} is a {type(found).__name__}, not a deepobs_problems.Problem."
    )
