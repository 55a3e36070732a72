"""The settings of a report, their summary for the terminal, and what to know before comparing."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from deepobs_runner.analysis import Metric, summarize_end
from deepobs_runner.analysis.metrics import TEST_ACCURACY, TEST_OBJECTIVE, is_diverged
from deepobs_runner.baselines import BaselineSet, baseline_results, baseline_sets
from deepobs_runner.comparability import has_stand_in_data, notes_on_official
from deepobs_runner.config import RunConfig
from deepobs_runner.curves import Setting, counted, settings_of
from deepobs_runner.errors import UsageError
from deepobs_runner.labels import shared_hyperparams, show
from deepobs_runner.provenance import ORIGINAL
from deepobs_runner.reporting.tables import NOTHING, spread_text
from deepobs_runner.results import RunResult


def settings_by_problem(
    results: Sequence[RunResult], *, baselines: Sequence[BaselineSet] | None = None
) -> dict[str, list[Setting]]:
    """Return the settings of each problem in the results, then those of the baseline sets.

    Where all runs of a problem used generated data, the baselines are left out.

    Args:
        results: of any problems.
        baselines: the sets to compare with; None: all there are, see `baseline_sets`.

    Raises:
        UsageError: there is no result with a record.
    """
    shown = [result for result in results if result.records]
    if not shown:
        raise UsageError("There is nothing to report: no run has got as far as one evaluation.")
    problems: dict[str, list[Setting]] = {}
    for setting in settings_of(shown):
        problems.setdefault(setting.problem, []).append(setting)
    sets = list(baseline_sets().values()) if baselines is None else baselines
    for problem, settings in problems.items():
        if not all(map(has_stand_in_data, settings)):
            for chosen in sets:
                settings.extend(settings_of(baseline_results(chosen, problem)))
    return problems


def steps_of(runs: Iterable[RunResult]) -> list[float]:
    """Return how many steps each run took, where its records say it."""
    steps = (run.records[-1].get("steps") for run in runs if run.records)
    return [float(number) for number in steps if number is not None]


def describe_range(numbers: Iterable[float]) -> str:
    """Return the least and the greatest of some numbers, "" if there are none.

    >>> describe_range([4.0, 4.0]), describe_range([2.0, 4.0, 9 / 7])
    ('4', '1.29 to 4')
    """
    found = sorted(set(numbers))
    words = [f"{number:.2f}".rstrip("0").rstrip(".") for number in (*found[:1], *found[-1:])]
    return " to ".join(dict.fromkeys(words))


def describe_statuses(runs: Iterable[RunResult]) -> str:
    """Return how many runs ended how; only `done` if all are."""
    counts = Counter("diverged" if is_diverged(run) else run.status for run in runs)
    if set(counts) == {"done"}:
        return "done"
    return ", ".join(f"{count} {status}" for status, count in counts.items())


def summary_table(problems: dict[str, list[Setting]]) -> Table:
    """Return the summary as a table for the terminal; columns nobody needs are left out.

    A problem has a line of its own above its settings, so that the table fits 80 columns.
    """
    shown = [setting for settings in problems.values() for setting in settings]
    columns: dict[str, Callable[[Setting], str]] = {"seeds": lambda s: _seeds(s.runs)}
    ends = {_length(setting.runs) for setting in shown}
    named = any(" epochs=" in setting.label for setting in shown)
    if named or len(ends) > 1 or any("step" in end for end in ends):
        columns["epochs"] = lambda s: _length(s.runs)
    columns["test\nobjective"] = lambda s: _end(s.runs, TEST_OBJECTIVE)
    if any(_end(setting.runs, TEST_ACCURACY) != NOTHING for setting in shown):
        columns["test\naccuracy"] = lambda s: _end(s.runs, TEST_ACCURACY)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=0,
        caption="mean ± standard deviation over seeds (ddof 1); objective = loss + L2",
    )
    labels = [_without_columns(setting.label) for setting in shown]
    longest = max((len(word) for label in labels for word in label.split(" ")), default=0)
    # Broken rather than cut, as it is all there is, but not within a word if that can be.
    table.add_column("setting", overflow="fold", min_width=min(longest + 2, 40))
    table.add_column("runs")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    if any(describe_statuses(setting.runs) != "done" for setting in shown):
        table.add_column("status")
        columns["status"] = lambda s: describe_statuses(s.runs)
    for number, (problem, settings) in enumerate(problems.items()):
        if number:
            table.add_row()
        table.add_row(Text(problem, style="bold"))
        for setting in settings:
            recipe = setting.runs[0].config.recipe
            table.add_row(
                Padding(Text(_without_columns(setting.label)), (0, 0, 0, 2)),
                Text(f"{setting.source}, {recipe}"),
                *(Text(cell(setting)) for cell in columns.values()),
            )
    return table


def _without_columns(label: str) -> str:
    """Return the label of a setting without recipe and epochs, which have columns."""
    words = label.split(" ")
    return " ".join(word for word in words if not word.startswith(("recipe=", "epochs=")))


def _end(runs: Sequence[RunResult], metric: Metric) -> str:
    """Return mean and spread of a metric at the end of the runs that count."""
    end = summarize_end(counted(runs), metric, resamples=None, unfinished=True)
    return NOTHING if end is None else spread_text(end.mean, end.std)


def _seeds(runs: Sequence[RunResult]) -> str:
    """Return how many runs there are, and how many of them the numbers are of."""
    averaged = len(counted(runs))
    return str(averaged) if averaged == len(runs) else f"{averaged} of {len(runs)}"


def _length(runs: Sequence[RunResult]) -> str:
    """Return after how many epochs the runs end; with the steps if it is or may be within one."""
    ends = [float(run.epochs()[-1]) for run in runs]
    text = describe_range(ends)
    unknown = any(run.ends_in_unknown_epoch for run in runs)
    if unknown:
        text = f"at most {text}"
    if unknown or not all(map(float.is_integer, ends)):
        steps = describe_range(steps_of(runs))
        return f"{text} ({steps} {'step' if steps == '1' else 'steps'})"
    return text


def notes(problems: dict[str, list[Setting]]) -> list[str]:
    """Return what a reader must know before comparing the rows of the table."""
    settings = [setting for listed in problems.values() for setting in listed]
    sentences = _notes_on_recipes(settings)
    for problem, listed in problems.items():
        # A run that diverged ends where it diverged; that is not a different length.
        lengths = {
            describe_range([run.epochs()[-1]])
            for setting in listed
            for run in setting.runs
            if run.status != "diverged"
        }
        if len(lengths) > 1:
            sentences.append(
                f"{problem}: runs end after different numbers of epochs "
                f"({', '.join(sorted(lengths, key=float))}); compare the curves, not the ends."
            )
        sentences += notes_on_official(problem, listed)
    sentences += _notes_on_shared(settings)
    sentences += _notes_on_unfinished(settings)
    diverged = [setting for setting in settings if _ended(setting, "diverged")]
    for setting in diverged:
        sentences.append(
            f"{setting.problem}: {len(_ended(setting, 'diverged'))} of {len(setting.runs)} runs of "
            f"{setting.label} diverged; means over the seeds are not finite from there on."
        )
    return sentences


def _notes_on_shared(settings: Sequence[Setting]) -> list[str]:
    """Say what the labels of users' optimizers leave out, as all their settings share it."""
    by_source: dict[str, list[RunConfig]] = {}
    for setting in settings:
        by_source.setdefault(setting.source, []).append(setting.runs[0].config)
    found: dict[str, None] = {}
    for configs in by_source.values():
        for optimizer, shared in shared_hyperparams(configs).items():
            if shared:
                words = " ".join(f"{name}={show(value)}" for name, value in sorted(shared.items()))
                found[f"All settings of {optimizer.rpartition(':')[2]} share {words}."] = None
    return list(found)


def _notes_on_unfinished(settings: Sequence[Setting]) -> list[str]:
    """Say which means leave runs out, or are of runs that should be left out."""
    sentences = []
    for setting in settings:
        averaged = counted(setting.runs)
        kept = {id(run) for run in averaged}
        out = [run for run in setting.runs if id(run) not in kept]
        if out:
            sentences.append(
                f"{setting.problem}: {len(out)} of {len(setting.runs)} runs of {setting.label} did "
                f"not end by themselves ({describe_statuses(out)}); their ends are left out of the "
                "numbers."
            )
        elif averaged[0].status not in ("done", "diverged"):
            sentences.append(
                f"{setting.problem}: no run of {setting.label} is done "
                f"({describe_statuses(averaged)}); the numbers are of where they are."
            )
    return sentences


def _ended(setting: Setting, status: str) -> list[RunResult]:
    return [run for run in setting.runs if run.status == status]


def _notes_on_recipes(settings: Sequence[Setting]) -> list[str]:
    sentences = []
    recipes: dict[str, set[str]] = {}
    for setting in settings:
        if setting.source == "yours":
            recipes.setdefault(setting.problem, set()).add(setting.runs[0].config.recipe)
    others = {s.problem for s in settings if s.official or s.source == ORIGINAL}
    if any("standard" in recipes.get(problem, ()) for problem in others):
        sentences.append(
            "Official results repeat one data order in every epoch (recipe 2019). Runs of the "
            'recipe "standard" are not comparable with them; repeat yours with --recipe 2019.'
        )
    elif any(len(found) > 1 for found in recipes.values()):
        sentences.append(
            "Your runs follow two recipes; only runs of the same recipe are comparable."
        )
    betas = {
        run.environment["source"]
        for setting in settings
        for run in setting.runs
        if "beta" in str(run.environment.get("source", ""))
    }
    if betas:
        sentences.append(
            "Results of the 1.2 beta hold out validation data and, made with PyTorch, use other "
            "image operations, another order in every epoch and another quadratic: they are "
            "comparable with each other only."
        )
    return sentences


def file_names(problems: Iterable[str]) -> dict[str, str]:
    """Return a name for the files of each problem: of `path/to/file.py:name` the name.

    >>> file_names(["quadratic_deep", "a/mine.py:p", "b/mine.py:p"])
    {'quadratic_deep': 'quadratic_deep', 'a/mine.py:p': 'p', 'b/mine.py:p': 'p-2'}
    """
    names: dict[str, str] = {}
    for problem in problems:
        short = re.sub(r"[^A-Za-z0-9_.]+", "_", problem.rpartition(":")[2])
        number = 1
        while (name := short if number == 1 else f"{short}-{number}") in names.values():
            number += 1
        names[problem] = name
    return names
