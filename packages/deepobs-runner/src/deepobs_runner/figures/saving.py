"""Figures as files, and as SVG to put into a page."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from deepobs_runner.errors import UsageError, cannot_write
from deepobs_runner.figures.style import paper_style
from deepobs_runner.results.outputs import write_output
from deepobs_runner.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
"""Suffixes of the files that `save` writes."""

DPI = 200
RASTER_DPI = 400
"""Of those parts of a PDF or SVG that are pictures."""

METADATA: Mapping[str, dict[str, Any]] = MappingProxyType(
    {"png": {"Software": None}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
)
"""What is left out of files, so that the same figure is the same file on every day."""


def format_of(path: Path) -> str:
    """Format of a file by its suffix.

    Raises:
        UsageError: no suffix, or that of no format.
    """
    suffix = path.suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise UsageError(f"A figure cannot be written as {path.name!r}; end it with .png, .pdf or "
                         ".svg.")  # fmt: skip
    return suffix


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG (200 dpi), PDF or SVG, by the suffix; return the path.

    The same results give the same file: no date is written.

    Raises:
        UsageError: another suffix, or the file cannot be written.
    """
    return save_pages([figure], path)


def save_pages(figures: Sequence[Figure], path: Path) -> Path:
    """Write figures as the pages of one PDF, or the only one as a picture.

    Raises:
        UsageError: a suffix of no format, several figures for a picture, or the file cannot be
            written.
    """
    kind = format_of(path)
    if len(figures) != 1 and kind != "pdf":
        raise UsageError(f"{path.name} can hold one figure, not {len(figures)}; only a PDF has "
                         "pages.")  # fmt: skip
    try:
        file = io.BytesIO()  # a full disk must not leave half a picture
        with paper_style():
            for figure in figures:
                _lay_out(figure)
            if kind == "pdf":
                from matplotlib.backends.backend_pdf import PdfPages

                with PdfPages(file, metadata=METADATA["pdf"]) as pages:
                    for figure in figures:
                        figure.savefig(pages, format="pdf", dpi=RASTER_DPI)
            else:
                dpi = DPI if kind == "png" else RASTER_DPI
                figures[0].savefig(file, format=kind, dpi=dpi, metadata=METADATA[kind])
        write_output(path, file.getvalue())
    except OSError as error:
        raise cannot_write(path, error) from None
    return path


def save_all(figure: Figure, paths: Sequence[Path], svg: str | None) -> str | None:
    """Write a figure to several files; return it as an `<svg>` element with a label, if given."""
    for path in paths:
        save(figure, path)
    return None if svg is None else to_svg(figure, label=svg)


def _lay_out(figure: Figure) -> None:
    """Give the parts of a figure their places, once for all files: it takes as long as drawing."""
    from matplotlib.text import Text
    from matplotlib.ticker import FixedFormatter

    for shown in figure.findobj(Text):
        assert isinstance(shown, Text)
        shown.set_text(printable(shown.get_text()))  # names may come from foreign results
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):  # which make texts of ticks as they draw
            formatter = axis.get_major_formatter()
            if isinstance(formatter, FixedFormatter):
                formatter.seq = list(map(printable, formatter.seq))
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def to_svg(figure: Figure, *, label: str = "") -> str:
    """Figure as an `<svg>` element that can stand with others in one HTML page.

    Text is drawn as outlines, so it looks the same without the font. Every id begins with a hash
    of the picture, because ids are shared by all of a page. The label is for a screen reader.
    """
    file = io.StringIO()
    with paper_style():
        _lay_out(figure)
        figure.savefig(file, format="svg", metadata=METADATA["svg"])
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, count=1, flags=re.DOTALL)
    prefix = f"f{hashlib.sha256(text.encode()).hexdigest()[:8]}-"
    text = re.sub(r'(?<=[ \n]id=")', prefix, text)
    text = re.sub(r'(?<=href="#)|(?<=url\(#)', prefix, text)
    if label:
        text = text.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    return text
