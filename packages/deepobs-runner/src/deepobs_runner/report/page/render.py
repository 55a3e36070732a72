"""A report as one HTML file that needs nothing else: no network, no fonts, no server."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any, NamedTuple

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template
from markupsafe import Markup

from deepobs_problems.suites import SUITES
from deepobs_runner.comparison import ProblemComparison
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.latex import latex_forest, latex_methods
from deepobs_runner.report.page.forest import Axis, Cell, axis_of, final_cell, mean_cell, speed_cell
from deepobs_runner.report.page.groups import Group, groups_of
from deepobs_runner.report.page.overview import (
    badges_of,
    card_of,
    facts_of,
    matched_of,
    unknown_of,
)
from deepobs_runner.report.page.payload import as_json, payload_of
from deepobs_runner.report.references import bibtex
from deepobs_runner.report.sections import Report
from deepobs_runner.report.table import Table
from deepobs_runner.text import printable

TABS: Mapping[str, tuple[str, ...]] = {
    "curves": ("final", "times", "speedup", "difference", "equivalence", "ranks", "profiles"),
    "sensitivity": ("sensitivity", "rates"),
    "tuning": ("tuning", "search", "divergence", "cost", "trials"),
    "runs": ("settings",),
    "methods": ("environment",),
}
"""Kinds of tables below the figures of each tab; those of other packages are below the curves."""

SCRIPTS = ("static/common.js", "static/charts.js", "static/export.js", "static/page.js")

NOT_HERE = ("runs", "verdict")
"""Tables that the page shows in another form."""

MANY_ROWS = 200
"""Larger tables are not on the page; `deepobs table` prints them."""

SIDE_BY_SIDE = 3
"""Verdicts that fit beside each other; of more, those of one optimizer are shown at a time."""

CHALLENGERS = 3
"""Number of optimizers above which a heat map gives the overview."""


class Heat(NamedTuple):
    """The cell of a heat map; `side` and `shade` are its colour."""

    text: str
    state: str
    side: str
    shade: int | None
    words: str


def render_page(report: Report, data: ReportData) -> str:
    """Page of a report."""
    axis = axis_of(data.verdicts)
    problems = list(data.settings)
    tabs = _tabs(report, problems)
    shown = [table for tab in tabs for table in tab["tables"] if "latex" in table]
    latex = {table["kind"]: table.pop("latex") for table in shown}
    for tab in tabs:
        for table in tab["tables"]:
            table["latex"] = table["kind"] in latex
    payload = payload_of(data)
    payload["latex"] = {
        **latex,
        "forest": latex_forest(data),
        "methods": latex_methods(report.methods),
        "bibtex": bibtex(report.methods.keys),
    }
    groups = groups_of(data.verdicts)
    challengers = list(dict.fromkeys(group.optimizer for group in groups))
    context = {
        "title": report.title,
        "version": version("deepobs-runner"),
        "facts": facts_of(data),
        "filters": _filters(data),
        "challengers": challengers if len(challengers) > 1 and len(groups) > SIDE_BY_SIDE else [],
        "cards": list(map(card_of, groups)),
        "badges": badges_of(data),
        "matched": matched_of(data.verdicts),
        "unknown": unknown_of(data.verdicts),
        "heats": _heats(data, groups) if len(challengers) >= CHALLENGERS else [],
        "forest": _forest(data, groups, axis),
        "problems": payload["problems"],
        "notes": [_note(text, problems) for text in report.notes],
        "methods": report.methods.plain().split("\n\n"),
        "tabs": tabs,
        "figures": _installed_figures(data, problems),
        "data": Markup(as_json(payload)),
        "style": _static("vendor/uPlot.min.css") + _static("static/page.css"),
        "licence": _static("vendor/LICENSE-uPlot.txt"),
        "library": _static("vendor/uPlot.iife.min.js"),
        "script": Markup("(() => {\n") + Markup("\n").join(map(_static, SCRIPTS)) + Markup("})();"),
    }
    return printable(_template().render(context))


def _read(name: str) -> str:
    return (files("deepobs_runner.report.page") / name).read_text("utf-8")


def _static(name: str) -> Markup:
    """File of ours, unescaped: it is markup, unlike everything that results contain."""
    return Markup(_read(name))


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(lambda name: _read(f"templates/{name}")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _forest(data: ReportData, groups: Sequence[Group], axis: Axis) -> dict[str, Any]:
    """Forest: a row per problem, three columns per comparison."""
    rows = [
        {
            "problem": problem,
            "pairs": [_pair(group.line(problem), group.optimizer, axis) for group in groups],
            **_attributes(problem, listed),
        }
        for problem, listed in data.settings.items()
    ]
    means = [
        v.geometric_mean if len(g.verdicts) == 1 else None for g in groups for v in g.verdicts[:1]
    ]
    lines = [line for verdict in data.verdicts for line in verdict.problems]
    return {
        "groups": groups,
        "beside": _beside(groups),
        "ticks": axis.ticks(),
        "percent": data.percent,
        "unit": data.unit.replace("_", " "),
        "tests": sum((line.speedup is not None) + (line.final is not None) for line in lines),
        "rows": rows,
        "means": [
            {"optimizer": group.optimizer, "cell": mean_cell(mean, axis)}
            for group, mean in zip(groups, means, strict=True)
        ]
        if any(means)
        else [],
    }


def _beside(groups: Sequence[Group]) -> int:
    """Number of comparisons beside each other."""
    if len(groups) <= SIDE_BY_SIDE:
        return len(groups)
    return max(Counter(group.optimizer for group in groups).values())


def _pair(line: ProblemComparison | None, optimizer: str, axis: Axis) -> dict[str, Any]:
    """Cells of a comparison on a problem, with their tooltips."""
    if line is None:
        nothing = Cell(text="no runs", range="", state="none", words="no runs")
        return {"optimizer": optimizer, "speed": nothing, "final": nothing, "title": ""}
    speed, final = speed_cell(line, axis), final_cell(line)
    title = f"{line.optimizer} vs. {line.reference}: {speed.words}"
    if line.target is not None:
        title += f"; target: {line.target}; reached by {line.optimizer} in {_of(line.reached)}"
        title += f", by {line.reference} in {_of(line.reference_reached)} runs"
    return {"optimizer": optimizer, "speed": speed, "final": final, "title": title}


def _of(reached: tuple[int, int]) -> str:
    return f"{reached[0]} of {reached[1]}"


def _heats(data: ReportData, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Heat map for each reference: optimizers × problems."""
    problems = list(data.settings)
    ranks = {} if data.ranks is None else {rank.optimizer: rank.rank for rank in data.ranks.ranks}
    heats = []
    for reference in dict.fromkeys(group.reference for group in groups):
        against = [group for group in groups if group.reference == reference]
        if len(against) < CHALLENGERS:
            continue
        rows: list[dict[str, Any]] = [
            {
                "optimizer": group.optimizer,
                "rank": _rank(ranks, group),
                "cells": [_heat(group.line(problem)) for problem in problems],
            }
            for group in against
        ]
        rows.sort(key=lambda row: float(row["rank"] or math.inf))
        ranked = any(row["rank"] for row in rows)
        heats.append({"reference": reference, "problems": problems, "rows": rows, "ranked": ranked})
    return heats


def _rank(ranks: Mapping[str, float], group: Group) -> str:
    label = group.verdicts[0].optimizer
    return f"{ranks[label]:.1f}" if label in ranks else ""


def _heat(line: ProblemComparison | None) -> Heat:
    """Cell coloured by the log of the speedup, saturated at a factor of 4."""
    if line is None:
        return Heat("", "none", "", None, "no runs")
    cell = speed_cell(line, Axis(reach=1.0))
    estimate = line.shown_speedup
    if estimate is None or not 0 < estimate.value < math.inf:
        return Heat("–", "none", "", None, cell.words)
    log = math.log(estimate.value) / math.log(4)
    shade = round(15 + 70 * min(abs(log), 1))
    return Heat(cell.text, cell.state, "good" if log > 0 else "bad", shade, cell.words)


def _filters(data: ReportData) -> list[dict[str, Any]]:
    """Filters of the page, without those that would hide nothing."""
    found: list[dict[str, Any]] = []
    listed = [_attributes(problem, settings) for problem, settings in data.settings.items()]
    for name in ("suite", "source", "recipe"):
        values = [row[name] for row in listed]
        choices = sorted({value for row in values for value in row})
        useful = [choice for choice in choices if any(choice not in row for row in values)]
        if useful:
            found.append({"name": name, "title": name.capitalize(), "choices": useful})
    return found


def _attributes(problem: str, settings: Iterable[Any]) -> dict[str, list[str]]:
    settings = list(settings)
    return {
        "suite": [name for name, names in SUITES.items() if problem in names and name != "all"],
        "source": sorted({setting.source for setting in settings}),
        "recipe": sorted({setting.config.recipe for setting in settings}),
    }


def _tabs(report: Report, problems: Sequence[str]) -> list[dict[str, Any]]:
    """Tabs with their tables."""
    known = {kind for kinds in TABS.values() for kind in kinds} | set(NOT_HERE)
    others = tuple(kind for kind in report.tables if kind not in known)
    tabs = []
    for name, kinds in TABS.items():
        listed = (*kinds, *others) if name == "curves" else kinds
        tables = [report.tables[kind] for kind in listed if kind in report.tables]
        shown = [
            _table(table, problems, is_open=i == 0)
            for i, table in enumerate(table for table in tables if table.rows)
        ]
        tabs.append({"name": name, "title": name.capitalize(), "tables": shown})
    return tabs


def _table(table: Table, problems: Sequence[str], *, is_open: bool) -> dict[str, Any]:
    """Table as the template takes it; a long one is named only."""
    found: dict[str, Any] = {
        "kind": table.kind,
        "title": table.title,
        "caption": table.caption,
        "is_open": is_open,
        "too_long": len(table.rows) if len(table.rows) > MANY_ROWS else 0,
    }
    if found["too_long"]:
        return found
    by_problem = bool(table.columns) and table.columns[0].key == "problem"
    rows = [
        {
            "cells": cells,
            "problem": problems.index(row["problem"]) if row.get("problem") in problems else None,
        }
        for row, cells in zip(table.rows, table.cells(), strict=True)
    ]
    return {
        **found,
        "columns": table.columns,
        "by_problem": by_problem,
        "rows": rows,
        "latex": table.to_latex(),
    }


def _installed_figures(data: ReportData, problems: Sequence[str]) -> list[dict[str, Any]]:
    """Figures of other packages, which only matplotlib can draw."""
    kinds = FIGURES.installed()
    if not kinds:
        return []
    from deepobs_runner.figures.saving import to_svg

    return [
        {
            "problem": None if drawing.problem is None else problems.index(drawing.problem),
            "title": drawing.title,
            "caption": drawing.caption,
            "svg": Markup(to_svg(drawing.figure, label=drawing.title)) if drawing.figure else "",
        }
        for drawing in data.drawings([name for name in kinds if name in FIGURES.all()])
    ]


def _note(text: str, problems: Sequence[str]) -> dict[str, Any]:
    name, _, rest = text.partition(": ")
    index = problems.index(name) if rest and name in problems else None
    return {"text": text, "problem": index}
