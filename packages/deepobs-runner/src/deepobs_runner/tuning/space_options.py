"""Search spaces as a user gives them: words of the command line, and YAML files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from deepobs_runner.errors import UsageError
from deepobs_runner.plans.strict_yaml import Item, read_yaml
from deepobs_runner.tuning.spaces import Dimension, Space, dimension_from_json, parse_dimension

SUFFIXES = (".yaml", ".yml")


def read_spaces(words: Iterable[str], optimizers: Sequence[str]) -> dict[str, Space]:
    """Return the spaces that are given, by optimizer.

    A word is `lr=log:1e-5:1`, for all optimizers; `Adam.lr=log:1e-5:1`, for one; or a YAML file
    that maps hyperparameters to ranges, for all, or optimizers to such mappings.

    Raises:
        UsageError: a word or file that cannot be read, or a hyperparameter given twice.
    """
    found: dict[str, dict[str, Dimension]] = {name: {} for name in optimizers}

    def add(chosen: Iterable[str], key: str, dimension: Dimension) -> None:
        for name in chosen:
            if key in found[name]:
                raise UsageError(f"The range of {key} of {name} is given twice.")
            found[name][key] = dimension

    for word in words:
        if word.lower().endswith(SUFFIXES):
            for chosen, key, dimension in _file(Path(word), optimizers):
                add(chosen, key, dimension)
            continue
        key, equals, text = word.partition("=")
        if not equals or not key or not text:
            raise UsageError(
                f"Cannot read the space {word!r}; write lr=log:1e-5:1, Adam.lr=log:1e-5:1 or the "
                "name of a YAML file."
            )
        owner = next((name for name in optimizers if key.startswith(f"{name}.")), None)
        chosen = optimizers if owner is None else [owner]
        key = key if owner is None else key[len(owner) + 1 :]
        add(chosen, key, parse_dimension(text))
    return {name: Space(dimensions) for name, dimensions in found.items() if dimensions}


def _file(path: Path, optimizers: Sequence[str]) -> Iterable[tuple[Sequence[str], str, Dimension]]:
    """Yield what a file says: for which optimizers, which hyperparameter, which range."""
    for name, item in read_yaml(path, "the space").mapping().items():
        if name in optimizers:
            for key, below in item.mapping().items():
                yield [name], key, _dimension(below)
        elif isinstance(item.value, dict) and "kind" not in item.value:
            raise item.fail(
                f"{name!r} is no optimizer of this study; those are {', '.join(optimizers)}."
            )
        else:
            yield optimizers, name, _dimension(item)


def _dimension(item: Item) -> Dimension:
    try:
        return dimension_from_json(item.plain())
    except UsageError as error:
        raise item.fail(f"{item.name}: {error}") from None
