"""Texts and tables of LaTeX, with the rules of the package booktabs."""

from __future__ import annotations

import re
from collections.abc import Iterable

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "\u00b1": r"$\pm$", "∞": r"$\infty$", "≥": r"$\geq$", "≤": r"$\leq$", "×": r"$\times$",
    "≈": r"$\approx$", "\N{MINUS SIGN}": "$-$", "\N{EN DASH}": "--",
    "…": r"\dots{}", "✓": r"$\checkmark$", "\N{NO-BREAK SPACE}": "~", "½": r"$\frac12$",
    "\n": " ", "\t": " ", "\r": " ",
}  # fmt: skip

POWER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)e([+-]?)0*(\d+)(?!\w)")


def escape(text: str) -> str:
    r"""Text with everything escaped that means something to LaTeX.

    Characters that pdfLaTeX does not know are replaced by a question mark. A number in e-notation
    becomes a power of ten.

    >>> escape("a_b & 5 % of {x}")
    'a\\_b \\& 5 \\% of \\{x\\}'
    >>> escape("8.1e-07")
    '$8.1 \\times 10^{-7}$'
    """
    parts = POWER.split(text)  # text, mantissa, sign, digits, text, …
    written = [_plain(parts[0])]
    for i in range(1, len(parts), 4):
        mantissa, sign, digits, after = parts[i : i + 4]
        power = f"{'-' if sign == '-' else ''}{digits}"
        written += [rf"${mantissa} \times 10^{{{power}}}$", _plain(after)]
    return "".join(written)


def _plain(text: str) -> str:
    return "".join(
        SPECIAL.get(c, c if c.isprintable() and (c.isascii() or c in _LATIN) else "?") for c in text
    )


_LATIN = frozenset(map(chr, range(0xC0, 0x180))) - {"×", "÷"}
"""Letters that pdfLaTeX knows in UTF-8."""


def booktabs(
    columns: str,
    head: Iterable[str],
    rows: Iterable[str],
    caption: str,
    label: str,
    *,
    narrow: bool = False,
) -> str:
    """`table` environment.

    Args:
        columns: their alignment, such as `lrr`.
        head: lines of the head, already LaTeX, as are the rows.
        rows: with cells divided by `&`.
        caption: caption in plain text.
        label: label of the table.
        narrow: whether it is set small, to fit a column of a paper.
    """
    lines = [
        r"% needs \usepackage{booktabs}, \usepackage{textcomp}",
        r"\begin{table}",
        r"  \centering",
        *([r"  \scriptsize", r"  \setlength{\tabcolsep}{2pt}"] if narrow else []),
        rf"  \caption{{{escape(caption)}}}",
        rf"  \label{{{label}}}",
        rf"  \begin{{tabular}}{{@{{}}{columns}@{{}}}}" if narrow
        else rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        *(rf"    {line} \\" for line in head),
        r"    \midrule",
        # Behind a rule or another row, a bracket or star would be its argument.
        *(rf"    {'{}' if line.startswith(('[', '*')) else ''}{line} \\" for line in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
