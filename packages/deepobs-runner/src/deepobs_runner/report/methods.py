"""The methods paragraph: runs and comparison, from the stored results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeAlias

from deepobs_runner.report.data import ReportData
from deepobs_runner.report.notes import describe_range, describe_statuses
from deepobs_runner.report.references import entries, short_citation
from deepobs_runner.report.tables.cost import result_folders
from deepobs_runner.report.tables.environment import versions_of
from deepobs_runner.results.labels import show_schedule
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import count, join
from deepobs_runner.tuning.ledger import Line, read_ledger, stored_studies
from deepobs_runner.tuning.study import Study

CITATION = re.compile(r"\[@([a-z0-9]+)\]")


@dataclass(frozen=True, kw_only=True)
class Methods:
    """A text with citations, each written `[@key]`.

    Attributes:
        paragraphs: what was run, what it was compared with, and how.
    """

    paragraphs: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the works cited, in order."""
        found = (key for text in self.paragraphs for key in CITATION.findall(text))
        return tuple(dict.fromkeys(key for key in found if key in entries()))

    def plain(self) -> str:
        """Text with authors and years."""
        return "\n\n".join(
            cite(text, lambda key: f"({short_citation(key)})") for text in self.paragraphs
        )


def cite(text: str, write: Callable[[str], str], other: Callable[[str], str] = str) -> str:
    """Text with each citation written by one function, all else by another.

    A key of no work may be a part of a name in a foreign result, and stays text.
    """
    parts = CITATION.split(text)  # text, key, text, key, …, text
    for i in range(len(parts) - 2, 0, -2):
        if parts[i] not in entries():
            parts[i - 1 : i + 2] = [f"{parts[i - 1]}[@{parts[i]}]{parts[i + 1]}"]
    return "".join(write(part) if i % 2 else other(part) for i, part in enumerate(parts))


def write_methods(data: ReportData) -> Methods:
    """Methods paragraphs of a report."""
    paragraphs = [" ".join(_what_was_run(data))]
    if data.baselines:
        paragraphs.append(" ".join(_what_it_is_compared_with(data)))
    paragraphs.append(" ".join(_how_it_is_compared(data)))
    return Methods(paragraphs=tuple(paragraphs))


def _what_was_run(data: ReportData) -> Iterator[str]:
    runs = [run for run in data.own if run.records]
    problems = list(data.settings)
    yield (
        f"The optimizers were run on {count(len(problems), 'test problem')} of DeepOBS "
        f"[@schneider2019deepobs]: {join(problems)}."
    )
    yield from _software(runs)
    ours = [setting for setting in data.tuned if data.is_own(setting)]
    studies = [study for folder in result_folders(data) for study in _studies(folder)]
    yield from _settings([_choice(setting, _tuning(data, setting, studies)) for setting in ours])
    yield from _conditions(runs)
    yield f"Of {count(len(data.own), 'run')}, {_outcomes(data.own)}."


def _software(runs: Sequence[RunResult]) -> Iterator[str]:
    ours, torch = versions_of(runs, "deepobs-runner"), versions_of(runs, "torch")
    if ours or torch:
        names = [f"deepobs-runner {join(ours)}"] if ours else []
        names += [f"PyTorch {join(torch)} [@paszke2019]"] if torch else []
        pythons = sorted(
            {str(run.environment["python"]) for run in runs if "python" in run.environment}
        )
        python = f" under Python {join(pythons)}" if pythons else ""
        devices = sorted({_device(run) for run in runs if "device" in run.environment})
        where = f" on {join(devices)}" if devices else ""
        yield f"Runs were made with {join(names)}{python}{where}."
    sources = sorted({str(r.environment["source"]) for r in runs if "source" in r.environment})
    for source in sources:
        number = sum(str(run.environment.get("source")) == source for run in runs)
        verb = "is" if number == 1 else "are"
        yield f"{count(number, 'run')} {verb} from another source: {source}."


def _device(run: RunResult) -> str:
    device, name = run.environment.get("device"), run.environment.get("device_name")
    return f"{device} ({name})" if name else str(device)


class Choice(NamedTuple):
    """The setting that stands for an optimizer on a problem, in words."""

    problem: str
    label: str
    length: str
    seeds: str
    tuning: str


Lines: TypeAlias = list[Line]


def _studies(folder: Path) -> list[tuple[Study, Lines]]:
    """Studies below a folder of results, with their trials."""
    return [(study, read_ledger(place)) for place, study in stored_studies(folder)[0].items()]


def _tuning(data: ReportData, setting: Setting, studies: Sequence[tuple[Study, Lines]]) -> str:
    """How a setting was chosen, as far as the results and the studies beside them tell."""
    if setting.tried == 1:
        return "the only setting among the results"
    alike = {run.config.id for run in data.candidates(setting) if _is_trial_of(run, setting)}
    for study, lines in studies:
        won = next((line for line in lines if line["run"] in alike), None)
        if won is not None:
            return _study_text(study, won, lines)
    if setting.chosen_by == "repeated":
        return f"the one of {setting.tried} settings among the results that has the most seeds"
    return f"chosen from {setting.tried} by {setting.chosen_by}"


def _is_trial_of(run: RunResult, setting: Setting) -> bool:
    """Whether a run has the configuration of a setting, but for seed and validation examples."""
    one, other = (replace(c, seed=0, valid_size=0) for c in (run.config, setting.config))
    return one.id == other.id


def _study_text(study: Study, won: Line, lines: Lines) -> str:
    """Study that tried a setting, and whether the setting is the best of its trials."""
    trials = [
        line
        for line in lines
        if (line["problem"], line["optimizer"]) == (won["problem"], won["optimizer"])
    ]
    values = [line["value"] for line in trials if line["value"] is not None]
    higher = "accuracy" in (won["metric"] or "")
    is_best = bool(values) and won["value"] == (max(values) if higher else min(values))
    held_out = study.valid_sizes.get(won["problem"], 0)
    on = f" on {count(held_out, 'held-out training example')}" if held_out else ""
    chosen = f"the best by final {won['metric']}{on} of" if is_best else "one of"
    return (
        f"{chosen} {count(len(trials), 'trial')} of deepobs tune (ruleset {study.ruleset}, sampler "
        f"{study.sampler}, budget {study.budget})"
    )


def _choice(setting: Setting, tuning: str) -> Choice:
    runs = setting.runs
    epochs = describe_range(run.epochs()[-1] for run in runs if run.records)
    batch_size = runs[0].config.batch_size
    length = count(epochs, "epoch")
    length += f" of batches of {batch_size}" if batch_size else ""
    return Choice(
        problem=setting.problem,
        label=setting.label,
        length=length,
        seeds=_seeds([run.config.seed for run in runs]),
        tuning=tuning,
    )


def _settings(choices: Sequence[Choice]) -> Iterator[str]:
    """Describe every setting; values common to a problem or to all are named once."""
    shared = [name for name in ("seeds", "tuning") if len({getattr(c, name) for c in choices}) == 1]
    for problem in dict.fromkeys(choice.problem for choice in choices):
        listed = [choice for choice in choices if choice.problem == problem]
        alike = len({choice.length for choice in listed}) == 1
        described = []
        for choice in listed:
            words = [] if alike else [choice.length]
            words += [getattr(choice, name) for name in ("seeds", "tuning") if name not in shared]
            described.append(choice.label + (f" ({', '.join(words)})" if words else ""))
        length = f" ({listed[0].length})" if alike else ""
        yield f"On {problem}{length}: {'; '.join(described)}."
    words = [getattr(choices[0], name) for name in shared] if choices else []
    if words:
        yield f"Each with {words[0]}." if shared[0] == "seeds" else f"Each is {words[0]}."
    if len(words) > 1:
        yield f"Each is {words[1]}."


def _seeds(seeds: Sequence[int]) -> str:
    first, last = min(seeds), max(seeds)
    if len(seeds) == 1:
        return f"seed {first}"
    if last - first == len(seeds) - 1 == len(set(seeds)) - 1:
        return f"seeds {first} to {last}"
    return f"{len(seeds)} seeds"


def _conditions(runs: Sequence[RunResult]) -> Iterator[str]:
    """Describe recipe, precision, schedule and data, together if all runs agree."""
    configs = [run.config for run in runs]
    for name, values in (
        ("data recipe", {config.recipe for config in configs}),
        ("precision", {config.precision for config in configs}),
        ("learning-rate schedule", {show_schedule(config.schedule) for config in configs}),
    ):
        listed = sorted(values)
        noun = name if len(listed) == 1 else {"precision": "precisions"}.get(name, f"{name}s")
        yield f"{noun[0].upper()}{noun[1:]}: {join(listed)}."
    held_out = sorted({config.valid_size for config in configs})
    if held_out != [0]:
        yield f"Training examples held out for validation: {join([str(n) for n in held_out])}."
    if any(config.data == "synthetic" for config in configs):
        yield (
            "Some runs used generated stand-in data; their results do not hold for the "
            "problem itself."
        )


def _outcomes(runs: Sequence[RunResult]) -> str:
    found = describe_statuses(runs)
    return "all completed" if found == "done" else f"outcomes: {found}"


def _what_it_is_compared_with(data: ReportData) -> Iterator[str]:
    found: dict[str, list[Setting]] = {}
    for setting in data.tuned:
        if not data.is_own(setting):
            found.setdefault(setting.source, []).append(setting)
    for source, listed in found.items():
        labels = list(dict.fromkeys(setting.optimizer for setting in listed))
        tried = describe_range(float(setting.tried) for setting in listed)
        seeds = describe_range(float(len(setting.runs)) for setting in listed)
        cited = " [@schneider2019deepobs]" if source == "official" else ""
        yield (
            f"They are compared with the baselines {source!r}{cited}: {join(labels)}, for which "
            f"{tried} settings were tried on each problem and the best was run with {seeds} seeds."
        )


def _how_it_is_compared(data: ReportData) -> Iterator[str]:
    unit = data.unit.replace("_", " ")
    if data.epochs is not None:
        yield (
            f"All comparisons are after {count(data.epochs, 'epoch')}: longer runs with a "
            "constant learning rate are truncated, at the settings chosen for their whole length."
        )
    targets = [target for target in data.targets.values() if target is not None]
    yield (
        "Each optimizer is represented by the setting with the most seeds, among equals by the "
        "best median final value. Final values are means over seeds with their standard deviation "
        f"(ddof 1) and Student's {data.percent} interval [@student1908]."
    )
    if targets:
        sources = list(dict.fromkeys(target.source for target in targets))
        yield (
            f"Time to target is the number of {unit} until the test metric meets a target and the "
            f"majority of the next evaluations does, too; the target is the {join(sources)}. Runs "
            "that do not reach it are right-censored, and the median is that of Kaplan and Meier "
            "[@kaplan1958]."
        )
    if data.verdicts:
        yield (
            f"Speedups are ratios of geometric mean times with {data.percent} intervals of Welch's "
            "t on log times [@welch1947]; where runs do not reach the target, they are rank-sum "
            "shifts of log times [@hodges1963] [@bauer1972] that hold whatever the censored runs "
            "would have done. Final values are compared by Welch's t, by the paired t from six "
            "common seeds on, and by the rank-sum shift where runs diverged. All p-values of the "
            "report are corrected together [@holm1979], and only these decide a claim; intervals "
            "are not corrected. Over problems, the probability of being faster comes from the "
            "rank-sum test stratified by problem [@elteren1960]. Closeness to the fastest is shown "
            "by performance profiles [@dolan2002]."
        )
    if data.equivalences:
        yield (
            f"Equivalence within {100 * data.equivalences[0].margin:g} % is shown by two one-sided "
            "t-tests of the ratio [@schuirmann1987], corrected together [@holm1979]."
        )
    if any(setting.tried > 1 for setting in data.tuned):
        yield (
            "The tuning curve is the expected best of k settings drawn without replacement "
            "[@tang2020]."
        )
    yield (
        "Curves are medians over seeds. Their bands are pointwise: the range of the seeds on the "
        f"page, and {data.percent} percentile bootstrap intervals in figures of five seeds or more "
        "[@efron1993]. Shares of diverged seeds have Wilson intervals [@wilson1927]."
    )
