"""Tables of what tuning was done: every trial of every study, and what they cost."""

from __future__ import annotations

from pathlib import Path

from deepobs_runner.config import without_folder
from deepobs_runner.report.data import ReportData
from deepobs_runner.report.table import METRIC, OPTIMIZER, PROBLEM, Table, make_table, number, words
from deepobs_runner.text import duration
from deepobs_runner.tuning.cost import tuning_cost
from deepobs_runner.tuning.ledger import read_ledger, stored_studies


def result_folders(data: ReportData) -> list[Path]:
    """Folders of own results; studies lie below them."""
    return sorted({run.path.parent for run in data.own if run.path is not None})


def _is_wanted(data: ReportData, problem: str) -> bool:
    return not data.chosen or without_folder(problem) in data.chosen


def cost_table(data: ReportData) -> Table:
    """Cost of `deepobs tune` by study, problem and optimizer."""
    rows = [
        vars(cost)
        for folder in result_folders(data)
        for cost in tuning_cost(folder)
        if _is_wanted(data, cost.problem)
    ]
    columns = [
        words("Study", "study"), words("Ruleset", "ruleset"), words("Sampler", "sampler"),
        PROBLEM, OPTIMIZER, number("Budget", "budget"), number("Trials", "trials"),
        number("Diverged", "diverged"), number("Pruned", "pruned"), number("Failed", "failed"),
        number("Epochs", "epochs"), number("Steps", "steps"),
        number("Time", "seconds", lambda row: duration(row["seconds"])),
    ]  # fmt: skip
    caption = (
        "All trials of the studies in the folder of the results, failed ones too; the runs of the "
        "winners are not included. Time is that of the runs' clocks, one after another."
    )
    return make_table("cost", "What tuning cost", caption, columns, rows)


def trials_table(data: ReportData) -> Table:
    """Every trial of every study."""
    rows = [
        {"study": place.name, **line}
        for folder in result_folders(data)
        for place in stored_studies(folder)[0]
        for line in read_ledger(place)
        if _is_wanted(data, line["problem"])
    ]
    columns = [
        words("Study", "study"), PROBLEM, OPTIMIZER, number("Trial", "number"),
        words("Tried", "point", lambda row: " ".join(f"{k}={v}" for k, v in row["point"].items())),
        words("Status", "status"), METRIC, number("Value", "value"), number("Epochs", "epochs"),
        number("Seconds", "seconds"), words("Message", "message"),
    ]  # fmt: skip
    caption = (
        "The ledgers of the studies in the folder of the results; a trial that diverged or failed "
        "has no value."
    )
    return make_table("trials", "Every trial", caption, columns, rows)
