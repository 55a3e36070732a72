"""Every figure that can be drawn of some settings, one after another, and why others cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from itertools import chain

from deepobs_runner.analysis import tuned_settings
from deepobs_runner.backend.worker_pool import InlineExecutor
from deepobs_runner.comparison import Target, Unit, target_among
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import looks_of_settings, palette_of
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import file_names


def drawings(
    settings: Mapping[str, Sequence[Setting]],
    kinds: Sequence[str] | None = None,
    *,
    results: Mapping[str, Sequence[RunResult]] | None = None,
    targets: Mapping[str, Target | None] | None = None,
    metric: str | None = None,
    unit: Unit = "epochs",
    level: float = 0.95,
    import_code: bool = False,
    executor: Executor | None = None,
) -> Iterator[Drawing]:
    """Return every figure of some settings, drawn when it is asked for.

    A figure that cannot be drawn is yielded without one, with the reason as its caption. Runs on
    functions of two parameters are trained once more for their trajectories, which takes seconds
    and begins at once.

    Args:
        settings: by problem, as `report.settings_by_problem` returns them.
        kinds: some of `FIGURES`, in this order; None: all.
        results: by problem, those of settings that are not shown too, for what was tried; None:
            those of the settings, and where official ones are among these every official run.
        targets: by problem; None: see `comparison.target_among`.
        metric: of the curves, the sensitivity and the tuning, such as `accuracy`; None: what is
            usual for each.
        unit: of the time to the target.
        level: of all intervals.
        import_code: for trajectories, import optimizers of files and packages that results name;
            not for results of unknown origin.
        executor: trains for trajectories; None: this process.

    Raises:
        UsageError: no such kind.
    """
    chosen = [FIGURES.load(kind) for kind in (FIGURES.names() if kinds is None else kinds)]
    if results is None:
        results = {problem: _results(problem, listed) for problem, listed in settings.items()}
    tuned = tuned_settings(run for problem in settings for run in results[problem])
    if targets is None:
        targets = {problem: target_among(problem, listed) for problem, listed in tuned.items()}
    palette = palette_of(s.config.optimizer_id.name for listed in settings.values() for s in listed)
    material = Material(
        settings=settings,
        tuned=tuned,
        results=results,
        targets=targets,
        palette=palette,
        looks=looks_of_settings(tuned, palette),
        files=file_names(settings),
        metric=metric,
        unit=unit,
        level=level,
        import_code=import_code,
        executor=executor or InlineExecutor(),
    )
    # All are called before the first is drawn, so that what runs elsewhere has begun.
    return chain.from_iterable([figure(material) for figure in chosen])


def _results(problem: str, settings: Sequence[Setting]) -> list[RunResult]:
    """Return the runs of settings, and every official run if there are official ones."""
    own = [run for setting in settings if not setting.official for run in setting.runs]
    official = any(setting.official for setting in settings)
    return own + (official_results(problem, tuned=False) if official else [])
