"""Builds the report: tables, text and HTML page.

>>> from deepobs_runner.report import report
>>> report("results")  # in a notebook: the page  # doctest: +SKIP

The command line needs the formats before anything else here is imported.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepobs_runner.report.formats import FORMATS, PAPER_FORMATS, TABLE_FORMATS, USUAL_FORMATS

if TYPE_CHECKING:
    from deepobs_runner.report.notebook import Page, report

__all__ = ["FORMATS", "PAPER_FORMATS", "TABLE_FORMATS", "USUAL_FORMATS", "Page", "report"]

if not TYPE_CHECKING:  # a checker would take every misspelled name for one of `Any`

    def __getattr__(name: str) -> Any:
        if name in ("Page", "report"):
            return getattr(import_module(f"{__name__}.notebook"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
