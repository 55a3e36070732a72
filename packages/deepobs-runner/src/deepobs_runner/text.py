"""Small parts of sentences."""

from __future__ import annotations

from collections.abc import Sequence


def count(number: float, noun: str) -> str:
    """Return a number with its noun.

    >>> count(1, "run"), count(2000, "run"), count(0.5, "epoch")
    ('1 run', '2,000 runs', '0.5 epochs')
    """
    shown = f"{number:,}" if isinstance(number, int) else f"{number:.4g}"
    return f"{shown} {noun}{'' if number == 1 else 's'}"


def join(words: Sequence[str]) -> str:
    """Return words as a list in a sentence.

    >>> join(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))
