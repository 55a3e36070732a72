"""Fairness checks: other differences between the compared runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

from deepobs_runner.analysis.first_epochs import FULL_LENGTH
from deepobs_runner.analysis.metrics import counted, is_counted, is_diverged
from deepobs_runner.analysis.sensitivity import rate_of
from deepobs_runner.comparison.targets import Target
from deepobs_runner.config import RunConfig
from deepobs_runner.results.labels import show, show_schedule
from deepobs_runner.results.official import (
    official_config,
    official_learning_rate,
)
from deepobs_runner.results.result import RunResult, is_official
from deepobs_runner.results.sessions import environments_of
from deepobs_runner.results.settings import Setting
from deepobs_runner.results.shipped_defaults import problem_row
from deepobs_runner.text import count

Describe = Callable[[Setting], str]
Problems = Mapping[str, Sequence[Setting]]


class Facet(NamedTuple):
    """One property that may differ between the runs of two optimizers.

    Attributes:
        name: of what it is.
        describe: value for a setting; empty if unknown.
        listed: whether there is a point in saying that it is equal.
        alone: whether a value of one optimizer is worth naming, whatever holds for the others.
    """

    name: str
    describe: Describe
    listed: bool = True
    alone: bool = False


class Difference(NamedTuple):
    """A difference between optimizers, equal on some problems.

    Attributes:
        facet: name of the facet.
        problems: problems on which they do.
        values: label of each optimizer, and what holds for it; nothing where that is not known.
    """

    facet: str
    problems: tuple[str, ...]
    values: tuple[tuple[str, str], ...]


class ForeignTarget(NamedTuple):
    """Optimizers with a target that comes from runs of another kind.

    Attributes:
        reason: what the other runs differ in.
        optimizers: their labels.
        problems: problems on which they are.
    """

    reason: Literal["recipe", "data"]
    optimizers: tuple[str, ...]
    problems: tuple[str, ...]


class Agreement(NamedTuple):
    """Properties that do not differ between optimizers on any problem.

    Attributes:
        equal: known of all of them, and the same.
        unknown: not known of one of them somewhere.
    """

    equal: tuple[str, ...]
    unknown: tuple[str, ...]


def differences(problems: Problems, labels: Sequence[str] | None = None) -> list[Difference]:
    """Differences between optimizers on a problem.

    Tuning budget (number of distinct settings among the results), recipe, precision, epochs, batch
    size, data, validation examples, regularizer, schedule, clipping, processes, vectorization,
    major versions, seeds, the program that made the runs, and runs that do not count.

    Args:
        problems: problems as `tuned_settings` returns them.
        labels: labels of the optimizers that are compared; None: all.
    """
    listed = []
    for facet in _facets(problems):
        found: dict[Described, list[str]] = {}
        for problem, described in _described(facet, problems, labels):
            if _differs(described) or (facet.alone and any(words for _, words in described)):
                found.setdefault(described, []).append(problem)
        listed += [Difference(facet.name, tuple(where), values) for values, where in found.items()]
    return listed


def agreement(problems: Problems, labels: Sequence[str] | None = None) -> Agreement:
    """Properties that are equal between optimizers on all common problems.

    Args:
        problems: problems as `tuned_settings` returns them.
        labels: labels of the optimizers that are compared; None: all.
    """
    equal: list[str] = []
    unknown: list[str] = []
    for facet in _facets(problems):
        found = [described for _, described in _described(facet, problems, labels)]
        if not found or not facet.listed or any(map(_differs, found)):
            continue
        known = all(words for described in found for _, words in described)
        (equal if known else unknown).append(facet.name)
    return Agreement(tuple(equal), tuple(unknown))


Described = tuple[tuple[str, str], ...]


def _described(
    facet: Facet, problems: Problems, labels: Sequence[str] | None
) -> Iterator[tuple[str, Described]]:
    """Yield each problem on which several are compared, and what holds for each by its label."""
    for problem, listed in problems.items():
        compared = [c for c in listed if labels is None or c.optimizer in labels]
        if len(compared) > 1:
            yield problem, tuple((c.optimizer, facet.describe(c)) for c in compared)


def _differs(described: Described) -> bool:
    return len({words for _, words in described if words}) > 1


def _facets(problems: Problems) -> Iterator[Facet]:
    yield from FACETS
    runs = [run for listed in problems.values() for c in listed for run in c.runs]
    if any(FULL_LENGTH in run.environment for run in runs):
        yield _of_runs("planned epochs", _full_length, listed=False)


def foreign_targets(
    problems: Problems,
    targets: Mapping[str, Target | None],
    labels: Sequence[str] | None = None,
) -> list[ForeignTarget]:
    """Runs that differ from those behind their target, with the difference.

    Args:
        problems: problems as `tuned_settings` returns them.
        targets: targets by problem; only those from official runs are looked at.
        labels: labels of the optimizers that are compared; None: all.
    """
    found: dict[tuple[Literal["recipe", "data"], tuple[str, ...]], list[str]] = {}
    for problem, listed in problems.items():
        target = targets.get(problem)
        if target is None or "official" not in target.source:
            continue
        compared = [s for s in listed if labels is None or s.optimizer in labels]
        made_up = tuple(s.optimizer for s in compared if has_stand_in_data(s))
        others = [s for s in compared if not has_stand_in_data(s)]
        standard = tuple(s.optimizer for s in others if s.config.recipe != "2019")
        if standard:
            found.setdefault(("recipe", standard), []).append(problem)
        if made_up:
            found.setdefault(("data", made_up), []).append(problem)
    ordered = sorted(found.items(), key=lambda item: item[0][0] == "data")
    return [ForeignTarget(reason, names, tuple(where)) for (reason, names), where in ordered]


def _all(setting: Setting, describe: Callable[[RunResult], Any]) -> str:
    """Values of the runs of a setting, without unknown ones."""
    return " and ".join(sorted({str(words) for run in setting.runs if (words := describe(run))}))


def _budget(setting: Setting) -> str:
    """A rate taken over from the official runs was tuned, though not among these results."""
    tried = count(setting.tried, "setting") + " tried"
    if all(map(_has_official_rate, setting.runs)):
        return f"{tried} at the official learning rate, not retuned"
    return tried


def _has_official_rate(run: RunResult) -> bool:
    official = official_learning_rate(run.config.problem, run.config.optimizer)
    return not is_official(run) and official is not None and rate_of(run) == official


def _batch_size(run: RunResult) -> str:
    return "" if run.config.batch_size is None else f"batch size {run.config.batch_size}"


def _held_out(run: RunResult) -> str:
    return f"{run.config.valid_size or 'no'} examples"


def _regularizer(run: RunResult) -> str:
    """The official runs do not record it; they use the problem's."""
    l2 = official_l2(run.config.problem) if is_official(run) else run.config.l2
    if l2 is None:
        return ""
    return f"L2 {l2:g}" + ("" if run.config.l2_via == "objective" else " by the optimizer")


def _clipping(run: RunResult) -> str:
    norm = run.config.clip_norm
    return "no clipping" if not norm else f"gradients clipped at norm {norm:g}"


def _processes(run: RunResult) -> str:
    number = run.config.world_size
    return "1 process" if number == 1 else f"{number} processes"


def _threads(run: RunResult) -> str:
    """The number of threads changes the rounding of sums."""
    threads = run.environment.get("threads")
    return count(threads, "thread") if isinstance(threads, int) else ""


def _vectorization(run: RunResult) -> str:
    """Vectorized runs have other rounding; the official runs are not vectorized."""
    if is_official(run):
        return ""
    return "vectorized" if "vectorized" in run.environment else "trained separately"


def _versions(run: RunResult) -> str:
    """Major versions of the packages that define the numbers; a new one may change them."""
    return " and ".join(dict.fromkeys(filter(None, map(_majors, environments_of(run)))))


def _majors(environment: Mapping[str, Any]) -> str:
    packages = environment.get("packages")
    known = packages if isinstance(packages, dict) else {}
    found = {name: str(known[name]).partition(".")[0] for name in DEFINING if name in known}
    return ", ".join(f"{name} {major}.x" for name, major in found.items())


def _seeds(setting: Setting) -> str:
    """Number and list of seeds."""
    seeds = sorted({run.config.seed for run in setting.every_run})
    starts = [seed for seed in seeds if seed - 1 not in seeds]
    ends = [seed for seed in seeds if seed + 1 not in seeds]
    spans = [f"{a}" if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
    return f"{count(len(seeds), 'seed')} ({', '.join(spans)})"


def _full_length(run: RunResult) -> str:
    """Of results that were shortened, the length of the runs themselves."""
    planned = run.environment.get(FULL_LENGTH, run.config.epochs)
    return "" if planned is None else count(planned, "epoch")


def _program(run: RunResult) -> str:
    return str(run.environment.get("source", "this package"))


def _epochs(setting: Setting) -> str:
    """A run that diverged ends early, which is not another length; so does one that is left out."""
    ends = [float(r.epochs()[-1]) for r in counted(setting.runs) if not is_diverged(r)]
    if not ends:
        planned = sorted({run.config.epochs for run in setting.runs if run.config.epochs})
        return " or ".join(count(epochs, "epoch") for epochs in planned)
    if min(ends) == max(ends):
        return count(ends[0], "epoch")
    return f"{min(ends):.4g} to {max(ends):.4g} epochs"


def _left_out(setting: Setting) -> str:
    """Runs that failed, are not finished or ran out of time, which no mean includes."""
    every = setting.every_run
    out = [run for run in every if not is_counted(run)]
    states = Counter("out of time" if run.finished else run.status for run in out)
    shown = ", ".join(f"{number} {state}" for state, number in states.items())
    return f"{len(out)} of {len(every)} ({shown})" if out else ""


def _chosen_by(setting: Setting) -> str:
    """Settings chosen on the test split have an advantage over those chosen on `valid`."""
    split = setting.chosen_by.partition(" ")[0]
    return f"chosen on {split}" if split in ("test", "valid") else ""


def _of_runs(name: str, describe: Callable[[RunResult], Any], *, listed: bool = True) -> Facet:
    return Facet(name, lambda setting: _all(setting, describe), listed)


DEFINING = ("deepobs-data", "deepobs-models", "deepobs-problems")

FACETS = (
    Facet("tuning budget", _budget),
    _of_runs("recipe", lambda run: f"recipe {run.config.recipe}"),
    _of_runs("precision", lambda run: run.config.precision),
    Facet("epochs", _epochs),
    _of_runs("batch size", _batch_size),
    _of_runs("data", lambda run: f"{run.config.data} data"),
    _of_runs("validation examples", _held_out),
    _of_runs("regularizer", _regularizer),
    _of_runs("schedule", lambda run: show_schedule(run.config.schedule)),
    _of_runs("clipping", _clipping),
    _of_runs("number of processes", _processes),
    _of_runs("vectorization", _vectorization, listed=False),
    _of_runs("versions", _versions, listed=False),
    Facet("seeds", _seeds),
    _of_runs("program", _program),
    Facet("choice", _chosen_by, listed=False),
    Facet("left out", _left_out, listed=False, alone=True),
)
"""Properties checked in every comparison."""


COMPARED = (
    "data", "l2", "l2_via", "batch_size", "schedule", "clip_norm", "precision", "valid_size",
    "world_size",
)  # fmt: skip
"""What all official runs of a problem have in common. The recipe has a note of its own, and so
has the length."""


def has_stand_in_data(setting: Setting) -> bool:
    """Whether the runs of a setting used generated data."""
    return setting.config.data == "synthetic"


def differences_from_official(config: RunConfig) -> dict[str, tuple[str, str]]:
    """Settings of a run that no official run of its problem has, with the official ones.

    Fields that the configuration leaves open do not count, and neither does `l2_via` without l2.
    """
    expected = {name: getattr(official_config(config.problem), name) for name in COMPARED}
    expected["l2"] = official_l2(config.problem)
    found = {}
    for name, theirs in expected.items():
        own = getattr(config, name)
        open_ = (own is None and name != "clip_norm") or (theirs is None and name == "l2")
        if open_ or own == theirs or (name == "l2_via" and not config.l2):
            continue
        shown = show_schedule if name == "schedule" else show
        found[name] = (shown(own), shown(theirs))
    return found


@cache  # looking up a problem asks every installed package
def official_l2(problem: str) -> float | None:
    """L2 of the official runs of a problem: the problem's own, as they do not record it."""
    if (row := problem_row(problem)) is not None:
        return float(row["l2"])
    from deepobs_problems import ProblemError, load_problem

    try:
        return load_problem(problem).l2
    except ProblemError:  # another package claims the name; nothing is known of its l2 then
        return None
