"""Rows of the list of problems, computed or read from a generated table.

Building all networks to count their parameters takes torch and seconds, so the rows of the
catalog are shipped as `problems.json`, made by `tools/generate_problem_table.py`.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepobs_problems import Problem

TABLE = files("deepobs_runner") / "problems.json"
PACKAGE = "deepobs-problems"

ProblemRow = dict[str, Any]


def shipped_rows() -> list[ProblemRow] | None:
    """Rows of the catalog from the table; None if it is of another catalog's version."""
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    return list(table["rows"]) if table[PACKAGE] == version(PACKAGE) else None


def catalog_rows() -> list[ProblemRow]:
    """Rows of the catalog, computed."""
    from deepobs_problems import CATALOG

    return [problem_row(problem) for problem in CATALOG.values()]


def table_text() -> str:
    """Content of the table."""
    return json.dumps({PACKAGE: version(PACKAGE), "rows": catalog_rows()}, indent=1) + "\n"


def problem_row(problem: Problem) -> ProblemRow:
    """Row of a problem."""
    from deepobs_problems import SUITES

    return {
        "problem": problem.name,
        "parameters": count_parameters(problem),
        "batch size": problem.defaults.batch_size,
        "epochs": problem.defaults.epochs,
        "steps": problem.defaults.steps,
        "l2": problem.l2,
        "schedule": problem.defaults.schedule,
        "clip norm": problem.defaults.clip_norm,
        "precision": problem.defaults.precision,
        "metrics": ["loss", *problem.metrics],
        "suites": [name for name, names in SUITES.items() if problem.name in names],
        "tags": sorted(problem.tags),
    }


def count_parameters(problem: Problem) -> int:
    """Number of trainable parameters of the problem's model."""
    model = problem.model_without_memory()
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
