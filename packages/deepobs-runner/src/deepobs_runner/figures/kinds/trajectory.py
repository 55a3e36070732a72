"""Trajectories of optimizers over the contours of a function of two parameters.

Results do not hold them, so runs are trained once more.
"""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from deepobs_problems import Problem, ProblemError, load_problem
from deepobs_runner.analysis import final_value
from deepobs_runner.analysis.metrics import TEST_OBJECTIVE
from deepobs_runner.backend.worker_pool import InlineExecutor
from deepobs_runner.config import Execution
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.axes import NUMBER, mark, new_figure, style_axes
from deepobs_runner.figures.material import Drawing, Material
from deepobs_runner.figures.style import (
    COLUMN,
    PAGE,
    PLAIN,
    SMALL,
    Look,
    Paper,
    paper_style,
    text_color,
)
from deepobs_runner.results.result import OFFICIAL, ORIGINAL, YOURS, RunResult, provenance_of
from deepobs_runner.results.settings import Setting
from deepobs_runner.runs.resolve import optimizer_of
from deepobs_runner.training.loop import train

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Point = tuple[float, float]

AREAS: Mapping[str, tuple[Point, Point]] = MappingProxyType(
    {
        "two_d_rosenbrock": ((-2.0, 2.0), (-1.0, 3.0)),
        "two_d_beale": ((-5.0, 5.0), (-5.0, 5.0)),
        "two_d_branin": ((-5.0, 12.0), (-1.0, 15.0)),
    }
)
"""What is shown of u and of v; start and minima lie within."""

MINIMA: Mapping[str, tuple[Point, ...]] = MappingProxyType(
    {
        "two_d_rosenbrock": ((1.0, 1.0),),
        "two_d_beale": ((3.0, 0.5),),
        "two_d_branin": ((-np.pi, 12.275), (np.pi, 2.275), (3 * np.pi, 2.475)),
    }
)
"""Global minima (u, v) of the noise-free functions."""

GRID = 120
"""Points a side at which a function is evaluated."""

LEVELS = 12
"""Contours."""

MOST_OPTIMIZERS = 3
"""Panels side by side; each has the path of one optimizer."""

MOST_PIECES = 1_000
"""Pieces of a path that are still drawn as vectors; of more, a picture is smaller."""

MOST_CALLS = 200_000
"""Calls of the closure of one trajectory: an optimizer may make any number of them in a step."""

MOST_HISTORY = 100_000
"""Steps that L-BFGS may remember: it reserves the memory at its first one."""

MOST_SECONDS = 20.0
"""Of one trajectory, whatever its optimizer does in them."""

MOST_STEPS = 10_000
"""Of all trajectories of one figure, which take some seconds; of longer runs the beginning."""


class _OverBudgetError(Exception):
    """A trajectory takes longer than a figure is worth."""


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """The parameters of a run after every step.

    Attributes:
        points: (u, v) before training and after every step, `(steps + 1, 2)`.
        values: values of the noise-free function there, `(steps + 1,)`.
        repeated: whether the run ended at the value that its result holds.
        complete: whether these are all steps of the run.
    """

    points: np.ndarray
    values: np.ndarray
    repeated: bool
    complete: bool

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.points) - 1

    def __str__(self) -> str:
        """The value at the end and the number of steps, in words."""
        if not np.isfinite(self.values[-1]):
            return f"lost in {self.steps:,} steps"
        first = "" if self.complete else "the first "
        return f"{self.values[-1]:.3g} after {first}{self.steps:,} steps"


def trajectories(material: Material) -> Iterator[Drawing]:
    """Trajectories on every function of two parameters; training begins at once."""
    started = {
        problem: _start(listed, material.executor or InlineExecutor(), material.import_code)
        for problem, listed in material.tuned.items()
        if problem in AREAS
    }
    return (_drawing(problem, futures, material) for problem, futures in started.items())


FIGURE = trajectories


def _start(
    listed: Sequence[Setting], executor: Executor, import_code: bool
) -> dict[str, Future[Trajectory | str]]:
    """Have optimizers followed: yours first, then those that ended lowest."""
    chosen = sorted(listed, key=_rank)[:MOST_OPTIMIZERS]
    steps = MOST_STEPS // len(chosen)
    futures: dict[str, Future[Trajectory | str]] = {}
    for setting in chosen:
        code = setting.config.optimizer
        if ":" in code and not import_code:
            reason = f"its result names code, {code}, which is imported with --import-code alone."
            futures[setting.optimizer] = InlineExecutor().submit(str, reason)
        else:
            futures[setting.optimizer] = executor.submit(try_to_follow, setting.runs[0], steps)
    return futures


def _rank(setting: Setting) -> tuple[bool, float]:
    """Sort key: results of yours before baselines, then the end of the run."""
    run = setting.runs[0]
    value = final_value(run, TEST_OBJECTIVE)
    return provenance_of(run) != YOURS, value if math.isfinite(value) else math.inf


def _drawing(
    problem: str, futures: Mapping[str, Future[Trajectory | str]], material: Material
) -> Drawing:
    found = {label: future.result() for label, future in futures.items()}
    followed = {label: way for label, way in found.items() if not isinstance(way, str)}
    drawing = material.draw(
        "trajectory",
        problem,
        f"Trajectories on {problem}",
        "The parameters after every step of the run with the lowest seed, coloured by the step, "
        "over contours of the function without noise. A ring is the start, stars are minima, a "
        "dot is the last step shown, hollow where the run goes on; ✕: trajectory leaves the panel.",
        plot_trajectory,
        problem,
        followed,
        material.looks,
        paper=material.paper,
    )
    notes = _notes(found, len(material.tuned[problem]))
    return replace(drawing, caption=" ".join([drawing.caption, *notes]))


def _notes(found: Mapping[str, Trajectory | str], optimizers: int) -> Iterator[str]:
    """Yield what is not shown, or went otherwise than in the results."""
    for label, way in found.items():
        if isinstance(way, str):
            yield f"{label} is left out: {way}"
        elif way.complete and not way.repeated:
            yield (
                f"{label} did not end where its result does: the optimizer, torch or the machine "
                "is another."
            )
    if len(found) < optimizers:
        yield (
            f"{len(found)} of {optimizers} optimizers are shown: yours first, and those that ended "
            "with the lowest test objective."
        )
    ways = {label: way for label, way in found.items() if isinstance(way, Trajectory)}
    begun = {label: way.steps for label, way in ways.items() if not way.complete}
    if len(begun) == len(ways) and len(set(begun.values())) == 1:
        yield f"The first {begun.popitem()[1]:,} steps are shown."
    else:
        for label, steps in begun.items():
            yield f"Of {label} the first {steps:,} steps are shown."


def follow(run: RunResult, most_steps: int = 20_000) -> Trajectory:
    """Train a run on a function of two parameters once more, and return its trajectory.

    A run of this package is deterministic, so it takes the same steps again; the optimizer is
    imported as it was for the run.

    Args:
        run: a run with a record.
        most_steps: the run is followed to the end of the epoch in which they are taken.

    Raises:
        UsageError: another problem, results of the original, or an optimizer that is gone.
    """
    config = run.config
    if config.problem not in MINIMA:
        raise UsageError(f"{config.problem} has no trajectory; there are: {', '.join(MINIMA)}.")
    if provenance_of(run) in (OFFICIAL, ORIGINAL):
        raise UsageError(f"{config.problem}: runs of the original DeepOBS cannot be repeated here.")
    history = config.hyperparams.get("history_size")
    if isinstance(history, int | float) and history > MOST_HISTORY:
        raise UsageError(f"history_size is {history}; at most {MOST_HISTORY:,} steps are drawn.")
    problem = load_problem(config.problem)
    build = optimizer_of(config, problem)
    points: list[Point] = []

    def build_watched(model: nn.Module) -> Any:
        """The optimizer; each of its steps adds a point."""
        optimizer = build(model)
        step = optimizer.step
        u, v = model.parameters()
        calls = count()

        def counted(closure: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            if next(calls) >= MOST_CALLS:
                raise _OverBudgetError
            return closure(*args, **kwargs)

        def watched(closure: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            result = step(partial(counted, closure), *args, **kwargs)
            points.append((u.item(), v.item()))
            return result

        optimizer.step = watched
        points.append((u.item(), v.item()))
        return optimizer

    records = train(problem, build_watched, config=config, execution=Execution(device="cpu"))
    values: list[float] = []
    try:
        with _limited(MOST_SECONDS):
            for _, record in zip(run.records, records, strict=False):
                values.append(record.metrics["test"]["objective"])
                if len(points) > most_steps:
                    break
    except _OverBudgetError:
        values.clear()
    if len(points) < 2 and not values:
        raise UsageError(
            f"its first step takes over {MOST_SECONDS:g} s or {MOST_CALLS:,} calls of the closure."
        )
    path = np.array(points)  # (steps + 1, 2)
    complete = len(values) == len(run.records)
    stored = final_value(run, TEST_OBJECTIVE)
    return Trajectory(
        points=path,
        values=surface(problem, path[:, 0], path[:, 1]),
        repeated=not complete or bool(np.isclose(values[-1], stored, rtol=1e-4, equal_nan=True)),
        complete=complete,
    )


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Interrupt what takes longer; only in a main thread, and where the system has an alarm."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGALRM"):
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise _OverBudgetError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_to_follow(run: RunResult, most_steps: int) -> Trajectory | str:
    """Trajectory of a run, see `follow`, or the reason why it is missing.

    The optimizer may be a user's file as it is today, which can raise anything. A reason, unlike
    some exceptions, can be sent from any process.
    """
    try:
        return follow(run, most_steps)
    except (UsageError, ProblemError) as error:
        return str(error)
    except (Exception, SystemExit) as error:  # SystemExit: of a file that is a script as well
        return " ".join(f"{type(error).__name__}: {error}".split())


def surface(problem: Problem, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Noise-free function of a problem of two parameters at points, elementwise."""
    model: Any = problem.model()
    with torch.no_grad():
        values: np.ndarray = model.value(torch.from_numpy(u), torch.from_numpy(v)).numpy()
    return values


def plot_trajectory(
    problem: str,
    trajectories: Mapping[str, Trajectory],
    looks: Mapping[str, Look],
    *,
    paper: Paper = PLAIN,
) -> Figure:
    """Trajectories over the contours of the noise-free function, a panel for each.

    The colour of a path is the number of the step, on a logarithmic scale. The contours are equally
    spaced in the logarithm of the distance from the minimum. Stars are minima, a ring is the start,
    and a dot is the last step that is shown, hollow where the run goes on; a cross is where a path
    leaves the panel, if it does not come back.

    Raises:
        UsageError: another problem, nothing to draw, or more than three.
    """
    if problem not in AREAS or not trajectories:
        raise UsageError(f"{problem}: no trajectory to draw.")
    if len(trajectories) > MOST_OPTIMIZERS:
        raise UsageError(
            f"A figure has room for {MOST_OPTIMIZERS} trajectories, not {len(trajectories)}."
        )
    count = len(trajectories)
    width = paper.inches(COLUMN if count == 1 else PAGE)
    columns = 1 if width == COLUMN else MOST_OPTIMIZERS
    most = max(way.steps for way in trajectories.values())
    with paper_style(paper):
        height = 2.45 if columns > 1 or count == 1 else 2.3 * count
        figure = new_figure(width, height)
        found = figure.subplots(-(-count // columns), min(count, columns), squeeze=False)
        for index, (axes, (label, way)) in enumerate(
            zip(found.flat, trajectories.items(), strict=True)
        ):
            lowest = columns > 1 or index == count - 1
            style_axes(axes, paper, xlabel="u" if lowest else "", grid="")
            axes.set_ylabel("v" if index % columns == 0 else "", labelpad=1)
            axes.set_title(label, loc="left", pad=13, fontweight="bold",
                           color=text_color(looks[label].ink.color))  # fmt: skip
            axes.set(xlim=AREAS[problem][0], ylim=AREAS[problem][1])
            axes.annotate(
                str(way), (0, 1), xycoords="axes fraction", xytext=(0, 3),
                textcoords="offset points", fontsize=SMALL, color=NUMBER,
            )  # fmt: skip
            _draw_contours(axes, problem)
            colored = _draw_path(axes, way, label, looks[label].ink.color, most)
            start = way.points[0]
            mark(axes, start[:1], start[1:], "black", "o", markersize=5.0, fillstyle="none",
                 label="_start")  # fmt: skip
            if index == 0:
                axes.annotate(
                    "start", start, xytext=(5, 3), textcoords="offset points", fontsize=SMALL,
                    zorder=5.0,
                )  # fmt: skip
            u, v = np.array(MINIMA[problem]).T
            mark(axes, u, v, "black", "*", markersize=7.5, markeredgewidth=0.5,
                 markeredgecolor="white", label="_minima", zorder=4.5)  # fmt: skip
        _add_bar(figure, list(found.flat), colored, paper)
    return figure


def _add_bar(figure: Figure, panels: Sequence[Axes], colored: Any, paper: Paper) -> None:
    """Add the colours of the steps at the right of the panels."""
    from deepobs_runner.figures.log_numbers import LogNumbers

    bar = figure.colorbar(colored, ax=panels, aspect=30, pad=0.02, fraction=0.06)
    bar.ax.set_ylabel("step", labelpad=2)
    bar.ax.yaxis.set_major_formatter(LogNumbers())
    bar.ax.tick_params(labelsize=SMALL, length=2.0, width=0.6, pad=2, labelfontfamily=paper.fonts)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)


def _draw_contours(axes: Axes, problem: str) -> None:
    (left, right), (bottom, top) = AREAS[problem]
    u, v = np.meshgrid(np.linspace(left, right, GRID), np.linspace(bottom, top, GRID))
    found = load_problem(problem)
    lowest = surface(found, *np.array(MINIMA[problem]).T).min()
    above = surface(found, u, v) - lowest
    levels = np.geomspace(max(above.max() * 1e-5, 1e-3), above.max() * 1.001, LEVELS)
    shades = [str(shade) for shade in np.linspace(0.78, 0.98, LEVELS)]
    axes.contourf(u, v, above, [0.0, *levels], colors=shades, zorder=0.2)
    axes.contour(u, v, above, levels, colors="0.6", linewidths=0.4, zorder=0.4)


def _draw_path(axes: Axes, trajectory: Trajectory, label: str, color: str, most: int) -> Any:
    """Draw a trajectory, coloured by the step up to the most of all, and its end.

    Returns:
        The coloured pieces, for the bar of colours.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LogNorm

    finite = np.isfinite(trajectory.points).all(axis=1)
    points = trajectory.points[: int(np.argmin(finite)) if not finite.all() else None]
    pieces = np.stack([points[:-1], points[1:]], axis=1)  # (steps, 2, 2)
    colored = LineCollection(
        list(pieces), cmap="plasma", norm=LogNorm(1, max(most, 2)), linewidths=1.3, zorder=3.0,
        capstyle="round",
    )  # fmt: skip
    colored.set_array(np.arange(1, len(pieces) + 1))
    colored.set_rasterized(len(pieces) > MOST_PIECES)
    axes.add_collection(colored, autolim=False)
    axes.plot(*points.T, color="white", linewidth=2.2, zorder=2.5, label="_halo")
    axes.plot(*points.T, color=color, linewidth=0.0, label=label)  # for the figure as text
    mark(axes, points[-1:, 0], points[-1:, 1], "black", "o", markersize=4.0, zorder=4.2,
         markeredgecolor="black", markerfacecolor="black" if trajectory.complete else "white",
         label="_last")  # fmt: skip
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    inside = ((points >= low) & (points <= high)).all(axis=1)
    if not inside[-1]:
        axes.lines[-1].set_visible(False)
        last = np.clip(points[int(np.flatnonzero(inside)[-1]) + 1], low, high)
        mark(axes, last[:1], last[1:], "black", "x", markersize=5.5, markeredgewidth=1.2,
             label="_left")  # fmt: skip
    return colored
