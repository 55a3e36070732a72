"""Commands in terminals of several widths, kinds and encodings: no broken line and no crash."""

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from deepobs_runner.cli.main import main
from deepobs_runner.cli.terminal_table import terminal_table
from deepobs_runner.figures.kinds import FIGURES
from deepobs_runner.report.table import PROBLEM, make_table, number, words
from deepobs_runner.report.tables import TABLES
from deepobs_runner.runs.progress import report_progress

DEEPOBS = [sys.executable, "-m", "deepobs_runner.cli"]
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
    (line,) = screens(200, dumb=True)
    assert line.startswith(LABEL)
    assert line.endswith("(3.0 s)")


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


def run(command, **variables):
    made = subprocess.run(
        [*DEEPOBS, *command],
        env={**os.environ, "PYTHONUTF8": "0", **variables},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert b"Traceback" not in made.stderr, made.stderr.decode(errors="replace")
    return made


FAST = [
    ["list", "--suite", "synthetic"],
    ["table", "{results}", "final"],
]
SLOW = [
    *(["table", "{results}", kind] for kind in TABLES.built_in() if kind != "final"),
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
    ["run", "two_d_branin", "SGD", "lr=±"],
    *([name, "--help"] for name in ("run", "plot", "tune")),
]  # fmt: skip
ENCODINGS = ("ascii", "cp1252")


def filled(command, results, out):
    return [word.format(results=results, out=out) for word in command]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "command",
    [*FAST, *(pytest.param(command, marks=pytest.mark.slow) for command in SLOW)],
    ids=lambda command: "-".join(command[:3]),
)
def test_no_command_fails_for_an_encoding(command, encoding, results, tmp_path):
    words = filled(command, results, tmp_path / "out")
    made = run(words, PYTHONIOENCODING=encoding)
    text = made.stdout.decode(encoding) + made.stderr.decode(encoding)
    assert text.strip()
    assert "?" not in text.replace("lr='?'", "").replace("Did you mean", "")
    assert "±" not in text or encoding == "cp1252"


def lines_of_terminal(command, width, **variables):
    """Return the lines that a command prints in a terminal, as a screen shows them."""
    pty = pytest.importorskip("pty")
    import fcntl
    import struct
    import termios

    main_end, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    environment = {**os.environ, "TERM": "xterm", **variables}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [*DEEPOBS, *command], stdin=end, stdout=end, stderr=end, env=environment
    )
    os.close(end)
    pieces = []
    while True:
        try:
            piece = os.read(main_end, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(main_end)
    assert process.wait(timeout=60) == 0
    text = b"".join(pieces).decode()
    assert "Traceback" not in text
    return text.splitlines()


def without_colors(line):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line)


LONG_WORD = 40
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
@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", WIDE, ids=lambda command: "-".join(command[:3]))
def test_no_line_is_broken_in_a_terminal(command, width, term, results, tmp_path):
    words = filled(command, results, tmp_path / "out")
    room = 80 if term == "dumb" else width  # rich takes 80 for such a terminal
    for line in lines_of_terminal(words, width, TERM=term):
        shown = without_colors(line).rstrip()
        if not shown.startswith("deepobs:") and max(map(len, shown.split()), default=0) < LONG_WORD:
            assert len(shown) <= room, shown


@pytest.mark.slow
@pytest.mark.parametrize(("variables", "colored"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colours_in_a_terminal(variables, colored, results):
    lines = lines_of_terminal(["plot", str(results), "curves"], 80, **variables)
    assert any(re.search(r"\x1b\[[0-9;]*3[0-9]", line) for line in lines) == colored
