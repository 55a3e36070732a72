"""Import what a user names: a file by its path, or a module by its name.

An exception that the user's own code raises passes unchanged, with its traceback.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from deepobs_problems.errors import ProblemError


def import_location(location: str) -> tuple[ModuleType, str]:
    """Import `path/to/file.py` or `package.module`; return it with the sha256 of its file.

    The hash makes an edit of the file another definition; it is "" for a module without a file.

    Raises:
        ProblemError: unknown file or module.
    """
    if location.endswith(".py"):
        return _import_file(Path(location))
    if not location or location.startswith("."):
        raise ProblemError(
            f"{location!r} is not a module. Write package.module:name or file.py:name."
        )
    module = _import_module(location)
    file = getattr(module, "__file__", None)
    return module, hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _import_file(path: Path) -> tuple[ModuleType, str]:
    if not path.is_file():
        raise ProblemError(f"Cannot find the file {path}. Expected path/to/file.py:name.")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()
    name = f"deepobs_user_{digest[:16]}_{place[:16]}"  # equal files may read what lies beside them
    if name in sys.modules:
        return sys.modules[name], digest
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ProblemError(f"Python cannot import {path}.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: its dataclasses and pickles look it up
    try:
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


def _import_module(module: str) -> ModuleType:
    try:
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
