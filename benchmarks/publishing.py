"""Tables and figures of the benchmarks: printed, stored, and put into RESULTS.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from matplotlib.figure import Figure

from deepobs_runner.backend.environment import processor

FOLDER = Path(__file__).parent
PAGE = FOLDER / "RESULTS.md"


def describe_machine(threads: int) -> str:
    """Return date, machine and versions in a line."""
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor() or platform.machine()}, {os.cpu_count()} "
        f"cores, {threads} thread{'' if threads == 1 else 's'} used, torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, numbers to the right.

    >>> print(markdown(["problem", "s"], [["a", "1.0"]]))
    | problem | s |
    | --- | ---: |
    | a | 1.0 |
    """
    rule = ["---", *("---:" for _ in columns[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, rule, *rows))


def publish(
    name: str, text: str, out: Path, *, docs: bool = False, figure: Figure | None = None
) -> None:
    """Store a benchmark's text and figure.

    Args:
        name: of the benchmark.
        text: in Markdown; replaces what stands between the marks of this name in RESULTS.md.
        out: folder of `<name>.md` and `<name>.png`.
        docs: write into RESULTS.md as well.
        figure: one, if there is any.

    Raises:
        ValueError: RESULTS.md has no marks of this name.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.md").write_text(text + "\n", encoding="utf-8")
    if figure is not None:
        figure.savefig(out / f"{name}.png", dpi=150)
    print(f"wrote {out / name}.md" + ("" if figure is None else f" and {name}.png"))
    if not docs:
        return
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->\n"
    before, found, rest = PAGE.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{PAGE} has no lines {begin.strip()} and {end.strip()}; add them.")
    PAGE.write_text(f"{before}{begin}\n{text}\n\n{end}{after}", encoding="utf-8")
    if figure is not None:
        figure.savefig(FOLDER / "figures" / f"{name}.png", dpi=150)
