"""Import what a user names: a file by its path, or a module by its name.

An exception that the user's own code raises passes unchanged, with its traceback.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from deepobs_problems.errors import ProblemError


def import_location(location: str) -> tuple[ModuleType, str]:
    """Import `path/to/file.py` or `package.module`; return it with the sha256 of its file.

    The hash makes an edit of the file another definition; it is "" for a module without a file. An
    edited file is imported again, an edited module is not, so its hash would be that of other code.

    Raises:
        ProblemError: unknown file or module, or a module that was edited after its import.
    """
    if location.endswith(".py"):
        return _import_file(Path(location))
    if not location or location.startswith("."):
        raise ProblemError(
            f"{location!r} is not a module. Write package.module:name or file.py:name."
        )
    module = _import_module(location)
    file = getattr(module, "__file__", None)
    if not file:
        return module, ""
    content = Path(file).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    imported, of_import = _IMPORTED.get(location, (None, ""))
    # A reload gives the module another specification.
    is_current = (
        digest == of_import
        if imported is not None and imported is module.__spec__
        else _is_current(module, file, content)
    )
    if not is_current:
        raise ProblemError(
            f"{file} was edited after Python had imported {location}, so the code in memory is not "
            "that of the file. Restart Python, or reload the module, to run the new code."
        )
    _IMPORTED[location] = module.__spec__, digest
    return module, digest


_IMPORTED: dict[str, tuple[ModuleSpec | None, str]] = {}
"""Specification and hash of every module when it was first asked for."""


def _is_current(module: ModuleType, file: str, content: bytes) -> bool:
    """Whether the functions of a module that anyone has imported are those of its source."""
    loader = getattr(module, "__loader__", None)
    if type(loader) is not SourceFileLoader:  # compiled, or rewritten as by pytest
        return True
    try:
        source = loader.source_to_code(content, file)
    except SyntaxError:
        return False
    known = set(_codes(source))
    names = [name for name in source.co_names if name in vars(module)]
    functions = (f for name in names for f in _functions(vars(module)[name], module.__name__))
    return all(function.__code__ in known for function in functions if _is_of(function, file))


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Code of every function within some code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _codes(constant)


def _functions(value: object, module: str) -> Iterator[FunctionType]:
    """Functions that a name of a module stands for: itself, or the methods of a class."""
    if isinstance(value, type) and value.__module__ == module:
        for member in vars(value).values():
            if not isinstance(member, type):
                yield from _functions(getattr(member, "__func__", member), module)
    elif isinstance(value, property):
        yield from _functions(value.fget, module)
    elif isinstance(value, FunctionType):
        inner = inspect.unwrap(value)
        if isinstance(inner, FunctionType):
            yield inner


def _is_of(function: FunctionType, file: str) -> bool:
    return os.path.abspath(function.__code__.co_filename) == os.path.abspath(file)


class _Source(SourceFileLoader):
    """Loader of the source that was hashed.

    Python would read the file again, or code that it kept of an earlier version of the same size
    and the same second.
    """

    def __init__(self, name: str, path: str, content: bytes) -> None:
        super().__init__(name, path)
        self._content = content

    def get_code(self, fullname: str) -> CodeType:
        """Code of the source."""
        return self.source_to_code(self._content, self.path)


def _import_file(path: Path) -> tuple[ModuleType, str]:
    if not path.is_file():
        raise ProblemError(f"Cannot find the file {path}. Expected path/to/file.py:name.")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    name = f"deepobs_user_{digest[:16]}_{place[:16]}"  # equal files may read what lies beside them
    if name in sys.modules:
        return sys.modules[name], digest
    spec = importlib.util.spec_from_loader(name, _Source(name, str(path), content))
    if spec is None or spec.loader is None:
        raise ProblemError(f"Python cannot import {path}.")
    module = importlib.util.module_from_spec(spec)
    linecache.checkcache(str(path))  # tracebacks show the lines of this version
    sys.modules[name] = module  # before it runs: its dataclasses and pickles look it up
    try:
        with _same_folder():
            spec.loader.exec_module(module)
    except SystemExit as error:
        del sys.modules[name]
        raise _ended(str(path), error) from error
    except BaseException as error:
        del sys.modules[name]
        error.add_note(f"This error comes from {path}, which DeepOBS imported.")
        raise
    return module, digest


def _ended(location: str, error: SystemExit) -> ProblemError:
    """Error about code that is a script: as an import, it would silently end the command."""
    return ProblemError(
        f"{location} ends the program when it is imported (SystemExit: {error}). Put what it does "
        'as a script under if __name__ == "__main__".'
    )


@contextmanager
def _same_folder() -> Iterator[None]:
    """Return to the current folder, which scripts often change: other relative paths need it."""
    before = os.getcwd() if os.path.isdir(os.curdir) else None  # it may be deleted
    try:
        yield
    finally:
        if before is not None:
            os.chdir(before)


def _import_module(module: str) -> ModuleType:
    try:
        with _same_folder():
            return importlib.import_module(module)
    except SystemExit as error:
        raise _ended(module, error) from error
    except ModuleNotFoundError as error:
        if error.name is None or not (module + ".").startswith(error.name + "."):
            raise  # the user's module exists but imports something that does not
        raise ProblemError(
            f"Cannot find the module {error.name!r}. Install its package or add its folder to "
            "PYTHONPATH, or write path/to/file.py:name."
        ) from None
