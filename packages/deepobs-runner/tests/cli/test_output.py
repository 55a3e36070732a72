"""Output of the commands for programs and terminals: JSON, colours, completion, unknown options."""

import json
import os
import subprocess
import sys
import webbrowser

import pytest

from deepobs_runner.cli.main import main
from deepobs_runner.cli.messages import print_error, print_json, warn
from deepobs_runner.figures.kinds import CONTENTS, FIGURES

RUN = ["quadratic_deep", "--epochs", "1"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("json") / "results"
    command = ["bench", "SGD", "Adam", "--problem", *RUN, "--recipe", "2019", "--out", str(place)]
    assert main([*command, "--quiet"]) == 0
    return place


def printed(capsys):
    return json.loads(capsys.readouterr().out)


def test_runs_as_json(folder, capsys):
    command = ["bench", "SGD", "Adam", "--problem", *RUN, "--recipe", "2019", "--out", str(folder)]
    assert main([*command, "--json"]) == 0
    rows = printed(capsys)
    assert [row["config"]["optimizer"] for row in rows] == ["SGD", "Adam"]
    assert {row["status"] for row in rows} == {"finished"}
    assert rows[0]["final"]["test"]["objective"] > 0
    assert main([*command, "--json", "--dry-run", "--force"]) == 0
    assert {row["status"] for row in printed(capsys)} == {"to run"}


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["baselines", "list"], "licence"),
        (["baselines", "show", "official", "--problem", "quadratic_deep"], "setting"),
        (["check", "SGD", "lr=0.01"], "state"),
        (["list", "--suite", "synthetic"], "tags"),
    ],
)
def test_tables_as_json(command, key, capsys):
    assert main([*command, "--json"]) == 0
    assert all(key in row for row in printed(capsys))


def test_tables_of_results_as_json(folder, capsys, monkeypatch):
    assert main(["table", str(folder), "final", "--json"]) == 0
    assert printed(capsys)
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    options = ["--formats", "html", "--no-baselines", "--json", "--open"]
    assert main(["report", str(folder), *options]) == 0
    assert any(name.endswith("report.html") for name in printed(capsys)["files"])
    (address,) = opened
    assert address.startswith("file://")


def test_winners_as_json(tmp_path, capsys):
    command = ["tune", "two_d_branin", "SGD", "--budget", "4", "--epochs", "2", "--seeds", "1"]
    assert main([*command, "--out", str(tmp_path), "--json"]) == 0
    (row,) = printed(capsys)
    assert row["trials"] == 4
    assert row["winner"]["lr"] > 0


def test_json_has_no_nan(capsys):
    print_json({"a": [float("nan"), float("inf"), 1.0]})
    assert printed(capsys) == {"a": [None, None, 1.0]}


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_prefixes_are_coloured_on_a_terminal(variables, colored, monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    print_error("one")
    warn("two")
    lines = capsys.readouterr().err.splitlines()
    assert [("\x1b[" in line) for line in lines] == [colored, colored]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "two_d_branin", "SGD", "--lr", "0.01"], "Unknown option --lr. Write lr=0.01."),
        (["bench", "SGD", "--weight-decay=0.1"], "Write weight_decay=0.1"),
        (["list", "--foo"], "Unknown option --foo."),
        (["list", "foo"], "Unexpected argument 'foo'."),
        (["run", "two_d_branin", "SGD", "--sede", "1"], "Did you mean --seed?"),
        (["run", "two_d_branin", "SGD", "--epoch", "3"], "Did you mean --epochs?"),
        (["run", "two_d_branin"], "Missing: optimizer. Usage: deepobs run problem optimizer"),
        (["run", "a", "b", "--epochs", "five"], "--epochs takes a whole number, not 'five'"),
        (["run", "a", "b", "--l2", "x"], "--l2 takes a number, not 'x'"),
        (["run", "a", "b", "--precision", "fp8"], "fp64, bf16 or fp16, not 'fp8'.\n"),
        (["table", "a", "--unit", "epoch"], "Did you mean 'epochs'"),
        (["report", "a", "--equivalence", "x"], "--equivalence takes a share such as 1%"),
        (["baselines", "remove"], "Action takes list, show or export, not 'remove'"),
    ],
)
def test_wrong_arguments_are_answered_with_the_fix(words, said, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.splitlines()[-1] == f"Help: deepobs {words[0]} --help"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plot", "curves", "{folder}"], "Write: deepobs plot {folder} curves"),
        (["table", "final"], "Write: deepobs table results final"),
        (["run", "two_d_branin", "SGD", "learning_rate=1"], "Write lr=1."),
        (["run", "two_d_branin", "mine.py"], "Write mine.py:NAME"),
        (["run", "mine.py", "SGD", "lr=1"], "Write mine.py:NAME"),
        (["run", "two_d_branin", "SGD", "lr=1", "--out", "{file}"], "it is a file. Name a folder"),
    ],
)
def test_errors_name_what_to_type(words, message, tmp_path, capsys):
    places = {"folder": tmp_path, "file": tmp_path / "file"}
    places["file"].touch()
    assert main([word.format(**places) for word in words]) == 2
    assert message.format(**places) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "expected"), [("deepobs ru", "run"), ("deepobs run --rec", "--recipe")]
)
def test_the_shell_gets_completions(line, expected, tmp_path):
    pytest.importorskip("argcomplete")
    answer = tmp_path / "answer"
    variables = {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer), "COMP_LINE": line,
        "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": "\n",
    }  # fmt: skip
    subprocess.run(
        [sys.executable, "-c", "from deepobs_runner.cli import main; main()"],
        env={**os.environ, **variables},
        check=False,
        timeout=120,
    )
    assert expected in answer.read_text().split()


def test_an_unknown_command_is_answered_with_the_nearest(capsys):
    assert main(["runn"]) == 2
    assert "Unknown command 'runn'. Did you mean 'run'" in capsys.readouterr().err


def test_the_help_of_plot_says_what_each_figure_shows(capsys):
    with pytest.raises(SystemExit):
        main(["plot", "--help"])
    shown = capsys.readouterr().out
    assert set(CONTENTS) == set(FIGURES.built_in())
    assert all(f"{name:20}{meaning}" in shown for name, meaning in CONTENTS.items())
