"""What a report is about: results, who is compared on which problem, and the verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from deepobs_runner.analysis import choose, first_epochs, optimizers_of
from deepobs_runner.analysis.bootstrap import percent
from deepobs_runner.comparison import (
    Equivalence,
    Ranks,
    Target,
    Unit,
    Verdict,
    choose_pairs,
    equivalences,
    judge_pairs,
    mean_ranks,
    targets_of,
)
from deepobs_runner.config import Identity, without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.figures import Drawing, Paper, drawings
from deepobs_runner.figures.style import Scale
from deepobs_runner.report.sentences import reading_sentence
from deepobs_runner.results.result import RunResult, without_copies
from deepobs_runner.results.settings import Setting, key_of, settings_of, with_missing

MOST_SETTINGS = 12
"""Largest number of settings that are all shown."""


@dataclass(frozen=True, kw_only=True)
class ReportData:
    """Results and what is derived from all of them once.

    Attributes:
        own: results the report is about, those without a record too.
        baselines: results they are compared with, of the same problems.
        settings: settings of each problem: every own one with a record, then the tuned ones of
            baselines.
        problems: the tuned setting of each optimizer on each problem: what is compared.
        every: all settings with a record, among which those were chosen.
        own_keys: keys of the settings the report is about, see `Setting.key`.
        targets: targets by problem; None without one.
        verdicts: verdicts of each pair that is compared; p-values are corrected over all of them.
        ranks: mean ranks of all optimizers that are compared; None for fewer than three.
        equivalences: equivalences of each pair that is compared, within a margin; none if no margin
            was given.
        unit: unit of time.
        level: confidence level of all intervals.
        epochs: after which results are compared; None: at the end of each run.
        left_out: why files or runs are not among the results, or not all of their epochs.
        chosen: problems that were asked for; none: all there are.
    """

    own: tuple[RunResult, ...]
    baselines: tuple[RunResult, ...]
    settings: Mapping[str, Sequence[Setting]]
    problems: Mapping[str, Sequence[Setting]]
    every: tuple[Setting, ...]
    own_keys: frozenset[tuple[str, str, str]]
    targets: Mapping[str, Target | None]
    verdicts: tuple[Verdict, ...]
    ranks: Ranks | None
    equivalences: tuple[Equivalence, ...]
    unit: Unit
    level: float
    epochs: int | None
    left_out: tuple[str, ...]
    chosen: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        """Labels of all optimizers."""
        return optimizers_of(self.problems)

    @property
    def percent(self) -> str:
        """The level in words."""
        return percent(self.level)

    @property
    def tuned(self) -> list[Setting]:
        """The tuned settings of all problems."""
        return [setting for listed in self.problems.values() for setting in listed]

    def is_own(self, setting: Setting) -> bool:
        """Whether a setting is one of the results the report is about."""
        return setting.key in self.own_keys

    def shown(self, problem: str) -> list[Setting]:
        """Settings of a problem to show as curves; of very many, the tuned ones."""
        listed = list(self.settings[problem])
        return listed if len(listed) <= MOST_SETTINGS else [s for s in listed if s.chosen_by]

    def drawings(
        self,
        kinds: Sequence[str] | None = None,
        *,
        metric: str | None = None,
        scale: Scale = "gap",
        paper: Paper | None = None,
        import_code: bool = False,
        executor: Executor | None = None,
    ) -> Iterator[Drawing]:
        """Every figure, or why it could not be drawn; see `figures.drawings`."""
        results: dict[str, list[RunResult]] = {name: [] for name in self.settings}
        for setting in self.every:
            results[setting.problem].extend(setting.runs)
        return drawings(
            {name: self.shown(name) for name in self.settings},
            kinds,
            results=results,
            targets=self.targets,
            verdicts=lambda: self.verdicts,
            ranks=lambda: self.ranks,
            metric=metric,
            unit=self.unit,
            level=self.level,
            scale=scale,
            paper=paper or Paper(),
            import_code=import_code,
            executor=executor,
        )

    def candidates(self, setting: Setting) -> list[RunResult]:
        """Runs, of any setting, among which those of a tuned one were chosen."""
        name = setting.problem, setting.optimizer
        return [run for s in self.every if (s.problem, s.optimizer) == name for run in s.runs]


def gather_data(
    own: Sequence[RunResult],
    baselines: Sequence[RunResult] = (),
    *,
    references: Sequence[str] = (),
    unit: Unit = "epochs",
    level: float = 0.95,
    epochs: int | None = None,
    equivalence: float | None = None,
    left_out: Sequence[str] = (),
    chosen: Sequence[str] = (),
) -> ReportData:
    """Data of a report: results, compared optimizers and verdicts.

    Args:
        own: results the report is about.
        baselines: results to compare with, all settings that were tried, so that the budget of
            their tuning is known; those of other problems, of problems on which all own runs
            used generated data, and of another recipe where there are some of the same, are left
            out.
        references: labels or optimizers to compare with; none: see `choose_pairs`.
        unit: unit of time.
        level: confidence level of all intervals.
        epochs: number to compare after, see `first_epochs`; None: at the end of each run.
        equivalence: margin, as a share, within which equivalence is tested; None: it is not.
        left_out: why files are not among the results.
        chosen: problems that own results were chosen by, see `ReportData`.

    Raises:
        UsageError: no own result has a record, or enough epochs; no such reference, a level outside
            (0, 1), a margin that is not above 0.
    """
    if epochs is not None:
        own, baselines, notes = _after(own, baselines, epochs)
        left_out = [*notes, *left_out]
    evaluated = [run for run in own if run.records]
    if not evaluated:
        raise UsageError("No results to report: no run has an evaluation yet.")
    real = {run.config.problem_id for run in evaluated if run.config.data != "synthetic"}
    comparable = [run for run in baselines if run.config.problem_id in real]
    kept, notes = _of_own_recipes(comparable, own)
    left_out = [*left_out, *notes]
    listed = without_copies((*own, *kept))
    every = with_missing(settings_of(run for run in listed if run.records), listed)
    problems = choose(every)
    own_keys = frozenset(map(key_of, own))
    ours = list(
        dict.fromkeys(
            s.optimizer for listed in problems.values() for s in listed if s.key in own_keys
        )
    )
    found = {name: targets_of(name, listed, epochs=epochs) for name, listed in problems.items()}
    targets = {name: each.main for name, each in found.items()}
    others = {name: each.others for name, each in found.items()}
    pairs = choose_pairs(problems, ours, references)
    compared = [label for label in optimizers_of(problems) if any(label in p for p in pairs)]
    return ReportData(
        own=tuple(own),
        baselines=tuple(kept),
        settings={name: _shown(every, listed, own_keys) for name, listed in problems.items()},
        problems=problems,
        every=tuple(every),
        own_keys=own_keys,
        targets=targets,
        verdicts=judge_pairs(
            problems, targets, pairs, unit=unit, level=level, other_targets=others
        ),
        ranks=mean_ranks(problems, targets, compared, unit=unit, level=level),
        equivalences=()
        if equivalence is None
        else tuple(equivalences(problems, targets, pairs, equivalence, unit=unit, level=level)),
        unit=unit,
        level=level,
        epochs=epochs,
        left_out=tuple(left_out),
        chosen=tuple(map(without_folder, chosen)),
    )


def _after(
    own: Sequence[RunResult], baselines: Sequence[RunResult], epochs: int
) -> tuple[list[RunResult], list[RunResult], list[str]]:
    """Own results and baselines after a number of epochs, and notes about it."""
    if epochs < 1:
        raise UsageError(f"epochs is {epochs}; it must be a whole number >= 1.")
    ours, readings = first_epochs(own, epochs)
    notes = list(map(reading_sentence, readings))
    if any(run.records for run in own) and not any(run.records for run in ours):
        raise UsageError(f"No results to report after {epochs} epochs. {' '.join(notes)}")
    theirs, readings = first_epochs(baselines, epochs)
    return ours, theirs, [*notes, *map(reading_sentence, readings)]


def _of_own_recipes(
    baselines: Sequence[RunResult], own: Sequence[RunResult]
) -> tuple[list[RunResult], list[str]]:
    """Leave out baselines of other recipes than the own runs where there are some of the same.

    Returns:
        The baselines that stay, and a message for each problem with baselines left out.
    """
    recipes: dict[Identity, set[str]] = {}
    for run in own:
        recipes.setdefault(run.config.problem_id, set()).add(run.config.recipe)

    def same(run: RunResult) -> bool:
        return run.config.recipe in recipes[run.config.problem_id]

    served = {run.config.problem_id for run in baselines if same(run)}
    others = [run for run in baselines if run.config.problem_id in served and not same(run)]
    notes = [
        f"{name.name}: using only baselines of recipe {' and '.join(sorted(recipes[name]))}, to "
        "match your runs."
        for name in dict.fromkeys(run.config.problem_id for run in others)
    ]
    return [run for run in baselines if run.config.problem_id not in served or same(run)], notes


def _shown(
    every: Sequence[Setting], tuned: Sequence[Setting], own: Collection[tuple[str, str, str]]
) -> list[Setting]:
    """Every own setting of a problem, then the tuned ones of baselines."""
    chosen = {setting.key: setting for setting in tuned}
    listed = [s for s in every if s.problem == tuned[0].problem and s.key in own]
    return [chosen.get(s.key, s) for s in listed] + [s for s in tuned if s.key not in own]
