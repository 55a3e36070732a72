"""Strict YAML reader that keeps line numbers for errors.

Scalars follow YAML 1.2, so `1e-3` is a number (YAML 1.1, which PyYAML speaks, reads text), and
`yes` or `on` are refused instead of becoming true.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from deepobs_problems.errors import nearest
from deepobs_runner.errors import UsageError
from deepobs_runner.results.files import read_file

INTEGER = re.compile(r"[-+]?[0-9]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
CONSTANTS: Mapping[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
    ".inf": math.inf, "+.inf": math.inf, "-.inf": -math.inf, ".nan": math.nan,
    ".Inf": math.inf, "-.Inf": -math.inf, ".NaN": math.nan,
}  # fmt: skip
MOST_BYTES = 2**20
MOST_VALUES = 20_000
"""Of a file, with what its aliases repeat: reading more takes seconds."""
MOST_LEVELS = 50
MOST_DIGITS = 18
"""Of a whole number; no seed or number of steps has more."""

AMBIGUOUS = frozenset({"yes", "no", "on", "off", "y", "n"})


class PlanError(UsageError):
    """A plan that cannot be carried out; the message begins with `file:line:`."""


@dataclass(frozen=True)
class Item:
    """A value of a YAML file and where it is.

    Attributes:
        value: a scalar, a list of items, or a mapping from text to items.
        path: path of the file.
        line: counted from 1.
        name: name of the place, such as `overrides[2].settings`.
    """

    value: Any
    path: Path
    line: int
    name: str

    def fail(self, problem: str) -> PlanError:
        """Error with the place of the fault, to be raised."""
        return PlanError(f"{self.path}:{self.line}: {problem}")

    def expect(self, kind: type | tuple[type, ...], allowed: str) -> Any:
        """Value if it is of a type.

        Args:
            kind: allowed types; a truth value is not a whole number.
            allowed: description of what is allowed, for the message.

        Raises:
            PlanError: it is not.
        """
        kinds = kind if isinstance(kind, tuple) else (kind,)
        right = isinstance(self.value, kinds)
        if not right or (isinstance(self.value, bool) and bool not in kinds):
            raise self.fail(f"{self.name} is {self.shown()}; it must be {allowed}.")
        return self.value

    def shown(self) -> str:
        """Value as a message shows it."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return "empty" if self.value is None else repr(self.value)

    def mapping(
        self,
        keys: Mapping[str, object] | None = None,
        hint_of: Callable[[str], str] = lambda _: "",
    ) -> dict[str, Item]:
        """Items of a mapping.

        Args:
            keys: those allowed; None: any.
            hint_of: what the error about an unknown key adds.

        Raises:
            PlanError: it is not a mapping, or has another key.
        """
        found: dict[str, Item] = self.expect(dict, "a mapping (key: value)")
        for key, item in found.items():
            if keys is not None and key not in keys:
                raise item.fail(
                    f"Unknown key {key!r} in {self.name}.{nearest(key, keys)} "
                    f"Allowed: {', '.join(keys)}.{hint_of(key)}"
                )
        return found

    def items(self) -> list[Item]:
        """Items of a list.

        Raises:
            PlanError: it is not a list, or is empty.
        """
        found: list[Item] = self.expect(list, "a list ([a, b], or a line `- a` for each)")
        if not found:
            raise self.fail(f"{self.name} is an empty list, so there is nothing to run.")
        return found

    def plain(self) -> Any:
        """Value without lines: scalars, lists and dicts."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


def read_yaml(path: Path, name: str) -> Item:
    """Read a YAML file of one document.

    Args:
        path: path of the file.
        name: name of the whole, for messages.

    Raises:
        PlanError: the file is not there, no UTF-8 or no YAML, a mapping has a key twice, or
            something has a tag.
    """
    try:
        text = read_file(path, MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PlanError(f"Cannot read {name} {path}: {reason}.") from None
    try:
        _check_events(text, path)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise PlanError(f"{path}:{line}: invalid YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise PlanError(f"{path}:1: invalid YAML: {error}.") from None
    if node is None:
        page = "plans" if name == "the plan" else "tuning"
        raise PlanError(
            f"{path}:1: {name.capitalize()} is empty. See docs/{page}.md for its contents."
        )
    try:
        return _to_item(node, path, name, itertools.count())
    except RecursionError:
        raise PlanError(f"{path}:1: The plan contains itself (an alias of its own).") from None


def _check_events(text: str, path: Path) -> None:
    """Refuse explicit tags such as `!!str`, and more values or levels than any plan has.

    Only events, not nodes, tell explicit tags from resolved ones, and a limit of levels must come
    before anything that recurses.

    Raises:
        PlanError: there is one, or there are more.
    """
    level = 0
    for number, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        level += isinstance(event, yaml.CollectionStartEvent)
        level -= isinstance(event, yaml.CollectionEndEvent)
        if level > MOST_LEVELS or number > MOST_VALUES:
            reason = (
                f"levels; at most {MOST_LEVELS}"
                if number <= MOST_VALUES
                else (f"values; at most {MOST_VALUES:,}")
            )
            line = event.start_mark.line + 1
            raise PlanError(f"{path}:{line}: too many {reason} are read.")
        tag = getattr(event, "tag", None)
        if tag is not None:
            shown = tag.replace("tag:yaml.org,2002:", "!!")
            raise PlanError(
                f"{path}:{event.start_mark.line + 1}: unsupported tag {shown}. Remove it; "
                "quotes turn a value into text."
            )


def _to_item(node: yaml.Node, path: Path, name: str, count: Iterator[int]) -> Item:
    """Convert a node; `count` numbers them, since aliases of aliases may stand for millions."""
    item = Item(None, path, node.start_mark.line + 1, name)
    if next(count) > MOST_VALUES:
        raise item.fail(f"aliases stand for too many values; at most {MOST_VALUES:,} are read.")
    if isinstance(node, yaml.ScalarNode):
        return Item(_scalar(node, item), path, item.line, name)
    if isinstance(node, yaml.SequenceNode):
        children = [
            _to_item(n, path, f"{name}[{i}]", count) for i, n in enumerate(node.value, start=1)
        ]
        return Item(children, path, item.line, name)
    found: dict[str, Item] = {}
    merged: list[Item] = []
    for key_node, value_node in node.value:
        line = Item(None, path, key_node.start_mark.line + 1, name)
        if not isinstance(key_node, yaml.ScalarNode):
            raise line.fail(f"A key of {name} is not a text.")
        key = key_node.value
        if key == "<<" and key_node.style is None:
            several = isinstance(value_node, yaml.SequenceNode)
            nodes = value_node.value if several else [value_node]
            merged += [_to_item(merged_node, path, name, count) for merged_node in nodes]
            continue
        if key in found:
            raise line.fail(f"The key {key!r} of {name} is given twice.")
        below = _to_item(value_node, path, key if name == "the plan" else f"{name}.{key}", count)
        # The line of the key: a value may begin on the next one, an alias anywhere.
        found[key] = Item(below.value, path, line.line, below.name)
    for mapping in merged:  # what is written here goes first, then the mappings in their order
        found = {**mapping.mapping(), **found}
    return Item(found, path, item.line, name)


def _scalar(node: yaml.ScalarNode, item: Item) -> Any:
    text: str = node.value
    if node.style is not None:  # quoted, or a block of text
        return text
    if text in CONSTANTS:
        return CONSTANTS[text]
    if INTEGER.fullmatch(text):
        if len(text) > MOST_DIGITS:
            raise item.fail(f"{item.name} has {len(text)} digits; at most {MOST_DIGITS} are read.")
        return int(text)
    if NUMBER.fullmatch(text):
        return float(text)
    if text.lower() in AMBIGUOUS:
        raise item.fail(
            f"{item.name} is {text}; write true or false, or {text!r} in quotes for the word."
        )
    return text


Check = Callable[[Item], Any]
"""Returns the checked value of an item, or raises PlanError."""


def whole_number(item: Item) -> Any:
    """Check a whole number."""
    return item.expect(int, "a whole number")


def number(item: Item) -> Any:
    """Check a number."""
    return item.expect((int, float), "a number")


def text(item: Item) -> Any:
    """Check a text."""
    return item.expect(str, "a text")
