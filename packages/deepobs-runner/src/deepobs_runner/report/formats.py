"""What a report and its tables can be written as."""

from collections.abc import Mapping
from types import MappingProxyType

FORMATS = ("html", "png", "pdf", "csv", "latex")
"""What a report can be written as."""

USUAL_FORMATS = ("html", "csv")
"""Default formats."""

PAPER_FORMATS = ("png", "pdf", "latex")
"""What a paper needs besides."""

TABLE_FORMATS: Mapping[str, str] = MappingProxyType(
    {"terminal": "", "csv": ".csv", "latex": ".tex", "markdown": ".md", "json": ".json"}
)
"""What a table can be written as, with the suffix of its file."""
