"""Extension points: trackers, executors, tables, …; see docs/howto/extend.md.

Each kind has its own package, in which every module is one of them. Others come from the entry
points of installed packages, or are named with their module or file. Names are known without an
import, so that the command line stays light.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from deepobs_runner.errors import UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

T = TypeVar("T")


class Requirement(NamedTuple):
    """A package that an extension needs.

    Attributes:
        package: its name on PyPI.
        extra: extra of deepobs-runner that installs it.
    """

    package: str
    extra: str


class ExtensionWarning(UserWarning):
    """An extension of an installed package is skipped."""


class Extensions(Generic[T]):
    """The extensions of one kind, by name.

    Args:
        noun: what one is called. Modules define it under this name in capitals, and entry points
            are in the group `deepobs.<noun>s`.
        package: `best_of_k.py` in it is called `best-of-k`.
        is_valid: whether an object is one.
        besides: other modules of the package.
        first: names in the order in which they are listed, before all others.
        shared: module of each name that shares it with others; it defines `<name>_<noun>`.
    """

    def __init__(
        self,
        noun: str,
        package: str,
        is_valid: Callable[[Any], bool],
        besides: Collection[str] = (),
        *,
        first: Sequence[str] = (),
        shared: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.noun, self.group = noun, f"deepobs.{noun}s"
        self._package, self._is_valid = package, is_valid
        self._besides = {*besides, *shared.values()}
        self._first, self._shared = first, shared

    def built_in(self) -> list[str]:
        """Names of those that come with deepobs; nothing is imported."""
        # Without pkgutil and importlib.util, which take longer to import than all else here.
        folder = os.path.join(os.path.dirname(__file__), *self._package.split(".")[1:])
        files = sorted(file[:-3] for file in os.listdir(folder) if file.endswith(".py"))
        others = {"__init__", *self._besides}
        modules = [name.replace("_", "-") for name in files if name not in others]
        return list(dict.fromkeys([*self._first, *self._shared, *modules]))

    def installed(self) -> dict[str, Any]:
        """Entry points of other packages, by name; one of a built-in name is ignored."""
        from importlib.metadata import entry_points  # 20 ms, which --help need not wait for

        known = self.built_in()
        found = {point.name: point for point in entry_points(group=self.group)}
        return {name: found[name] for name in sorted(found) if name not in known}

    def names(self) -> list[str]:
        """All names, built-in ones first."""
        return [*self.built_in(), *self.installed()]

    def load(self, name: str) -> T:
        """Extension of a name, `package.module:name` or `path/to/file.py:name`.

        Raises:
            UsageError: unknown name.
            ProblemError: unknown module or file.
        """
        found: Any
        if ":" in name:
            found = import_named(name)
        elif name in self.built_in():
            home = self._shared.get(name, name.replace("-", "_"))
            module = import_module(f"{self._package}.{home}")
            attribute = f"{name}_{self.noun}" if name in self._shared else self.noun.upper()
            found = getattr(module, attribute)
        elif name in (points := self.installed()):
            found = load_point(points[name])
        else:
            from deepobs_problems.errors import nearest

            raise UsageError(
                f"Unknown {self.noun} {name!r}.{nearest(name, self.names())} Use "
                f"{', '.join(self.names())}, package.module:name or path/to/file.py:name."
            )
        if not self._is_valid(found):
            raise UsageError(
                f"{name} is not a valid {self.noun}: it is of type {type(found).__name__}."
            )
        checked: T = found
        return checked

    def all(self) -> dict[str, T]:
        """Return every extension by name, without installed ones that cannot be imported.

        A warning names each of these: a broken package costs its own entry.
        """
        found = {}
        for name in self.names():
            try:
                found[name] = self.load(name)
            except UsageError as error:
                warnings.warn(f"{error} It is skipped.", ExtensionWarning, stacklevel=2)
        return found

    def find(self, name: str) -> T:
        """Extension of a name, see `load`, if what it needs is installed.

        Raises:
            UsageError: unknown name, or its package is missing.
        """
        found = self.load(name)
        needed: Requirement | None = getattr(found, "requires", None)
        if needed is not None and not is_installed(needed.package):
            raise UsageError(
                f"The {self.noun} {name} needs the package {needed.package}, which is not "
                f'installed. Install it with: pip install "deepobs-runner[{needed.extra}]"'
            )
        return found


def installed_extensions() -> dict[str, dict[str, str]]:
    """Origins of the extensions of other packages: by kind, by name."""
    from importlib.metadata import distributions

    found: dict[str, dict[str, str]] = {}
    for point in (point for package in distributions() for point in package.entry_points):
        if point.group.startswith("deepobs."):
            found.setdefault(point.group.removeprefix("deepobs."), {})[point.name] = point.value
    return found


def load_point(point: EntryPoint) -> Any:
    """Return what an entry point of an installed package names.

    Raises:
        UsageError: importing it raises anything, or ends the program.
    """
    try:
        return point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        lines = str(error).strip().splitlines() or [""]
        raise UsageError(
            f"The installed package that offers {point.name!r} ({point.value}) cannot be imported: "
            f"{type(error).__name__}: {lines[0]}. Repair or uninstall it."
        ) from error


def import_named(name: str) -> Any:
    """Import an object by `package.module:name` or `path/to/file.py:name`.

    Raises:
        UsageError: the module has no such name.
        ProblemError: unknown module or file.
    """
    from deepobs_problems.errors import nearest
    from deepobs_problems.user_code import import_location

    location, _, attribute = name.rpartition(":")
    module, _ = import_location(location)
    if not hasattr(module, attribute):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise UsageError(f"{location} has no {attribute!r}.{nearest(attribute, public)}")
    return getattr(module, attribute)


def is_installed(package: str) -> bool:
    """Whether a distribution is installed.

    Its module is not looked for: W&B makes folders `wandb`, which Python would import.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def short_name(name: str) -> str:
    """Name without its module or file, for folders and labels.

    >>> short_name("path/to/mine.py:Notes")
    'Notes'
    """
    return name.rpartition(":")[2]
