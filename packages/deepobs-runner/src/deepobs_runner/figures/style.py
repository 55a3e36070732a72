"""What all figures have in common: sizes, fonts, and colour, marker and line of each optimizer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

if TYPE_CHECKING:
    from deepobs_runner.results.settings import Setting


COLUMN = 3.3
"""Width of a column of a two-column paper, in inches."""

PAGE = 6.9
"""Width of a page of a two-column paper, in inches."""

WIDTHS: Mapping[str, float] = MappingProxyType({"column": COLUMN, "page": PAGE})
"""Widths by name, in inches."""

Scale = Literal["gap", "log", "linear"]
"""Vertical axis of curves: distance to the best value on a logarithmic axis, or values."""

SCALES: tuple[Scale, ...] = get_args(Scale)

SMALL = 7.0
"""Points of tick labels, direct labels and legends; everything else has 8."""

SANS = ("DejaVu Sans",)
SERIF = ("STIXGeneral", "DejaVu Serif")
"""Fonts that come with matplotlib, so they are everywhere; the second has what the first lacks."""

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "font.size": 8.0,
        "axes.titlesize": 8.0,
        "axes.labelsize": 8.0,
        "figure.titlesize": 8.0,
        "legend.fontsize": SMALL,
        "legend.title_fontsize": SMALL,
        "axes.linewidth": 0.6,
        "hatch.linewidth": 0.5,
        "lines.linewidth": 1.3,
        "lines.markersize": 3.6,
        "text.parse_math": False,  # a "$" in a label is a dollar
        "text.usetex": False,
        "pdf.fonttype": 42,  # text that can be searched
        "svg.fonttype": "path",  # the same on a machine without the font
        "svg.hashsalt": "deepobs",
    }
)

# Blue, green and vermilion of Okabe and Ito's palette and Tol's wine. Their lightness differs where
# a colour-blind reader sees no hue; black is left for text and for what belongs to no optimizer.
FIXED_COLORS: Mapping[str, str] = MappingProxyType(
    {"SGD": "#0072B2", "Momentum": "#009E73", "Adam": "#D55E00", "AdamW": "#882255"}
)
FREE_COLORS = ("#E69F00", "#332288", "#56B4E9", "#5C3A00")
FIXED_MARKERS: Mapping[str, str] = MappingProxyType(
    {"SGD": "o", "Momentum": "s", "Adam": "^", "AdamW": "D"}
)
FREE_MARKERS = ("v", "P", "X", "<", ">", "h", "p", "*")

BETTER, WORSE, UNDECIDED = "#0072B2", "#B84700", "#6B6B6B"
"""Colours of a difference that is decided in favour or against, and of one that is not."""

LineStyle = str | tuple[float, tuple[float, ...]]
LINES: tuple[LineStyle, ...] = ("-", (0, (4.0, 1.5)), (0, (1.0, 1.2)))
BASELINE_LINES: tuple[LineStyle, ...] = (
    (0, (4.0, 1.6)),
    (0, (1.2, 1.2)),
    (0, (6.0, 1.4, 1.2, 1.4)),
    (0, (6.0, 1.4, 1.2, 1.4, 1.2, 1.4)),
)
"""Of baselines behind results of yours, one after another."""


@dataclass(frozen=True)
class Paper:
    """What a figure is made for.

    Attributes:
        width: width of a `column` or a `page` of a two-column paper, 3.3 and 6.9 inches; None: what
            suits the figure.
        serif: letters as in Times instead of a sans-serif.
    """

    width: Literal["column", "page"] | None = None
    serif: bool = False

    def inches(self, usual: float) -> float:
        """Width of a figure with this usual width in inches."""
        return usual if self.width is None else WIDTHS[self.width]

    @property
    def fonts(self) -> list[str]:
        """Names of the font and of what stands in for its missing letters."""
        return list(SERIF if self.serif else SANS)


PLAIN = Paper()


@contextmanager
def paper_style(paper: Paper = PLAIN) -> Iterator[None]:
    """Set fonts and widths while a figure is made or saved, and leave the settings as they were."""
    from deepobs_runner.figures.defaults import rc_context, rcdefaults, rcParams

    settings: Any = {**STYLE, "font.family": paper.fonts}
    with rc_context():
        rcdefaults()
        rcParams.update(settings)
        yield


class Ink(NamedTuple):
    """What marks an optimizer in every figure: a colour, and a marker that reads in grey."""

    color: str
    marker: str


class Look(NamedTuple):
    """How a line is drawn.

    Attributes:
        ink: ink of its optimizer.
        line: tells the settings of an optimizer apart.
        thin: thin and dashed: a baseline behind results of yours.
    """

    ink: Ink
    line: LineStyle
    thin: bool

    @property
    def color(self) -> str:
        """Colour of the line, that of the ink, darker for a thin one, which would look pale."""
        return darker(self.ink.color, 0.8) if self.thin else self.ink.color

    @property
    def hollow(self) -> bool:
        """Whether markers are hollow, of a baseline, or of a further setting of an optimizer."""
        return self.thin or self.line != "-"

    def options(self) -> dict[str, Any]:
        """Options of a line in matplotlib."""
        return {
            "color": self.color,
            "marker": self.ink.marker,
            "markerfacecolor": "white" if self.hollow else self.color,
            "markeredgewidth": 0.8,
            "linestyle": self.line,
            "linewidth": 0.9 if self.thin else 1.4,
        }


def darker(color: str, share: float) -> str:
    """Colour with this share of its red, green and blue.

    >>> darker("#80FF00", 0.5)
    '#408000'
    """
    return "#" + "".join(f"{round(int(color[i : i + 2], 16) * share):02x}" for i in (1, 3, 5))


def text_color(color: str) -> str:
    """Colour in which text reads on white: as dark as WCAG's contrast of 4.5 takes.

    >>> text_color("#0072B2"), text_color("#56B4E9")
    ('#0072B2', '#3a7a9e')
    """
    share = 1.0
    while contrast(darker(color, share)) < 4.5:
        share -= 0.02
    return color if share == 1.0 else darker(color, share)


def contrast(color: str) -> float:
    """Contrast of a colour with white, 1 to 21: WCAG 2.2, "relative luminance"."""
    parts = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


class Subject(NamedTuple):
    """Owner of a line, which sets its style."""

    optimizer: str
    baseline: bool


Palette = Mapping[str, Ink]
"""The ink of each optimizer."""


def palette_of(optimizers: Iterable[str]) -> Palette:
    """Ink of each optimizer; make one for all figures that are shown together.

    Those of the official runs, and AdamW, are the same everywhere. Others get what is free, in
    order of first appearance; more than there are colours share them, with another marker.

    >>> palette_of(["Mine", "SGD"])["SGD"]
    Ink(color='#0072B2', marker='o')
    """
    free = [name for name in dict.fromkeys(optimizers) if name not in FIXED_COLORS]
    inks = {
        name: Ink(
            FREE_COLORS[i % len(FREE_COLORS)],
            FREE_MARKERS[(i + i // len(FREE_MARKERS)) % len(FREE_MARKERS)],
        )
        for i, name in enumerate(free)
    }
    inks |= {name: Ink(color, FIXED_MARKERS[name]) for name, color in FIXED_COLORS.items()}
    return MappingProxyType(inks)


def line_style(number: int, lines: Sequence[LineStyle] = LINES) -> LineStyle:
    """Line style of a number: one of the list, then a dash and ever more dots."""
    if number < len(lines):
        return lines[number]
    return (0, (5.0, 1.5, *(1.0, 1.5) * (number - len(lines) + 3)))


def looks_of(subjects: Sequence[Subject], palette: Palette | None = None) -> list[Look]:
    """Colour and style of each line; no two of yours, and no two baselines, are alike.

    The first line of an optimizer is solid, further ones keep its ink and change the line. Where
    there are results of yours, the baselines are thin, and each is dashed in another pattern. The
    palette is that of all figures shown together.
    """
    palette = palette or palette_of(subject.optimizer for subject in subjects)
    mixed = len({subject.baseline for subject in subjects}) > 1
    looks: list[Look] = []
    for subject in subjects:
        ink, thin = palette[subject.optimizer], subject.baseline and mixed
        if thin:
            line = line_style(sum(look.thin for look in looks), BASELINE_LINES)
            looks.append(Look(ink, line, thin))
        else:
            candidates = (Look(ink, line_style(i), thin) for i in count())
            looks.append(next(look for look in candidates if look not in looks))
    return looks


def looks_of_settings(
    problems: Mapping[str, Sequence[Setting]], palette: Palette | None = None
) -> dict[str, Look]:
    """Look of each label of tuned settings, the same in all figures of a palette."""
    subjects: dict[str, Subject] = {}
    for listed in problems.values():
        for setting in listed:
            subject = Subject(setting.config.optimizer_id.name, setting.baseline)
            subjects.setdefault(setting.optimizer, subject)
    return dict(zip(subjects, looks_of(list(subjects.values()), palette), strict=True))
