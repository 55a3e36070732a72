"""All figures of some settings, and the reasons for missing ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import cache, partial
from itertools import chain

from deepobs_runner.analysis import optimizers_of, tuned_settings
from deepobs_runner.comparison import (
    Pairs,
    Ranks,
    Target,
    Unit,
    Verdict,
    choose_pairs,
    judge_pairs,
    mean_ranks,
    target_among,
)
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.figures.lines import check_scale
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import PLAIN, Paper, Scale, looks_of_settings, palette_of
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import file_names

STUDIES = frozenset({"batch-size", "weight-decay"})
"""Kinds that take runs made for them; without any they are missed only where they are asked for."""


def drawings(
    settings: Mapping[str, Sequence[Setting]],
    kinds: Sequence[str] | None = None,
    *,
    results: Mapping[str, Sequence[RunResult]] | None = None,
    targets: Mapping[str, Target | None] | None = None,
    verdicts: Callable[[], Sequence[Verdict]] | None = None,
    ranks: Callable[[], Ranks | None] | None = None,
    metric: str | None = None,
    unit: Unit = "epochs",
    level: float = 0.95,
    scale: Scale = "gap",
    paper: Paper = PLAIN,
    import_code: bool = False,
    executor: Executor | None = None,
) -> Iterator[Drawing]:
    """Every figure of some settings, drawn when it is asked for.

    A figure that cannot be drawn is yielded without one, with the reason as its caption, but for
    studies of batch sizes and weight decays that were not requested. Runs on functions of two
    parameters are trained once more for their trajectories, which takes seconds and begins at once.

    Args:
        settings: by problem, as `report.settings_by_problem` returns them.
        kinds: some of `FIGURES`, in this order; None: all.
        results: by problem, those of settings that are not shown too, for what was tried; None:
            those of the settings, and where official ones are among these every official run.
        targets: targets by problem; None: see `comparison.target_among`.
        verdicts: returns those of the pairs that are compared, when a figure asks for them; None:
            see `comparison.choose_pairs`.
        ranks: returns the mean ranks, likewise.
        metric: metric of the curves, the sensitivity and the tuning, such as `accuracy`; None: what
            is usual for each.
        unit: unit of the time to the target.
        level: confidence level of all intervals.
        scale: scale of curves: `gap`, `log` or `linear`, see `plot_curves`.
        paper: width and font of all figures.
        import_code: for trajectories, import optimizers of files and packages that results name;
            not for results of unknown origin.
        executor: trains for trajectories; None: this process.

    Raises:
        UsageError: no such kind.
    """
    check_scale(scale)
    chosen = list(FIGURES.all().values()) if kinds is None else list(map(FIGURES.load, kinds))
    if results is None:
        results = {problem: _results(problem, listed) for problem, listed in settings.items()}
    tuned = tuned_settings(run for problem in settings for run in results[problem])
    if targets is None:
        targets = {problem: target_among(problem, listed) for problem, listed in tuned.items()}
    pairs = cache(partial(_pairs, tuned))
    palette = palette_of(s.config.optimizer_id.name for listed in settings.values() for s in listed)
    material = Material(
        settings=settings,
        tuned=tuned,
        results=results,
        targets=targets,
        verdicts=verdicts or cache(lambda: _verdicts(tuned, targets, pairs(), unit, level)),
        ranks=ranks or cache(lambda: _ranks(tuned, targets, pairs(), unit, level)),
        palette=palette,
        looks=looks_of_settings(tuned, palette),
        files=file_names(settings),
        metric=metric,
        unit=unit,
        level=level,
        scale=scale,
        paper=paper,
        import_code=import_code,
        executor=executor,
    )
    # All are called before the first is drawn, so that what runs elsewhere has begun.
    found = chain.from_iterable([figure(material) for figure in chosen])
    if kinds is None:
        return (d for d in found if d.figure is not None or d.kind not in STUDIES)
    return found


def _results(problem: str, settings: Sequence[Setting]) -> list[RunResult]:
    """Runs of settings, and every official run if there are official ones."""
    own = [run for setting in settings if not setting.official for run in setting.runs]
    official = any(setting.official for setting in settings)
    return own + (official_results(problem, tuned=False) if official else [])


Tuned = Mapping[str, Sequence[Setting]]


def _pairs(tuned: Tuned) -> Pairs:
    """Compared pairs: your results with the references, or all without any of yours."""
    every = optimizers_of(tuned)
    own = {s.optimizer for listed in tuned.values() for s in listed if not s.baseline}
    return choose_pairs(tuned, [label for label in every if label in own] or every)


def _verdicts(
    tuned: Tuned, targets: Mapping[str, Target | None], pairs: Pairs, unit: Unit, level: float
) -> Sequence[Verdict]:
    """Verdicts of the pairs, corrected for all their tests."""
    return judge_pairs(tuned, targets, pairs, unit=unit, level=level)


def _ranks(
    tuned: Tuned, targets: Mapping[str, Target | None], pairs: Pairs, unit: Unit, level: float
) -> Ranks | None:
    """Mean ranks of all that are compared."""
    labels = [label for label in optimizers_of(tuned) if any(label in pair for pair in pairs)]
    return mean_ranks(tuned, targets, labels, unit=unit, level=level)
