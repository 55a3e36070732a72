"""What all figures have in common: sizes, fonts, and the colour and marker of each optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from types import MappingProxyType
from typing import Any, NamedTuple

from deepobs_runner.results.settings import Setting

COLUMN = 3.3
"""Width of a column of a two-column paper, in inches."""

PAGE = 6.9
"""Width of a page of a two-column paper, in inches."""

SMALL = 7.0
"""Points of tick labels and legends; everything else has 8."""

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so it is everywhere
        "font.size": 8.0,
        "axes.titlesize": 8.0,
        "axes.labelsize": 8.0,
        "figure.titlesize": 9.0,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "axes.linewidth": 0.6,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.6,
        "pdf.fonttype": 42,  # text that can be searched
        "svg.fonttype": "path",  # the same on a machine without the font
        "svg.hashsalt": "deepobs",
    }
)

# Okabe and Ito's palette, told apart with every kind of colour vision; black is left for text, and
# its yellow, too pale for a line on white, is replaced by Tol's wine and olive.
FIXED_COLORS: Mapping[str, str] = MappingProxyType(
    {"SGD": "#0072B2", "Momentum": "#009E73", "Adam": "#D55E00", "AdamW": "#CC79A7"}
)
FREE_COLORS = ("#E69F00", "#56B4E9", "#882255", "#999933", "#777777")
FIXED_MARKERS: Mapping[str, str] = MappingProxyType(
    {"SGD": "o", "Momentum": "s", "Adam": "^", "AdamW": "D"}
)
FREE_MARKERS = ("v", "P", "X", "<", ">", "h", "p", "*")

LineStyle = str | tuple[float, tuple[float, ...]]
LINES: tuple[LineStyle, ...] = ("-", (0, (4.0, 1.5)), (0, (1.0, 1.2)))


@contextmanager
def paper_style() -> Iterator[None]:
    """Set fonts and widths while a figure is made or saved, and leave the settings as they were."""
    from matplotlib import rc_context

    settings: Any = dict(STYLE)
    with rc_context(settings):
        yield


class Ink(NamedTuple):
    """What marks an optimizer in every figure: a colour, and a marker that reads in grey."""

    color: str
    marker: str


class Look(NamedTuple):
    """How a line is drawn.

    Attributes:
        ink: of its optimizer.
        line: tells the settings of an optimizer apart.
        pale: broad and pale: a baseline behind results of yours.
    """

    ink: Ink
    line: LineStyle
    pale: bool

    def options(self, width: float | None = None, *, pale: float = 0.35) -> dict[str, Any]:
        """Return the options of a line in matplotlib; a pale one has its own width and opacity."""
        return {
            "color": self.ink.color,
            "marker": self.ink.marker,
            "linestyle": self.line,
            "linewidth": 4.5 if self.pale else width,
            "alpha": pale if self.pale else 1.0,
        }


class Subject(NamedTuple):
    """Whose line it is, as far as its look goes."""

    optimizer: str
    baseline: bool


Palette = Mapping[str, Ink]
"""The ink of each optimizer."""


def palette_of(optimizers: Iterable[str]) -> Palette:
    """Return the ink of each optimizer; make one for all figures that are shown together.

    Those of the official runs, and AdamW, are the same everywhere. Others get what is free, in
    order of first appearance; more than there are colours share them, with another marker.

    >>> palette_of(["Mine", "SGD"])["SGD"]
    Ink(color='#0072B2', marker='o')
    """
    free = [name for name in dict.fromkeys(optimizers) if name not in FIXED_COLORS]
    inks = {
        name: Ink(FREE_COLORS[i % len(FREE_COLORS)], FREE_MARKERS[i % len(FREE_MARKERS)])
        for i, name in enumerate(free)
    }
    inks |= {name: Ink(color, FIXED_MARKERS[name]) for name, color in FIXED_COLORS.items()}
    return MappingProxyType(inks)


def line_style(number: int) -> LineStyle:
    """Return the line style of a number: solid, dashed, dotted, then a dash and ever more dots."""
    if number < len(LINES):
        return LINES[number]
    return (0, (5.0, 1.5, *(1.0, 1.5) * (number - len(LINES) + 1)))


def looks_of(subjects: Sequence[Subject], palette: Palette | None = None) -> list[Look]:
    """Return how each line of a figure is drawn; no two of yours, and no two baselines, are alike.

    The first line of an optimizer is solid, further ones keep its ink and change the line. Where
    there are results of yours, the baselines are pale. The palette is that of all figures shown
    together.
    """
    palette = palette or palette_of(subject.optimizer for subject in subjects)
    mixed = len({subject.baseline for subject in subjects}) > 1
    looks: list[Look] = []
    for subject in subjects:
        pale = subject.baseline and mixed
        candidates = (Look(palette[subject.optimizer], line_style(i), pale) for i in count())
        looks.append(next(look for look in candidates if look not in looks))
    return looks


def looks_of_settings(
    problems: Mapping[str, Sequence[Setting]], palette: Palette | None = None
) -> dict[str, Look]:
    """Return the look of each label of tuned settings, the same in all figures of a palette."""
    subjects: dict[str, Subject] = {}
    for listed in problems.values():
        for setting in listed:
            subject = Subject(setting.config.optimizer_id.name, setting.baseline)
            subjects.setdefault(setting.optimizer, subject)
    return dict(zip(subjects, looks_of(list(subjects.values()), palette), strict=True))
