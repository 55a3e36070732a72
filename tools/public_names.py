"""Write docs/api/names.txt: every public name with its parameters, and every option of `deepobs`.

`python tools/public_names.py`. Public is what a page of docs/api documents. The list is compared in
the tests, so that no name or parameter comes or goes unnoticed.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from deepobs_runner.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api" / "names.txt"
BLOCK = re.compile(r"\.\. public-names:: (\S+)\n\n((?:   .*\n)+)")
HEAD = "# Written by tools/public_names.py; docs/stability.md says what the list promises.\n"


def documented_names() -> Iterator[tuple[str, str]]:
    """Yield the module and name of everything that docs/api documents."""
    for page in sorted(PAGE.parent.glob("*.md")):
        for module, names in BLOCK.findall(page.read_text(encoding="utf-8")):
            yield from ((module, name) for name in names.split())


def parameters(value: Any) -> str:
    """Return the parameters of something callable, with `=` where there is a default."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    listed, star = [], False
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            listed.append("*")
            star = True
        prefix = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}
        default = "=" if parameter.default is not parameter.empty else ""
        listed.append(f"{prefix.get(parameter.kind, '')}{parameter.name}{default}")
    return f"({', '.join(name for name in listed if name not in ('self', 'cls'))})"


def lines_of(name: str, value: Any) -> Iterator[str]:
    """Yield the lines of a public name: itself and, of our classes, their public members."""
    if not callable(value):
        yield name
        return
    yield f"{name}{parameters(value)}"
    if not inspect.isclass(value):
        return
    for base in value.__mro__:
        if not base.__module__.startswith("deepobs_"):
            continue
        for member in (*vars(base), *vars(base).get("__annotations__", ())):
            if member.startswith("_"):
                continue
            found = inspect.getattr_static(value, member, None)
            routine = isinstance(found, staticmethod | classmethod) or inspect.isfunction(found)
            yield f"{name}.{member}{parameters(getattr(value, member)) if routine else ''}"


def command_lines() -> Iterator[str]:
    """Yield every command of `deepobs` with each of its options."""
    (commands,) = (
        action
        for action in build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for name in commands.choices:
        for action in build_parser(name)._actions:
            if not isinstance(action, argparse._SubParsersAction):
                continue
            for option in action.choices[name]._actions:
                words = [word for word in option.option_strings if word.startswith("--")]
                if words != ["--help"]:
                    yield f"$ deepobs {name} {words[0] if words else option.dest.upper()}"


def has(module: str, name: str) -> bool:
    """Whether a module has a name."""
    return hasattr(import_module(module), name)


def render() -> str:
    """Return the list, one name per line."""
    named = list(documented_names())
    missing = [f"{module}.{name}" for module, name in named if not has(module, name)]
    if missing:
        sys.exit(f"docs/api names what does not exist: {', '.join(missing)}.")
    lines = {
        f"{module}.{line}"
        for module, name in named
        for line in lines_of(name, getattr(import_module(module), name))
    }
    return HEAD + "".join(f"{line}\n" for line in (*sorted(lines), *sorted(set(command_lines()))))


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE}")
