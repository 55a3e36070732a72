"""LaTeX: booktabs tables, the methods paragraph, and PGFPlots curves with their data."""

from __future__ import annotations

import math
from collections.abc import Sequence

from deepobs_runner.analysis import Metric, curve_band, metric_of
from deepobs_runner.report.methods import Methods, cite
from deepobs_runner.report.table import Table
from deepobs_runner.results.settings import Setting

SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "\u00b1": r"$\pm$", "∞": r"$\infty$",
    "\N{EN DASH}": "--", "\n": " ",
}  # fmt: skip

COLORS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9", "882255", "999933")
"""Told apart with every kind of colour vision (Okabe and Ito; Tol)."""

DASHES = ("solid", "dashed", "dotted", "dashdotted")


def escape(text: str) -> str:
    r"""Return a text with everything escaped that means something to LaTeX.

    >>> escape("a_b & 5 % of {x}")
    'a\\_b \\& 5 \\% of \\{x\\}'
    """
    return "".join(SPECIAL.get(character, character) for character in text)


def latex_table(table: Table) -> str:
    """Return a table as a `table` environment with the rules of the package booktabs."""
    columns = "".join("r" if column.numeric else "l" for column in table.columns)
    head = " & ".join(escape(column.title) for column in table.columns)
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(table.title)}. {escape(table.caption)}}}",
        rf"  \label{{tab:{table.kind}}}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        rf"    {head} \\",
        r"    \midrule",
        *(rf"    {' & '.join(map(escape, cells))} \\" for cells in table.cells()),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_methods(methods: Methods) -> str:
    r"""Return the methods paragraphs with `\cite` commands."""
    paragraphs = (cite(text, lambda key: rf"\cite{{{key}}}", escape) for text in methods.paragraphs)
    return "\n\n".join(paragraphs) + "\n"


def latex_curves(problem: str, settings: Sequence[Setting], *, level: float = 0.95) -> str:
    """Return a PGFPlots picture of the curves of a problem, with the numbers in it.

    Drawn is the median over seeds of the metric the problem is judged by, with a bootstrap band
    where there are at least five; nothing if no setting has a finite value.
    """
    metric = metric_of([run for setting in settings for run in setting.runs])
    plots = [] if metric is None else _plots(settings, metric, level)
    if metric is None or not plots:
        return ""
    colors = [rf"\definecolor{{deepobs{i}}}{{HTML}}{{{c}}}" for i, c in enumerate(COLORS)]
    lines = [
        r"% needs \usepackage{pgfplots} \usepgfplotslibrary{fillbetween}",
        *colors,
        r"\begin{tikzpicture}",
        r"  \begin{axis}[",
        rf"    title={{{escape(problem)}}}, xlabel={{Epoch}}, ylabel={{{escape(str(metric))}}},",
        r"    legend pos=outer north east, legend cell align=left, grid=major]",
        *plots,
        r"  \end{axis}",
        r"\end{tikzpicture}",
    ]
    return "\n".join(lines) + "\n"


def _plots(settings: Sequence[Setting], metric: Metric, level: float) -> list[str]:
    lines = []
    for index, setting in enumerate(settings):
        band = curve_band(setting.runs, metric, center="median", level=level)
        if band is None:
            continue
        color = f"deepobs{index % len(COLORS)}"
        dash = DASHES[index // len(COLORS) % len(DASHES)]
        epochs = band.epochs.tolist()
        if any(map(math.isfinite, band.low.tolist())):
            for name, values in (("low", band.low), ("high", band.high)):
                path = f"draw=none, forget plot, name path={name}{index}"
                lines.append(_plot(path, epochs, values.tolist()))
            lines.append(
                rf"    \addplot[{color}, opacity=0.2, forget plot] fill between"
                rf"[of=low{index} and high{index}];"
            )
        lines.append(_plot(f"{color}, thick, {dash}", epochs, band.median.tolist()))
        lines.append(rf"    \addlegendentry{{{escape(f'{setting.label}, {setting.source}')}}}")
    return lines


def _plot(options: str, epochs: Sequence[float], values: Sequence[float]) -> str:
    points = " ".join(
        f"({epoch:g},{value:.6g})"
        for epoch, value in zip(epochs, values, strict=True)
        if math.isfinite(value)
    )
    return rf"    \addplot[{options}] coordinates {{{points}}};"
