"""Small parts of sentences."""

from __future__ import annotations

import hashlib
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


LONGEST_SHOWN = 200
"""Characters of a name in tables, figures and pages."""

# Control characters but tab and newline, marks of direction, and half surrogate pairs; then what
# Unicode 15 calls default ignorable, and all other characters of its category Cf; then letters and
# a symbol that are blank.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\xad\u034f\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff\u115f\u1160\u3164\uffa0\u2800]"
)
"""Characters that are not shown, or that a terminal obeys."""


def printable(text: str) -> str:
    r"""Replace characters that are not shown, or that a terminal obeys, by U+FFFD.

    A foreign result may hold them, and half a surrogate pair cannot be written at all.

    >>> printable("a\x1b[2J\nb") == "a\ufffd[2J\nb"
    True
    """
    return HIDDEN.sub("\ufffd", text)


def shown_name(name: str, longest: int = LONGEST_SHOWN) -> str:
    r"""Name, which may come from a foreign result, in one line.

    A hash replaces the end of one that is longer. What is not shown, and every blank but a space,
    becomes U+FFFD.

    >>> shown_name("mine.py:Mine"), shown_name("a\n\u3000b") == "a\ufffd\ufffdb"
    ('mine.py:Mine', True)
    """
    shown = re.sub(r"[^\S ]", "\ufffd", printable(name))
    if len(shown) <= longest:
        return shown
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{shown[: longest - 9]}…{digest}"


def bare_name(spec: str) -> str:
    """Name of `location:name` as it is shown, in quotes if it has blanks or brackets.

    So a foreign result cannot call its optimizer "Adam (official)".

    >>> bare_name("mine.py:Mine"), bare_name("x.py:Adam (official)")
    ('Mine', "'Adam (official)'")
    """
    name = shown_name(spec.rpartition(":")[2])
    return name if re.fullmatch(r"[\w.+-]+", name) else f"'{name}'"


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


def shorten_spec(spec: str) -> str:
    """Location of a problem or optimizer with a short path, see `shorten_path`.

    >>> shorten_spec("/home/user/mine.py:Mine"), shorten_spec("package.module:Mine")
    ('mine.py:Mine', 'package.module:Mine')
    """
    location, colon, attribute = spec.rpartition(":")
    return shorten_path(location) + colon + attribute if location.endswith(".py") else spec


PART = r"[^\s/\\\"'`<>|:;,()\[\]]+"
"""Part of a path that stands in a text without quotes."""

# A path of two or more parts that begins at a root: in quotes, which may hold blanks, or without.
QUOTED = re.compile(
    r"""(["'`])(?:file:)?(?:/|~\w|\\\\|[A-Za-z]:[\\/])(?:(?!\1).)*[\\/]((?:(?!\1)[^\n\\/])*)\1"""
)
BARE = re.compile(
    rf"(?:file:)?(?:(?<![\w./~])|(?<=-[A-Za-z])|(?<=file:))"
    rf"(?:(?<!:)/{{1,3}}|(?<=file:)/{{1,3}}|/(?!/)|/{{3,4}}|~|[A-Za-z]:[\\/]{{1,2}}|\\{{2,4}})"
    rf"(?:{PART}[\\/]{{1,2}})+({PART})?(?:\([^()\s]*\)[^\s\"']*)?"
)

CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
"""Of an address."""

HOMES = ("home", "Users", "users")
"""Folders of the folders of users."""


def shorten_paths(text: str) -> str:
    """Text, such as a traceback, with short paths: relative to where Python searches, or names.

    Only a name with a suffix is kept, since others may be those of users.

    >>> shorten_paths('File "/home/user/secret/mine.py", line 3; see https://a.org/b/c')
    'File ".../mine.py", line 3; see https://a.org/b/c'
    >>> shorten_paths("no space in /home/user")
    'no space in ...'
    """
    known = {entry for entry in (*sys.path, _here(), sys.base_prefix) if os.path.isabs(entry)}
    for folder in sorted(known, key=len, reverse=True):
        if len(Path(folder).parts) > 2:
            text = text.replace(folder.rstrip(os.sep) + os.sep, "")
    home = os.path.expanduser("~")
    if len(Path(home).parts) > 1:
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    text = CREDENTIALS.sub("", text)
    text = QUOTED.sub(lambda found: f"{found[1]}{_short_end(found[2], found[0])}{found[1]}", text)
    return BARE.sub(lambda found: _short_end(found[1] or "", found[0]), text)


def _short_end(name: str, path: str) -> str:
    """Name at the end of a path if it is that of a file; else nothing of it."""
    above = re.split(r"[\\/]+", path)[-2:-1]
    is_file = re.search(r"\w\.\w{1,8}$", name) and above[0] not in HOMES
    return f".../{name}" if is_file else "..."
