"""`deepobs check`: conformance tests for a problem or optimizer."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_flag, add_json
from deepobs_runner.errors import UsageError

if TYPE_CHECKING:
    from deepobs_runner.checks.optimizer import Finding

STYLES = {"ok": "green", "no": "bold red", "info": ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the problem, optimizer or library to check."""
    parser.description = (
        "Run the conformance tests on a problem or an optimizer. "
        "A problem is tested on stand-in data if it has any."
    )
    add(parser, "subject", "name, file.py:name or package.module:name")
    add(
        parser,
        "hyperparams key=value",
        "optional hyperparameters of an optimizer, e.g. lr=0.1",
        nargs="*",
        default=[],
    )
    add_flag(parser, "--all", "check every optimizer class of a module or file")
    add_flag(parser, "--create-graph", "keep gradient graphs, e.g. for AdaHessian")
    add_json(parser)


def execute(arguments: argparse.Namespace) -> int:
    """Check a problem or an optimizer and print a table; return 1 if a check fails."""
    from deepobs_runner.backend.memory import keep_memory
    from deepobs_runner.checks.optimizer import check_optimizer
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.messages import print_json
    from deepobs_runner.cli.terminal_table import terminal_table
    from deepobs_runner.optimizers import parse_hyperparams, resolve_hyperparams
    from deepobs_runner.report.table import make_table, words

    keep_memory()
    if arguments.all:
        return _check_all(arguments)
    if is_problem(arguments.subject):
        if arguments.hyperparams:
            raise UsageError(
                f"{arguments.subject} is a problem and takes no hyperparameters. Remove them."
            )
        findings = problem_findings(arguments.subject)
    else:
        hyperparams = parse_hyperparams(arguments.hyperparams)
        findings = check_optimizer(
            arguments.subject,
            resolve_hyperparams(arguments.subject, hyperparams),
            create_graph=arguments.create_graph,
        )
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
        return int(any(finding.state == "no" for finding in findings))
    columns = [
        words("Check", "name"),
        words("State", "state"),
        words("Finding", "message"),
    ]
    rows = [asdict(finding) for finding in findings]
    table = make_table("check", arguments.subject, "", columns, rows)
    make_console().print(terminal_table(table, style=lambda row: STYLES[row["state"]]))
    return int(any(finding.state == "no" for finding in findings))


def _check_all(arguments: argparse.Namespace) -> int:
    """Check a library, print one line per optimizer; return 1 if a check fails."""
    from deepobs_runner.checks.library import check_library
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.cli.messages import print_json
    from deepobs_runner.optimizers import parse_hyperparams
    from deepobs_runner.text import count

    console = make_console(quiet=arguments.json)
    checked = faulty = 0
    found: dict[str, list[dict[str, str]]] = {}
    for name, findings in check_library(
        arguments.subject,
        parse_hyperparams(arguments.hyperparams),
        create_graph=arguments.create_graph,
    ):
        found[name] = [asdict(finding) for finding in findings]
        wrong: dict[str, list[str]] = {}
        for finding in findings:
            if finding.state == "no":
                wrong.setdefault(finding.message, []).append(finding.name)
        checked, faulty = checked + 1, faulty + bool(wrong)
        said = "; ".join(f"{_few(names)}: {message}" for message, names in wrong.items())
        console.print_line(f"{name.rpartition(':')[2]}: {said or 'ok'}")
    console.print_line(f"{count(checked, 'optimizer')}: {checked - faulty} ok, {faulty} not")
    if arguments.json:
        print_json(found)
    return int(faulty > 0)


def _few(names: list[str]) -> str:
    """The first name and the number of further ones."""
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def is_problem(subject: str) -> bool:
    """Whether the subject names a problem rather than a known optimizer.

    Raises:
        ProblemError: the subject's file or module does not exist.
    """
    from deepobs_problems import CATALOG, Problem
    from deepobs_problems.errors import nearest
    from deepobs_problems.lookup import installed_problems
    from deepobs_problems.user_code import import_location
    from deepobs_runner.optimizers import installed_optimizers, known_optimizers

    if ":" in subject:
        location, _, attribute = subject.rpartition(":")
        return isinstance(getattr(import_location(location)[0], attribute, None), Problem)
    optimizers = [*known_optimizers(), *installed_optimizers()]
    problems = [*CATALOG, *installed_problems(on_clash=lambda _: None)]
    if subject not in optimizers and subject not in problems:
        raise UsageError(
            f"Unknown problem or optimizer {subject!r}."
            f"{nearest(subject, [*optimizers, *problems])} Write your own as file.py:name."
        )
    return subject in problems


def problem_findings(subject: str) -> list[Finding]:
    """Checks of a problem as findings."""
    from deepobs_problems import load_problem
    from deepobs_problems.testing import check_problem
    from deepobs_runner.checks.optimizer import Finding

    report = check_problem(load_problem(subject))
    return [Finding(c.name, "ok" if c.ok else "no", c.sentence) for c in report.checks]


COMMAND = Command("test your own problem or optimizer", add_arguments, execute)
