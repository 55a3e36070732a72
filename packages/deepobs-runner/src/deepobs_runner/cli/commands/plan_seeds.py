"""`deepobs plan-seeds`: how many seeds a comparison needs, before any run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_list
from deepobs_runner.cli.tables import add_table_output, is_for_people, output_table
from deepobs_runner.config import UNITS, without_folder
from deepobs_runner.errors import UsageError
from deepobs_runner.text import count, join

if TYPE_CHECKING:
    from deepobs_runner.analysis.metrics import Row
    from deepobs_runner.plans.seeds import Spread
    from deepobs_runner.report.table import Table

Cell = tuple[str, Callable[[Mapping[str, Any]], str]]
"""Key of a column, and what turns a row into the text of its cell."""

Number = TypeVar("Number", int, float)

SEEDS = (10,)
"""Numbers of seeds to show the power of."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add problems, speedups, power and level."""
    parser.description = (
        "Show how many seeds per optimizer a speedup needs, from the spread of tuned SGD, Momentum "
        "and Adam between seeds (docs/howto/seeds.md)."
    )
    add(parser, "targets PROBLEM|SUITE", "problem or suite; default: all with baselines", nargs="*")
    add_list(parser, "--baselines SET", "a baseline set or folder; repeatable; default: all sets")
    add_list(parser, "--ratio R", "speedup to find; repeatable; default: 1.1, 1.2 and 1.5")
    add_list(parser, "--seeds N", "also show the power of N seeds; repeatable; default: 10")
    add(parser, "--power P", "probability to find it; default: %(default)s", float, default=0.8)
    add(
        parser,
        "--level",
        "confidence level of intervals; default: %(default)s",
        float,
        default=0.95,
    )
    add(
        parser,
        "--tests K",
        "number of tests to correct for; default: as in a report",
        int,
    )
    add(parser, "--unit", "unit of time; default: %(default)s", choices=UNITS, default=UNITS[0])
    add_table_output(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Print the seeds that each speedup needs on each problem, against each reference."""
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.plans.seeds import ALL_SEEDS, RATIOS, number_of_tests, seed_plan, spreads_of
    from deepobs_runner.results.baselines import baseline_sets, choose_sets

    console = make_console()
    ratios = _numbers("ratio", arguments.ratio, float) or list(RATIOS)
    seeds = _numbers("seeds", arguments.seeds, int) or list(SEEDS)
    names = arguments.baselines
    sets = choose_sets(names) if names else list(baseline_sets().values())
    problems, contents = _problems(arguments.targets)
    spreads = spreads_of(sets, problems, contents=contents, unit=arguments.unit)
    missing = [name for name in problems if name not in {spread.problem for spread in spreads}]
    if not spreads:
        known = dict.fromkeys(spread.problem for spread in spreads_of(sets, unit=arguments.unit))
        raise UsageError(
            f"No baselines of {join(problems) or 'any problem'}, so their spread is not "
            f"known. Baselines exist for: {', '.join(known)}. For your own results, add "
            "--baselines FOLDER."
        )
    tests = number_of_tests(spreads) if arguments.tests is None else arguments.tests
    shown = is_for_people(arguments)
    rows = seed_plan(
        spreads,
        ratios=ratios,
        seeds=seeds if shown else sorted({*seeds, *ALL_SEEDS}),
        power=arguments.power,
        level=arguments.level,
        tests=tests,
    )
    output_table(console, plan_table(rows, ratios, seeds, arguments.power), arguments)
    if shown:
        for line in sentences(rows, spreads, ratios, seeds, arguments.power):
            console.print_line(line)
        for name in dict.fromkeys(spread.problem for spread in spreads if spread.is_edited):
            console.print_line(f"note: {name}: the file has changed since these runs.")
        if missing:
            console.print_line(f"no baselines, so no spread: {', '.join(missing)}")
    return 0


def _problems(words: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Names of the problems that words name, of suites too, and fingerprints of those in files.

    Raises:
        ProblemError: a problem is unknown.
    """
    from deepobs_problems import load_problem, problems_with
    from deepobs_problems.suites import SUITES

    found: list[str] = []
    contents: dict[str, str] = {}
    for word in words:
        if word in SUITES:
            found += problems_with(suite=word)
            continue
        problem = load_problem(word)
        name = without_folder(word) if ":" in word else problem.name
        found.append(name)
        if ".py:" in word:
            contents[name] = problem.fingerprint
    return list(dict.fromkeys(found)), contents


def _has_estimate(problem: str, rows: Sequence[Row]) -> bool:
    """Whether the spread of times is known for a reference on a problem."""
    return any(row["problem"] == problem and not math.isnan(row["log_spread"]) for row in rows)


def _numbers(name: str, words: Iterable[str], kind: Callable[[str], Number]) -> list[Number]:
    try:
        return [kind(word) for word in words]
    except ValueError:
        raise UsageError(f"--{name} takes numbers, not {join(list(words))!r}.") from None


def plan_table(
    rows: Sequence[Row], ratios: Sequence[float], seeds: Sequence[int], power: float
) -> Table:
    """Table of seeds and power."""
    from deepobs_runner.report.table import AGAINST, PROBLEM, make_table, number

    columns = [
        PROBLEM,
        replace(AGAINST, show=_reference),
        number("Reached", "reached", lambda row: f"{row['reached']} of {row['runs']}"),
        number("Spread", "log_spread", lambda row: _percent(row["log_spread"])),
    ]
    for ratio in ratios:
        columns.append(number(f"Seeds for {ratio:g}×", *_seeds(f"seeds_{ratio:g}")))
    for each in seeds:
        for ratio in ratios:
            key = f"power_{ratio:g}_of_{each}"
            columns.append(number(f"{each} seeds: {ratio:g}×", *_power(key)))
        key = f"difference_of_{each}"
        columns.append(number(f"{each} seeds: final value", *_difference(key)))
    caption = (
        f"Seeds per optimizer that show a speedup with probability {power:g}, the probability that "
        "a number of seeds shows it, and the smallest difference of final values that it shows "
        f"with probability {power:g}. Spread: standard deviation of log times to the target of the "
        "runs that reach it; a new optimizer is assumed to vary as much as the reference. Never: "
        "times are known only to the nearest evaluation, however many seeds."
    )
    return make_table("plan-seeds", "Seeds that a comparison needs", caption, columns, rows)


def _percent(value: float) -> str:
    from deepobs_runner.report.table import NOTHING

    return NOTHING if math.isnan(value) else f"{100 * value:.0f} %"


def _reference(row: Mapping[str, Any]) -> str:
    return f"{row['reference']} ({row['source']})"


def _seeds(key: str) -> Cell:
    """Cell of a number of seeds; without one, whether none suffice or none reach."""
    from deepobs_runner.report.table import NOTHING

    def show(row: Mapping[str, Any]) -> str:
        if row[key] is not None:
            return f"{row[key]:,}"
        return NOTHING if math.isnan(row["log_spread"]) else "never"

    return key, show


def _power(key: str) -> Cell:
    return key, lambda row: _percent(row[key])


def _difference(key: str) -> Cell:
    from deepobs_runner.report.table import number_text

    return key, lambda row: number_text(row[key], 2)


def sentences(
    rows: Sequence[Row],
    spreads: Sequence[Spread],
    ratios: Sequence[float],
    seeds: Sequence[int],
    power: float,
) -> Iterator[str]:
    """Yield on how many problems some seeds find each speedup, and for how many tests that is."""
    problems = list(dict.fromkeys(spread.problem for spread in spreads))
    unknown = [name for name in problems if not _has_estimate(name, rows)]
    if unknown:
        yield (
            "Speedups cannot be estimated without two runs of a reference that reach the "
            f"target: {', '.join(unknown)}."
        )
    problems = [name for name in problems if name not in unknown]
    for each in seeds if problems else ():
        parts = []
        for ratio in ratios:
            found = [
                problem
                for problem in problems
                if all(
                    row[f"power_{ratio:g}_of_{each}"] >= power
                    for row in rows
                    if row["problem"] == problem
                )
            ]
            parts.append(f"{ratio:g}× on {len(found)}")
        yield (
            f"{each} seeds per optimizer show a speedup with probability {power:g} against every "
            f"reference: {join(parts)} of {count(len(problems), 'problem')}."
        )
    tests = rows[0]["tests"]
    if tests > 1:
        yield (
            f"Corrected for {tests} tests: time and final value against each reference on each "
            "problem, and over problems. Fewer problems need fewer seeds; --tests 1 shows a single "
            "test."
        )
    else:
        yield "Not corrected for several tests."


COMMAND = Command("show how many seeds a comparison needs, before any run", add_arguments, execute)
