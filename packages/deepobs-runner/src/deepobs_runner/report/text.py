"""Tables as CSV, Markdown and JSON, and every evaluation as CSV."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import IO, Any

import msgspec

from deepobs_runner.analysis.first_epochs import id_of_file
from deepobs_runner.analysis.sensitivity import rate_of
from deepobs_runner.report.table import Table
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.results.result import RunResult, jsonable
from deepobs_runner.text import printable


def csv_table(table: Table) -> str:
    """Every value of a table with full precision; one that is not there is empty.

    A text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    names = list(dict.fromkeys(name for row in table.rows for name in row))
    lines = [_csv_line(names)]
    lines += [_csv_line([row.get(name) for name in names]) for row in table.rows]
    return "".join(f"{line}\n" for line in lines)


def inert(value: Any) -> Any:
    """Text that no spreadsheet takes for a formula and no terminal obeys.

    Other values are returned as they are.

    >>> inert("=1+1"), inert("-x"), inert("-1.5"), inert("SGD lr=0.1"), inert(-2), inert("a;=1")
    ("'=1+1", "'-x", '-1.5', 'SGD lr=0.1', -2, "a;'=1")
    """
    if isinstance(value, list | tuple | dict):
        value = str(value)
    if not isinstance(value, str):
        return value
    # A line of a cell could pass for a row. Some spreadsheets divide cells at ; or |.
    parts = re.split(r"([;|])", re.sub(r"[\t\n]", " ", printable(value)))
    return "".join(_inert_part(part) for part in parts)


def _inert_part(part: str) -> str:
    """Text with an apostrophe before what begins a formula, also in another width."""
    begin = re.sub(r'^[\s\ufffd"]+', "", unicodedata.normalize("NFKC", part))[:1]
    if begin not in tuple("=+-@"):
        return part
    try:
        float(part)
    except ValueError:
        return f"'{part}"
    return part


def json_table(table: Table) -> str:
    """Every value of a table as a JSON array; a number that is not finite is null."""
    return json.dumps(jsonable(list(table.rows)), indent=1, default=str) + "\n"  # all ASCII


def markdown_table(table: Table) -> str:
    """Table in the Markdown of GitHub, with its caption below."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(' '.join(markdown_text(cell).split()) for cell in cells)} |"

    rule = "|".join("---:" if column.numeric else "---" for column in table.columns)
    head = line(column.title for column in table.columns)
    lines = [head, f"|{rule}|", *map(line, table.cells()), "", markdown_text(table.caption)]
    return "\n".join(lines) + "\n"


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is: without markup, HTML, mathematics, links and mentions.

    >>> markdown_text("<b>a|b</b>"), markdown_text("fmnist_2c2d"), markdown_text("[x](y)")
    ('&lt;b&gt;a\\|b&lt;/b&gt;', 'fmnist_2c2d', '\\[x](y)')
    >>> markdown_text("https://a.org www.a.org @user")
    'https\\://a.org www\\.a.org @<!-- -->user'
    """
    text = re.sub(r"([\\|`*\[$~]|:(?=/)|(?<=www)\.)", r"\\\1", printable(text), flags=re.IGNORECASE)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace("@", "@<!-- -->")  # splits addresses and names of users


EVALUATION_FIELDS = (
    "id", "source", "problem", "optimizer", "lr", "seed", "recipe", "precision", "status", "epoch",
    "steps", "train_seconds",
)  # fmt: skip
"""Columns of the file of evaluations before its metrics."""

_JSON = msgspec.json.Encoder(enc_hook=lambda number: number.item())  # of numpy
_NONE: Mapping[str, float] = MappingProxyType({})


def write_evaluations(runs: Iterable[tuple[RunResult, str]], file: IO[str]) -> None:
    """Write a line for every evaluation of every run, in the long format; each with its source."""
    runs = list(runs)
    metrics = _metrics(run for run, _ in runs)
    names = [f"{split}_{name}" for split, name in metrics]
    file.write(_csv_line([*EVALUATION_FIELDS, *names]) + "\n")
    for run, source in runs:
        file.writelines(_evaluations(run, source, metrics))


def _metrics(runs: Iterable[RunResult]) -> list[tuple[str, str]]:
    """Split and name of every metric that the first record of a run has."""
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
        id_of_file(run), source, config.problem_id.name, config.optimizer_id.name, rate_of(run),
        config.seed, config.recipe, config.precision, run.status,
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
        # A list in JSON is a line of CSV but for its ends and for what is not there.
        fields = _JSON.encode(numbers).decode()
        yield f"{head},{fields[1:-1].replace('null', '')}\n"


def _csv_line(fields: Sequence[Any]) -> str:
    """Fields as a line of CSV without its end."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow([inert(field) for field in fields])
    return line.getvalue().removesuffix("\n")
