"""Import of matplotlib with the settings it comes with, whatever the current folder holds.

matplotlib reads a `matplotlibrc` of the current folder when it is imported, and the folder may be
foreign. Figures ignore all such files, so that the same results give the same figures.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path


def _import_elsewhere() -> None:
    """Import matplotlib in an empty folder."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as empty:
        os.chdir(empty)
        try:
            import matplotlib  # noqa: F401
        finally:
            os.chdir(here)


if "matplotlib" not in sys.modules and os.path.lexists("matplotlibrc"):
    _import_elsewhere()

from matplotlib import rc_context, rcdefaults, rcParams  # noqa: E402

__all__ = ["rcParams", "rc_context", "rcdefaults"]
