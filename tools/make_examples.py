"""Make the example reports of docs/examples from the packed results in docs/evidence.

    python tools/make_examples.py

Each is one page and some figures, small enough to be kept: `deepobs report` with the options below.
The results were made with `deepobs tune` and `deepobs bench` and packed with
`deepobs baselines export RESULTS --out docs/evidence/NAME --pack NAME`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from draw_figures import shrink

from deepobs_runner.cli import main as deepobs

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "evidence" / "adamw_schedulefree"
REPORTS: dict[str, list[str]] = {"quadratic_deep": [], "fmnist_2c2d": ["--epochs", "6"]}
"""Further options of the report of each problem."""

KEPT = ("forest", "comparison", "curves", "speed", "sensitivity")
"""Kinds of figures kept beside a page."""


def make(problem: str, options: list[str]) -> int:
    """Write the report of a problem; return the exit code of the command."""
    folder = DOCS / "examples" / problem
    with tempfile.TemporaryDirectory() as name:
        words = ["report", str(RESULTS), "--problem", problem, "--baselines", "official"]
        code = deepobs([*words, *options, "--formats", "html,png", "--out", name])
        if code:
            return code
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(Path(name) / "report.html", folder)
        for picture in sorted((Path(name) / "figures").glob("*.png")):
            if picture.name.startswith(KEPT):
                shrink(picture)
                shutil.copy(picture, folder)
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB")
    return 0


def main() -> int:
    """Make every example; return the worst exit code."""
    return max([make(problem, options) for problem, options in REPORTS.items()])


if __name__ == "__main__":
    sys.exit(main())
