"""All figures that can be drawn of some settings, one after another, and why others cannot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from deepobs_runner.analysis import Metric, candidates, final_value, optimizers_of, tuned_settings
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.backend.worker_pool import InlineExecutor
from deepobs_runner.comparison import Target, Unit, performance_profiles, target_among
from deepobs_runner.comparison.profiles import compared_labels
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.drawing import Drawing
from deepobs_runner.figures.kinds.comparison import PER_PAGE, plot_comparison
from deepobs_runner.figures.kinds.curves import plot_curves
from deepobs_runner.figures.kinds.profile import plot_profile
from deepobs_runner.figures.kinds.sensitivity import grid_of, plot_sensitivity
from deepobs_runner.figures.kinds.speed import plot_speed
from deepobs_runner.figures.kinds.trajectory import AREAS, plot_trajectory
from deepobs_runner.figures.kinds.tuning import plot_tuning
from deepobs_runner.figures.lines import metric_at
from deepobs_runner.figures.style import Look, Palette, palette_of
from deepobs_runner.figures.subjects import looks_of_settings
from deepobs_runner.figures.trajectories import Trajectory, names_code, try_to_follow
from deepobs_runner.report.notes import file_names
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import YOURS, RunResult, provenance_of
from deepobs_runner.results.settings import Setting
from deepobs_runner.text import join

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_WAYS = 5
"""More over the same contours cannot be told apart."""

FOLLOWED_STEPS = 10_000
"""Of all ways of one figure together, which takes some seconds; of longer runs the beginning."""


BEYOND = (
    "The first tenth of the epochs, unless a run ends there, and what is worse than untrained may "
    "lie beyond the edge;"
)
"""What curves may leave out, see `lines.view_of`."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the figures of a report are drawn of.

    Attributes:
        settings: by problem.
        tuned: by problem, see `analysis.tuned_settings`.
        results: by problem: all runs, also those of settings that are not shown.
        targets: by problem.
        palette: the ink of each optimizer in all figures.
        looks: of the optimizers, by label.
        files: a name for the files of each problem.
        metric: name of the metric that was asked for.
        unit: of the time to the target.
        level: of all intervals.
        ways: by problem: those of the optimizers that are followed, by label, see `try_to_follow`;
            None: runs must not be trained once more.
    """

    settings: Mapping[str, Sequence[Setting]]
    tuned: Mapping[str, Sequence[Setting]]
    results: Mapping[str, Sequence[RunResult]]
    targets: Mapping[str, Target | None]
    palette: Palette
    looks: Mapping[str, Look]
    files: Mapping[str, str]
    metric: str | None
    unit: Unit
    level: float
    ways: Mapping[str, Mapping[str, Future[Trajectory | str]]] | None


def gather(
    settings: Mapping[str, Sequence[Setting]],
    *,
    results: Mapping[str, Sequence[RunResult]] | None = None,
    targets: Mapping[str, Target | None] | None = None,
    metric: str | None = None,
    unit: Unit = "epochs",
    level: float = 0.95,
    executor: Executor | None = None,
    import_code: bool = False,
) -> Material:
    """Return what the figures of some settings are drawn of; arguments as for `drawings`.

    Args:
        settings: by problem.
        results: by problem.
        targets: by problem.
        metric: that was asked for.
        unit: of the time to the target.
        level: of all intervals.
        executor: follows runs; None: they must not be trained once more.
        import_code: as for `drawings`.
    """
    if results is None:
        results = {problem: _results(problem, listed) for problem, listed in settings.items()}
    found = tuned_settings(run for problem in settings for run in results[problem])
    if targets is None:
        targets = {problem: target_among(problem, tuned) for problem, tuned in found.items()}
    palette = palette_of(
        setting.config.optimizer_id.name for listed in settings.values() for setting in listed
    )
    return Material(
        settings=settings,
        tuned=found,
        results=results,
        targets=targets,
        palette=palette,
        looks=looks_of_settings(found, palette),
        files=file_names(settings),
        metric=metric,
        unit=unit,
        level=level,
        ways=None if executor is None else _followed(found, executor, import_code),
    )


def _followed(
    found: Mapping[str, Sequence[Setting]], executor: Executor, import_code: bool
) -> dict[str, dict[str, Future[Trajectory | str]]]:
    """Have optimizers on functions of two parameters followed: yours first, then the best."""
    ways: dict[str, dict[str, Future[Trajectory | str]]] = {}
    for problem in filter(AREAS.__contains__, found):
        best = sorted(found[problem], key=_worth_following)[:MOST_WAYS]
        steps = FOLLOWED_STEPS // len(best)
        for setting in best:
            run = setting.runs[0]
            ways.setdefault(problem, {})[setting.optimizer] = (
                InlineExecutor().submit(_say_not_imported, run)
                if names_code(run) and not import_code
                else executor.submit(try_to_follow, run, steps)
            )
    return ways


def _say_not_imported(run: RunResult) -> str:
    code = run.config.optimizer
    return f"its result names code, {code}, which is imported with --import-code alone."


def _results(problem: str, settings: Sequence[Setting]) -> list[RunResult]:
    """Return the runs of settings, and every official run if there are official ones."""
    own = [run for setting in settings if not setting.official for run in setting.runs]
    official = any(setting.official for setting in settings)
    return own + (official_results(problem, tuned=False) if official else [])


def drawings(
    settings: Mapping[str, Sequence[Setting]],
    kinds: Sequence[str] | None = None,
    *,
    results: Mapping[str, Sequence[RunResult]] | None = None,
    targets: Mapping[str, Target | None] | None = None,
    metric: str | None = None,
    unit: Unit = "epochs",
    level: float = 0.95,
    rerun: bool = True,
    import_code: bool = False,
    executor: Executor | None = None,
) -> Iterator[Drawing]:
    """Return every figure of some settings, drawn when it is asked for; following begins at once.

    A figure that cannot be drawn is yielded without one, with the reason as its caption.

    Args:
        settings: by problem, as `report.settings_by_problem` returns them.
        kinds: some of `KINDS`, in this order; None: all.
        results: by problem, those of settings that are not shown too, for what was tried; None:
            those of the settings, and where official ones are among these every official run.
        targets: by problem; None: see `analysis.target_among`.
        metric: of the curves, the sensitivity and the tuning, such as `accuracy`; None: what is
            usual for each.
        unit: of the time to the target.
        level: of all intervals.
        rerun: train runs on functions of two parameters once more for their trajectories, which
            takes seconds each.
        import_code: also those whose optimizer is a file's or a package's that their result names;
            not for results of unknown origin.
        executor: does that; None: this process.

    Raises:
        UsageError: no such kind.
    """
    for kind in kinds or ():
        if kind not in KINDS:
            raise UsageError(f"There is no figure {kind!r}; there are: {', '.join(KINDS)}.")
    kinds = tuple(KINDS) if kinds is None else kinds
    followed = rerun and "trajectory" in kinds
    material = gather(
        settings,
        results=results,
        targets=targets,
        metric=metric,
        unit=unit,
        level=level,
        executor=(executor or InlineExecutor()) if followed else None,
        import_code=import_code,
    )
    return chain.from_iterable(KINDS[kind](material) for kind in kinds)


def _draw(
    kind: str,
    title: str,
    caption: str,
    draw: Callable[[], Figure],
    *,
    problem: str | None = None,
    suffix: str = "",
) -> Drawing:
    """Return a drawing; a UsageError says why there is no figure."""
    figure: Figure | None
    try:
        figure = draw()
    except UsageError as error:
        figure, caption = None, str(error)
    name = f"{kind}-{suffix}" if suffix else kind
    return Drawing(
        kind=kind, name=name, title=title, caption=caption, problem=problem, figure=figure
    )


def _comparisons(material: Material) -> Iterator[Drawing]:
    names = list(material.tuned)
    for start in range(0, len(names), PER_PAGE):
        page = {problem: material.tuned[problem] for problem in names[start:][:PER_PAGE]}
        yield _draw(
            "comparison",
            f"Comparison on {', '.join(page)}",
            "Each optimizer at its tuned setting: mean over seeds, and standard deviation (ddof 1) "
            f"shaded{_but_for_pale(material)}. {BEYOND} a cross is where a run of the setting "
            "diverged.",
            partial(plot_comparison, page, looks=material.looks),
            suffix=str(start // PER_PAGE + 1) if len(names) > PER_PAGE else "",
        )


def _curves(material: Material) -> Iterator[Drawing]:
    for problem, settings in material.settings.items():
        yield _draw(
            "curves",
            f"Training curves on {problem}",
            f"Median over seeds; the band is its {percent(material.level)} bootstrap interval at "
            f"each epoch, where there are three seeds{_but_for_pale(material)}. {BEYOND} a cross "
            "is where half of the runs had diverged.",
            partial(
                plot_curves,
                problem,
                settings,
                metric=material.metric,
                level=material.level,
                palette=material.palette,
            ),
            problem=problem,
            suffix=material.files[problem],
        )


def _sensitivities(material: Material) -> Iterator[Drawing]:
    for problem, listed in material.tuned.items():
        grids = {c.optimizer: grid_of(c, material.results[problem]) for c in listed}
        yield _draw(
            "sensitivity",
            f"Learning rates on {problem}",
            "Final value at each learning rate, for the seed that all rates have, else the median "
            "over seeds. A ring is the best rate, a bar spans the rates around it that are at most "
            "5 % worse, a cross is a rate of which a run diverged or whose value is beyond the "
            "panel.",
            partial(
                plot_sensitivity,
                problem,
                grids,
                metric=_test_metric(material),
                looks=material.looks,
            ),
            problem=problem,
            suffix=material.files[problem],
        )


def _tunings(material: Material) -> Iterator[Drawing]:
    for problem, listed in material.tuned.items():
        trials = {c.optimizer: candidates(c, material.results[problem]) for c in listed}
        yield _draw(
            "tuning",
            f"Tuning on {problem}",
            "Expected best final value of k settings drawn at random, without replacement, from "
            "those that were tried, and its standard deviation. A trial that failed counts as an "
            "untrained model.",
            partial(plot_tuning, problem, trials, material.looks, metric=_test_metric(material)),
            problem=problem,
            suffix=material.files[problem],
        )


def _profiles(material: Material) -> Iterator[Drawing]:
    labels = compared_labels(material.tuned)
    others = [label for label in optimizers_of(material.tuned) if label not in labels]
    verb = "has" if len(others) == 1 else "have"
    without = f" Without {join(others)}, which {verb} too few problems." if others else ""
    yield _draw(
        "profile",
        "Performance profile",
        "Share of the problems on which an optimizer reaches the target within a factor of the "
        "time of the fastest. The integral is 1 for one that is the fastest everywhere, and its "
        f"interval a bootstrap over seeds.{without}",
        partial(_profile, material, labels),
    )


def _profile(material: Material, labels: Sequence[str]) -> Figure:
    profiles = performance_profiles(
        material.tuned, material.targets, labels, unit=material.unit, level=material.level
    )
    return plot_profile(profiles, material.looks)


def _speeds(material: Material) -> Iterator[Drawing]:
    for problem, listed in material.tuned.items():
        target = material.targets[problem]
        goal = f" The target, {target}, is the {target.source}." if target else ""
        yield _draw(
            "speed",
            f"Speed and final value on {problem}",
            f"Median time to the target and mean final value, with {percent(material.level)} "
            f"bootstrap intervals where there are three seeds.{goal}",
            partial(
                plot_speed,
                problem,
                listed,
                target,
                material.looks,
                unit=material.unit,
                level=material.level,
            ),
            problem=problem,
            suffix=material.files[problem],
        )


def _trajectories(material: Material) -> Iterator[Drawing]:
    for problem, listed in material.tuned.items():
        if problem in AREAS:
            notes: list[str] = []
            drawing = _draw(
                "trajectory",
                f"Trajectories on {problem}",
                "The parameters after every step of the run with the lowest seed, over contours of "
                "the function without noise. A ring is the start, stars are minima, a marker is "
                "the last step shown, hollow where the run goes on; a cross is where a way leaves "
                "the picture for good.",
                partial(_trajectory, problem, listed, material, notes),
                problem=problem,
                suffix=material.files[problem],
            )
            yield replace(drawing, caption=" ".join([drawing.caption, *notes]))


def _trajectory(
    problem: str, listed: Sequence[Setting], material: Material, notes: list[str]
) -> Figure:
    """Return the figure; append to the notes what went otherwise than in the results."""
    if material.ways is None:
        raise UsageError(f"{problem}: trajectories take training once more, which is switched off.")
    ways: dict[str, Trajectory] = {}
    asked = material.ways[problem]
    for label, future in asked.items():
        way = future.result()
        if isinstance(way, str):
            notes.append(f"{label} is left out: {way}")
            continue
        ways[label] = way
        if way.complete and not way.repeated:
            notes.append(
                f"{label} did not end where its result does: the optimizer, torch or the machine "
                "is another."
            )
    if len(asked) < len(listed):
        notes.append(
            f"{len(asked)} of {len(listed)} optimizers are shown: yours first, and those that "
            "ended with the lowest test objective."
        )
    cut = {label: len(way.points) - 1 for label, way in ways.items() if not way.complete}
    if cut and len(set(cut.values())) == 1 and len(cut) == len(ways):
        notes.append(f"The first {cut.popitem()[1]:,} steps are shown.")
    elif cut:
        notes += [
            f"Of {label} the first {steps:,} steps are shown." for label, steps in cut.items()
        ]
    return plot_trajectory(problem, ways, material.looks)


def _but_for_pale(material: Material) -> str:
    """Return who has no band, if anybody."""
    return ", but for pale baselines" if any(look.pale for look in material.looks.values()) else ""


def _worth_following(setting: Setting) -> tuple[bool, float]:
    """Return what sorts baselines behind results of yours, and by the end of the run."""
    run = setting.runs[0]
    value = final_value(run, TEST_OBJECTIVE)
    return provenance_of(run) != YOURS, value if math.isfinite(value) else math.inf


def _test_metric(material: Material) -> Metric | None:
    return None if material.metric is None else metric_at("test", material.metric)


KINDS: Mapping[str, Callable[[Material], Iterator[Drawing]]] = MappingProxyType(
    {
        "comparison": _comparisons,
        "profile": _profiles,
        "curves": _curves,
        "speed": _speeds,
        "sensitivity": _sensitivities,
        "tuning": _tunings,
        "trajectory": _trajectories,
    }
)
"""What makes the drawings of each kind, in the order of a report."""
