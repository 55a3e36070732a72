"""The report: data of results, its tables, its text, and the page they make.

The command line needs the names below before anything else here is imported.
"""

from collections.abc import Mapping
from types import MappingProxyType

FORMATS = ("html", "png", "pdf", "csv", "latex")
"""What a report can be written as."""

TABLE_FORMATS: Mapping[str, str] = MappingProxyType(
    {"terminal": "", "csv": ".csv", "latex": ".tex", "markdown": ".md", "json": ".json"}
)
"""What a table can be written as, with the suffix of its file."""
