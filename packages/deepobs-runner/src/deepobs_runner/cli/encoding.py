"""Substitutes for characters that an output's encoding lacks, such as ASCII or Windows-1252."""

from __future__ import annotations

import codecs
import sys
import unicodedata
from types import MappingProxyType

NAME = "deepobs.substitute"

SUBSTITUTES = MappingProxyType(
    {
        **dict.fromkeys("│┃║╎┆", "|"),
        **dict.fromkeys("─━═╌┄╶╴–—−", "-"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┡┩╇╞╪╡", "+"),
        **dict.fromkeys("█▇▆▅▄▃▂▁▌▐░▒▓", "#"),
        "±": "+/-",
        **dict.fromkeys("×✕", "x"),
        "÷": "/",
        "∝": "~",
        "✓": "+",
        "≥": ">=",
        "≤": "<=",
        "≈": "~",
        "…": "...",
        "→": "->",
        "←": "<-",
        "↓": "v",
        "●": "o",
        "½": "1/2",
        "¼": "1/4",
        "⅛": "1/8",
        **dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True)),
        "∞": "inf",
        "·": ".",
        "•": "*",
    }
)
"""Substitute for each character of tables, figures and messages."""


def substitute(error: UnicodeError) -> tuple[str, int]:
    """Substitute for the characters that an encoding lacks, and the position behind them.

    Braille dots (figures in the terminal) become dots, and letters lose their accents. Any other
    character becomes a question mark.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(map(_substitute_of, lacking)), error.end


def _substitute_of(character: str) -> str:
    if "\u2800" <= character <= "\u28ff":
        return " " if character == "\u2800" else "."
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return SUBSTITUTES.get(character) or base or "?"


codecs.register_error(NAME, substitute)


def encodable(text: str, encoding: str) -> str:
    """Text with substitutes for what an encoding lacks, so that its width is known.

    >>> encodable("0.5 ± 0.1", "ascii")
    '0.5 +/- 0.1'
    """
    return text if encoding.startswith("utf") else text.encode(encoding, NAME).decode(encoding)


def let_streams_substitute() -> None:
    """Let standard output and error write substitutes where their encoding lacks a character."""
    for stream in (sys.stdout, sys.stderr):
        encoding = getattr(stream, "encoding", None) or "utf-8"
        if hasattr(stream, "reconfigure") and not encoding.lower().startswith("utf"):
            stream.reconfigure(errors=NAME)
