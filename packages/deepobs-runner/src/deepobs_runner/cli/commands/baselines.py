"""`deepobs baselines`: list, show and export baseline sets."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepobs_runner.cli.commands import Command
from deepobs_runner.cli.parser import add, add_flag, add_json, add_list
from deepobs_runner.errors import UsageError, cannot_read
from deepobs_runner.text import count

if TYPE_CHECKING:
    from deepobs_runner.cli.console import PatientConsole
    from deepobs_runner.results.baselines import BaselineSet
    from deepobs_runner.results.result import RunResult


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the action, the set and the export options."""
    parser.description = (
        "List, show or export baseline sets: the official results of 2019, shipped sets, and "
        "folders that DEEPOBS_BASELINE_DIR names."
    )
    actions = ("list", "show", "export")
    add(parser, "action", "default: %(default)s", choices=actions, nargs="?", default="list")
    add(parser, "name", "name of a set, or a results folder", nargs="?")
    add_list(parser, "--problem", "only this problem; repeatable; default: all")
    add_json(parser)
    group = parser.add_argument_group("export")
    add(group, "--out", "export: folder to write to", Path)
    add_flag(group, "--tuned", "export: only the tuned setting of each optimizer")
    add(group, "--pack NAME", "export: write a packed set of this name")
    add(group, "--title", "export: title of the packed set")
    add(group, "--licence", "export: licence of the packed set")


def execute(arguments: argparse.Namespace) -> int:
    """List the baseline sets, show one, or copy one."""
    from deepobs_runner.cli.console import make_console
    from deepobs_runner.results.baselines import choose_sets

    console = make_console(quiet=arguments.json)
    if arguments.action == "list":
        return _list(console, json=arguments.json)
    if arguments.name is None:
        raise UsageError(
            f"deepobs baselines {arguments.action} needs a set: add a name of "
            "`deepobs baselines list`."
        )
    [chosen] = choose_sets([arguments.name])
    problems = _chosen_problems(chosen, arguments.problem)
    if arguments.action == "show":
        return _show(console, chosen, problems, json=arguments.json)
    return _export(console, chosen, problems, arguments)


def _list(console: PatientConsole, *, json: bool) -> int:
    """Print one row per set."""
    from deepobs_runner.cli.messages import print_json
    from deepobs_runner.cli.terminal_table import terminal_table
    from deepobs_runner.report.table import make_table, number, words
    from deepobs_runner.results.baselines import (
        FOLDERS_VARIABLE,
        all_results,
        baseline_sets,
        problems_of,
    )

    rows = [
        {
            "name": found.name, "title": found.title, "licence": found.licence,
            "folder": found.folder and str(found.folder), "problems": problems_of(found),
            "runs": len(all_results(found)),
        }
        for found in baseline_sets().values()
    ]  # fmt: skip
    if json:
        print_json(rows)
    columns = [
        words("Name", "name"),
        number("Problems", "problems", lambda row: str(len(row["problems"]))),
        number("Runs", "runs", lambda row: f"{row['runs']:,}"),
        words("Title", "title"),
        words("Licence", "licence"),
        words("Folder", "folder", _origin),
    ]
    caption = f"Add your own sets with the environment variable {FOLDERS_VARIABLE}."
    console.print(terminal_table(make_table("baselines", "", caption, columns, rows)))
    return 0


def _origin(row: Mapping[str, Any]) -> str:
    """Folder of a set that is not part of the package."""
    package = Path(__file__).parents[2]
    is_shipped = row["folder"] is None or Path(row["folder"]).is_relative_to(package)
    return "shipped" if is_shipped else str(row["folder"])


def _chosen_problems(chosen: BaselineSet, asked: Sequence[str]) -> list[str]:
    """The requested problems; all of the set by default.

    Raises:
        UsageError: the set lacks results on a problem.
    """
    from deepobs_runner.results.baselines import problems_of

    known = problems_of(chosen)
    for problem in asked:
        if problem not in known:
            raise UsageError(
                f"The baseline set {chosen.name} has no results on {problem!r}. It has "
                f"{', '.join(known) or 'no results'}."
            )
    return list(asked) or known


def _show(
    console: PatientConsole, chosen: BaselineSet, problems: Iterable[str], *, json: bool
) -> int:
    """Print the tuned settings of a set, its number of runs and their provenance."""
    from deepobs_runner.analysis.tuned import tuned_settings
    from deepobs_runner.cli.console import print_summary
    from deepobs_runner.cli.messages import print_json
    from deepobs_runner.results.baselines import baseline_results
    from deepobs_runner.results.settings import settings_of

    console.print_line(
        f"{chosen.name}: {chosen.title}; licence: {chosen.licence}; "
        f"{_origin({'folder': chosen.folder})}"
    )
    runs = {problem: baseline_results(chosen, problem) for problem in problems}
    tuned = tuned_settings(run for listed in runs.values() for run in listed)
    if json:
        print_json(
            [
                {
                    "problem": problem, "setting": setting.runs[0].config.to_json(),
                    "seeds": [run.config.seed for run in setting.runs],
                    "final": [run.records[-1]["metrics"] for run in setting.runs],
                }
                for problem, settings in tuned.items()
                for setting in settings
            ]
        )  # fmt: skip
        return 0
    print_summary(console, tuned)
    for problem, listed in runs.items():
        settings = len(settings_of(listed))
        console.print_line(
            f"{problem}: {count(len(listed), 'run')} of {count(settings, 'setting')}"
        )
    for line in provenance([run for listed in runs.values() for run in listed]):
        console.print_line(line)
    return 0


def provenance(runs: Iterable[RunResult]) -> list[str]:
    """Lines about the origin of runs: source, or versions and device."""
    lines: dict[str, int] = {}
    for run in runs:
        environment = run.environment
        packages = environment.get("packages", {})
        versions = [f"{name} {number}" for name, number in packages.items()]
        device = (
            f"on {environment['device']} ({environment.get('device_name', '?')})"
            if "device" in environment
            else ""
        )
        words = [str(environment.get("source", "")), ", ".join(versions), device]
        line = " ".join(word for word in words if word)
        lines[line] = lines.get(line, 0) + 1
    return [f"{count(number, 'run')} made with {line}" for line, number in lines.items() if line]


def _export(
    console: PatientConsole,
    chosen: BaselineSet,
    problems: Sequence[str],
    arguments: argparse.Namespace,
) -> int:
    """Write a set, or some problems of it, as ordinary result files or as a packed set."""
    from deepobs_runner.analysis.tuned import tuned_settings
    from deepobs_runner.results.baselines import FOLDERS_VARIABLE, baseline_results, pack_baselines
    from deepobs_runner.results.files import check_writable
    from deepobs_runner.results.store import save_result

    if arguments.out is None:
        raise UsageError("deepobs baselines export needs a folder to write to. Add --out FOLDER.")
    folder: Path = arguments.out
    runs = [run for problem in problems for run in baseline_results(chosen, problem)]
    if arguments.tuned:
        settings = [s for listed in tuned_settings(runs).values() for s in listed]
        runs = [run for setting in settings for run in setting.runs]
    if arguments.pack:
        pack_baselines(
            runs,
            folder,
            name=arguments.pack,
            title=arguments.title or chosen.title,
            licence=arguments.licence or chosen.licence,
        )
        console.print_line(f"wrote the baseline set {arguments.pack!r} to {folder}")
        console.print_line(f"To show it in every report: export {FOLDERS_VARIABLE}={folder}")
        return 0
    check_writable(folder)
    _refuse_others(runs, folder)
    for run in runs:
        save_result(run, folder)
    console.print_line(f"wrote {count(len(runs), 'result')} to {folder}")
    return 0


def _refuse_others(runs: Iterable[RunResult], folder: Path) -> None:
    """Refuse a folder that has another file of one of these runs, which may be yours.

    Raises:
        UsageError: it has.
    """
    from deepobs_runner.results.files import read_file
    from deepobs_runner.results.result import result_path
    from deepobs_runner.results.store import encode_result

    for run in runs:
        path = result_path(run.config, folder)
        try:
            same = read_file(path) == encode_result(run)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise cannot_read(path, error) from None
        if not same:
            raise UsageError(
                f"{path} is there, and is another result of the same run. Nothing was exported; "
                "choose another folder with --out."
            )


COMMAND = Command("list, show and export baseline sets", add_arguments, execute)
