"""`deepobs tune`: run trials, choose the winners, run them, and write a plan of their runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepobs_runner.backend.backend import make_backend
from deepobs_runner.backend.memory import keep_memory
from deepobs_runner.cli.console import PatientConsole, make_console, print_summary
from deepobs_runner.cli.messages import print_json, warn
from deepobs_runner.cli.parser import setting_defaults
from deepobs_runner.cli.runs import (
    execution_of,
    executor_options,
    parse_optimizers,
    problems_named,
    warn_of_failures,
)
from deepobs_runner.cli.terminal_table import terminal_table
from deepobs_runner.config import DEFAULT_PRECISION, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import executor_of
from deepobs_runner.plans.estimate import predict, time_runs
from deepobs_runner.plans.plan import FIRST_SEED
from deepobs_runner.plans.write import Winners, write_plans
from deepobs_runner.report.notes import settings_by_problem
from deepobs_runner.report.table import OPTIMIZER, PROBLEM, Table, make_table, number, words
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.labels import show
from deepobs_runner.results.result import FINISHED, result_path
from deepobs_runner.results.store import load_result
from deepobs_runner.runs.outcome import Outcome
from deepobs_runner.runs.progress import evaluations_of, report_progress
from deepobs_runner.schedules import parse_schedule
from deepobs_runner.text import count, duration
from deepobs_runner.trackers import check_trackers
from deepobs_runner.tuning.cost import cost_of
from deepobs_runner.tuning.ledger import (
    LEDGER,
    PLAN,
    Ledger,
    continued,
    damaged_lines,
    open_ledger,
    stored_study,
    study_folder,
)
from deepobs_runner.tuning.samplers import predrawn
from deepobs_runner.tuning.spaces import Choice, read_spaces
from deepobs_runner.tuning.study import Study, make_study
from deepobs_runner.tuning.trials import Trial
from deepobs_runner.tuning.tuner import Tuned, choose_valid_sizes, make_trials


def tune(arguments: argparse.Namespace) -> int:
    """Run a study.

    Returns:
        1 if an optimizer has no winner, a winner's run failed, or a trial has no result.
    """
    keep_memory()
    study = study_of(arguments)
    seeds = study.rules.seeds if arguments.seeds is None else arguments.seeds
    if seeds < 1:
        raise UsageError(f"--seeds is {seeds}; it must be at least 1.")
    options = executor_options(arguments)
    executor_of(options)  # fail before reading anything
    if study.prune and (options.name != "local" or options.jobs > 1):
        raise UsageError(
            "--prune needs --executor local and --jobs 1: with parallel trials the winner would "
            "depend on their order. Remove --prune, or these options."
        )
    if arguments.force:
        raise UsageError(
            "A study never repeats finished trials. Remove --force, or choose another --study."
        )
    execution = execution_of(arguments)
    check_trackers(execution.track)
    name = arguments.study or study.default_name
    folder = study_folder(execution.out, name)
    stored = stored_study(folder)
    if stored is None:
        study = choose_valid_sizes(study, execution, valid_size=arguments.valid_size)
    else:
        study = continued(study, stored, name)
        _check_valid_size(arguments.valid_size, stored)
    console = make_console(quiet=arguments.json)
    _introduce(console, study, name, seeds)
    if options.local:
        make_backend(execution, arguments.precision)  # report it once, before anything starts
    if arguments.dry_run:
        _print_plan(console, study, arguments, seeds)
        return 0
    check_writable(execution.out)
    if lines := damaged_lines(folder):
        console.print_line(
            f"{count(len(lines), 'line')} of {folder / LEDGER} cannot be read (first: "
            f"{lines[0]}). Missing trials are added again.",
        )
    with open_ledger(study, execution.out, name) as ledger:
        return _carry_out(console, ledger, arguments, seeds)


def study_of(arguments: argparse.Namespace) -> Study:
    """Study of the arguments."""
    problems = problems_named(arguments.target)  # report an unknown problem before all else
    candidates = parse_optimizers(arguments.optimizers)
    names = [name for name, _ in candidates]
    known = setting_defaults()
    given = {name: getattr(arguments, name) for name in known if name != "valid_size"}
    settings: dict[str, Any] = {
        name: value
        for name, value in given.items()
        if value != known[name] or (name == "precision" and value is not DEFAULT_PRECISION)
    }
    if "schedule" in settings:
        settings["schedule"] = parse_schedule(settings["schedule"])
    return make_study(
        arguments.ruleset,
        problems,
        candidates,
        budget=arguments.budget,
        sampler=arguments.sampler,
        spaces=read_spaces(arguments.space, names),
        settings=settings,
        at_once=arguments.at_once,
        prune=arguments.prune,
        seed=arguments.sampler_seed,
    )


def _check_valid_size(asked: int | None, stored: Study) -> None:
    """Refuse a validation split other than the study's."""
    sizes = set(stored.valid_sizes.values())
    if asked is not None and sizes != {asked}:
        raise UsageError(
            f"The study holds {', '.join(map(str, sorted(sizes))) or 'no'} validation examples "
            f"out, and --valid-size is {asked}. Choose another --study."
        )


def _introduce(console: PatientConsole, study: Study, name: str, seeds: int) -> None:
    """Print optimizers, problems and rules of the study."""
    rules = study.rules
    console.print_line(f"study {name}: {study.ruleset}: {rules.summary} ({rules.source})")
    trials = f"{count(study.budget, 'trial')} per optimizer"
    scope = "on each problem" if rules.per == "problem" else "each on all problems"
    held = {p: n for p, n in study.valid_sizes.items() if n}
    rows = ", ".join(f"{n:,} of {p}" for p, n in held.items())
    console.print_line(
        f"{trials} {scope}, sampler {study.sampler}; chosen by the final value on "
        + (f"{rules.select_on} (held out while tuning: {rows})" if held else rules.select_on),
    )
    console.print_line(seeds_of_winners(study, seeds))
    for candidate in study.candidates:
        fixed = "".join(f" {k}={show(v)}" for k, v in candidate.fixed.items())
        space = f" tuned: {candidate.space}" if candidate.space.dimensions else ""
        console.print_line(f"{candidate.optimizer}{fixed}{space}")
    if study.sampler == "grid":
        _print_unequal_grids(console, study)


def seeds_of_winners(study: Study, seeds: int) -> str:
    """Seeds of the winners' runs, and whether tuning used one of them."""
    last = study.first_seed + seeds - 1
    shown = f"seed {last}" if seeds == 1 else f"seeds {study.first_seed} to {last}"
    if study.first_seed > FIRST_SEED:
        return f"winners: {shown}; the trials use seed {FIRST_SEED}"
    reason = "as in 2019" if not study.rules.fresh_seeds else "as the study began before this rule"
    return f"winners: {shown}; they include seed {FIRST_SEED}, the seed of the trials ({reason})"


def _print_unequal_grids(console: PatientConsole, study: Study) -> None:
    """Print a note if grids of different sizes give different numbers of trials."""
    sizes = {c.optimizer: len(predrawn("grid", c.space, study.budget)) for c in study.candidates}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        console.print_line(
            f"note: unequal numbers of trials ({shown}): a grid has as many points as fit into "
            f"the budget. For equal numbers: --sampler {study.rules.sampler}.",
        )


def _carry_out(
    console: PatientConsole, ledger: Ledger, arguments: argparse.Namespace, seeds: int
) -> int:
    """Run the trials and the winners; print the results."""
    study, execution = ledger.study, execution_of(arguments)
    execute = executor_of(executor_options(arguments))
    arms = len(study.problems) * len(study.candidates)
    one = _representative(study, study.problems[0])
    total = arms * study.budget * evaluations_of(one)
    quiet = arguments.quiet or arguments.json
    with report_progress(console, total, quiet=quiet) as reporter:
        tuned = make_trials(
            ledger,
            execution,
            execute=execute,
            retry_failed=arguments.retry_failed,
            reporter=reporter,
        )
    if arguments.json:
        print_json(rows_of_trials(tuned))
    console.print(terminal_table(trials_table(tuned, ledger)))
    for sentence in sentences(tuned, study):
        console.print_line(sentence)
    winners = winners_of(tuned, study, seeds)
    configs = list({c.id: c for runs in winners.values() for c in runs}.values())
    if not configs:
        return 1
    title = f"winners of the deepobs study {ledger.name}, ruleset {study.ruleset}"
    plans = write_plans(ledger.folder / PLAN, winners, study.settings, title)
    with report_progress(console, sum(map(evaluations_of, configs)), quiet=quiet) as reporter:
        outcomes = execute(configs, execution, reporter=reporter)
    _print_results(console, outcomes, execution.out)
    for path in plans:
        console.print_line(f"plan of these runs: {path}")
    console.print_line(f"ledger of all trials: {ledger.folder}")
    bad = [outcome for outcome in outcomes if not outcome.good]
    warn_of_failures(bad)
    return int(bool(bad) or any(t.winner is None or without_result(t) for t in tuned))


def _representative(study: Study, problem: str) -> RunConfig:
    """Trial in the middle of the first optimizer's space."""
    candidate = study.candidates[0]
    return study.trial(problem, candidate, candidate.space.at(0.5))


def winners_of(tuned: Sequence[Tuned], study: Study, seeds: int) -> Winners:
    """Configurations of the winners' runs, by problem and optimizer, problems first."""
    found = {
        (t.problem, t.candidate.optimizer): study.winners(
            t.problem, t.candidate, t.winner.point, seeds
        )
        for t in tuned
        if t.winner is not None
    }
    places = {problem: number for number, problem in enumerate(study.problems)}
    return dict(sorted(found.items(), key=lambda pair: places[pair[0][0]]))


def trials_table(tuned: Sequence[Tuned], ledger: Ledger) -> Table:
    """Table of winners, their final values and tuning costs."""
    study = ledger.study
    costs = {(c.problem, c.optimizer): c for c in cost_of(study, ledger.folder)}
    rows = []
    for t in tuned:
        cost = costs[t.problem, t.candidate.optimizer]
        rows.append(
            {
                "problem": t.problem,
                "optimizer": t.candidate.optimizer.rpartition(":")[2],
                "chosen": t.winner and show_point(t),
                "value": t.winner and f"{t.winner.value:.6g}",
                "trials": cost.trials,
                "diverged": cost.diverged or None,
                "pruned": cost.pruned or None,
                "failed": cost.failed or None,
                "out_of_time": sum(trial.was_cut for trial in t.trials) or None,
                "epochs": f"{cost.epochs:,}",
                "time": duration(cost.seconds),
            }
        )
    columns = [
        PROBLEM, OPTIMIZER, words("Chosen", "chosen"),
        number(f"Final {study.rules.select_on}", "value"), number("Trials", "trials"),
        number("Diverged", "diverged"), number("Pruned", "pruned"), number("Failed", "failed"),
        number("Out of time", "out_of_time"), number("Epochs", "epochs"), number("Time", "time"),
    ]  # fmt: skip
    caption = "Epochs and time: of all trials."
    return make_table("trials", "Winners", caption, columns, rows)


def rows_of_trials(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Rows of `--json`: the winner per problem and optimizer, with its final value."""
    return [
        {
            "problem": t.problem,
            "optimizer": t.candidate.optimizer,
            "winner": t.winner and dict(t.winner.point),
            "value": t.winner and t.winner.value,
            "trials": len(t.trials),
        }
        for t in tuned
    ]


def show_point(tuned: Tuned) -> str:
    """Winner's hyperparameters as on the command line."""
    assert tuned.winner is not None
    words = [f"{name}={show(value)}" for name, value in tuned.winner.point.items()]
    return " ".join(words) or " ".join(f"{k}={show(v)}" for k, v in tuned.candidate.fixed.items())


def sentences(tuned: Sequence[Tuned], study: Study) -> list[str]:
    """Notes on the choice: ties, lost trials, edges of the space, the split."""
    lines = []
    for t in tuned:
        name = f"{t.candidate.optimizer} on {t.problem}"
        failed = [trial for trial in t.trials if trial.status not in (*FINISHED, "pruned")]
        if t.winner is None:
            states = sorted({trial.status for trial in t.trials})
            lines.append(
                f"{name}: no winner: no trial of {len(t.trials)} ended with a finite "
                f"value ({', '.join(states)}). Lower the lower end of --space, or read the ledger."
            )
        elif t.ties:
            numbers = ", ".join(str(trial.number) for trial in (t.winner, *t.ties))
            lines.append(f"{name}: trials {numbers} are tied; the first wins.")
        if t.winner is not None and (edges := at_the_edge(t)):
            lines.append(f"{name}: {' and '.join(edges)} tried.")
        if failed:
            reasons = "; ".join(dict.fromkeys(trial.message or trial.status for trial in failed))
            lines.append(f"{name}: {count(len(failed), 'trial')} failed: {reasons}")
        if cut := sum(trial.was_cut for trial in t.trials):
            lines.append(
                f"{name}: the time limit ended {count(cut, 'trial')}, which cannot win. Rerun the "
                "command with --resume and a longer --time-limit."
            )
        if missing := without_result(t):
            lines.append(
                f"{name}: {count(len(missing), 'trial')} without a result, not considered. "
                "Rerun the command to complete them."
            )
        if t.score is not None:
            lines.append(f"{name}: geometric mean of the shares of progress: {t.score:.3g}")
    if study.rules.select_on == "test":
        lines.append(
            "note: chosen on the test set, as in 2019. Use this ruleset only to reproduce the "
            "original; the other rulesets hold out a validation split."
        )
    return lines


def without_result(tuned: Tuned) -> list[Trial]:
    """Trials to repeat: refused, locked or killed."""
    return [trial for trial in tuned.trials if trial.status in ("refused", "locked", "killed")]


def at_the_edge(tuned: Tuned) -> list[str]:
    """Hyperparameters of which the best value is the smallest or largest tried, in words.

    Choices are left out.
    """
    assert tuned.winner is not None
    edges = []
    for name, dimension in tuned.candidate.space.dimensions.items():
        tried = {trial.point[name] for trial in tuned.trials if not isinstance(dimension, Choice)}
        best = tuned.winner.point[name]
        if len(tried) > 2 and best in (min(tried), max(tried)):
            end = "smallest" if best == min(tried) else "largest"
            edges.append(f"the best {name} is the {end} of {len(tried)} values")
    return edges


def _print_results(console: PatientConsole, outcomes: Sequence[Outcome], folder: Path) -> None:
    results = [load_result(result_path(o.config, folder)) for o in outcomes if o.good]
    if any(result.records for result in results):
        console.print_line("Winners, trained on all training examples:")
        print_summary(console, settings_by_problem(results, baselines=[]))


def _print_plan(
    console: PatientConsole, study: Study, arguments: argparse.Namespace, seeds: int
) -> None:
    """Print the number of runs and a time estimate.

    Every trial of an optimizer is estimated by one in the middle of its space.
    """
    configs = []
    for problem in study.problems:
        for candidate in study.candidates:
            point = candidate.space.at(0.5)
            configs += [study.trial(problem, candidate, point)] * study.budget
            configs += study.winners(problem, candidate, point, seeds)
    arms = len(study.problems) * len(study.candidates)
    console.print_line(
        f"{arms * study.budget} trials and up to {count(arms * seeds, 'run')} of the winners",
    )
    if not executor_options(arguments).local:
        console.print_line(
            f"no time estimate: {arguments.executor} runs elsewhere, and only this machine can be "
            "timed",
        )
        return
    timings = time_runs(configs, execution_of(arguments), jobs=arguments.jobs)
    prediction = predict(configs, timings, jobs=arguments.jobs)
    for message in prediction.gaps:
        warn(f"not in the estimate: {message}")
    if prediction.seconds is not None:
        console.print_line(
            f"about {duration(prediction.seconds)} with {count(arguments.jobs, 'job')}, "
            "from scratch",
        )
