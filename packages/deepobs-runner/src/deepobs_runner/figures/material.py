"""What figures are drawn of, and what a drawing is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TYPE_CHECKING, ParamSpec

from deepobs_runner.analysis import Metric
from deepobs_runner.comparison import Ranks, Target, Unit, Verdict
from deepobs_runner.errors import UsageError
from deepobs_runner.figures.lines import metric_at
from deepobs_runner.figures.style import Look, Palette, Paper, Scale
from deepobs_runner.results.result import RunResult
from deepobs_runner.results.settings import Setting

if TYPE_CHECKING:
    from matplotlib.figure import Figure

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """A figure with what a reader needs beside it, or why it could not be drawn.

    Attributes:
        kind: which figure it is, one of `FIGURES`.
        name: name of its file, without suffix; the same for no two of a report.
        title: in a few words.
        caption: what is drawn and what lines and bands mean; without a figure, the reason.
        problem: what it is about; None for one over several problems.
        figure: None if it could not be drawn.
    """

    kind: str
    name: str
    title: str
    caption: str
    problem: str | None
    figure: Figure | None


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the figures of a report are drawn of.

    Attributes:
        settings: by problem.
        tuned: by problem, see `analysis.tuned_settings`.
        results: by problem: all runs, also those of settings that are not shown.
        targets: targets by problem.
        verdicts: makes them, or returns those that are known; figures that need none do not wait.
        ranks: makes the mean ranks, in the same manner; None for fewer than three optimizers.
        palette: the ink of each optimizer in all figures.
        looks: looks of the optimizers, by label.
        files: a name for the files of each problem.
        metric: name of the metric that was asked for.
        unit: unit of the time to the target.
        level: confidence level of all intervals.
        scale: scale of the vertical axis of curves.
        paper: width and font of all figures.
        import_code: whether code that results name may be imported.
        executor: for what takes seconds and can begin before other figures are drawn; None: this
            process.
    """

    settings: Mapping[str, Sequence[Setting]]
    tuned: Mapping[str, Sequence[Setting]]
    results: Mapping[str, Sequence[RunResult]]
    targets: Mapping[str, Target | None]
    verdicts: Callable[[], Sequence[Verdict]]
    ranks: Callable[[], Ranks | None]
    palette: Palette
    looks: Mapping[str, Look]
    files: Mapping[str, str]
    metric: str | None
    unit: Unit
    level: float
    scale: Scale
    paper: Paper
    import_code: bool
    executor: Executor | None

    @property
    def test_metric(self) -> Metric | None:
        """The metric that was asked for, on the test split."""
        return None if self.metric is None else metric_at("test", self.metric)

    @property
    def thin_text(self) -> str:
        """What thin dashed lines are, for a caption; empty without any."""
        thin = any(look.thin for look in self.looks.values())
        return " Baselines are thin dashed lines without a band." if thin else ""

    def draw(
        self,
        kind: str,
        problem: str | None,
        title: str,
        caption: str,
        plot: Callable[P, Figure],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Drawing:
        """Drawing of what `plot` returns; the text of its UsageError replaces a figure."""
        figure: Figure | None
        try:
            figure = plot(*args, **kwargs)
        except UsageError as error:
            figure, caption = None, str(error)
        name = kind if problem is None else f"{kind}-{self.files[problem]}"
        return Drawing(
            kind=kind, name=name, title=title, caption=caption, problem=problem, figure=figure
        )
