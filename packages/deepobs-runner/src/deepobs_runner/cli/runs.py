"""Execute and summarize the runs of a command, or show them with a time estimate."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from deepobs_problems import SUITES, UnknownProblemError, load_problem, problems_with
from deepobs_problems.catalog import CATALOG
from deepobs_problems.errors import nearest
from deepobs_problems.lookup import installed_problems
from deepobs_runner.backend.backend import make_backend
from deepobs_runner.backend.distributed import joined, torchrun_group
from deepobs_runner.backend.memory import keep_memory
from deepobs_runner.cli.console import PatientConsole, make_console, print_summary
from deepobs_runner.cli.messages import print_aside, print_json, warn
from deepobs_runner.cli.parser import setting_defaults
from deepobs_runner.config import Execution, RunConfig
from deepobs_runner.errors import UsageError
from deepobs_runner.executors.registry import ExecutorOptions, executor_of
from deepobs_runner.executors.slurm import parse_slurm
from deepobs_runner.executors.vectorized.batching import sets_of
from deepobs_runner.optimizers import parse_hyperparams
from deepobs_runner.plans.calibration import kept_timings, load_calibrations
from deepobs_runner.plans.estimate import Timing, cost_kind, predict, time_runs
from deepobs_runner.results.baselines import baseline_sets, problems_of
from deepobs_runner.results.files import check_writable
from deepobs_runner.results.labels import label_run
from deepobs_runner.results.official import official_learning_rate
from deepobs_runner.results.result import repeat_folder, result_path
from deepobs_runner.results.store import load_result, stored_failure, stored_result
from deepobs_runner.runs.checkpoint_file import checkpoint_path
from deepobs_runner.runs.outcome import Outcome, Survey, survey
from deepobs_runner.runs.progress import evaluations_of, report_progress
from deepobs_runner.runs.resolve import reference_hyperparams, resolve, resolve_config
from deepobs_runner.schedules import parse_schedule
from deepobs_runner.text import count, duration, last_line


def executor_options(arguments: argparse.Namespace) -> ExecutorOptions:
    """Executor and options of the command line.

    Raises:
        UsageError: an invalid option, or one that has no effect on this executor.
    """
    names = ("jobs", "cpus_per_run", "gpus_per_run", "retries", "address", "vectorize")
    return ExecutorOptions(
        name=arguments.executor,
        slurm=parse_slurm(arguments.slurm),
        **{name: getattr(arguments, name) for name in names},
    )


def parse_optimizers(words: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    """Optimizers with their hyperparameters; an argument without `=` starts the next optimizer.

    Raises:
        UsageError: a hyperparameter before the first optimizer.

    >>> parse_optimizers(["SGD", "lr=.1", "Adam"])
    [('SGD', {'lr': 0.1}), ('Adam', {})]
    """
    groups: list[tuple[str, list[str]]] = []
    for word in words:
        if "=" not in word:
            groups.append((word, []))
        elif groups:
            groups[-1][1].append(word)
        else:
            raise UsageError(
                f"{word!r} needs an optimizer in front, as in: SGD {word} Adam lr=1e-3"
            )
    return [(name, parse_hyperparams(options)) for name, options in groups]


def config_of(
    arguments: argparse.Namespace,
    problem: str,
    optimizer: str,
    hyperparams: dict[str, Any],
    seed: int,
) -> RunConfig:
    """Resolved configuration of one run."""
    settings = {name: getattr(arguments, name) for name in setting_defaults()}
    settings["schedule"] = parse_schedule(arguments.schedule)
    return resolve_config(
        RunConfig(
            problem=problem, optimizer=optimizer, hyperparams=hyperparams, seed=seed, **settings
        )
    )


def execution_of(arguments: argparse.Namespace) -> Execution:
    """Device, folders, checkpoints and limits of the options."""
    names = (
        "device", "compile", "cuda_graphs", "create_graph", "out", "data_dir", "resume",
        "checkpoint_epochs", "checkpoint_minutes", "time_limit", "patience",
    )  # fmt: skip
    chosen = {name: getattr(arguments, name) for name in names}
    return Execution(**chosen, track=tuple(arguments.track))


def problems_named(word: str) -> tuple[str, ...]:
    """Problems of the suite that a word names, or the word itself if it names a problem.

    Raises:
        ProblemError: an unknown problem or suite.
    """
    if word in SUITES:
        return problems_with(suite=word)
    try:
        load_problem(word)
    except UnknownProblemError:
        if word.endswith(".py"):  # the error asks for the name in the file
            raise
        known = [*SUITES, *CATALOG, *installed_problems(on_clash=lambda _: None)]
        raise UnknownProblemError(
            f"Unknown problem or suite {word!r}.{nearest(word, known)} "
            'Run "deepobs list" for all problems and suites.'
        ) from None
    return (word,)


def make_runs(
    configs: Sequence[RunConfig],
    arguments: argparse.Namespace,
    options: ExecutorOptions,
    *,
    retry_failed: bool,
) -> int:
    """Run the configurations and print a summary; return 1 if any failed."""
    keep_memory()
    group = torchrun_group()
    execute = executor_of(options, group)
    console = make_console(quiet=arguments.json or not group.is_rank_0)
    execution = execution_of(arguments)
    resolved = [resolve(config, execution, group=group).config for config in configs]
    configs = _each_once(console, resolved)
    _print_official_rates(console, configs)
    _print_world_notes(console, configs)

    def look() -> Survey:
        found = survey(configs, execution, force=arguments.force, retry_failed=retry_failed)
        if found.todo and not arguments.dry_run:
            check_writable(execution.out)
        return found

    if options.local:
        for precision in {config.precision for config in configs}:
            make_backend(execution, precision, group)  # report it once, before anything starts
    with joined(group, "survey", torch.device("cpu")) as together:
        found = together.from_rank_0(look)
    if arguments.dry_run:
        if group.is_rank_0:
            _print_plan(console, configs, found, execution, options)
            if arguments.json:
                print_json(rows_of_runs(configs, found, ()))
        return 0
    if found.finished:
        finished = f"{len(found.finished)} of {count(len(configs), 'run')}"
        are = "is" if len(found.finished) == 1 else "are"
        console.print_line(f"{finished} {are} finished already (--force repeats).")
    if execution.resume and found.todo:
        console.print_line(_what_is_resumed(found.todo, execution.out, force=arguments.force))
    elif not arguments.force and (begun := _checkpoints(found.todo, execution.out)):
        console.print_line(
            f"note: {count(begun, 'run')} with a checkpoint to start from scratch; --resume "
            "continues from it."
        )
    if options.local and options.vectorize == "off" and group.size == 1:
        _print_vectorization_note(console, found.todo, execution)
    evaluations = sum(map(evaluations_of, found.todo))
    quiet = arguments.quiet or arguments.json or not group.is_rank_0 or not found.todo
    with report_progress(console, evaluations, quiet=quiet) as reporter:
        outcomes = execute(found.todo, execution, force=arguments.force, reporter=reporter)
    bad = [outcome for outcome in outcomes if not outcome.good]
    if not group.is_rank_0:
        return 1 if bad or found.failed else 0
    if len(configs) == 1 and bad:
        return _print_failure(bad[0], execution.out)
    _summarize(console, configs, found, outcomes, execution.out)
    if arguments.json:
        print_json(rows_of_runs(configs, found, outcomes, execution.out))
    return 1 if bad or found.failed else 0


def rows_of_runs(
    configs: Sequence[RunConfig],
    found: Survey,
    outcomes: Sequence[Outcome],
    folder: Path | None = None,
) -> list[dict[str, Any]]:
    """Rows of `--json`: configuration, status and final metrics of every run.

    Args:
        configs: configurations of the runs.
        found: their state before this command.
        outcomes: outcomes of the runs of this command.
        folder: folder of the results; None: nothing was run.
    """
    states = {result.config.id: "finished" for result in found.finished}
    states |= {result.config.id: "failed" for result in found.failed}
    states |= {outcome.config.id: outcome.status for outcome in outcomes}
    rows = []
    for config in configs:
        stored = None if folder is None else stored_result(config, folder)
        final = stored.records[-1]["metrics"] if stored is not None and stored.records else None
        status = states.get(config.id, "to run")
        rows.append({"id": config.id, "status": status, "config": config.to_json(), "final": final})
    return rows


def _print_vectorization_note(
    console: PatientConsole, todo: Sequence[RunConfig], execution: Execution
) -> None:
    """Print how many runs could be vectorised."""
    together = sum(map(len, sets_of(todo, execution, "auto")))
    if together:
        console.print_line(
            f"note: --vectorize auto trains {count(together, 'run')} of these in one pass. That is "
            "faster, but changes their last digits (docs/speed.md)."
        )


def _what_is_resumed(todo: Sequence[RunConfig], folder: Path, *, force: bool) -> str:
    """Number of runs to resume, and to start from scratch."""
    there = _checkpoints(todo, repeat_folder(folder) if force else folder)
    return (
        f"{count(there, 'run')} to resume from a checkpoint, {len(todo) - there} to start "
        "from scratch"
    )


def _checkpoints(todo: Sequence[RunConfig], folder: Path) -> int:
    """Number of runs that can be resumed: both checkpoint and result are there."""
    return sum(
        checkpoint_path(folder, config.id).exists() and result_path(config, folder).exists()
        for config in todo
    )


def _each_once(console: PatientConsole, configs: Sequence[RunConfig]) -> list[RunConfig]:
    """Configurations without duplicates, which would count as further seeds."""
    kept: dict[str, RunConfig] = {}
    repeated: dict[str, RunConfig] = {}
    for config in configs:
        if config.id in kept:
            repeated[config.id] = config
        kept.setdefault(config.id, config)
    for config in repeated.values():
        console.print_line(f"duplicate, run once: {label_run(config)}")
    return list(kept.values())


def _print_failure(outcome: Outcome, folder: Path) -> int:
    """Print the error of a single run; return the exit code."""
    if outcome.status in ("refused", "locked"):
        raise UsageError(outcome.message)
    print_aside(outcome.message)
    warn(f"failed: {label_run(outcome.config)}")
    stored = stored_failure(outcome.config, folder) or stored_result(outcome.config, folder)
    if stored is None:
        warn(f"nothing of it could be stored in {folder}")
    elif stored.finished:
        warn(f"nothing of it could be stored; the earlier result is kept in {stored.path}")
    elif stored.error:
        warn(f"the traceback is kept in {stored.path}")
    else:
        kept = count(len(stored.records), "evaluation")
        warn(f"the traceback could not be stored; {stored.path} holds {kept} ({stored.status})")
    return 1


def _summarize(
    console: PatientConsole,
    configs: Sequence[RunConfig],
    found: Survey,
    outcomes: Sequence[Outcome],
    folder: Path,
) -> None:
    """Print the table of finished runs, counts per status, and reasons of failures."""
    good = {outcome.config.id for outcome in outcomes if outcome.good}
    results = [*found.finished]
    results += [load_result(result_path(c, folder)) for c in found.todo if c.id in good]
    if any(result.records for result in results):
        order = {config.id: number for number, config in enumerate(configs)}
        results.sort(key=lambda result: order[result.config.id])
        if len(configs) == 1:  # a table may break the label
            console.print_line(label_run(configs[0]))
        # Imports scipy.stats, which takes a second that training need not wait for.
        from deepobs_runner.report.notes import settings_by_problem

        print_summary(console, settings_by_problem(results, baselines=[]))
    together = sum("vectorized" in result.environment for result in results)
    if together:
        console.print_line(
            f"note: {count(together, 'run')} trained together with others; each gets its share of "
            "the time",
        )
    tally = {"finished before": len(found.finished)}
    for outcome in outcomes:
        tally[outcome.status] = tally.get(outcome.status, 0) + 1
    tally["failed earlier"] = len(found.failed)
    shown = ", ".join(f"{number} {what}" for what, number in tally.items() if number)
    console.print_line(f"{count(len(configs), 'run')}: {shown}; results in {folder}")
    warn_of_failures(outcomes)
    for result in found.failed:
        run = f"{label_run(result.config)} ({result.config.id})"
        warn(f"failed earlier: {run}: {last_line(result.error)}")
    failed = [o.config for o in outcomes if o.status == "failed"] + [r.config for r in found.failed]
    if failed:
        stay = found.failed or any(o.status == "failed" and not o.failed_for_disk for o in outcomes)
        hint = " Add --retry-failed to retry failed runs." if stay else ""
        warn(f"{_where_tracebacks_are(failed, folder)}{hint}")


def _where_tracebacks_are(failed: Sequence[RunConfig], folder: Path) -> str:
    """Return where the errors of failed runs are kept, and how many could not be stored."""
    stored = [stored_failure(config, folder) for config in failed]
    paths = [result.path for result in stored if result is not None and result.error]
    places = dict.fromkeys(path.parent for path in paths if path is not None)
    if not places:
        return "No traceback could be stored."
    missing = len(failed) - len(paths)
    but = f", except of {count(missing, 'run')}" if missing else ""
    return f"Tracebacks: {' and '.join(f'{place}/<id>.json' for place in places)}{but}."


def warn_of_failures(outcomes: Sequence[Outcome]) -> None:
    """Print a line for each run without a result; a message common to many runs once."""
    refused: dict[str, list[str]] = {}
    for outcome in outcomes:
        run = f"{label_run(outcome.config)} ({outcome.config.id})"
        if outcome.status == "refused":
            refused.setdefault(outcome.message, []).append(run)
        elif not outcome.good:
            warn(f"{outcome.status}: {run}: {outcome.reason}")
    for message, runs in refused.items():
        warn(f"refused: {', '.join(runs)}: {message}")


def _print_plan(
    console: PatientConsole,
    configs: Sequence[RunConfig],
    found: Survey,
    execution: Execution,
    options: ExecutorOptions,
) -> None:
    """Print every run with its state, and an estimate of the total time."""
    states = {result.config.id: "finished" for result in found.finished}
    states |= {result.config.id: "failed" for result in found.failed}
    for config in configs:
        console.print_line(
            f"{states.get(config.id, 'to run'):8}  {label_run(config)}  ({config.id})"
        )
    console.print_line(f"{len(found.todo)} of {count(len(configs), 'run')} to run")
    if hint := _power_hint(configs):
        console.print_line(hint)
    if not found.todo:
        return
    if not options.local:
        console.print_line(
            f"no time estimate: {options.name} runs elsewhere, and only this machine can be timed"
        )
        return
    jobs = options.jobs
    kept = kept_timings(found.todo, execution, load_calibrations(), jobs=jobs)
    new = [config for config in found.todo if cost_kind(config) not in kept]
    timings = {**kept, **time_runs(new, execution, jobs=jobs)}
    prediction = predict(found.todo, timings, jobs=jobs)
    for message in prediction.gaps:
        console.print_line(f"not in the estimate: {message}")
    if prediction.seconds is not None:
        console.print_line(
            f"about {duration(prediction.seconds)} with {count(jobs, 'job')}: an "
            f"estimate from {_basis(kept, new)}",
        )


def _power_hint(configs: Sequence[RunConfig]) -> str:
    """Command that shows what the seeds of a comparison find; empty without baselines."""
    seeds = Counter(config.setting_id for config in configs).most_common(1)[0][1]
    known = {name for each in baseline_sets().values() for name in problems_of(each)}
    problems = dict.fromkeys(c.problem for c in configs if c.problem in known)
    if seeds < 2 or not problems:
        return ""
    return f"power of {seeds} seeds: deepobs plan-seeds {' '.join(problems)} --seeds {seeds}"


def _basis(kept: Mapping[str, Timing], new: Sequence[RunConfig]) -> str:
    """Source of a time estimate."""
    timed = "a few timed steps of each problem and optimizer on this machine"
    sgd = "the SGD steps that deepobs calibrate timed on this machine, for every optimizer"
    return f"{sgd}; for other settings, {timed}" if kept and new else sgd if kept else timed


def _print_world_notes(console: PatientConsole, configs: Sequence[RunConfig]) -> None:
    """Print which numbers depend on the number of processes."""
    for problem, size in sorted({(c.problem, c.world_size) for c in configs if c.world_size > 1}):
        console.print_line(
            f"note: {problem} uses batch statistics or random numbers per process, so its results "
            f"depend on the {size} processes; world_size={size} is part of the run",
        )


def _print_official_rates(console: PatientConsole, configs: Sequence[RunConfig]) -> None:
    """Print which values are the tuned ones of the official runs, or of the reference."""
    lines = {
        f"{config.problem} {config.optimizer}: lr={config.hyperparams['lr']} (tuned in the "
        "official runs)"
        for config in configs
        if config.hyperparams.get("lr") is not None
        and config.hyperparams["lr"] == official_learning_rate(config.problem, config.optimizer)
    }
    for config in configs:
        if config.resolution is None:
            continue
        known = reference_hyperparams(config.resolution.problem, config.optimizer)
        same = {name: value for name, value in known.items() if _has(config, name, value)}
        if same:
            values = ", ".join(f"{name}={value}" for name, value in same.items())
            lines.add(f"{config.problem} {config.optimizer}: {values} (reference setting)")
    for line in sorted(lines):
        console.print_line(line)


def _has(config: RunConfig, name: str, value: object) -> bool:
    """Whether a run has this value of a hyperparameter."""
    return name in config.hyperparams and config.hyperparams[name] == value
