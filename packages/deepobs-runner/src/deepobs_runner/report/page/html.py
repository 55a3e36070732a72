"""A report as one HTML file that needs nothing else: no network, no fonts, no libraries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.resources import files
from string import Template
from typing import Any

from deepobs_runner.comparison import Verdict
from deepobs_runner.figures import Drawing
from deepobs_runner.report.latex import latex_methods
from deepobs_runner.report.page.forest import interval_picture, reach_of, scale_picture
from deepobs_runner.report.page.markup import Content, Markup, element, render
from deepobs_runner.report.references import bibtex
from deepobs_runner.report.sections import Report, Section
from deepobs_runner.report.sentences import caveats, mean_text, overall_sentence, verdict_lines
from deepobs_runner.report.table import NOTHING, Column, Row, Table
from deepobs_runner.text import count, join

OPEN_TABLES = ("final", "times", "speedup", "difference", "profiles")
"""Tables that are open; the others open with a click."""

OPEN_ROWS = 40
"""Rows up to which the table of runs is open."""


def html_report(report: Report, svgs: Mapping[str, str]) -> str:
    """Return the page, with an `<svg>` element for each drawing, by its name."""
    folder = files("deepobs_runner.report.page")
    page = Template((folder / "page.html").read_text("utf-8"))
    return page.substitute(
        title=render(f"{report.title} - DeepOBS report"),
        style=(folder / "page.css").read_text("utf-8"),
        script=(folder / "page.js").read_text("utf-8"),
        header=_header(report),
        contents=_contents(report),
        body=render(list(_body(report, svgs))),
        footer=render(f"Made by deepobs-runner {version('deepobs-runner')}."),
    )


def anchor(name: str) -> str:
    """Return a name as it can stand in an address."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def _header(report: Report) -> Markup:
    facts = [element("li", fact) for fact in report.facts]
    return element(
        "header",
        element("p", "DeepOBS report", class_="kicker"),
        element("h1", report.title),
        element("ul", facts, class_="facts"),
    )


def _contents(report: Report) -> Markup:
    entries = [("verdict", "Verdict"), ("overview", "Overview")]
    problems = [(f"problem-{anchor(s.name)}", s.name) for s in report.sections]
    rest = [("settings", "All settings"), ("methods", "Methods"), ("environment", "Environment"),
            ("runs", "All runs")]  # fmt: skip

    def items(links: Iterable[tuple[str, str]]) -> list[Markup]:
        return [element("li", element("a", text, href=f"#{name}")) for name, text in links]

    inner = element("li", element("span", "Problems"), element("ul", items(problems)))
    return element("ul", items(entries), inner, items(rest))


def _body(report: Report, svgs: Mapping[str, str]) -> Iterable[Markup]:
    yield _verdicts(report)
    yield _part(
        "overview",
        "Overview",
        [_figure(drawing, svgs) for drawing in report.drawings],
        [_table(table, f"all-{table.kind}", level=3) for table in report.overview],
    )
    for section in report.sections:
        yield _section(section, svgs)
    settings, runs = report.tables["settings"], report.tables["runs"]
    yield _part("settings", "All settings", _table(settings, "all-settings", level=3))
    yield _methods(report)
    environment = report.tables["environment"]
    yield _part(
        "environment", "Environment", _table(environment, "all-environment", level=3, is_open=True)
    )
    few = len(runs.rows) <= OPEN_ROWS
    yield _part("runs", "All runs", _table(runs, "all-runs", level=3, is_open=few, search=True))


def _part(name: str, title: str, *content: Content) -> Markup:
    heading = f"{name}-title"
    return element(
        "section", element("h2", title, id=heading), *content, id=name, aria_labelledby=heading
    )


def _verdicts(report: Report) -> Markup:
    """Return the verdicts in words, each with its intervals and what is unequal."""
    lines = [line.speedup for verdict in report.verdicts for line in verdict.problems]
    reach = reach_of(value for e in lines if e is not None for value in (e.value, e.low, e.high))
    places = {section.problem: section.name for section in report.sections}
    cards: list[Content] = [_verdict(v, reach, places) for v in report.verdicts]
    if not cards:
        names = report.title
        cards = [
            element("p", f"There is nothing to compare {names} with: no verdict.", class_="overall")
        ]
    return _part("verdict", "Verdict", cards, _notes(report.notes, "Before you compare"))


def _verdict(verdict: Verdict, reach: float, places: Mapping[str, str]) -> Markup:
    sentences = verdict_lines(verdict)
    lines = [
        element(
            "li",
            element(
                "a",
                line.problem,
                href=f"#problem-{anchor(places.get(line.problem, line.problem))}",
                class_="name",
            ),
            interval_picture(line.speedup, reach),
            element(
                "p",
                unbroken(_capital(sentences[line.problem])),
            ),
        )
        for line in verdict.problems
    ]
    overall = element(
        "li",
        element("span", "All problems", class_="name"),
        interval_picture(verdict.geometric_mean, reach),
        element("p", f"Right of the line: {verdict.optimizer} is faster. {mean_text(verdict)}"),
        class_="mean",
    )
    scale = element(
        "li", element("span", class_="name"), scale_picture(reach), element("p"),
        class_="scale", aria_hidden="true",
    )  # fmt: skip
    return element(
        "article",
        element("h3", f"{verdict.optimizer} against {verdict.reference}"),
        element("p", unbroken(overall_sentence(verdict)), class_="overall"),
        _unequal(verdict),
        element("ol", lines, overall, scale, class_="lines"),
        class_="card",
    )


def _unequal(verdict: Verdict) -> Content:
    """Return what is unequal between the two, then what is equal as far as it is known."""
    sentences = []
    for words, names in (
        ("Equal on both sides", verdict.agreement.equal),
        ("Not known of both sides", verdict.agreement.unknown),
    ):
        sentences += [f"{words}: {join(names)}."] if names else []
    equal = element("p", " ".join(sentences), class_="equal") if sentences else None
    notes = caveats(verdict)
    if not notes:
        return [equal]
    box = element(
        "div",
        element("h4", "What is unequal"),
        element("ul", [element("li", note) for note in notes]),
        class_="notes",
    )
    return [box, equal]


def _notes(notes: Iterable[str], title: str) -> Markup | None:
    items = [element("li", note) for note in notes]
    if not items:
        return None
    return element("div", element("h3", title), element("ul", items), class_="notes")


def _section(section: Section, svgs: Mapping[str, str]) -> Markup:
    name = anchor(section.name)
    lines = [element("li", unbroken(line)) for line in section.lines]
    first = [t for t in section.tables if t.kind in OPEN_TABLES]
    rest = [t for t in section.tables if t.kind not in OPEN_TABLES]
    return _part(
        f"problem-{name}",
        section.problem,
        element("ul", lines, class_="findings") if lines else None,
        _notes(section.notes, "Before you compare"),
        [_figure(drawing, svgs) for drawing in section.drawings],
        [_table(table, f"{name}-{table.kind}", level=3) for table in (*first, *rest)],
    )


def _figure(drawing: Drawing, svgs: Mapping[str, str]) -> Markup:
    if drawing.name not in svgs:
        return element("p", f"{drawing.title}: no figure. {drawing.caption}", class_="absent")
    return element(
        "figure",
        _picture(svgs[drawing.name]),
        element("figcaption", element("b", f"{drawing.title}. "), drawing.caption),
    )


def _picture(svg: str) -> Markup:
    """Return a figure as large as its text wants, which may be wider than a phone."""
    found = re.search(r'width="([\d.]+)pt"', svg)
    points = float(found[1]) if found else 500.0
    style = f"max-width: {2 * points:.0f}px; min-width: {1.1 * points:.0f}px"
    sheet = element("div", Markup(svg), class_="sheet", style=style)
    return element("div", sheet, class_="picture", tabindex="0")


def _table(
    table: Table, name: str, *, level: int, is_open: bool | None = None, search: bool = False
) -> Markup | None:
    """Return a table that a script makes sortable; without rows there is none.

    Args:
        table: to show.
        name: of its anchor, unique on the page.
        level: of its heading.
        is_open: whether it is shown without a click; None: by its kind.
        search: whether rows can be searched.
    """
    if not table.rows or not table.columns:
        return None
    head = element(
        "tr",
        [element("th", c.title, scope="col", class_=_align(c)) for c in table.columns],
    )
    rows = [element("tr", _cells(table.columns, row)) for row in table.rows]
    content = element(
        "div",
        element(
            "table",
            element("caption", element("span", table.caption)),
            element("thead", head),
            element("tbody", rows),
        ),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_labelledby=name,
    )
    if is_open is None:
        is_open = table.kind in OPEN_TABLES
    size = count(len(table.rows), "row")
    heading = element(f"h{level}", table.title, id=name)
    return element(
        "details",
        element("summary", heading, element("span", size, class_="count")),
        _search(name) if search else None,
        content,
        open=is_open,
        class_="table",
    )


def _search(name: str) -> Markup:
    box = element("input", type="search", data_search=name, autocomplete="off")
    return element("label", "Show rows with ", box, class_="search", hidden=True)


def _align(column: Column) -> str | None:
    return "number" if column.numeric else None


def _cells(columns: Iterable[Column], row: Row) -> list[Markup]:
    cells = []
    for index, column in enumerate(columns):
        text = column.text(row)
        raw = row.get(column.key)
        value = _sortable(raw) if column.numeric else None
        kind = _align(column)
        if column.key == "status" and text != NOTHING:
            text = element("span", text, class_=f"status {anchor(str(raw).split(' ')[-1])}")
        tag = "th" if index == 0 else "td"
        scope = "row" if index == 0 else None
        cells.append(element(tag, text, class_=kind, scope=scope, data_value=value))
    return cells


def _sortable(value: Any) -> str | None:
    """Return a number as a script reads it; what is none comes last."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return repr(value).replace("inf", "Infinity")


def _methods(report: Report) -> Markup:
    paragraphs = [element("p", text) for text in report.methods.plain().split("\n\n")]
    return _part(
        "methods",
        "Methods",
        element("div", paragraphs, class_="prose"),
        _source("As LaTeX", latex_methods(report.methods)),
        _source("BibTeX", bibtex(report.methods.keys)),
    )


def _source(title: str, text: str) -> Markup:
    return element(
        "details",
        element("summary", element("h3", title)),
        element("pre", element("code", text), tabindex="0"),
        class_="source",
    )


def unbroken(text: str) -> str:
    r"""Return a sentence in which intervals and p-values are not broken over lines.

    >>> unbroken("[1.0, 2.0] (p = 0.1)").replace("\xa0", "_")
    '[1.0,_2.0] (p_=_0.1)'
    """
    return re.sub(r"\[[^][]{1,30}\]|p = ", lambda m: m[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
