"""Small parts of sentences."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

LONGEST_NAME = 100
"""Letters of a problem in the name of a file; file systems allow 255 for all of it."""


def count(number: float | str, noun: str) -> str:
    """Number, or words for one, with its noun.

    >>> count(1, "run"), count(2000, "run"), count(0.5, "epoch"), count("1 to 2", "epoch")
    ('1 run', '2,000 runs', '0.5 epochs', '1 to 2 epochs')
    """
    if isinstance(number, float):
        number = f"{number:.4g}"
    shown = f"{number:,}" if isinstance(number, int) else number
    return f"{shown} {noun}{'' if shown == '1' else 's'}"


# A path of two or more parts that begins at the root, but for what begins an address (`//`).
ABSOLUTE = re.compile(r"(?<![\w./~-])/(?:[^\s/\"'<>|:;,()\[\]]+/)+([^\s/\"'<>|:;,()\[\]]*)")

HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
"""Control characters but tab and newline, marks of direction, half surrogate pairs."""


def printable(text: str) -> str:
    r"""Replace characters that are not shown, or that a terminal obeys, by U+FFFD.

    A foreign result may hold them, and half a surrogate pair cannot be written at all.

    >>> printable("a\x1b[2J\nb") == "a\ufffd[2J\nb"
    True
    """
    return HIDDEN.sub("\ufffd", text)


def last_line(text: str | None) -> str:
    r"""Last line that is not blank: of a traceback, what went wrong.

    >>> last_line("Traceback ...\n  File ...\nValueError: no\n\n")
    'ValueError: no'
    """
    lines = (text or "").strip().splitlines()
    return lines[-1].strip() if lines else ""


def first_line(error: BaseException) -> str:
    """First line of the message of an error, its class if it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def duration(seconds: float) -> str:
    """Duration to two digits, as precise as an estimate deserves.

    >>> duration(0.3), duration(75), duration(20_000)
    ('1 s', '80 s', '5.6 h')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    if seconds < 120:
        return f"{round(seconds, -1):.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def join(words: Sequence[str], last: str = "and") -> str:
    """Words as a list in a sentence.

    >>> join(["a", "b", "c"]), join(["a", "b"], "or")
    ('a, b and c', 'a or b')
    """
    return f" {last} ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def file_names(problems: Iterable[str]) -> dict[str, str]:
    """Name for the files of each problem: of `path/to/file.py:name` the name.

    >>> file_names(["quadratic_deep", "a/mine.py:p", "b/mine.py:p"])
    {'quadratic_deep': 'quadratic_deep', 'a/mine.py:p': 'p', 'b/mine.py:p': 'p-2'}
    """
    names: dict[str, str] = {}
    for problem in problems:
        short = re.sub(r"[^A-Za-z0-9_.]+", "_", problem.rpartition(":")[2])[:LONGEST_NAME]
        number = 1
        while (name := short if number == 1 else f"{short}-{number}") in names.values():
            number += 1
        names[problem] = name
    return names


def _here() -> str:
    """Current folder; empty where it was removed."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def shorten_path(path: str) -> str:
    """Path relative to the current folder if it is below it, else the name of the file.

    >>> shorten_path("mine/optimizer.py"), shorten_path("/home/user/optimizer.py")
    ('mine/optimizer.py', 'optimizer.py')
    """
    if not os.path.isabs(path):
        return path
    here = Path(_here())
    # Relative to a folder such as / or /home, a path would still name the user.
    if len(here.parts) > 2 and Path(path).is_relative_to(here):
        return Path(path).relative_to(here).as_posix()
    return Path(path).name


def shorten_paths(text: str) -> str:
    """Text, such as a traceback, with short paths: relative to where Python searches, or names.

    >>> shorten_paths('File "/home/user/secret/mine.py", line 3; see https://a.org/b/c')
    'File ".../mine.py", line 3; see https://a.org/b/c'
    """
    known = {entry for entry in (*sys.path, _here(), sys.base_prefix) if os.path.isabs(entry)}
    for folder in sorted(known, key=len, reverse=True):
        if len(Path(folder).parts) > 2:
            text = text.replace(folder.rstrip(os.sep) + os.sep, "")
    text = text.replace(os.path.expanduser("~") + os.sep, "~/")
    return ABSOLUTE.sub(r".../\1", text)
