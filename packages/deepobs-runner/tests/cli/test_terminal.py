"""Commands in terminals of several widths, kinds and encodings: no broken line and no crash."""

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from deepobs_runner.cli.main import main
from deepobs_runner.cli.terminal_table import terminal_table
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.report.table import PROBLEM, make_table, number, words
from deepobs_runner.report.tables import TABLES
from deepobs_runner.runs.progress import report_progress

MARK = "==== deepobs"
METRICS = {"test": {"objective": 0.123456, "accuracy": 0.98765}}
LABEL = "fmnist_2c2d AdamW lr=0.001 weight_decay=0.01 epochs=100 seed 42"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Return a folder with runs of two optimizers and two seeds."""
    out = tmp_path_factory.mktemp("terminal") / "results"
    words = ["bench", "SGD", "lr=0.01", "Adam", "lr=0.02", "--problem", "two_d_branin"]
    assert main([*words, "--epochs", "2", "--seeds", "2", "--out", str(out), "--quiet"]) == 0
    return out


def screens(width, *, dumb=False):
    """Return the lines that a terminal gets of a run that makes 2 of 20 records."""
    terminal = {"TERM": "dumb" if dumb else "xterm"}
    console = Console(file=io.StringIO(), force_terminal=True, width=width, _environ=terminal)
    with report_progress(console, 20, quiet=False) as reporter:
        reporter.start("id", LABEL, 20)
        for epoch in (1, 2):
            reporter.record("id", epoch, METRICS, 1.5)
        if dumb:
            reporter.finish("id")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())
    return [line.rstrip() for line in re.split(r"[\r\n]+", shown) if line.strip()]


@pytest.mark.parametrize(
    ("width", "shown", "dropped"),
    [
        (30, ["2/20", "left"], ["test", "━"]),
        (60, ["2/20", "left", "fmnist_2c2d", "━"], ["test"]),
        (80, ["2/20", "left", "fmnist_2c2d", "accuracy 98.77%"], ["━"]),
        (120, ["2/20", "left", "fmnist_2c2d", "accuracy 98.77%", "━"], []),
    ],
)
def test_the_progress_drops_fields_instead_of_breaking(width, shown, dropped):
    lines = screens(width)
    assert max(map(len, lines)) <= width
    line = lines[-1]
    assert all(field in line for field in shown), line
    assert not any(field in line for field in dropped), line


def test_a_terminal_that_redraws_no_line_gets_lines():
    lines = screens(80, dumb=True)
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert text.startswith(LABEL)
    assert text.endswith("(3.0 s)")


ROWS = [
    {"problem": "p", "optimizer": name, "setting": f"{name} lr=0.1", "recipe": "standard", "n": 1.5}
    for name in ("SGD", "Adam")
]
COLUMNS = [
    PROBLEM, words("Optimizer", "optimizer"), words("Setting", "setting"),
    words("Recipe", "recipe"), number("Value", "n", lambda row: "1.50 ± 0.25"),
]  # fmt: skip


def printed(width, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    table = make_table("kind", "Title", "A ± caption.", COLUMNS, ROWS)
    Console(file=file, width=width).print(terminal_table(table))
    file.flush()
    return file.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("width", "shared"),
    [(120, ""), (50, "In all rows: Problem p; Recipe standard; Value 1.50 ± 0.25")],
)
def test_a_wide_table_names_equal_columns_above_it(width, shared):
    text = printed(width)
    assert ("In all rows" in text) == bool(shared)
    assert shared in " ".join(text.split())
    assert text.count("standard") == (1 if shared else 2)
    assert text.splitlines()[0].strip() == "Title"
    assert text.splitlines()[-1].strip() == "A ± caption."


def test_columns_stay_aligned_where_the_encoding_lacks_a_character():
    lines = printed(120, "ascii").splitlines()
    ends = {len(line.rstrip()) for line in lines if "+/- 0.25" in line}
    assert len(ends) == 1
    assert "+/-" in lines[-1]
    (rule,) = [line for line in lines if set(line.strip()) == {"-"}]
    assert len(rule.rstrip()) >= max(ends)


FAST = [["list", "--suite", "synthetic"], ["table", "{results}", "final"]]
COMMANDS = [
    *FAST,
    *(["table", "{results}", kind] for kind in TABLES.built_in()),
    *(["plot", "{results}", kind] for kind in FIGURES.built_in()),
    ["list"],
    ["baselines", "list"],
    ["baselines", "show", "official", "--problem", "quadratic_deep"],
    ["plan-seeds", "quadratic_deep"],
    ["check", "SGD", "lr=0.01"],
    ["doctor"],
    ["report", "{results}", "--formats", "html,csv", "--out", "{out}"],
    ["run", "two_d_branin", "SGD", "lr=0.01", "--epochs", "1", "--out", "{out}"],
    ["bench", "SGD", "lr=0.01", "--problem", "two_d_branin", "--epochs", "1", "--out", "{out}"],
    ["bench", "SGD", "Adam", "--problem", "quadratic_deep", "--recipe", "2019", "--dry-run"],
    ["tune", "two_d_branin", "SGD", "--budget", "4", "--epochs", "1", "--seeds", "1",
     "--out", "{out}"],
    ["run", "two_d_branin", "SGD", "lr=\N{SNOWMAN}"],
    *([name, "--help"] for name in ("run", "plot", "tune")),
]  # fmt: skip
SCRIPT = Path(__file__).with_name("run_commands.py")


def command_line(commands, results, out):
    """Return what runs commands one after the other in a process of its own."""
    filled = [[word.format(results=results, out=out) for word in words] for words in commands]
    return [sys.executable, str(SCRIPT), json.dumps(filled)]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize(
    "commands",
    [pytest.param(FAST, id="fast"), pytest.param(COMMANDS, marks=pytest.mark.slow, id="all")],
)
def test_no_command_fails_for_an_encoding(commands, encoding, results, tmp_path):
    made = subprocess.run(
        command_line(commands, results, tmp_path / "out"),
        env={**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=900,
        check=False,
    )
    errors = made.stderr.decode(encoding)
    assert "Traceback" not in errors, errors
    lines = made.stdout.decode(encoding).splitlines()
    ends = [line.removeprefix(f"{MARK} ended: ") for line in lines if f"{MARK} ended" in line]
    assert len(ends) == len(commands)
    assert set(ends) <= {"0", "1", "2"}  # some tables and figures take more runs
    assert ends[: len(FAST)] == ["0"] * len(FAST)
    assert not [line for line in lines if "?" in line and not line.startswith(MARK)]
    if commands is COMMANDS:
        assert "lr of SGD must be a number; got '?'" in errors


def lines_of_terminal(command, width, **variables):
    """Return the lines that a process prints in a terminal."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    screen, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=environment)
    os.close(end)
    pieces = []
    while True:
        try:
            piece = os.read(screen, 65536)
        except OSError:  # Linux reports that the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(screen)
    assert process.wait(timeout=60) == 0
    return b"".join(pieces).decode().splitlines()


def without_escapes(line):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


LONG_WORD = 40
"""Paths of files are not broken."""

WIDE = [
    ["table", "{results}", "final"],
    ["table", "{results}", "verdict"],
    ["table", "{results}", "settings"],
    ["report", "{results}", "--formats", "csv", "--out", "{out}"],
    ["plot", "{results}", "curves"],
    ["list"],
    ["baselines", "list"],
    ["plan-seeds", "quadratic_deep"],
    ["check", "SGD", "lr=0.01"],
    ["bench", "SGD", "lr=0.01", "Adam", "lr=0.1", "--problem", "two_d_branin", "--epochs", "1",
     "--out", "{out}"],
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "term"), [(60, "xterm"), (80, "xterm"), (120, "xterm"), (80, "dumb")]
)
def test_no_line_is_broken_in_a_terminal(width, term, results, tmp_path):
    command = command_line(WIDE, results, tmp_path / "out")
    lines = [without_escapes(line) for line in lines_of_terminal(command, width, TERM=term)]
    assert not [line for line in lines if "Traceback" in line]
    assert sum(line.startswith(f"{MARK} ended: 0") for line in lines) == len(WIDE)
    for line in lines:
        longest = max(map(len, line.split()), default=0)
        if not line.startswith(("deepobs:", MARK)) and longest < LONG_WORD:
            assert len(line.rstrip()) <= width, line


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_in_a_terminal(variables, colored, results, tmp_path):
    command = command_line([["plot", "{results}", "curves"]], results, tmp_path)
    lines = lines_of_terminal(command, 80, **variables)
    assert any(re.search(r"\x1b\[[0-9;]*3[0-9]", line) for line in lines) == colored
