"""Tables of how runs ended: tuned settings, every setting, every run."""

from __future__ import annotations

from typing import Any

from deepobs_runner.analysis import Metric, metric_of, summarize_end
from deepobs_runner.analysis.first_epochs import id_of_file
from deepobs_runner.analysis.metrics import counted, is_diverged
from deepobs_runner.analysis.sensitivity import rate_of
from deepobs_runner.comparison import published_speed
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.notes import describe_range, describe_statuses, steps_of
from deepobs_runner.report.table import (
    METRIC,
    NOTHING,
    OPTIMIZER,
    PROBLEM,
    SETTING,
    Column,
    Row,
    Table,
    interval,
    make_table,
    number,
    spread_text,
    words,
)
from deepobs_runner.results.clocks import training_seconds
from deepobs_runner.results.labels import label_setting
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting, key_of
from deepobs_runner.text import last_line

METRICS = {
    "test_objective": Metric("test", "objective", higher_is_better=False),
    "train_objective": Metric("train_eval", "objective", higher_is_better=False),
    "test_accuracy": Metric("test", "accuracy", higher_is_better=True),
    "train_accuracy": Metric("train_eval", "accuracy", higher_is_better=True),
    "valid_objective": Metric("valid", "objective", higher_is_better=False),
    "valid_accuracy": Metric("valid", "accuracy", higher_is_better=True),
}
"""Metrics with final values in the table; columns without any value are omitted."""


def final_table(data: ReportData) -> Table:
    """Final values of every optimizer at its tuned setting."""
    rows: list[Row] = []
    for setting in data.tuned:
        target = data.targets[setting.problem]
        row = {
            "problem": setting.problem, "optimizer": setting.optimizer, "setting": setting.label,
            "source": setting.source, "lr": rate_of(setting.runs[0]),
            "settings_seen": setting.tried, "chosen_by": setting.chosen_by,
            **_ends(setting, data.level),
        }  # fmt: skip
        if target is not None:
            speed = published_speed(setting.runs, target)
            row |= {"target": str(target), "speed": speed.mean, "not_reached": speed.unreached}
        rows.append(row)
    columns = [
        PROBLEM, OPTIMIZER, SETTING, number("Settings tried", "settings_seen"), SEEDS, *ENDS,
        interval(data.percent), METRIC, _end_column("Best epoch", "best"),
        STATUS,
    ]  # fmt: skip
    caption = (
        "Mean ± standard deviation (ddof 1) over seeds at the end of the runs, at the setting that "
        f"stands for each optimizer; Student's {data.percent} interval of the mean of the "
        "metric the problem is judged by. Objective is the loss plus the L2 term."
    )
    return make_table("final", "Final values", caption, columns, rows)


def settings_table(data: ReportData) -> Table:
    """Final values of every setting, tuned or not."""
    rows = [
        {
            "problem": problem, "optimizer": setting.config.optimizer_id.name,
            "setting": setting.label, "source": setting.source, "lr": rate_of(setting.runs[0]),
            "recipe": setting.config.recipe,
            "epochs": describe_range(run.epochs()[-1] for run in setting.runs),
            "steps": describe_range(steps_of(setting.runs)),
            **_ends(setting, None),
        }
        for problem, listed in data.settings.items()
        for setting in listed
    ]  # fmt: skip
    columns = [
        PROBLEM, SETTING, words("Source", "source"), words("Recipe", "recipe"),
        number("Epochs", "epochs"), SEEDS, *ENDS, STATUS,
    ]  # fmt: skip
    caption = "Mean ± standard deviation (ddof 1) over seeds at the end of the runs."
    return make_table("settings", "All settings", caption, columns, rows)


def runs_table(data: ReportData) -> Table:
    """Every own run, with its status."""
    labels = {s.key: s.label for listed in data.settings.values() for s in listed}
    rows = [_run_row(run, labels.get(key_of(run))) for run in data.own]
    columns = [
        PROBLEM, SETTING, number("Seed", "seed"), words("Status", "status"),
        words("Recipe", "recipe"), words("Precision", "precision"), number("Epochs", "epochs"),
        *(number(f"Final {name.replace('_', ' ')}", f"final_{name}") for name in METRICS),
        number("Training time in s", "train_seconds"), words("Device", "device"),
        words("What happened", "error"), words("File", "file"),
    ]  # fmt: skip
    caption = "Every run, also those that failed, diverged, were stopped or are not finished."
    return make_table("runs", "All runs", caption, columns, rows)


def _run_row(run: RunResult, label: str | None) -> Row:
    """Row of a run.

    Args:
        run: a run with or without records.
        label: label of its setting; None: made of its configuration.
    """
    config = run.config
    last = run.records[-1] if run.records else {"metrics": {}}
    spent = [training_seconds(record.get("clocks", {})) for record in run.records]
    known = [seconds for seconds in spent if seconds is not None]
    return {
        "id": id_of_file(run), "problem": config.problem_id.name,
        "optimizer": config.optimizer_id.name,
        "setting": label or label_setting(config, original="source" in run.environment),
        "lr": rate_of(run), "seed": config.seed,
        "status": "diverged" if is_diverged(run) else run.status,
        "recipe": config.recipe, "precision": config.precision, "data": config.data,
        "epochs": float(run.epochs()[-1]) if run.records else 0.0, "steps": last.get("steps"),
        **{
            f"final_{name}": last["metrics"].get(metric.split, {}).get(metric.name)
            for name, metric in METRICS.items()
        },
        "train_seconds": float(sum(known)) if known and len(known) == len(spent) else None,
        "device": run.environment.get("device"), "error": last_line(run.error) or None,
        "file": None if run.path is None else run.path.name,
    }  # fmt: skip


def _ends(setting: Setting, level: float | None) -> dict[str, Any]:
    """Final values of the runs of a setting.

    Args:
        setting: setting with its runs; see `counted`.
        level: confidence level of the interval; None: no interval.
    """
    ended = counted(setting.runs)
    row: dict[str, Any] = {
        "seeds": len(setting.every_run),
        "averaged": len(ended),
        "status": describe_statuses(setting.every_run),
    }
    for name, metric in METRICS.items():
        end = summarize_end(ended, metric)
        row[f"final_{name}"] = None if end is None else end.mean
        row[f"final_{name}_std"] = None if end is None else end.std
        row[f"final_{name}_median"] = None if end is None else end.median
    judged = metric_of(ended)
    row["metric"] = None if judged is None else str(judged)
    row |= dict.fromkeys(("low", "high", "interquartile_mean", "best", "best_std"))
    if judged is not None and level is not None:
        end = summarize_end(ended, judged, level=level)
        best = summarize_end(ended, judged, "best")
        if end is not None and best is not None:
            row |= {
                "low": judged.clip(end.low), "high": judged.clip(end.high),
                "interquartile_mean": end.interquartile_mean, "best": best.mean,
                "best_std": best.std,
            }  # fmt: skip
    return row


def _end_column(title: str, key: str) -> Column:
    def text(row: Row) -> str:
        mean, std = row[key], row[f"{key}_std"]
        return NOTHING if mean is None else spread_text(mean, std)

    return number(title, key, text)


def _seeds(row: Row) -> str:
    """Number of runs, and of those behind the numbers if they are fewer."""
    seeds, averaged = row["seeds"], row["averaged"]
    return str(seeds) if seeds == averaged else f"{averaged} of {seeds}"


ENDS = [_end_column(f"Final {name.replace('_', ' ')}", f"final_{name}") for name in METRICS]
SEEDS = number("Seeds", "seeds", _seeds)
STATUS = words("Status", "status", lambda row: "" if row["status"] == "done" else row["status"])
