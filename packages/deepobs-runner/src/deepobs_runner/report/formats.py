"""What a report and its tables can be written as."""

from collections.abc import Mapping
from types import MappingProxyType

FORMATS = ("html", "png", "pdf", "csv", "latex")
"""Formats of a report."""

USUAL_FORMATS = ("html", "csv")
"""Default formats."""

PAPER_FORMATS = ("png", "pdf", "latex")
"""Further formats for a paper."""

TABLE_FORMATS: Mapping[str, str] = MappingProxyType(
    {"terminal": "", "csv": ".csv", "latex": ".tex", "markdown": ".md", "json": ".json"}
)
"""Formats of a table, with their file suffixes."""
