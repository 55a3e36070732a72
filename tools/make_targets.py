"""Make the targets of the shipped baselines, and their table in docs/targets.md.

    python tools/make_targets.py                          # those of the official runs
    python tools/make_targets.py --set tuned-2026 --runs RUNS --data-dir DATA

They lie in `targets.json` beside the official runs and each set, and docs/targets.md explains them.
The official targets come from the shipped runs. For the problems of a set without an official
value, tuned Adam is run with the seeds 142 to 151, which take part in no comparison; results that
are in RUNS are used again.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from deepobs_runner.analysis import metric_of, tuned_settings
from deepobs_runner.analysis.bootstrap import quantiles
from deepobs_runner.analysis.reached import kept_of, median_reached
from deepobs_runner.comparison.targets import (
    CONVERGENCE,
    FILE,
    OFFICIAL_SOURCE,
    TOO_EASY,
    Target,
    Targets,
    convergence_target,
    targets_from,
)
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.executors.local import run_all
from deepobs_runner.results.baselines import (
    baseline_results,
    baseline_sets,
    problems_of,
    shipped_folders,
)
from deepobs_runner.results.labels import show_schedule
from deepobs_runner.results.official import official_results
from deepobs_runner.results.result import RunResult, result_path
from deepobs_runner.results.store import load_result

OPTIMIZER = "Adam"
SEEDS = range(142, 152)
SHIPPED = Path(str(files("deepobs_runner")))
PAGE = Path(__file__).parents[1] / "docs" / "targets.md"
START, END = "<!-- made by tools/make_targets.py -->", "<!-- end -->"
DIGITS = 10
"""Of a value: more than the records of the official runs have."""
FASTER = 2 / 3
"""The easier target lies at this part of the time of the main one: 50 % is two thirds of 75 %."""


def main(words: Sequence[str] | None = None) -> int:
    """Write the targets of the official runs or of a set."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--set", help="default: the official runs")
    parser.add_argument("--runs", type=Path, help="folder of the runs of a set")
    parser.add_argument("--data-dir", type=Path)
    arguments = parser.parse_args(words)
    if arguments.set is None:
        path = SHIPPED / "baselines_2019" / FILE
        content = official_targets()
    else:
        path = SHIPPED / "baseline_sets" / arguments.set / FILE
        content = targets_of_set(arguments.set, arguments.runs, arguments.data_dir)
    path.write_text(json.dumps(content, indent=1) + "\n")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    PAGE.write_text(before + START + table() + END + rest.partition(END)[2], encoding="utf-8")
    print(f"wrote {path} and {PAGE}")
    return 0


def table() -> str:
    """Return the targets of all files as the table of docs/targets.md."""
    lines = [
        "| problem | epochs | metric | easier | target | harder | from |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for folder in shipped_folders():
        if not (folder / FILE).exists():
            continue
        for problem, found in json.loads((folder / FILE).read_text())["targets"].items():
            values = [
                f"{found[place]['value']:.6g}" if place in found else "\N{EN DASH}"
                for place in ("easier", "main", "harder")
            ]
            published = found["main"]["source"] == OFFICIAL_SOURCE
            origin = "published value" if published else f"{folder.name}, 75 %"
            cells = [f"`{problem}`", str(found["epochs"]), found["metric"], *values, origin]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(["", "", *lines, "", ""])


def official_targets() -> dict[str, Any]:
    """Return the content of the file of the official targets, from the shipped runs."""
    targets = {}
    for problem in CONVERGENCE:
        adam = [run for run in official_results(problem) if run.config.optimizer == OPTIMIZER]
        epochs = adam[0].config.epochs
        found = targets_from(problem, adam, f"official tuned {OPTIMIZER}", epochs=epochs)
        assert found is not None
        if problem not in TOO_EASY:
            found = _around_official(problem, adam, found)
        targets[problem] = _entry(found, adam)
    return {
        "made_by": "tools/make_targets.py",
        "about": "The official values, whose derivation is not published, and what half of the "
        "runs of official Adam reach; there are no other seeds of the official runs than those "
        "that are compared.",
        "targets": targets,
    }


def _around_official(problem: str, adam: Sequence[RunResult], found: Targets) -> Targets:
    """Return the official value as the main target, with an easier one before it.

    Half of Adam's runs reach the official value earlier than in 75 % of the epochs, so 50 % would
    often be no easier; the easier target is what they reach in two thirds of the time.
    """
    main = convergence_target(problem)
    epochs = adam[0].config.epochs
    assert main is not None
    assert epochs is not None
    share = float(quantiles(times_to_reach(adam, main), [0.5])[0]) / epochs
    easier = Target(
        problem=problem,
        metric=main.metric,
        value=median_reached(adam, main.metric, FASTER * share, epochs),
        source=f"value that half of {len(adam)} runs of official tuned {OPTIMIZER} reach in two "
        "thirds of the epochs that they take to the official value",
    )
    return Targets(easier, main, found.harder)


def times_to_reach(runs: Sequence[RunResult], target: Target) -> np.ndarray:
    """Return the epoch in which each run reaches a target and keeps it, infinite where none."""
    times = []
    for run in runs:
        reached = np.nonzero(target.reached(kept_of(run, target.metric)))[0]
        times.append(float(run.epochs()[reached[0]]) if len(reached) else np.inf)
    return np.array(times)


def targets_of_set(
    name: str, folder: Path, data_dir: Path | None, problems: Sequence[str] = ()
) -> dict[str, Any]:
    """Make the runs of tuned Adam that are missing; return the content of the file of a set.

    Args:
        name: of the set.
        folder: of the runs.
        data_dir: folder of the data sets; None: the default one.
        problems: of the targets; none: all of the set without an official value.

    Raises:
        RuntimeError: a run failed.
    """
    found = baseline_sets()[name]
    chosen = problems or [each for each in problems_of(found) if each not in CONVERGENCE]
    configs = {problem: list(_configs(name, problem)) for problem in chosen}
    execution = Execution(out=folder, device="cpu", data_dir=data_dir)
    outcomes = run_all([config for listed in configs.values() for config in listed], execution)
    if bad := [outcome for outcome in outcomes if not outcome.good]:
        raise RuntimeError(f"{len(bad)} runs failed, the first: {bad[0].message}")
    targets = {}
    for problem, listed in configs.items():
        runs = [load_result(result_path(config, folder)) for config in listed]
        source = f"tuned {OPTIMIZER} ({name}, seeds that no comparison uses)"
        targets_found = targets_from(problem, runs, source, epochs=listed[0].epochs)
        assert targets_found is not None
        targets[problem] = _entry(targets_found, runs)
    return {
        "made_by": f"tools/make_targets.py --set {name}",
        "about": f"What half of the runs of tuned {OPTIMIZER} reach, from seeds that take part in "
        "no comparison.",
        "targets": targets,
    }


def _configs(name: str, problem: str) -> Iterator[RunConfig]:
    """Yield the configurations of tuned Adam of a set with the seeds of targets."""
    listed = tuned_settings(baseline_results(baseline_sets()[name], problem))[problem]
    (adam,) = (setting for setting in listed if setting.config.optimizer == OPTIMIZER)
    for seed in SEEDS:
        yield replace(adam.config, seed=seed)


def _entry(targets: Targets, runs: Sequence[RunResult]) -> dict[str, Any]:
    """Return the targets of a problem as the file holds them."""
    config = runs[0].config
    environment = runs[0].environment
    packages = environment.get("packages", {})
    versions = {name: packages[name] for name in ("deepobs-runner", "torch") if name in packages}
    metric = metric_of(runs)
    values = {
        place: {"value": float(f"{target.value:.{DIGITS}g}"), "source": target.source}
        for place, target in targets._asdict().items()
        if target is not None
    }
    return {
        "metric": str(metric),
        "epochs": config.epochs,
        **{place: values[place] for place in ("main", "easier", "harder") if place in values},
        "optimizer": config.optimizer,
        "hyperparams": dict(config.hyperparams),
        "schedule": show_schedule(config.schedule),
        "recipe": config.recipe,
        "seeds": [run.config.seed for run in runs],
        "versions": versions or {"source": environment.get("source")},
    }


if __name__ == "__main__":
    sys.exit(main())
