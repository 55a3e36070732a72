"""From data to a report: a title, notes, tables and methods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deepobs_runner.report.data import ReportData
from deepobs_runner.report.methods import Methods, write_methods
from deepobs_runner.report.notes import notes, notes_on_missing
from deepobs_runner.report.table import Table
from deepobs_runner.report.tables import TABLES
from deepobs_runner.text import join


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a report shows besides its figures, in no format yet.

    Attributes:
        title: which optimizers are compared.
        notes: what to know before comparing, and what is not among the results; a note on one
            problem starts with its name and a colon.
        tables: every table, by kind.
        methods: how it was made.
    """

    title: str
    notes: tuple[str, ...]
    tables: Mapping[str, Table]
    methods: Methods


def assemble(data: ReportData) -> Report:
    """Report of some data."""
    settings = {problem: data.shown(problem) for problem in data.settings}
    return Report(
        title=title_of(data),
        notes=(*notes(settings), *notes_on_missing(data.own, data.every), *data.left_out),
        tables={kind: make(data) for kind, make in TABLES.all().items()},
        methods=write_methods(data),
    )


def title_of(data: ReportData) -> str:
    """Title with the compared optimizers.

    Of more than four optimizers only the number is named.
    """
    if not data.verdicts:
        labels = data.labels
        return join(labels) if len(labels) <= 4 else f"{len(labels)} optimizers"
    sides = []
    for chosen in ("optimizer", "reference"):
        labels = list(dict.fromkeys(getattr(v, chosen) for v in data.verdicts))
        # Problem pages show how runs of one optimizer differ.
        names = list(dict.fromkeys(label.partition(" (")[0] for label in labels))
        sides.append(", ".join(names) if len(names) <= 4 else f"{len(names)} optimizers")
    return " vs. ".join(sides)
