"""Write docs/cli/*.md, a page per command, from the parser and from examples that it runs.

Run `python tools/generate_cli_pages.py` after a change of options. `--run` also runs the examples
and stores their output; without it, the stored output stays.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import deepobs_runner
from deepobs_runner.cli.commands import COMMANDS
from deepobs_runner.cli.main import build_parser, main

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "cli"

EXAMPLES: Mapping[str, str] = {
    "list": "deepobs list --suite synthetic",
    "run": "deepobs run quadratic_deep SGD lr=0.01 --epochs 2",
    "bench": "deepobs bench SGD Adam --problem quadratic_deep --recipe 2019 --seeds 2 --epochs 5",
    "tune": "deepobs tune two_d_branin SGD --budget 4 --epochs 5 --seeds 2",
    "report": "deepobs report results --formats html,csv",
    "table": "deepobs table results final",
    "plot": "deepobs plot results curves",
    "baselines": "deepobs baselines list",
    "check": "deepobs check SGD lr=0.01",
}
"""Commands in the order in which `--run` runs them, in one empty folder."""

SEE_ALSO: Mapping[str, tuple[str, str]] = {
    "list": ("Problems", "../problems.md"),
    "run": ("Execution", "../execution.md"),
    "bench": ("Plans", "../plans.md"),
    "tune": ("Tuning", "../tuning.md"),
    "report": ("Reports", "../report.md"),
    "table": ("Statistics", "../statistics.md"),
    "plot": ("Figures", "../figures.md"),
    "baselines": ("Baselines", "../baselines.md"),
    "check": ("Benchmark my optimizer", "../howto/my-optimizer.md"),
    "plan-seeds": ("How many seeds", "../howto/seeds.md"),
    "calibrate": ("Experiment tracking and diagnostics", "../watching.md"),
    "doctor": ("Installation", "../howto/install.md"),
}


def page_of(name: str, output: str) -> str:
    """Return the page of a command.

    Args:
        name: of the command.
        output: printed by its example; empty without one.
    """
    parser = parser_of(name)
    lines = [
        f"# deepobs {name}",
        "",
        "<!-- Made by tools/generate_cli_pages.py; do not edit. -->",
        "",
    ]
    lines += [str(parser.description), "", "```text", parser_usage(parser), "```", ""]
    if name in EXAMPLES:
        lines += ["## Example", "", "```bash", EXAMPLES[name], "```", ""]
        if output:
            lines += ["```text", output, "```", ""]
    for group in parser._action_groups:
        rows = list(rows_of(group._group_actions))
        if rows:
            lines += [f"## {heading(group.title)}", "", "| Argument | Meaning |", "| --- | --- |"]
            lines += [*rows, ""]
    if parser.epilog and not parser.epilog.startswith("Example: "):  # is on the page already
        lines += [*list_of(parser.epilog), ""]
    if name in SEE_ALSO:
        title, path = SEE_ALSO[name]
        lines += [f"See also: [{title}]({path}).", ""]
    return "\n".join(lines)


def list_of(epilog: str) -> list[str]:
    r"""Return the names at the end of a help and their meanings as a heading and a list.

    >>> list_of("figures:\n  forest    speedup on each problem")
    ['## Figures', '', '* `forest`: speedup on each problem']
    """
    title, *rows = epilog.split("\n")
    named = (row.split(maxsplit=1) for row in rows)
    items = [f"* `{name}`: {escaped(meaning)}" for name, meaning in named]
    return [f"## {heading(title.rstrip(':'))}", "", *items]


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of one command."""
    (commands,) = (
        action
        for action in build_parser(name)._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return commands.choices[name]  # type: ignore[no-any-return]


def parser_usage(parser: argparse.ArgumentParser) -> str:
    """Return the usage with the positional arguments alone; the tables have the options."""
    places = [action for action in parser._actions if not action.option_strings]
    shown = [argument_name(action) for action in places]
    return " ".join([parser.prog, *shown, "[options]"])


def heading(title: str | None) -> str:
    """Return the heading of a group: capitalized, without a reference in brackets.

    >>> heading("positional arguments"), heading("executor (docs/clusters.md)")
    ('Arguments', 'Executor')
    """
    text = re.sub(r" \(docs/.*\)", "", title or "").replace("positional ", "")
    return text[:1].upper() + text[1:]


def argument_name(action: argparse.Action) -> str:
    """Return an argument as it is written: `--seed N`, `PROBLEM`."""
    value = action.metavar or (
        "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
    )
    if not action.option_strings:
        optional = action.nargs in ("*", "?")
        shown = str(value) + (
            " ..." if action.nargs in ("*", "+") and " " not in str(value) else ""
        )
        return f"[{shown}]" if optional else shown
    return action.option_strings[-1] + ("" if action.nargs == 0 else f" {value}")


def rows_of(actions: list[argparse.Action]) -> Iterator[str]:
    """Yield the rows of a table of arguments."""
    for action in actions:
        if action.dest == "help":
            continue
        text = (action.help or "") % {**vars(action), "prog": "deepobs"}
        yield f"| `{argument_name(action).replace('|', chr(92) + '|')}` | {escaped(text)} |"


def escaped(text: str) -> str:
    """Return a text as Markdown shows it literally."""
    return text.replace("|", r"\|").replace("<", r"\<").replace("*", r"\*")


def stored_output(page: str) -> str:
    """Return the output of the example on a page, empty without one."""
    found = re.search(r"## Example\n\n```bash\n.*?\n```\n\n```text\n(.*?)\n```", page, re.DOTALL)
    return found[1] if found else ""


def run_examples() -> dict[str, str]:
    """Run all examples; return what each prints at 80 columns."""
    outputs = {}
    os.environ.update(COLUMNS="80", DEEPOBS_DATA_DIR="data", NO_COLOR="1")
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for name, command in EXAMPLES.items():
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                main(shlex.split(command)[1:])
            shipped = str(Path(deepobs_runner.__file__).parent)
            text = printed.getvalue().replace(shipped, "site-packages/deepobs_runner")
            lines = [line.rstrip() for line in text.splitlines()]
            # Progress has the times of this machine.
            kept = [line for line in lines if not re.search(r"  epoch \d.*s\)$", line)]
            outputs[name] = "\n".join(kept).strip("\n")
    return outputs


def render(outputs: Mapping[str, str] | None = None) -> dict[Path, str]:
    """Return the text of every page.

    Args:
        outputs: of the examples; None: those on the present pages.
    """
    pages = {}
    for name in COMMANDS.built_in():
        path = FOLDER / f"{name}.md"
        present = path.read_text(encoding="utf-8") if path.exists() else ""
        output = outputs.get(name, "") if outputs is not None else stored_output(present)
        pages[path] = page_of(name, output)
    return pages


def write(pages: Mapping[Path, str]) -> None:
    """Write all pages."""
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(render(run_examples() if "--run" in sys.argv[1:] else None))
