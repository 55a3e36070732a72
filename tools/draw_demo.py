"""Make docs/demo.png of the report of the demo: `nox -s demo`, then `python tools/draw_demo.py`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from draw_figures import shrink

ROOT = Path(__file__).parents[1]
DRAWN = ROOT / "demo" / "report" / "figures" / "curves-quadratic_deep.png"
PICTURE = ROOT / "docs" / "demo.png"


def main() -> int:
    """Copy the picture and give it fewer colours; return 1 if the demo has not been run."""
    if not DRAWN.is_file():
        print(f"There is no {DRAWN}: run `nox -s demo` first.", file=sys.stderr)
        return 1
    shutil.copyfile(DRAWN, PICTURE)
    shrink(PICTURE)
    print(PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
