"""The works a methods paragraph cites, from `references.bib`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files


@cache
def entries() -> Mapping[str, str]:
    """BibTeX entries by key."""
    text = (files("deepobs_runner.report") / "references.bib").read_text("utf-8")
    found = [entry.strip() for entry in text.split("\n\n")]
    return {entry[entry.index("{") + 1 : entry.index(",")]: entry for entry in found}


def bibtex(keys: Iterable[str]) -> str:
    """Entries of some works.

    >>> bibtex(["holm1979"]).splitlines()[:2]
    ['@article{holm1979,', '  author = {Holm, Sture},']
    """
    return "\n\n".join(entries()[key] for key in keys) + "\n"


def short_citation(key: str) -> str:
    """Citation of a work in plain text.

    >>> short_citation("dolan2002"), short_citation("tang2020")
    ('Dolan and Moré, 2002', 'Tang et al., 2020')
    """
    fields = dict(re.findall(r"^  (\w+) = \{(.*)\},$", entries()[key], re.MULTILINE))
    authors = [name.partition(",")[0] for name in fields["author"].split(" and ")]
    names = f"{authors[0]} et al." if len(authors) > 2 else " and ".join(authors)
    accented = re.sub(r"\{\\'(\w)\}", lambda m: f"{m[1]}\N{COMBINING ACUTE ACCENT}", names)
    return f"{unicodedata.normalize('NFC', accented)}, {fields['year']}"
