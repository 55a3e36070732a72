"""A study: what is tuned, how, and the configurations of its trials; all of it data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepobs_problems import load_problem
from deepobs_problems.lookup import installed_problems
from deepobs_runner.config import RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.extensions import short_name
from deepobs_runner.optimizers import source_hash
from deepobs_runner.optimizers.names import installed_optimizers
from deepobs_runner.plans.plan import FIRST_SEED
from deepobs_runner.runs.resolve import resolve_config
from deepobs_runner.schedules import schedule_from_json, schedule_to_json
from deepobs_runner.tuning.candidate import ONE_SHOT, Candidate, make_candidate
from deepobs_runner.tuning.rulesets import RULESETS, Ruleset
from deepobs_runner.tuning.samplers import (
    SAMPLERS,
    Adaptive,
    KnownPoints,
    Point,
    Predrawn,
    Sampler,
    predrawn,
)
from deepobs_runner.tuning.spaces import Space

FOLLOWS = ("valid_sizes", "first_seed")
"""Fields that follow from the others, and so do not count for a study's identity."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """What decides which trials are made and which of them wins.

    Attributes:
        ruleset: its name.
        problems: their names.
        candidates: optimizers; each gets the same budget.
        sampler: sampler of the points.
        budget: trials of each optimizer, on each problem unless the ruleset is `shared`.
        one_shot: the only trial has the defaults of the optimizer's signature.
        at_once: trials that an adaptive sampler draws before it gets their results.
        prune: end trials early that the sampler gives up.
        seed: seed of the sampler; all trials train with the seed 42.
        settings: settings of every run, as the fields of a `RunConfig` in JSON.
        valid_sizes: validation examples held out in the trials, by problem; not part of the
            identity, as they follow from ruleset and data.
        sources: hashes of the files of user code, by its name: of problems, optimizers, sampler and
            ruleset. Empty in a study that was stored before there was this field.
        first_seed: first seed of the winners' runs; not part of the identity, as it follows from
            the ruleset. A study that was stored before there was this field keeps the seed of its
            trials, 42.
    """

    ruleset: str
    problems: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    sampler: str
    budget: int
    one_shot: bool = False
    at_once: int = 1
    prune: bool = False
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    valid_sizes: Mapping[str, int] = field(default_factory=dict)
    first_seed: int = FIRST_SEED
    sources: Mapping[str, str] = field(default_factory=dict)

    @property
    def rules(self) -> Ruleset:
        """The ruleset."""
        return RULESETS.load(self.ruleset)

    @property
    def adaptive(self) -> bool:
        """Whether points depend on earlier trials."""
        return not self.one_shot and SAMPLERS.load(self.sampler).adaptive

    @property
    def default_name(self) -> str:
        """A name that no other study has."""
        data = {key: value for key, value in self.to_json().items() if key not in FOLLOWS}
        text = json.dumps(data, sort_keys=True)
        return f"{short_name(self.ruleset)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def to_json(self) -> dict[str, Any]:
        """Study as JSON."""
        data = {key: value for key, value in vars(self).items() if key != "candidates"}
        if not self.sources:  # keeps the names of studies from before this field
            del data["sources"]
        return {
            **data,
            "problems": list(self.problems),
            "candidates": [
                {"optimizer": c.optimizer, "fixed": dict(c.fixed), "space": c.space.to_json()}
                for c in self.candidates
            ],
            "settings": dict(self.settings),
            "valid_sizes": dict(self.valid_sizes),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Study:
        """Study that `to_json` wrote.

        Raises:
            UsageError: it is of another version.
        """
        try:
            candidates = tuple(
                Candidate(
                    optimizer=c["optimizer"],
                    fixed=c["fixed"],
                    # One shot tunes nothing, for which a user cannot ask.
                    space=Space.from_json(c["space"]) if c["space"] else Space({}),
                )
                for c in data["candidates"]
            )
            sources = {str(key): str(value) for key, value in dict(data.get("sources", {})).items()}
            lists = {"problems": tuple(data["problems"]), "candidates": candidates}
            return cls(**{**data, **lists, "sources": sources})
        except (KeyError, TypeError) as error:
            raise UsageError(f"This is not a study of this version of deepobs: {error}.") from None

    def config(
        self, problem: str, candidate: Candidate, point: Point, *, valid_size: int, seed: int
    ) -> RunConfig:
        """Resolved configuration of a run at a point.

        Raises:
            UsageError: problem or optimizer was edited after the study began.
        """
        settings = dict(self.settings)
        if "schedule" in settings:
            settings["schedule"] = schedule_from_json(settings["schedule"])
        config = resolve_config(
            RunConfig(
                problem=problem,
                optimizer=candidate.optimizer,
                hyperparams=candidate.hyperparams(point),
                seed=seed,
                valid_size=valid_size,
                **settings,
            )
        )
        names = (problem, candidate.optimizer)
        if changed := [name for name in names if self._was_edited(name)]:
            raise UsageError(
                f"{', '.join(changed)} was edited after the study began. Finished trials are kept. "
                "Put the file back, or choose another --study."
            )
        return config

    def _was_edited(self, name: str) -> bool:
        return name in self.sources and self.sources[name] != _source_of(name)

    def trial(self, problem: str, candidate: Candidate, point: Point) -> RunConfig:
        """Configuration of a trial: with validation examples held out, seed 42."""
        size = self.valid_sizes.get(problem, 0)
        return self.config(problem, candidate, point, valid_size=size, seed=FIRST_SEED)

    def winners(
        self, problem: str, candidate: Candidate, point: Point, seeds: int
    ) -> list[RunConfig]:
        """Configurations of the winner's runs: nothing held out, `seeds` seeds."""
        return [
            self.config(problem, candidate, point, valid_size=0, seed=self.first_seed + i)
            for i in range(seeds)
        ]

    def sampler_of(self, candidate: Candidate, epochs: int | None = None) -> Sampler:
        """Sampler at the beginning of a candidate's trials."""
        if self.one_shot:
            return KnownPoints([{}])
        found = SAMPLERS.find(self.sampler)
        if isinstance(found, Adaptive):
            return found.start(candidate.space, self.seed, epochs if self.prune else None)
        return KnownPoints(predrawn(self.sampler, candidate.space, self.budget, self.seed))


def make_study(
    ruleset: str,
    problems: Sequence[str],
    candidates: Sequence[tuple[str, Mapping[str, Any]]],
    *,
    budget: int | str | None = None,
    sampler: str | None = None,
    spaces: Mapping[str, Space] | None = None,
    settings: Mapping[str, Any] | None = None,
    at_once: int = 1,
    prune: bool = False,
    seed: int = 0,
) -> Study:
    """Make a study within its ruleset; the sizes of validation splits are still open.

    Arguments are the attributes of `Study`, with four exceptions. `candidates` are optimizers with
    their fixed hyperparameters. `budget` may be a name of the ruleset's budgets. `spaces`, by
    optimizer, replace the default ones. `settings` are fields of a `RunConfig`. None: the ruleset's
    own.

    Raises:
        UsageError: something the ruleset does not allow, an optimizer twice, no space for one, or
            a space that does not fit its optimizer.
    """
    rules = RULESETS.find(ruleset)
    trials, one_shot = _budget(ruleset, rules, budget)
    sampler = sampler or rules.sampler
    drawing = _allowed_sampler(ruleset, rules, sampler)
    if prune and not drawing.prunes:
        able = [name for name, kind in SAMPLERS.all().items() if kind.prunes]
        raise UsageError(f"{sampler} cannot prune trials. Samplers that can: {', '.join(able)}.")
    if prune and settings and settings.get("steps") and not settings.get("epochs"):
        raise UsageError("Pruning goes by epochs; give --epochs beside --steps.")
    if at_once < 1 or (at_once > 1 and not drawing.adaptive):
        raise UsageError("at_once is for adaptive samplers alone; the trials of others are known.")
    names = [name for name, _ in candidates]
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise UsageError(f"{repeated} is given twice; a study tunes every optimizer once.")
    study = Study(
        ruleset=ruleset,
        problems=tuple(dict.fromkeys(problems)),
        candidates=tuple(
            make_candidate(rules, name, fixed, (spaces or {}).get(name), one_shot=one_shot)
            for name, fixed in candidates
        ),
        sampler=sampler,
        budget=trials,
        one_shot=one_shot,
        at_once=at_once,
        prune=prune,
        seed=seed,
        settings=_settings(ruleset, rules, settings or {}),
        first_seed=FIRST_SEED + rules.fresh_seeds,
        sources=_sources((*problems, *names, sampler, ruleset)),
    )
    for candidate in study.candidates:
        study.sampler_of(candidate)  # a grid that does not fit the budget is an error now
    return study


def _sources(names: Sequence[str]) -> dict[str, str]:
    """Hashes of user code by its name."""
    found = {name: _source_of(name) for name in dict.fromkeys(names)}
    return {name: digest for name, digest in found.items() if digest}


def _source_of(name: str) -> str:
    """Hash of the file of a problem, an optimizer, a sampler or a ruleset; "" of a built-in one."""
    if ":" not in name and name in installed_problems(on_clash=lambda _: None):
        return load_problem(name).source[:16]
    return source_hash(name) if ":" in name or name in installed_optimizers() else ""


def _allowed_sampler(ruleset: str, rules: Ruleset, sampler: str) -> Predrawn | Adaptive:
    """Sampler by its name, if the ruleset allows it."""
    found = SAMPLERS.find(sampler)
    if rules.samplers and sampler not in rules.samplers:
        raise UsageError(
            f"The ruleset {ruleset} allows no sampler {sampler!r}. It allows: "
            f"{', '.join(rules.samplers)}."
        )
    if rules.per == "suite" and found.adaptive:
        raise UsageError(
            f"The ruleset {ruleset} tries each configuration on all problems, so its sampler "
            f"cannot be adaptive, as {sampler} is."
        )
    return found


def _budget(ruleset: str, rules: Ruleset, asked: int | str | None) -> tuple[int, bool]:
    """Number of trials, and whether it is the one with the defaults."""
    if asked is None:
        return rules.budget, False
    if str(asked) in rules.budgets:
        return rules.budgets[str(asked)], asked == ONE_SHOT
    try:
        trials = int(asked)
    except ValueError:
        trials = 0
    if trials < 1 or (rules.budgets and trials not in rules.budgets.values()) or trials == 1:
        named = ", ".join(f"{name} ({number})" for name, number in rules.budgets.items())
        raise UsageError(
            f"The budget of {ruleset} is {asked!r}; allowed: {named or 'a whole number > 1'}."
        )
    return trials, False


def _settings(ruleset: str, rules: Ruleset, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in JSON, with the recipe of the ruleset."""
    checked = {k: v for k, v in settings.items() if v is not None and k != "valid_size"}
    if rules.recipe is not None:
        checked["recipe"] = rules.recipe
    if "schedule" in checked:
        checked["schedule"] = schedule_to_json(checked["schedule"])
        kind = checked["schedule"]["kind"]
        if rules.schedules and kind not in rules.schedules:
            raise UsageError(
                f"The ruleset {ruleset} has no schedule {kind!r}. It has: "
                f"{', '.join(rules.schedules)}."
            )
    return checked
