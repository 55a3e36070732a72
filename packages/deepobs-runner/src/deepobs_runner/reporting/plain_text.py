"""Tables as CSV, Markdown, JSON, and for the terminal; and every evaluation as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

from rich.table import Table as TerminalTable
from rich.text import Text

from deepobs_runner.analysis.first_epochs import id_of_file
from deepobs_runner.analysis.sensitivity import rate_of
from deepobs_runner.clocks import training_seconds
from deepobs_runner.reporting.tables import Table
from deepobs_runner.results import RunResult, jsonable


def csv_table(table: Table) -> str:
    """Return every value of a table with full precision; one that is not there is empty."""
    names = list(dict.fromkeys(name for row in table.rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table.rows)
    return text.getvalue()


def json_table(table: Table) -> str:
    """Return every value of a table as a JSON array; a number that is not finite is null."""
    return json.dumps(jsonable(list(table.rows)), indent=1, default=str) + "\n"


def markdown_table(table: Table) -> str:
    """Return a table in the Markdown of GitHub, with its caption below."""

    def line(cells: Iterable[str]) -> str:
        escaped = (cell.replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
        return f"| {' | '.join(' '.join(cell.split()) for cell in escaped)} |"

    rule = "|".join("---:" if column.numeric else "---" for column in table.columns)
    head = line(column.title for column in table.columns)
    lines = [head, f"|{rule}|", *map(line, table.cells()), "", table.caption]
    return "\n".join(lines) + "\n"


def terminal_table(table: Table) -> TerminalTable:
    """Return a table for the terminal; a problem's name stands once above its rows."""
    shown = TerminalTable(title=table.title, caption=table.caption)
    for column in table.columns:
        justify = "right" if column.numeric else "left"
        shown.add_column(column.title, justify=justify, overflow="fold")  # type: ignore[arg-type]
    groups = bool(table.columns) and table.columns[0].key == "problem"
    before = None
    for row, cells in zip(table.rows, table.cells(), strict=True):
        if groups and row["problem"] == before:
            cells = ["", *cells[1:]]
        elif groups and before is not None:
            shown.add_section()
        before = row.get("problem")
        shown.add_row(*map(Text, cells))
    return shown


EVALUATION_FIELDS = (
    "id", "source", "problem", "optimizer", "lr", "seed", "recipe", "precision", "status", "epoch",
    "steps", "train_seconds",
)  # fmt: skip
"""Columns of the file of evaluations before its metrics."""

_NONE: Mapping[str, float] = MappingProxyType({})


def write_evaluations(runs: Iterable[tuple[RunResult, str]], file: IO[str]) -> None:
    """Write a line for every evaluation of every run, in the long format.

    Args:
        runs: with whose each is.
        file: to write to.
    """
    runs = list(runs)
    metrics = _metrics(run for run, _ in runs)
    names = [f"{split}_{name}" for split, name in metrics]
    file.write(_csv_line([*EVALUATION_FIELDS, *names]) + "\n")
    for run, source in runs:
        file.writelines(_evaluations(run, source, metrics))


def _metrics(runs: Iterable[RunResult]) -> list[tuple[str, str]]:
    """Return split and name of every metric that the first record of a run has."""
    found: dict[tuple[str, str], None] = {}
    for run in runs:
        for split, values in run.records[0]["metrics"].items() if run.records else ():
            found |= dict.fromkeys((split, name) for name in values)
    return list(found)


def _evaluations(run: RunResult, source: str, metrics: list[tuple[str, str]]) -> Iterator[str]:
    """Yield the lines of a run.

    There may be millions: what all of them begin with is made once, and the rest is numbers, which
    need no quotes.
    """
    config = run.config
    head = _csv_line([
        id_of_file(run), source, config.problem, config.optimizer, rate_of(run), config.seed,
        config.recipe, config.precision, run.status,
    ])  # fmt: skip
    spent = 0.0
    for record in run.records:
        seconds = training_seconds(record.get("clocks", {}))
        spent = float("nan") if seconds is None else spent + seconds
        values = record["metrics"]
        numbers = [
            record["epoch"],
            record.get("steps"),
            None if seconds is None else round(spent, 6),
            *[values.get(split, _NONE).get(name) for split, name in metrics],
        ]
        fields = ["" if number is None else str(number) for number in numbers]
        yield f"{head},{','.join(fields)}\n"


def _csv_line(fields: Sequence[Any]) -> str:
    """Return fields as a line of CSV without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
