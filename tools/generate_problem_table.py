"""Write the table that `deepobs list` reads: the rows of the catalog.

Run `python tools/generate_problem_table.py` after a change of the catalog or a network.
"""

from __future__ import annotations

from pathlib import Path

from deepobs_runner.plans.problem_table import TABLE, table_text

if __name__ == "__main__":
    Path(str(TABLE)).write_text(table_text(), encoding="utf-8")
