"""The settings of a report, and what to know before comparing them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from deepobs_runner.analysis.metrics import is_counted, is_diverged
from deepobs_runner.analysis.tuned import tuned_settings
from deepobs_runner.comparison.fairness import has_stand_in_data
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.report.sentences import notes_on_official, notes_on_stand_in_data
from deepobs_runner.results.baselines import BaselineSet, baseline_results, baseline_sets
from deepobs_runner.results.labels import label_setting, shared_hyperparams, show
from deepobs_runner.results.result import ORIGINAL, RunResult
from deepobs_runner.results.sessions import session_changes
from deepobs_runner.results.settings import Setting, key_of, settings_of
from deepobs_runner.text import bare_name


def settings_by_problem(
    results: Sequence[RunResult], *, baselines: Sequence[BaselineSet] | None = None
) -> dict[str, list[Setting]]:
    """Settings of each problem in the results, then those of the baseline sets.

    Where all runs of a problem used generated data, the baselines are left out. Without a choice
    of sets there are all of them.

    Raises:
        UsageError: no result has a record.
    """
    shown = [result for result in results if result.records]
    if not shown:
        raise UsageError("No results to report: no run has an evaluation yet.")
    problems: dict[str, list[Setting]] = {}
    for setting in settings_of(shown):
        problems.setdefault(setting.problem, []).append(setting)
    sets = list(baseline_sets().values()) if baselines is None else baselines
    for problem, settings in problems.items():
        if not all(map(has_stand_in_data, settings)):
            for chosen in sets:
                found = tuned_settings(baseline_results(chosen, problem))
                settings.extend(found.get(problem, []))
    return problems


def steps_of(runs: Iterable[RunResult]) -> list[float]:
    """Number of steps of each run, if recorded."""
    steps = (run.records[-1].get("steps") for run in runs if run.records)
    return [float(number) for number in steps if number is not None]


def describe_range(numbers: Iterable[float]) -> str:
    """Least and greatest of some numbers, "" without any.

    >>> describe_range([4.0, 4.0]), describe_range([2.0, 4.0, 9 / 7])
    ('4', '1.29 to 4')
    """
    found = sorted(set(numbers))
    words = [f"{number:.2f}".rstrip("0").rstrip(".") for number in (*found[:1], *found[-1:])]
    return " to ".join(dict.fromkeys(words))


def describe_statuses(runs: Iterable[RunResult]) -> str:
    """Number of runs per status; only `done` if all are."""
    found = Counter(map(status_of, runs))
    if set(found) == {"done"}:
        return "done"
    return ", ".join(f"{number} {status}" for status, number in found.items())


def status_of(run: RunResult) -> str:
    """Status of a run in words."""
    if is_diverged(run):
        return "diverged"
    if run.status == "stopped":
        return "ended by a time limit" if run.out_of_time else "stopped early"
    return run.status


def notes(problems: dict[str, list[Setting]]) -> list[str]:
    """Caveats of comparing the rows of the table."""
    settings = [setting for listed in problems.values() for setting in listed]
    sentences = _notes_on_recipes(settings)
    for problem, listed in problems.items():
        # A run that diverged ends where it diverged; that is not a different length.
        lengths = {
            describe_range([run.epochs()[-1]])
            for setting in listed
            for run in setting.runs
            if not is_diverged(run)
        }
        if len(lengths) > 1:
            sentences.append(
                f"{problem}: runs end after different numbers of epochs "
                f"({', '.join(sorted(lengths, key=float))}); compare the curves, not the ends."
            )
        sentences += notes_on_stand_in_data(problem, listed)
        sentences += notes_on_official(problem, listed)
    sentences += _notes_on_shared(settings)
    sentences += _notes_on_unfinished(settings)
    sentences += _notes_on_sessions(settings)
    for setting in settings:
        if lost := sum(map(is_diverged, setting.runs)):
            sentences.append(
                f"{setting.problem}: {lost} of {len(setting.runs)} runs of {setting.label} "
                "diverged; means over the seeds are not finite from there on."
            )
    return sentences


def _notes_on_shared(settings: Sequence[Setting]) -> list[str]:
    """Notes on hyperparameters that labels omit, since all settings share them."""
    by_source: dict[str, list[RunConfig]] = {}
    for setting in settings:
        by_source.setdefault(setting.source, []).append(setting.runs[0].config)
    found: dict[str, None] = {}
    for configs in by_source.values():
        for optimizer, shared in shared_hyperparams(configs).items():
            if shared:
                words = " ".join(
                    f"{show(name)}={show(value)}" for name, value in sorted(shared.items())
                )
                found[f"All settings of {bare_name(optimizer)} share {words}."] = None
    return list(found)


def _notes_on_unfinished(settings: Sequence[Setting]) -> list[str]:
    """Notes on means that exclude runs, or include doubtful ones."""
    sentences = []
    for setting in settings:
        every = setting.every_run
        out = [run for run in every if not is_counted(run)]
        if 0 < len(out) < len(every):
            sentences.append(
                f"{setting.problem}: {len(out)} of {len(every)} runs of {setting.label} "
                f"did not complete ({describe_statuses(out)}) and are excluded from final values."
            )
        elif out:
            sentences.append(
                f"{setting.problem}: no run of {setting.label} is done "
                f"({describe_statuses(out)}); the values are of their latest records."
            )
    return sentences


def _notes_on_sessions(settings: Sequence[Setting]) -> list[str]:
    """Notes on runs that were resumed with other versions or on another machine."""
    sentences = []
    for setting in settings:
        changes = [session_changes(run) for run in setting.runs]
        if number := sum(map(bool, changes)):
            words = "; ".join(dict.fromkeys(change for listed in changes for change in listed))
            sentences.append(
                f"{setting.problem}: {number} of {len(setting.runs)} runs of {setting.label} "
                f"continued in another environment ({words})."
            )
    return sentences


def notes_on_missing(own: Sequence[RunResult], settings: Iterable[Setting]) -> list[str]:
    """Notes on settings of which no run has an evaluation, so that no table has a row of them.

    Args:
        own: results of the report.
        settings: settings that the tables show.
    """
    shown = {setting.key for setting in settings}
    missing: dict[tuple[str, str, str], list[RunResult]] = {}
    for run in own:
        if not run.finished and not run.records and key_of(run) not in shown:
            missing.setdefault(key_of(run), []).append(run)
    return [
        f"{runs[0].config.problem_id.name}: no run of "
        f"{label_setting(runs[0].config, original='source' in runs[0].environment)} has an "
        f"evaluation ({describe_statuses(runs)}), so no table shows it."
        for runs in missing.values()
    ]


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
        sentences.append("Your runs use two recipes; only runs of one recipe are comparable.")
    betas = {
        run.environment["source"]
        for setting in settings
        for run in setting.runs
        if "beta" in str(run.environment.get("source", ""))
    }
    if betas:
        sentences.append(
            "Results of the 1.2 beta hold out validation data and, made with PyTorch, use "
            "other image operations, another order in every epoch and another quadratic. They "
            "are comparable only with each other."
        )
    return sentences
