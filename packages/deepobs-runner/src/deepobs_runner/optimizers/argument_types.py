"""Types of hyperparameters: from the signature, else from the default.

A value has two forms: the argument that the optimizer gets, and the JSON value that results keep,
where tuples are lists, `inf` and `nan` are texts, and dtypes and enumerations are names.
"""

from __future__ import annotations

import builtins
import enum
import functools
import inspect
import math
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np
import torch

EMPTY = inspect.Parameter.empty
UNIONS = (Union, types.UnionType)
NOT_FINITE: Mapping[str, float] = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


class Mismatch(ValueError):
    """A value does not fit its argument; the text names the allowed type."""


def typed_signature(factory: Callable[..., Any]) -> inspect.Signature:
    """Signature with types as annotations; `EMPTY` where they cannot be read."""
    signature, hints = inspect.signature(factory), _type_hints(factory)
    parameters = []
    for name, parameter in signature.parameters.items():
        written = EMPTY if isinstance(parameter.annotation, str) else parameter.annotation
        parameters.append(parameter.replace(annotation=hints.get(name, written)))
    return inspect.Signature(parameters)


def to_argument(value: Any, annotation: Any = EMPTY, default: Any = EMPTY) -> Any:
    """Value, or its JSON form, in the type of its argument.

    Raises:
        Mismatch: it fits neither the annotation nor the type of the default.
    """
    value = _python(value)
    if default is not EMPTY and repr(to_json(value)) == repr(to_json(default)):
        value = default  # a default is right, whatever its annotation is
    allowed = _allowed(annotation, default)
    for kind in allowed:
        with suppress(Mismatch):
            return _convert(value, kind)
    if value is default:
        return default
    raise Mismatch(allowed_words(allowed[0] if _is_known(annotation) else allowed[-1]))


def to_json(value: Any) -> Any:
    """Argument as JSON value; what JSON cannot hold is returned as it is."""
    value = _python(value)
    if isinstance(value, enum.Enum):
        return value.value if isinstance(value, int | str | float) else value.name
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, set | frozenset):
        return sorted(map(to_json, value), key=repr)
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {_word(key): to_json(item) for key, item in value.items()}
    return value


def _python(value: Any) -> Any:
    """Scalars of numpy and torch, and arrays of numpy, as Python's own."""
    if isinstance(value, torch.Tensor) and value.ndim == 0:
        return value.item()
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else value


def _word(value: Any) -> str:
    """Value as it is written on the command line."""
    return "none" if value is None else str(value).lower() if value in (True, False) else str(value)


# Which types an argument may have.


def _allowed(annotation: Any, default: Any) -> list[Any]:
    """Types that an argument may have, the likeliest first."""
    defaults = _types_of_default(default)
    if not _is_known(annotation):
        return defaults or [Any]
    if annotation in (tuple, list):  # no information on its items
        return [*defaults, annotation]
    try:
        _convert(default, annotation)
    except Mismatch:  # the annotation is wrong
        return [annotation, *defaults[:1]]
    return [annotation]


def _types_of_default(default: Any) -> list[Any]:
    """Types that a default stands for; empty if it does not restrict other values.

    A default of 0 may stand for 0.0, and one of (1, 2) for (1.0, 2.0).
    """
    default = _python(default)
    if isinstance(default, list | tuple):
        make = list if isinstance(default, list) else tuple
        return [_sequence_of(make, items) for items in _types_of_items(default)] or [make]
    if type(default) is int:
        return [int, float]
    return [type(default)] if default is not None and _is_known(type(default)) else []


def _types_of_items(items: Sequence[Any]) -> list[Any]:
    each = [_types_of_default(item) or [type(item)] for item in items]
    if not each:
        return []
    narrow = {kinds[0] for kinds in each}
    if float in narrow:
        narrow.discard(int)
    wide = {kinds[-1] for kinds in each}
    return [Union[tuple(kinds)] for kinds in ([narrow] if narrow == wide else [narrow, wide])]  # noqa: UP007


def _sequence_of(make: type, item: Any) -> Any:
    return list[item] if make is list else tuple[item, ...]


def _is_known(kind: Any) -> bool:
    """Whether values can be converted to a type, or to one of a union."""
    if get_origin(kind) in UNIONS:
        return any(_is_known(arm) for arm in get_args(kind) if arm is not type(None))
    return _converter(kind) is not None


def allowed_words(kind: Any) -> str:
    """Description of the values that a type allows, for messages."""
    if get_origin(kind) in UNIONS:
        known = [arm for arm in get_args(kind) if _converter(arm) is not None]
        return " or ".join(dict.fromkeys(map(allowed_words, known)))
    if get_origin(kind) is Literal:
        return " or ".join(map(repr, get_args(kind)))
    origin = get_origin(kind) or kind
    if origin in NAMES:
        return NAMES[origin]
    if _is_enum(origin):
        return " or ".join(origin.__members__)
    if _is_mapping(origin):
        return "a mapping"
    kinds = [arg for arg in get_args(kind) if arg is not ...]
    items = " or ".join(dict.fromkeys(map(_describe_items, kinds))) or "values"
    return f"a list of {len(kinds)} {items}" if _has_length(kind) else f"a list of {items}"


def _describe_items(kind: Any) -> str:
    arms = get_args(kind) if get_origin(kind) in UNIONS else [kind]
    return " or ".join(PLURALS[arm] for arm in arms if arm in PLURALS) or "values"


# The conversion of a value to a type.


def _convert(value: Any, kind: Any) -> Any:
    """Value as one of a type.

    Raises:
        Mismatch: it cannot be one.
    """
    if kind is EMPTY or kind is Any:
        return _untyped(value)
    if get_origin(kind) in UNIONS:
        return _one_of(value, get_args(kind))
    converter = _converter(kind)
    if converter is None:
        raise Mismatch
    return converter(value, kind)


def _converter(kind: Any) -> Callable[[Any, Any], Any] | None:
    """Function that converts to a type, None without one (for example a Tensor or a function)."""
    origin = get_origin(kind) or kind
    if origin is Literal:
        return _literal
    if origin in SIMPLE:
        return lambda value, _: SIMPLE[origin](value)
    if _is_enum(origin):
        return _member
    if _is_mapping(origin):
        return _mapping
    if origin in SEQUENCES or (isinstance(origin, type) and issubclass(origin, tuple | list)):
        return _sequence
    return None


def _one_of(value: Any, kinds: Sequence[Any]) -> Any:
    """Convert to the type that leaves a value as it is, else to the first that takes it."""
    found = []
    for kind in kinds:
        with suppress(Mismatch):
            found.append(_convert(value, kind))
    if not found:
        raise Mismatch
    same = [f for f in found if repr(to_json(f)) == repr(to_json(value))]
    return [*same, *found][0]


def _untyped(value: Any) -> Any:
    """Lists as tuples and `inf` as a number."""
    if isinstance(value, list | tuple):
        return tuple(map(_untyped, value))
    return NOT_FINITE.get(value, value) if isinstance(value, str) else value


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise Mismatch


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value % 1 != 0:
        raise Mismatch
    return int(value)


def _number(value: Any) -> float:
    value = NOT_FINITE.get(value, value) if isinstance(value, str) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch
    return float(value)


def _text(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):  # `norm=inf` was read as a number
        return str(value)
    if isinstance(value, str):
        return value
    raise Mismatch


def _none(value: Any) -> None:
    if value is not None:
        raise Mismatch


def _dtype(value: Any) -> torch.dtype:
    found = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if not isinstance(found, torch.dtype):
        raise Mismatch
    return found


def _literal(value: Any, kind: Any) -> Any:
    words = get_args(kind)
    exact = [word for word in words if type(word) is type(value) and word == value]
    spelled = [word for word in words if _word(word) == _word(value)]
    for word in [*exact, *spelled]:
        return word
    raise Mismatch


def _member(value: Any, kind: Any) -> Any:
    for member in kind:
        if value is member or to_json(member) == value or member.name == value:
            return member
    raise Mismatch


def _sequence(value: Any, kind: Any) -> Any:
    if not isinstance(value, list | tuple | set | frozenset):
        raise Mismatch
    args = get_args(kind)
    if not args:
        items = [_untyped(item) for item in value]
    elif _has_length(kind):
        if len(args) != len(value):
            raise Mismatch
        items = [_convert(item, arg) for item, arg in zip(value, args, strict=True)]
    else:
        items = [_convert(item, args[0]) for item in value]
    made = SEQUENCES.get(get_origin(kind) or kind, tuple)
    return made(items)


def _has_length(kind: Any) -> bool:
    """Whether a type is a tuple of this number of values."""
    args = get_args(kind)
    return get_origin(kind) is tuple and bool(args) and args[-1] is not ...


def _mapping(value: Any, kind: Any) -> Any:
    if not isinstance(value, Mapping):
        raise Mismatch
    _, of_values = get_args(kind) or (Any, Any)
    return {_word(key): _convert(item, of_values) for key, item in value.items()}


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, enum.Enum)


def _is_mapping(kind: Any) -> bool:
    return kind in (dict, abc.Mapping, abc.MutableMapping)


SIMPLE: Mapping[Any, Callable[[Any], Any]] = {
    bool: _flag, int: _whole, float: _number, str: _text, type(None): _none, None: _none,
    torch.dtype: _dtype,
}  # fmt: skip
NAMES: Mapping[Any, str] = {
    bool: "true or false", int: "a whole number", float: "a number", str: "a text",
    type(None): "none", None: "none", torch.dtype: "a dtype such as float32",
}  # fmt: skip
PLURALS: Mapping[Any, str] = {
    int: "whole numbers", float: "numbers", bool: "true or false", str: "texts",
}  # fmt: skip
SEQUENCES: Mapping[Any, Callable[[list[Any]], Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, abc.Sequence: tuple,
    abc.Iterable: tuple, abc.Collection: tuple, abc.MutableSequence: list, abc.Set: set,
}  # fmt: skip


# Annotations as types.


class _UnknownMeta(type):
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __getitem__(cls, item: Any) -> Any:
        return cls


class _Unknown(metaclass=_UnknownMeta):
    """Stands for a name that is imported for type checkers only."""


class _Names(dict[str, Any]):
    """The names of a module; any other is unknown instead of an error."""

    def __missing__(self, name: str) -> Any:
        return getattr(builtins, name, _Unknown)


def _type_hints(factory: Any) -> dict[str, Any]:
    """Annotations of the function behind a factory; none that cannot be read."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if isinstance(factory, type):
        factory = inspect.getattr_static(factory, "__init__")
    elif not inspect.isroutine(factory):
        factory = type(factory).__call__
    factory = inspect.unwrap(factory)
    try:
        return typing.get_type_hints(factory, localns=_Names(getattr(factory, "__globals__", {})))
    except Exception:  # annotations need not be types
        return {}
