"""The numbers that the page draws: one JSON object, small enough to be part of a file.

Curves are thinned and rounded, so their size depends on how much a screen shows and not on how
much was recorded. Full precision is in the result files, `evaluations.csv` and the tables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deepobs_runner.analysis import Metric, expected_best
from deepobs_runner.analysis.first_epochs import id_of_file
from deepobs_runner.figures.style import palette_of
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.notes import status_of
from deepobs_runner.report.page.curves import compact, curves_of, points_of
from deepobs_runner.report.tables.tuning import sensitivities, tried, window_of
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.results.result import RunResult, provenance_of
from deepobs_runner.results.settings import PANELS, Setting, key_of
from deepobs_runner.text import file_names, last_line

DASHES: tuple[tuple[float, ...], ...] = ((), (8, 3), (2, 2.5), (8, 3, 2, 3), (12, 4), (4, 2))
"""Of the lines of optimizers that are compared with others, so that none relies on colour alone."""

REFERENCE_DASHES = ((2, 2.5), (8, 3, 2, 3), (5, 2), (1, 4), (12, 4))
"""Of the lines of what they are compared with."""

ID_DIGITS = 6
"""Last characters of the id of a run, enough to find its file."""

MANY_RUNS = 3000
"""Number of runs above which only the judged metric of each is listed."""


def payload_of(data: ReportData) -> dict[str, Any]:
    """All numbers of the page; a number that is not finite is None.

    Settings refer to optimizers, and runs to settings, by index.
    """
    labels = data.labels
    shown = {problem: _shown(data, problem) for problem in data.settings}
    most, seeds = points_of([setting for listed in shown.values() for setting in listed])
    names = file_names(data.settings)
    return {
        "level": data.level,
        "unit": data.unit,
        "optimizers": _optimizers(data, labels),
        "problems": [
            {
                "name": problem,
                "id": names[problem],
                **curves_of(data.targets[problem], settings, labels, most, seeds=seeds),
            }
            for problem, settings in shown.items()
        ],
        "sensitivity": _sensitivity(data, list(shown), labels),
        "tuning": _tuning(data, list(shown), labels),
        "runs": _runs(data, list(shown)),
    }


def as_json(payload: Mapping[str, Any]) -> str:
    """JSON that can stand in an element `script`: no text in it can end the element."""
    text = json.dumps(payload, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return re.sub(r"(?<!\\)((?:\\\\)*)\\u00[01][0-9a-f]", "\\1\ufffd", text)  # control characters


def _shown(data: ReportData, problem: str) -> list[Setting]:
    """Settings with curves on the page, the compared ones first."""
    tuned = list(data.problems[problem])
    keys = {setting.key for setting in tuned}
    return tuned + [setting for setting in data.shown(problem) if setting.key not in keys]


def _optimizers(data: ReportData, labels: Sequence[str]) -> list[dict[str, Any]]:
    firsts: dict[str, Setting] = {}
    for setting in data.tuned:
        firsts.setdefault(setting.optimizer, setting)
    leading = {verdict.optimizer for verdict in data.verdicts} or set(labels)
    compared = leading | {verdict.reference for verdict in data.verdicts}
    palette = palette_of(setting.config.optimizer_id.name for setting in firsts.values())
    dashes: dict[str, tuple[float, ...]] = {}
    for label in sorted(labels, key=lambda name: (name not in leading, name not in compared)):
        alike = [other for other in dashes if (other in leading) == (label in leading)]
        styles = DASHES if label in leading else REFERENCE_DASHES
        dashes[label] = styles[len(alike) % len(styles)]
    return [
        {
            "name": label,
            "source": firsts[label].source,
            "leading": label in leading,
            "compared": label in compared,
            "color": palette[firsts[label].config.optimizer_id.name].color,
            "dash": dashes[label],
        }
        for label in labels
    ]


def _sensitivity(
    data: ReportData, problems: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Final value over the learning rates of those that tried several."""
    found = []
    for setting, curve in sensitivities(data):
        window = window_of(data, setting, curve)
        found.append(
            {
                "p": problems.index(setting.problem),
                "o": labels.index(setting.optimizer),
                "metric": str(curve.metric),
                "rates": [float(f"{rate:.6g}") for rate in curve.rates.tolist()],
                "values": [compact(value) for value in curve.medians.tolist()],
                "lost": np.flatnonzero(curve.diverged == curve.runs).tolist(),
                "best": curve.best,
                "window": None if window is None else [window.low, window.high],
            }
        )
    return found


def _tuning(
    data: ReportData, problems: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Expected best of k trials of those that tried several settings."""
    found = []
    for setting, runs, metric in tried(data):
        curve = expected_best(runs, metric)
        if curve is not None and len(curve.expected) > 1:
            found.append(
                {
                    "p": problems.index(setting.problem),
                    "o": labels.index(setting.optimizer),
                    "metric": str(metric),
                    "expected": [compact(value) for value in curve.expected.tolist()],
                }
            )
    return found


def _runs(data: ReportData, problems: Sequence[str]) -> dict[str, Any]:
    """Every own run, and the tuned ones of baselines, by columns."""
    tuned = [run for s in data.tuned if not data.is_own(s) for run in s.runs]
    runs = [*data.own, *tuned]
    labels = {s.key: (s.problem, s.label) for s in data.every}
    settings: dict[tuple[str, str, str], int] = {}
    texts: list[list[Any]] = []
    statuses: list[str] = []
    errors: list[str] = []
    metrics = _listed_metrics(runs)
    rows: list[list[Any]] = []
    for run in runs:
        key = key_of(run)
        if key not in settings:
            problem, label = labels.get(key, (run.config.problem_id.name, ""))
            name = label or run.config.optimizer_id.name
            index = problems.index(problem) if problem in problems else -1
            settings[key] = len(texts)
            texts.append([index, name, provenance_of(run)])
        rows.append(
            [
                settings[key],
                run.config.seed,
                _index(statuses, status_of(run)),
                compact(float(run.epochs()[-1])) if run.records else 0,
                compact(_seconds(run)),
                *[_final(run, metric) for metric in metrics],
                _index(errors, last_line(run.error)),
                id_of_file(run)[-ID_DIGITS:],
            ]
        )
    return {
        "settings": texts,
        "statuses": statuses,
        "errors": errors,
        "metrics": list(map(str, metrics)),
        "rows": rows,
    }


def _listed_metrics(runs: Sequence[RunResult]) -> list[Metric]:
    """Metrics with a final value per run in the list."""
    found: dict[Metric, None] = {}
    for split, name in PANELS if len(runs) < MANY_RUNS else PANELS[1::2]:
        if any(name in run.records[-1]["metrics"].get(split, {}) for run in runs if run.records):
            found[Metric(split, name, higher_is_better=name == "accuracy")] = None
    return list(found)


def _final(run: RunResult, metric: Metric) -> float | int | None:
    last = run.records[-1]["metrics"] if run.records else {}
    return compact(last.get(metric.split, {}).get(metric.name))


def _seconds(run: RunResult) -> float | None:
    spent = [training_seconds(record.get("clocks", {})) for record in run.records]
    known = [seconds for seconds in spent if seconds is not None]
    return float(sum(known)) if known and len(known) == len(spent) else None


def _index(texts: list[str], text: str) -> int:
    """Index of a text among others; it is added if it is new."""
    if text not in texts:
        texts.append(text)
    return texts.index(text)
