"""A figure with what a reader needs beside it, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure, or why it could not be drawn.

    Attributes:
        kind: which figure it is, one of `KINDS`.
        name: of its file, without suffix; the same for no two of a report.
        title: in a few words.
        caption: what is drawn and what lines and bands mean; without a figure, why there is none.
        problem: what it is about; None for one over several problems.
        figure: None if it could not be drawn.
    """

    kind: str
    name: str
    title: str
    caption: str
    problem: str | None
    figure: Figure | None
