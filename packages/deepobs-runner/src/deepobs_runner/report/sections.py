"""From data to a report: sections of sentences, tables and drawings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deepobs_runner.comparison import Verdict
from deepobs_runner.figures import Drawing
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.methods import Methods, write_methods
from deepobs_runner.report.notes import notes
from deepobs_runner.report.sentences import verdict_lines
from deepobs_runner.report.table import Table, select
from deepobs_runner.report.tables import TABLES
from deepobs_runner.text import count, file_names, join

OF_A_PROBLEM = (
    "final", "times", "speedup", "difference", "sensitivity", "tuning", "trials",
)  # fmt: skip
"""Tables of which each problem shows its own rows."""

OVER_PROBLEMS = ("speedup", "ranks", "profiles", "divergence", "cost")
"""Tables shown once, over all problems; those of other packages follow."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """What a report says about one problem.

    Attributes:
        problem: its name.
        name: of its files and its anchor.
        lines: the verdicts on it.
        notes: what to know before comparing.
        drawings: of it, those that could not be drawn too.
        tables: rows of this problem.
    """

    problem: str
    name: str
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    drawings: tuple[Drawing, ...]
    tables: tuple[Table, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything a report shows, in no format yet.

    Attributes:
        title: who is compared.
        facts: how much there is, in a few words each.
        verdicts: of each pair.
        notes: what concerns more than one problem, and what is not among the results.
        sections: one a problem.
        drawings: over all problems.
        overview: tables over all problems.
        tables: every table, by kind.
        methods: how it was made.
    """

    title: str
    facts: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    drawings: tuple[Drawing, ...]
    overview: tuple[Table, ...]
    tables: Mapping[str, Table]
    methods: Methods


def assemble(data: ReportData, drawings: Iterable[Drawing] = ()) -> Report:
    """Return the report of some data, with their drawings if it is to have figures."""
    settings = {problem: list(listed) for problem, listed in data.settings.items()}
    drawings = list(drawings)
    tables = {kind: TABLES.load(kind)(data) for kind in TABLES.names()}
    names = file_names(settings)
    known = [*notes(settings), *data.left_out]
    sections = []
    for problem, name in names.items():
        sections.append(
            Section(
                problem=problem,
                name=name,
                lines=tuple(_lines(data.verdicts, problem)),
                notes=tuple(note for note in known if note.startswith(f"{problem}: ")),
                drawings=tuple(d for d in drawings if d.problem == problem),
                tables=tuple(_of_problem(tables[kind], problem) for kind in OF_A_PROBLEM),
            )
        )
    own = {note for section in sections for note in section.notes}
    return Report(
        title=title_of(data),
        facts=tuple(facts_of(data)),
        verdicts=data.verdicts,
        notes=tuple(note for note in known if note not in own),
        sections=tuple(sections),
        drawings=tuple(d for d in drawings if d.problem is None),
        overview=tuple(tables[kind] for kind in (*OVER_PROBLEMS, *TABLES.installed())),
        tables=tables,
        methods=write_methods(data),
    )


def _of_problem(table: Table, problem: str) -> Table:
    return select(table, lambda row: row["problem"] == problem, without=["problem"])


def _lines(verdicts: Sequence[Verdict], problem: str) -> list[str]:
    """Return what the verdicts say about one problem."""
    found = ((verdict, verdict_lines(verdict).get(problem)) for verdict in verdicts)
    return [f"{v.optimizer} vs. {v.reference}: {line}" for v, line in found if line]


def title_of(data: ReportData) -> str:
    """Return who is compared with whom.

    Of more than four optimizers only the number is named.
    """
    if not data.verdicts:
        labels = data.labels
        return join(labels) if len(labels) <= 4 else f"{len(labels)} optimizers"
    sides = []
    for chosen in ("optimizer", "reference"):
        names = list(dict.fromkeys(getattr(v, chosen) for v in data.verdicts))
        sides.append(join(names) if len(names) <= 4 else f"{len(names)} optimizers")
    return " against ".join(sides)


def facts_of(data: ReportData) -> list[str]:
    """Return how much there is of what."""
    runs = [run for run in data.own if run.records]
    settings = [s for listed in data.settings.values() for s in listed]
    sources = list(dict.fromkeys(s.source for s in settings if s.baseline))
    folders = sorted({run.path.parent.name for run in data.own if run.path is not None}, key=str)
    facts = [
        count(len(data.own), "run")
        + (f", {len(data.own) - len(runs)} without a record" if len(runs) < len(data.own) else ""),
        count(len(data.problems), "problem"),
        count(len(data.labels), "optimizer"),
    ]
    if data.epochs is not None:
        facts.append(f"after {count(data.epochs, 'epoch')}")
    if data.baselines:
        facts.append(f"baselines: {join(sources)}")
    if len(folders) == 1:
        facts.append(f"from {Path(folders[0]).name}/")
    return facts
